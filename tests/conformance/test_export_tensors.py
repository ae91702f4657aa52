"""What an exported graph finds is what `ppnlab predict` finds, in TensorFlow itself: no other package is needed."""

from pathlib import Path

import pytest
from export_runs import KINDS, assert_same, placed, random_pictures, random_run

from detector.weights import load_network


@pytest.mark.parametrize("kind", KINDS)
def test_the_graph_finds_what_prediction_finds(tmp_path: Path, kind: str) -> None:
    from detector.engine import prediction_step
    from detector.export_tensors import detection_function

    trained = load_network(random_run(tmp_path / "run", kind), "best")
    function = detection_function(trained.network, trained.model)
    pictures = random_pictures()
    expected = trained.model.detect(pictures, prediction_step(trained.network))
    # Not a comparison of nothing with nothing, nor of boxes that nothing overlaps.
    assert (sum(len(one.score) for one in expected) > 20) == (kind != "nothing")
    feed = placed(pictures, trained.model.settings.input)
    together = {name: value.numpy() for name, value in function(**feed).items()}
    assert_same(together, expected)
    for row in range(len(pictures)):
        alone = function(**{name: value[row : row + 1] for name, value in feed.items()})
        assert_same({name: value.numpy() for name, value in alone.items()}, expected[row : row + 1])
