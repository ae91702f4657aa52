"""The kinds of errors and what they cost, by plain loops from the paper's words, to hold the real thing to."""

from dataclasses import dataclass, field

import numpy as np

from annotations.tables import BoxDataset, Detections, pixels

HIT, NEAR = 0.5, 0.1


@dataclass
class Found:
    """A detection: where, what, how sure, and what became of it."""

    row: int
    image: int
    label: int
    score: float
    box: tuple[float, ...]
    truth: int | None = None
    kind: str = ""
    on: int | None = None


@dataclass
class Oracle:
    """Every detection with its kind, the truths that were missed, and the APs that fixing would give."""

    found: list[Found]
    truths: list[tuple[int, int, tuple[float, ...]]]
    taken: set[int] = field(default_factory=set)
    missed: list[int] = field(default_factory=list)

    def precision(self, label: int, rows: list[tuple[float, int, bool]], gone: set[int] = frozenset()) -> float | None:  # type: ignore[assignment]
        """AP of one class from (score, class, hit) rows, with the truths in `gone` off the number to find."""
        count = sum(1 for row, truth in enumerate(self.truths) if truth[1] == label and row not in gone)
        return average_precision_101([(s, h) for s, c, h in rows if c == label], count)

    def rows(self) -> list[tuple[float, int, bool]]:
        return [(d.score, d.label, d.truth is not None) for d in self.found]

    def without(self, kind: str, *, shared: bool = False) -> list[tuple[float, int, bool]]:
        """The (score, class, hit) rows when every error of the kind is put right.

        `shared` lets errors of classification and localisation vie for one object, though only one kind is put right.
        """
        rows = []
        for d in self.found:
            if d.truth is not None or d.kind != kind:
                rows.append((d.score, d.label, d.truth is not None))
                continue
            rivals = [
                o
                for o in self.found
                if o.on == d.on
                and o.truth is None
                and (o.kind == kind or (shared and o.kind in ("classification", "localisation")))
            ]
            best = max(rivals, key=lambda o: o.score)
            if kind in ("classification", "localisation") and d.on not in self.taken and best is d:
                rows.append((d.score, self.truths[d.on][1], True))
        return rows

    def contested(self) -> bool:
        """Whether one object that nothing found has errors of both of the kinds that can be put right."""
        named = {(d.on, d.kind) for d in self.found if d.on is not None and d.on not in self.taken}
        return any((on, "classification") in named and (on, "localisation") in named for on, _ in named)


def iou(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    overlap = width * height
    return overlap / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - overlap)


def average_precision_101(rows: list[tuple[float, bool]], count: int) -> float | None:
    if not count:
        return None
    points, hits = [], 0
    for seen, (_, hit) in enumerate(sorted(rows, key=lambda row: -row[0]), 1):
        hits += hit
        points.append((hits / count, hits / seen))
    levels = np.linspace(0.0, 1.0, 101).tolist()
    return sum(max([p for r, p in points if r >= level], default=0.0) for level in levels) / 101


def oracle(dataset: BoxDataset, detections: Detections) -> Oracle:
    """What came of every detection; scores must all differ, and nothing be ignored."""
    images, truth = dataset.images, dataset.annotations
    boxes = pixels(images, truth.image_row, truth.xyxy_rel).round(9).tolist()
    truths = [
        (i, c, tuple(b)) for i, c, b in zip(truth.image_row.tolist(), truth.class_id.tolist(), boxes, strict=True)
    ]
    where = pixels(images, detections.image_row, detections.xyxy_rel).round(9).tolist()
    found = [
        Found(
            row, int(detections.image_row[row]), int(detections.class_id[row]), float(detections.score[row]), tuple(b)
        )
        for row, b in enumerate(where)
    ]
    found.sort(key=lambda d: -d.score)
    result = Oracle(found, truths)
    for d in found:
        free = [
            (iou(d.box, box), row)
            for row, (image, label, box) in enumerate(truths)
            if image == d.image and label == d.label and row not in result.taken and iou(d.box, box) >= HIT
        ]
        if free:
            d.truth = max(free)[1]
            result.taken.add(d.truth)
    for d in found:
        if d.truth is None:
            d.kind, d.on = _kind(d, result)
    covered = {d.on for d in found if d.kind in ("classification", "localisation")}
    result.missed = [row for row in range(len(truths)) if row not in result.taken and row not in covered]
    return result


def _kind(d: Found, result: Oracle) -> tuple[str, int | None]:
    own, other = (0.0, -1), (0.0, -1)
    for row, (image, label, box) in enumerate(result.truths):
        if image != d.image:
            continue
        overlap = iou(d.box, box)
        if label == d.label and overlap > own[0]:
            own = (overlap, row)
        if label != d.label and overlap > other[0]:
            other = (overlap, row)
    if NEAR <= own[0] < HIT:
        return "localisation", own[1]
    if other[0] >= HIT:
        return "classification", other[1]
    if own[0] >= HIT:
        return "duplicate", own[1]
    return ("both", other[1]) if other[0] >= NEAR else ("background", None)
