"""One measured run of `score_speed.py`: draws a set, or scores it with one program, and prints what that cost as JSON.

What each program imports is imported inside its function: the peers run in an environment without ours.
"""

import contextlib
import io
import json
import resource
import sys
from pathlib import Path
from typing import Any

SETS = {"coco": (5000, 80, 36_000, 1_000_000), "single": (100_000, 1, 300_000, 2_000_000)}
"""Images, classes, truths, detections."""
MOST = 100
FRAME = (640, 480)


def main() -> None:
    """Do what the arguments say; see `score_speed.py`."""
    kind, *arguments = sys.argv[1:]
    result = {
        "write": _write,
        "ours-json": _ours_from_json,
        "ours-arrays": _ours_from_arrays,
        "hotcoco": _hotcoco,
        "pycocotools": _pycocotools,
        "grow": _grow,
    }[kind](*arguments)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cpu": _cpu(), "peak": peak, **result}))


def _cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def draw(images: int, classes: int, truths: int, found: int) -> dict[str, Any]:
    """Return the columns of a set: a third of the detections near a truth, the others anywhere; boxes xywh pixels."""
    import numpy as np

    rng = np.random.default_rng(0)

    def sides(rows: int) -> Any:  # noqa: ANN401
        return np.exp(rng.uniform(np.log(8), np.log(300), (rows, 2)))

    size = sides(truths)
    truth = np.round(np.concatenate([rng.random((truths, 2)) * (FRAME - size), size], axis=1), 2)
    image, label = rng.integers(0, images, truths), rng.integers(0, classes, truths)
    near, of = rng.random(found) < 0.35, rng.integers(0, truths, found)
    shift = rng.normal(0, 0.12, (found, 4)) * np.tile(truth[of, 2:], 2)
    size = sides(found)
    stray = np.concatenate([rng.random((found, 2)) * (FRAME - size), size], axis=1)
    box = np.where(near[:, None], truth[of] + shift, stray)
    box[:, 2:] = np.maximum(box[:, 2:], 1)
    doubt = np.abs(shift).sum(axis=1) / truth[of].sum(axis=1)
    score = np.where(near, np.clip(1.3 * rng.random(found) - doubt, 0.01, 1), rng.random(found) ** 3)
    order = np.argsort(np.where(near, image[of], rng.integers(0, images, found)), kind="stable")
    strays = rng.integers(0, images, found)
    columns = {
        "image": np.where(near, image[of], strays),
        "label": np.where(near, label[of], rng.integers(0, classes, found)),
        "box": np.round(box, 2),
        "score": np.round(score, 5),
    }
    order = np.argsort(columns["image"], kind="stable")
    found_columns = {name: values[order] for name, values in columns.items()}
    truth_columns = {"image": image, "label": label, "box": truth, "crowd": rng.random(truths) < 0.01}
    return {"images": images, "classes": classes, "truth": truth_columns, "found": found_columns}


def write_coco(drawn: dict[str, Any], truth_file: Path, results_file: Path) -> None:
    """Write a set as COCO JSON, truth and results."""
    truth, found = drawn["truth"], drawn["found"]
    area = truth["box"][:, 2] * truth["box"][:, 3]
    columns = zip(*(truth[key].tolist() for key in ("image", "label", "box", "crowd")), area.tolist(), strict=True)
    document = {
        "images": [{"id": i + 1, "width": 640, "height": 480, "file_name": f"{i}.jpg"} for i in range(drawn["images"])],
        "categories": [{"id": i + 1, "name": f"class {i}"} for i in range(drawn["classes"])],
        "annotations": [
            {"id": row, "image_id": i + 1, "category_id": c + 1, "bbox": box, "iscrowd": int(crowd), "area": size}
            for row, (i, c, box, crowd, size) in enumerate(columns, start=1)
        ],
    }
    truth_file.write_text(json.dumps(document))
    rows = zip(*(found[key].tolist() for key in ("image", "label", "box", "score")), strict=True)
    results = [{"image_id": i + 1, "category_id": c + 1, "bbox": box, "score": s} for i, c, box, s in rows]
    results_file.write_text(json.dumps(results))


def _write(name: str, scratch: str) -> dict[str, Any]:
    import numpy as np

    drawn = draw(*SETS[name])
    write_coco(drawn, Path(scratch, f"{name}_truth.json"), Path(scratch, f"{name}_results.json"))
    tables = {f"{part}_{key}": values for part in ("truth", "found") for key, values in drawn[part].items()}
    np.savez(Path(scratch, f"{name}.npz"), **tables)
    return {}


