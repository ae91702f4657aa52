"""Objects and their parts together: are objects found with all their parts, and do detected parts name their object?

Everything is counted at the score thresholds and at the IoU of a hit. A part that was detected belongs to the detected
object that its `parent_id` names, if that one reaches its own threshold, lies in the same image and is of the class
that the part's class is a part of; else it is an orphan. A part is outside when less than half of its area lies in the
box of that object, as `check` has it for truth. It has a wrong parent when it found a true part, and the object that
it names did not find the object of that true part. Detections that took ignored truth are no detections here, but may
be named; truth that is ignored need not be found.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from annotations.box_overlaps import share_inside
from annotations.check_boxes import LEAST_INSIDE
from annotations.tables import NO_PARENT, BoxDataset, Detections, pixels
from evaluation.emptiness import NO_LINKS, NO_PARTS, NO_TRUE_LINKS, ratio, why_no_precision, why_no_recall
from evaluation.figures import Metrics
from evaluation.image_errors import kept_rows
from evaluation.matching import MatchTable
from evaluation.slices import mean_or_none
from evaluation.table_precisions import table_precisions

_NO_ROW = -1
_AT_ANY_SCORE = "_at_any_score"


@dataclass(frozen=True, slots=True)
class PartFigures:
    """The figures of one class of objects with its parts, or of all of them; None has its reason in `undefined`.

    `objects` are the true ones that have parts: so many were `found`, and so many `complete`, with all their parts.
    `parts` are the detected ones: so many are `orphans`, so many lie `outside` their object; `linked` name a detected
    object. `placed` found a true part of some object and name a detected one: so many of them the wrong one,
    `wrong_parent`. `detected` are the detected objects, so many of them `bare`, without any detected part.
    `ap` is that of the objects at the IoU of a hit, `ap_complete` the same where an object counts as found only with
    all its parts found; for several classes they are means over those with truth.
    """

    objects: int
    found: int
    complete: int
    complete_share: float | None
    parts: int
    orphans: int
    orphan_share: float | None
    linked: int
    outside: int
    outside_share: float | None
    placed: int
    wrong_parent: int
    wrong_parent_share: float | None
    detected: int
    bare: int
    bare_share: float | None
    ap: float | None
    ap_complete: float | None
    undefined: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SplitParts:
    """The figures of a split: over all classes of objects that have parts, and of each of them."""

    all: PartFigures
    classes: Mapping[str, PartFigures]


@dataclass(frozen=True, slots=True)
class PartReport:
    """Objects and parts in every split; `iou` is that of a hit."""

    iou: float
    splits: Mapping[str, SplitParts]

    def to_json(self) -> dict[str, Any]:
        """Return what metrics.json keeps: plain, with stable keys, and without NaN."""
        splits = {
            name: {**asdict(split.all), "classes": {label: asdict(own) for label, own in split.classes.items()}}
            for name, split in self.splits.items()
        }
        return {"iou": self.iou, "splits": splits}


def part_report(dataset: BoxDataset, detections: Detections, metrics: Metrics) -> PartReport | None:
    """Return the figures of objects with parts, or None where no class is a part of another."""
    if not dataset.parts:
        return None
    found, complete = _found(dataset, metrics), _complete(dataset, metrics)
    counted = {**_of_truth(dataset, found, complete), **_of_detections(dataset, detections, metrics)}
    plain, strict = (table_precisions(table, metrics) for table in (metrics.table, _only(metrics.table, complete)))
    names = [name for name in dataset.classes if name in dataset.parts.values()]
    splits = {}
    for split, inside in metrics.split_images.items():
        view = _View(inside, counted, plain[split], strict[split])
        ids = {name: np.array([dataset.classes.index(name)]) for name in names}
        everything = np.concatenate([np.zeros(0, np.int64), *ids.values()])
        splits[split] = SplitParts(view.figures(everything), {name: view.figures(own) for name, own in ids.items()})
    return PartReport(metrics.settings.iou, splits)


class _Counted(NamedTuple):
    """The rows that are counted as something: the image, and the class of the object that each is or is a part of."""

    image_row: NDArray[np.int64]
    whole: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    """One split: its images, what is counted, and the (classes,) APs, NaN without truth."""

    inside: NDArray[np.bool_]
    counted: Mapping[str, _Counted]
    plain: NDArray[np.float64]
    strict: NDArray[np.float64]

    def figures(self, wholes: NDArray[np.int64]) -> PartFigures:
        """Return the figures of these classes of objects together."""
        n = {
            name: int((self.inside[rows.image_row] & np.isin(rows.whole, wholes)).sum())
            for name, rows in self.counted.items()
        }
        values: dict[str, Any] = {
            "complete_share": ratio(n["complete"], n["objects"]),
            "orphan_share": ratio(n["orphans"], n["parts"]),
            "outside_share": ratio(n["outside"], n["linked"]),
            "wrong_parent_share": ratio(n["wrong_parent"], n["placed"]),
            "bare_share": ratio(n["bare"], n["detected"]),
            "ap": mean_or_none(self.plain[wholes]),
            "ap_complete": mean_or_none(self.strict[wholes]),
        }
        undefined = {name: self._why(name, n) for name, value in values.items() if value is None}
        counts = {name: count for name, count in n.items() if not name.endswith(_AT_ANY_SCORE)}
        return PartFigures(**counts, **values, undefined=undefined)

    def _why(self, name: str, n: Mapping[str, int]) -> str:
        images = int(self.inside.sum())
        if name.startswith("ap") or not images:
            return why_no_recall(images)
        if name == "complete_share":
            return NO_PARTS
        if name == "bare_share":
            return why_no_precision(images, n["detected_at_any_score"])
        if n["linked"]:
            return NO_TRUE_LINKS
        return NO_LINKS if n["parts"] else why_no_precision(images, n["parts_at_any_score"])


def _whole_of(dataset: BoxDataset) -> NDArray[np.int64]:
    """Return the (classes,) class that each is a part of, or NO_ROW."""
    place = {name: row for row, name in enumerate(dataset.classes)}
    return np.array([place.get(dataset.parts.get(name, ""), _NO_ROW) for name in dataset.classes], np.int64)


def _parent_rows(object_id: NDArray[np.int64], parent_id: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the (N,) rows of the objects that `parent_id` (N,) names, NO_ROW where there is none such."""
    if not len(object_id):
        return np.zeros(0, np.int64)
    order = np.argsort(object_id, kind="stable")
    rows = order[np.minimum(np.searchsorted(object_id[order], parent_id), len(order) - 1)]
    return np.where((parent_id != NO_PARENT) & (object_id[rows] == parent_id), rows, _NO_ROW)


