"""What a seed decides: which images are drawn, what stays together, and the splits that come of it."""

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from annotations.errors import AnnotationError, UsageError
from annotations.split_places import Ratios, name_hashes, places, split_codes
from annotations.tables import SPLITS, Images

By = Literal["group", "image"]
NO_SPLIT = -1


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """The units of a drawing (a group, or a picture with all its rows), and what each image has of it.

    `unit` is the (N,) unit of each image, `free` the (N,) mask of those that are given a split, `kept` the (N,) splits
    of the others. `fixed` is the split that the images of each of the (U,) units have already; where it is NO_SPLIT,
    the seed decides, from `hashes`. Splits are positions in SPLITS here, NO_SPLIT for none.
    """

    unit: NDArray[np.int64]
    free: NDArray[np.bool_]
    kept: NDArray[np.int64]
    fixed: NDArray[np.int64]
    hashes: NDArray[np.uint64] = field(repr=False)
    ratios: Ratios

    @property
    def open_rows(self) -> NDArray[np.bool_]:
        """Return the (N,) mask of the images whose split the seed decides."""
        return np.asarray(self.free & (self.fixed[self.unit] == NO_SPLIT))

    @property
    def open_units(self) -> int:
        """Return how many units the seed puts into a split."""
        return len(np.unique(self.unit[self.open_rows]))

    def unit_codes(self, seed: int) -> NDArray[np.int64]:
        """Return the (U,) positions in SPLITS of the units."""
        drawn = split_codes(places(self.hashes, seed), self.ratios)
        return np.where(self.fixed == NO_SPLIT, drawn, self.fixed)

    def codes(self, seed: int) -> NDArray[np.int64]:
        """Return the (N,) positions in SPLITS of the images, NO_SPLIT for one that is not drawn and has none."""
        return np.where(self.free, self.unit_codes(seed)[self.unit], self.kept)

    def splits(self, seed: int) -> NDArray[np.str_]:
        """Return the (N,) splits that a seed gives; a free image of a unit that has a split joins it."""
        return names_of(self.codes(seed))


def codes_of(split: NDArray[np.str_]) -> NDArray[np.int64]:
    """Return the (N,) positions in SPLITS of splits, NO_SPLIT for ""."""
    codes = np.full(len(split), NO_SPLIT, np.int64)
    for code, name in enumerate(SPLITS):
        codes[split == name] = code
    return codes


def names_of(codes: NDArray[np.int64]) -> NDArray[np.str_]:
    """Return the (N,) splits of positions in SPLITS, "" for NO_SPLIT."""
    return np.array([*SPLITS, ""], np.str_)[codes]


def drawing_of(images: Images, ratios: Ratios, *, by: By, again: bool = False, of: str | None = None) -> Drawing:
    """Return what is to be drawn: the images without a split; with `again` all; with `of`, those of that split alone.

    Raises:
        AnnotationError: a group or picture is in two splits already, a picture is in two groups, or `of` has no image.
        UsageError: `of` is no split's name, or is given together with `again`.
    """
    free = _free(images, again, of)
    keys = unit_keys(images, by)
    if not again:
        refuse_torn(keys, images.split)
    number = {name: place for place, name in enumerate(dict.fromkeys(keys))}
    unit = np.array([number[key] for key in keys], np.int64)
    kept = np.where(free, NO_SPLIT, codes_of(images.split))
    fixed = np.full(len(number), NO_SPLIT, np.int64)
    fixed[unit[kept != NO_SPLIT]] = kept[kept != NO_SPLIT]
    # Drawn from one split, an image needs another place than the one that put it there: those of train all lie low.
    hashes = name_hashes([f"{of}/{name}" if of else name for name in number])
    return Drawing(unit, free, kept, fixed, hashes, ratios)


def drawn_anew(images: Images, split: NDArray[np.str_], by: By) -> Drawing:
    """Return the drawing that might have given these (N,) splits: of the images that have one, by the splits' shares.

    Images without a split are left out of it.
    """
    shares = [float((split == name).sum()) / max(1, int((split != "").sum())) for name in SPLITS]
    drawing = drawing_of(images, (shares[0], shares[1], shares[2]), by=by, again=True)
    return replace(drawing, free=split != "")


def _free(images: Images, again: bool, of: str | None) -> NDArray[np.bool_]:
    if of is None:
        return np.asarray((images.split == "") | again)
    if again:
        raise UsageError(f"--of {of} must stand without --again, which draws all images anew, got both")
    if of not in SPLITS:
        raise UsageError(f"--of must be one of {', '.join(SPLITS)}, got {of}")
    free = images.split == of
    if not free.any():
        raise AnnotationError(f"split: --of must name a split that has images, got {of}, which has none")
    return np.asarray(free)


def unit_keys(images: Images, by: By) -> list[str]:
    """Return for each image the name of what must stay together with it: its group, or its picture.

    A picture is named by the first image_id of its rows: most have one row, and then no other row has a say.

    Raises:
        AnnotationError: the rows of one picture name different groups.
    """
    ids, paths = images.image_id.tolist(), images.path.tolist()
    groups = images.group.tolist() if by == "group" else [""] * len(images)
    group_of, id_of = dict[str, str](), dict[str, str]()
    for image_id, path, group in sorted(zip(ids, paths, groups, strict=True)):
        if path:
            id_of.setdefault(path, image_id)
            if group and group_of.setdefault(path, group) != group:
                raise AnnotationError(f"{path}: picture must be in one group, got {group_of[path]} and {group}")
    keys = []
    for image_id, path, group in zip(ids, paths, groups, strict=True):
        together = group or group_of.get(path)
        keys.append(f"group {together}" if together else f"image {id_of.get(path, image_id)}")
    return keys


def refuse_torn(keys: list[str], split: NDArray[np.str_]) -> None:
    """Do nothing where no group and no picture is in two splits.

    Raises:
        AnnotationError: names the first that is.
    """
    known: dict[str, str] = {}
    for key, name in zip(keys, split.tolist(), strict=True):
        if name and known.setdefault(key, name) != name:
            kind = key.partition(" ")[0]
            ways = "--again gives one" + (", --by image lets it be" if kind == "group" else "")
            raise AnnotationError(f"{key}: {kind} must be in one split, got {known[key]} and {name}; {ways}")
