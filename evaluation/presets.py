"""Ways of scoring by name, so that a figure can be laid beside one that somebody else published."""

from collections.abc import Mapping
from typing import Any

from annotations.errors import UsageError
from evaluation.figures import ScoreSettings

PRESETS: Mapping[str, Mapping[str, Any]] = {
    "coco": {"matching": "coco", "ap": "coco-101", "max_detections": 100},
    "voc2007": {"matching": "voc", "ap": "11-point"},
    "voc2012": {"matching": "voc", "ap": "all-point"},
    "reference": {
        "matching": "voc",
        "ap": "all-point",
        "score_floor": 0.5,
        "ties": "hits-first",
        "threshold": 0.5,
    },
}
"""What each name sets; everything else is as without a preset.

`coco` is what pycocotools does by default, except that sizes go by the area of the box; AP@.5 of `voc2007` and
`voc2012` is that of the development kits of these years, except that a box has the width xmax - xmin, not one pixel
more. `reference` is the protocol of the code that came with the sub-parts PPN (Blanger & Hirata, ICIP 2019), whose
AP@.5 is published: detections with a confidence below 0.5 do not exist, each goes for the truth that it overlaps best,
a taken one makes it a false positive, and the exact area under the curve is taken with the hits first among equal
scores. That AP knows nothing of the detections below 0.5, so it lies below what the same detector has without the cut.
Source: `metrics.py` and `output_decoder` of that code.
"""


def preset_settings(name: str | None, **changes: Any) -> ScoreSettings:  # noqa: ANN401
    """Return the settings of a preset (None: the plain ones), with `changes` over them.

    Raises:
        UsageError: there is no such preset, or a setting means nothing.
    """
    if name is None:
        return ScoreSettings(**changes)
    if name not in PRESETS:
        raise UsageError(f"preset must be one of {', '.join(PRESETS)}, got {name}")
    return ScoreSettings(**{**PRESETS[name], **changes, "preset": name})
