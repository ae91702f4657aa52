"""What an exported graph finds is what `ppnlab predict` finds, in TensorFlow itself: no other package is needed."""

from pathlib import Path

import numpy as np
import pytest
from export_runs import KINDS, assert_same, placed, random_pictures, random_run

from detector.weights import load_network


# The published network's coarse levels repeat one another in an input of 64 pixels: which of equals stays is chance.
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "classic"])
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


def test_the_published_network_s_boxes_and_odds_are_those_of_prediction(tmp_path: Path) -> None:
    from detector.engine import prediction_step
    from detector.export_decoding import cell_table, decoded, log_odds

    trained = load_network(random_run(tmp_path / "run", "classic"), "best")
    model = trained.model
    outputs = prediction_step(trained.network)(placed(random_pictures()[:1], model.settings.input)["pictures"])
    for name, expected in zip(model.branches(), model._branches(outputs, 0), strict=True):
        boxes, errors = decoded(model, outputs[f"{name}_boxes"], cell_table(model, name)[None])
        np.testing.assert_allclose(np.asarray(boxes)[0], expected.boxes, atol=1e-3)
        assert errors is None
        np.testing.assert_allclose(
            np.asarray(log_odds(model, outputs[f"{name}_logits"]))[0], expected.logits, atol=1e-4
        )