def _found(dataset: BoxDataset, metrics: Metrics) -> NDArray[np.bool_]:
    """Return the (M,) mask of the truth that is found at the threshold."""
    found = np.zeros(len(dataset.annotations), np.bool_)
    found[metrics.table.truth_row[metrics.table.hit & kept_rows(metrics)]] = True
    return found


def _true_parts(dataset: BoxDataset) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the true parts that need be found and belong to an object, and the rows of these objects."""
    truth, whole_of = dataset.annotations, _whole_of(dataset)
    parent = _parent_rows(truth.object_id, truth.parent_id)
    wanted = (parent != _NO_ROW) & ~(truth.crowd | truth.ignore)
    # Row -1, of what has no parent, is the last one's; it is masked out.
    fits = wanted & (whole_of[truth.class_id] != _NO_ROW) & (truth.class_id[parent] == whole_of[truth.class_id])
    return np.flatnonzero(fits), parent[fits]


def _complete(dataset: BoxDataset, metrics: Metrics) -> NDArray[np.bool_]:
    """Return the (M,) mask of the truth of which every part is found; what has no parts is among it."""
    parts, parents = _true_parts(dataset)
    complete = np.ones(len(dataset.annotations), np.bool_)
    complete[parents[~_found(dataset, metrics)[parts]]] = False
    return complete


def _of_truth(dataset: BoxDataset, found: NDArray[np.bool_], complete: NDArray[np.bool_]) -> dict[str, _Counted]:
    truth = dataset.annotations
    with_parts = np.zeros(len(truth), np.bool_)
    with_parts[_true_parts(dataset)[1]] = True
    objects = with_parts & ~(truth.crowd | truth.ignore)
    masks = {"objects": objects, "found": objects & found, "complete": objects & found & complete}
    return {name: _Counted(truth.image_row[mask], truth.class_id[mask]) for name, mask in masks.items()}


def _of_detections(dataset: BoxDataset, detections: Detections, metrics: Metrics) -> dict[str, _Counted]:
    table, whole_of = metrics.table, _whole_of(dataset)
    own_whole = whole_of[detections.class_id]
    is_object = np.isin(detections.class_id, whole_of[whole_of != _NO_ROW])
    shown, counts, any_score = (np.zeros(len(detections), np.bool_) for _ in range(3))
    shown[table.detection_row[kept_rows(metrics)]] = True
    counts[table.detection_row[kept_rows(metrics) & ~table.ignored]] = True
    any_score[table.detection_row[~table.ignored]] = True
    took = np.full(len(detections), _NO_ROW)
    took[table.detection_row[table.hit]] = table.truth_row[table.hit]

    parent = _parents(detections, own_whole, shown)
    linked = parent != _NO_ROW
    parts, objects = counts & (own_whole != _NO_ROW), counts & is_object
    bare = objects.copy()
    bare[parent[parts & linked]] = False
    placed, wrong = _placed(dataset, took, parent, parts & linked)
    part, whole = (np.where(parts, own_whole, _NO_ROW), detections.class_id)
    masks = {
        "parts": (parts, part),
        "orphans": (parts & ~linked, part),
        "linked": (parts & linked, part),
        "outside": (_outside(dataset, detections, parent, parts & linked), part),
        "placed": (placed, part),
        "wrong_parent": (wrong, part),
        "detected": (objects, whole),
        "bare": (bare, whole),
        "parts_at_any_score": (any_score & (own_whole != _NO_ROW), own_whole),
        "detected_at_any_score": (any_score & is_object, whole),
    }
    return {name: _Counted(detections.image_row[mask], of[mask]) for name, (mask, of) in masks.items()}


def _parents(detections: Detections, own_whole: NDArray[np.int64], shown: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the (N,) rows of the shown objects that detected parts name, NO_ROW for all that name none."""
    parent = _parent_rows(detections.object_id, detections.parent_id)
    fits = (
        (parent != _NO_ROW)
        & shown[parent]
        & (detections.class_id[parent] == own_whole)
        & (detections.image_row[parent] == detections.image_row)
    )
    return np.where(fits, parent, _NO_ROW)


