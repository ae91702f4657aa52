"""Where the files of an image go in a form that is written: a path after its image_id, which readers will find."""

from collections.abc import Collection

from annotations.picture_files import safe_stems
from annotations.tables import Images


def keys_of(images: Images, reserved: Collection[str] = ()) -> list[str]:
    """Return a path without suffix for each image, safe and unique whatever the letters' case.

    Nothing in it is hidden, for readers pass over hidden files, and no folder in it has one of the `reserved` names.
    """
    taken: set[str] = set()
    keys = []
    for stem in safe_stems(images):
        *folders, name = (f"_{part[1:]}" if part.startswith(".") else part for part in stem.split("/"))
        key = candidate = "/".join([*(f"{part}_" if part in reserved else part for part in folders), name])
        number = 1
        while candidate.casefold() in taken:
            number += 1
            candidate = f"{key}-{number}"
        taken.add(candidate.casefold())
        keys.append(candidate)
    return keys
