"""The trunks: what of a pretrained one stays fixed."""

import pytest

from detector.settings import Settings
from detector.trunks import pretrained_trunk


@pytest.mark.parametrize("fixed", [True, False])
def test_depthwise_kernels_of_a_pretrained_trunk_are_fixed_where_the_settings_say(fixed: bool) -> None:
    settings = Settings(input=(64, 64), frozen_blocks=3, frozen_depthwise=fixed)
    trunk = pretrained_trunk(settings, load=False)
    learning = {variable.path.split("/")[0] for variable in trunk.trainable_variables}
    assert "b3_project" in learning
    depthwise = set() if fixed else {f"b{number}_dw" for number in range(3, 11)}
    assert {name for name in learning if name.endswith("_dw")} == depthwise
