"""What was changed in a training on its way: read from its events, drawn into its curves."""

import re
from pathlib import Path

from detector.changes import Mark, changes_of
from detector.run_directory import create_run
from evaluation.charts import history_chart

EPOCHS = {"epoch": [1, 2, 3], "loss": [3.0, 2.0, 1.0]}


def drawn(marks: list[tuple[float, str]]) -> str:
    return history_chart("Loss", EPOCHS["epoch"], {"loss": EPOCHS["loss"]}, marks=marks)


def test_changes_are_found_at_their_places_in_order_and_once(tmp_path: Path) -> None:
    config = {"settings": {}, "classes": [], "parts": {}, "dataset": {"path": "", "hashes": {}}}
    run = create_run(tmp_path / "run", config)
    # The second epoch has 4 steps, the others 2.
    run.write_history([{"epoch": 1, "step": 2}, {"epoch": 2, "step": 6}, {"epoch": 3, "step": 8}])
    run.event("started", step=0)
    run.event("changed", step=7, settings={"learning_rate": 0.1, "epochs": 9})
    for _ in range(2):
        run.event("new-data", step=3, epoch=2, images=4)
    run.event("versions-changed", step=2, versions={"keras": ["1", "2"], "numpy": ["1", "2"]})
    run.event("changed", settings={"keep": 3})
    run.event("changed", step="x", settings={})
    run.event("changed", step=11, settings={"keep": 4})
    with (run.path / "events.jsonl").open("a") as handle:
        handle.write('[]\n5\n{"event')
    assert changes_of(run) == [
        Mark(1.0, "other keras, numpy"),
        Mark(1.25, "other data"),
        Mark(2.5, "learning_rate=0.1, epochs=9"),
        Mark(3.5, "keep=4"),
    ]


def test_a_chart_names_the_changes_at_their_lines() -> None:
    plain, marked = drawn([]), drawn([(1.5, "epochs=9"), (1.5, "other data"), (2.5, "x" * 50)])
    assert ">epochs=9; other data<" in marked
    assert f">{'x' * 33}…<" in marked
    assert "epochs=9" not in plain
    # Two lines, for two of the three share a place.
    assert marked.count("stroke-dasharray: 1.2,2.4") == 2


def test_labels_that_would_touch_stand_at_the_top_and_the_foot() -> None:
    marked = drawn([(1.50, "first"), (1.52, "second"), (2.5, "third")])
    found = re.findall(r"translate\([\d.]+ ([\d.]+)\) rotate\(-90\)\">(\w+)<", marked)
    height = {name: float(y) for y, name in found}
    # From the top of the picture, in points.
    assert height["first"] < 50 < 200 < height["second"]
    assert height["third"] < 50


def test_many_changes_are_lines_alone() -> None:
    marked = drawn([(1 + index / 10, f"change{index}") for index in range(12)])
    assert "change" not in marked
    assert marked.count("stroke-dasharray: 1.2,2.4") == 12