def tables(truth: dict[str, Any], found: dict[str, Any], images: int, classes: int) -> tuple[Any, Any]:
    """Return our tables of a set."""
    import numpy as np

    from annotations.tables import NO_PARENT, Annotations, BoxDataset, Detections, Images, relative

    blank = np.full(images, "")
    sides = [np.full(images, side) for side in FRAME]
    table = Images(np.arange(images).astype(np.str_), blank, *sides, blank, blank, blank, blank)

    def boxes(columns: dict[str, Any]) -> Any:  # noqa: ANN401
        xywh = columns["box"]
        return relative(table, columns["image"], np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1))

    rows, count = len(truth["image"]), len(found["image"])
    nobody, none = np.full(max(rows, count), NO_PARENT), np.full(rows, "")
    marks = Annotations(
        truth["image"], np.arange(rows), nobody[:rows], none, truth["label"], boxes(truth), none, truth["crowd"]
    )
    names = tuple(f"class {i}" for i in range(classes))
    detections = Detections(
        found["image"], np.arange(count), nobody[:count], found["label"], found["score"], boxes(found)
    )
    return BoxDataset(Path(), names, {}, table, marks), detections


def _score(dataset: Any, detections: Any) -> dict[str, Any]:  # noqa: ANN401
    """Return the figures that pycocotools summarises, and what its steps cost."""
    import numpy as np

    from evaluation.average_precision import AT_50, AT_75
    from evaluation.checks import check_detections, check_truth
    from evaluation.matching import candidates
    from evaluation.precisions import average_precisions
    from evaluation.sizes import ALL, SIZES

    begin = _cpu()
    check_truth(dataset)
    check_detections(dataset, detections)
    checked = _cpu()
    found = candidates(dataset, detections, max_detections=MOST)
    paired = _cpu()
    everywhere = {ALL: np.ones(len(dataset.images), np.bool_)}
    values = [average_precisions(found, everywhere, "coco-101", size=size)[ALL] for size in (ALL, *SIZES)]
    whole = values[0]
    figures = [whole, whole[AT_50], whole[AT_75], *values[1:]]
    steps = {"check": checked - begin, "pairs": paired - checked, "match and AP": _cpu() - paired}
    seconds = _cpu() - begin
    return {"cpu": seconds, "figures": [float(np.nanmean(figure)) for figure in figures], "steps": _rounded(steps)}


def _rounded(steps: dict[str, float]) -> dict[str, float]:
    return {name: round(seconds, 2) for name, seconds in steps.items()}


def _ours_from_json(name: str, scratch: str) -> dict[str, Any]:
    from evaluation.sources import read_results, read_truth

    begin = _cpu()
    dataset = read_truth(Path(scratch, f"{name}_truth.json"))
    read = _cpu()
    detections = read_results(Path(scratch, f"{name}_results.json"), dataset)
    reading = _rounded({"import": begin, "truth": read - begin, "results": _cpu() - read})
    scored = _score(dataset, detections)
    # All that the process cost.
    return {**scored, "cpu": _cpu(), "steps": {**reading, **scored["steps"]}}


def _ours_from_arrays(name: str, scratch: str) -> dict[str, Any]:
    import numpy as np

    with np.load(Path(scratch, f"{name}.npz")) as stored:
        parts = {
            part: {key.removeprefix(f"{part}_"): stored[key] for key in stored.files if key.startswith(part)}
            for part in ("truth", "found")
        }
    dataset, detections = tables(parts["truth"], parts["found"], *SETS[name][:2])
    return _score(dataset, detections)


def _grow(count: str) -> dict[str, Any]:
    found = int(count)
    drawn = draw(found // 200, 20, found // 20, found)
    dataset, detections = tables(drawn["truth"], drawn["found"], drawn["images"], drawn["classes"])
    return _score(dataset, detections)


def _hotcoco(name: str, scratch: str) -> dict[str, Any]:
    import hotcoco  # type: ignore[import-not-found,unused-ignore]

    return _peer(hotcoco.COCO, hotcoco.COCOeval, name, scratch)


def _pycocotools(name: str, scratch: str) -> dict[str, Any]:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return _peer(COCO, COCOeval, name, scratch)


def _peer(truth_class: Any, scorer_class: Any, name: str, scratch: str) -> dict[str, Any]:  # noqa: ANN401
    imported = _cpu()
    with contextlib.redirect_stdout(io.StringIO()):
        truth = truth_class(str(Path(scratch, f"{name}_truth.json")))
        results = truth.loadRes(str(Path(scratch, f"{name}_results.json")))
        loaded = _cpu()
        scorer = scorer_class(truth, results, "bbox")
        scorer.evaluate()
        scorer.accumulate()
        scorer.summarize()
    steps = _rounded({"import": imported, "load": loaded - imported, "evaluate": _cpu() - loaded})
    return {"figures": [float(value) for value in scorer.stats[:6]], "steps": steps}


if __name__ == "__main__":
    main()
