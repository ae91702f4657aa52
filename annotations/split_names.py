"""The split that a file's name speaks of."""

import re
from pathlib import PurePosixPath

from annotations.labelme import SPLIT_OF_FLAG

_WORD = re.compile("[a-z]+")


def split_of_name(path: str) -> str:
    """Return the split that a file's name ends or begins with, or that its folder is called; "" for none.

    `instances_train2017.json`, `val_boxes.csv` and `test/boxes.csv` are of train, val and test.
    """
    place = PurePosixPath(path)
    words = _WORD.findall(place.name.split(".")[0].casefold()) or [""]
    for word in (words[-1], words[0], place.parent.name.casefold()):
        if word in SPLIT_OF_FLAG:
            return SPLIT_OF_FLAG[word]
    return ""