def _outside(
    dataset: BoxDataset, detections: Detections, parent: NDArray[np.int64], linked: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return the (N,) mask of the linked parts that lie outside their object."""
    xyxy = pixels(dataset.images, detections.image_row, detections.xyxy_rel)
    outside = np.zeros(len(detections), np.bool_)
    outside[linked] = share_inside(xyxy[linked], xyxy[parent[linked]]) < LEAST_INSIDE
    return outside


def _placed(
    dataset: BoxDataset, took: NDArray[np.int64], parent: NDArray[np.int64], linked: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return the (N,) masks of the linked parts that found a part of an object, and of those with a wrong parent."""
    # The object of every true part, and NO_ROW for the row -1 of what found nothing.
    owner = np.full(len(dataset.annotations) + 1, _NO_ROW)
    parts, parents = _true_parts(dataset)
    owner[parts] = parents
    placed = linked & (owner[took] != _NO_ROW)
    wrong = placed.copy()
    wrong[placed] = took[parent[placed]] != owner[took[placed]]
    return placed, wrong


def _only(table: MatchTable, complete: NDArray[np.bool_]) -> MatchTable:
    """Return the match table in which a hit counts only where its truth is true in `complete` (M,)."""
    broken = table.hit
    broken[broken] = ~complete[table.truth_row[broken]]
    return replace(table, truth_row=np.where(broken, _NO_ROW, table.truth_row), iou=np.where(broken, 0.0, table.iou))
