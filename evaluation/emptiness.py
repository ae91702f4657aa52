"""One rule for what has no value: None, and a stable word that says why. 0/0 is never 0.

| truth | detections at the threshold | AP         | precision | recall | F1    | FP per image | calibration     |
|-------|-----------------------------|------------|-----------|--------|-------|--------------|-----------------|
| some  | some                        | value      | value     | value  | value | value        | value           |
| some  | none                        | value or 0 | None      | 0      | 0     | 0            | value or None   |
| none  | some                        | None       | 0         | None   | 0     | value        | value           |
| none  | none                        | None       | None      | None   | None  | 0            | value or None   |

It holds for a class, for the sums over classes of a split, and for each size and each image flag.

- AP (AP@.5, AP@.75, AP@[.5:.95], the two ends of a tie report) does not look at the threshold: with truth, and without
  any detections, it is 0. Means are taken over the classes with truth, and say how many classes they leave out.
- Calibration (ECE, MCE) looks at every detection that is not ignored, whatever its score: None without any.
- An image without truth and without detections changes nothing but how many images there are.
- False positives per image on images without truth are None where every image has truth.
- A class in one split only is, in the others, a class without truth. Zero images: everything is None, `no-images`.
- Truth that is ignored (a crowd, VOC's difficult) is no truth, and a detection that took it no detection, except that
  an image that holds such truth is no image without truth.
"""

NO_IMAGES = "no-images"
NO_TRUTH = "no-truth"
NO_DETECTIONS = "no-detections"
NONE_AT_THRESHOLD = "no-detections-at-threshold"
NEITHER = "no-truth-and-no-detections"
NEITHER_AT_THRESHOLD = "no-truth-and-no-detections-at-threshold"
TOO_FEW_IMAGES = "too-few-images"
NOT_ASKED = "not-asked"
NO_EMPTY_IMAGES = "no-images-without-truth"
NO_COMMON_CLASS = "no-class-on-both-sides"
NO_SHARES = "scores-outside-0-1"
NOTHING_LEFT = "every-object-missed"
NO_LINKS = "no-part-names-its-object"
NO_TRUE_LINKS = "no-true-part-names-an-object"
NO_PARTS = "no-objects-with-parts"
NO_MATCHES = "no-matches"
NO_PIXELS = "no-pixels"

MEANINGS = {
    NO_IMAGES: "there are no images",
    NO_TRUTH: "there is nothing to find",
    NO_DETECTIONS: "nothing was detected",
    NONE_AT_THRESHOLD: "nothing was detected at the threshold",
    NEITHER: "there is nothing to find and nothing was detected",
    NEITHER_AT_THRESHOLD: "there is nothing to find and nothing was detected at the threshold",
    TOO_FEW_IMAGES: "fewer than two images (or groups of images) have something that it depends on",
    NOT_ASKED: "it was not asked for",
    NO_EMPTY_IMAGES: "every image has something in it",
    NO_COMMON_CLASS: "no class has something to find on both sides",
    NO_SHARES: "a score lies outside 0 to 1, so it is no probability",
    NOTHING_LEFT: "every object was missed, and without them nothing is left to find",
    NO_LINKS: "no detected part names a detected object",
    NO_TRUE_LINKS: "no detected part that names an object found a true one",
    NO_PARTS: "no object has parts",
    NO_MATCHES: "no predicted object reached the IoU threshold with a true one",
    NO_PIXELS: "the pictures have no pixels",
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


def why_no_calibration(images: int) -> str:
    """Return why a calibration has no value, given that there are no detections."""
    return NO_DETECTIONS if images else NO_IMAGES


def why_no_rate(images: int) -> str:
    """Return why a number for each image without truth has no value, given that there are no such images."""
    return NO_EMPTY_IMAGES if images else NO_IMAGES


def why_no_f1(images: int, detections: int) -> str:
    """Return why F1 has no value, given that there is no truth and that nothing reaches the threshold."""
    if not images:
        return NO_IMAGES
    return NEITHER_AT_THRESHOLD if detections else NEITHER
