"""One rule for what has no value: None, and a stable word that says why. 0/0 is never 0.

| truth | detections at the threshold | AP         | precision | recall | F1    |
|-------|-----------------------------|------------|-----------|--------|-------|
| some  | some                        | value      | value     | value  | value |
| some  | none                        | value or 0 | None      | 0      | 0     |
| none  | some                        | None       | 0         | None   | 0     |
| none  | none                        | None       | None      | None   | None  |

AP does not look at the threshold: with truth, and without any detections, it is 0.
"""

NO_IMAGES = "no-images"
NO_TRUTH = "no-truth"
NO_DETECTIONS = "no-detections"
NONE_AT_THRESHOLD = "no-detections-at-threshold"
NEITHER = "no-truth-and-no-detections"
NEITHER_AT_THRESHOLD = "no-truth-and-no-detections-at-threshold"
TOO_FEW_IMAGES = "too-few-images"
NOT_ASKED = "not-asked"

MEANINGS = {
    NO_IMAGES: "there are no images",
    NO_TRUTH: "there is nothing to find",
    NO_DETECTIONS: "nothing was detected",
    NONE_AT_THRESHOLD: "nothing was detected at the threshold",
    NEITHER: "there is nothing to find and nothing was detected",
    NEITHER_AT_THRESHOLD: "there is nothing to find and nothing was detected at the threshold",
    TOO_FEW_IMAGES: "fewer than two images (or groups of images) have something to find",
    NOT_ASKED: "it was not asked for",
}
"""Every reason word of `undefined`, with what it means."""


def ratio(numerator: float, denominator: float) -> float | None:
    """Return the quotient, or None for a denominator of 0."""
    return numerator / denominator if denominator else None


def why_no_precision(images: int, detections: int) -> str:
    """Return why precision has no value, given that nothing reaches the threshold."""
    if not images:
        return NO_IMAGES
    return NONE_AT_THRESHOLD if detections else NO_DETECTIONS


def why_no_recall(images: int) -> str:
    """Return why recall and AP have no value, given that there is no truth."""
    return NO_TRUTH if images else NO_IMAGES


def why_no_f1(images: int, detections: int) -> str:
    """Return why F1 has no value, given that there is no truth and that nothing reaches the threshold."""
    if not images:
        return NO_IMAGES
    return NEITHER_AT_THRESHOLD if detections else NEITHER
