"""Where a written Labelme file says that its picture is."""

import json
from pathlib import Path

import pytest
from annotation_files import document, shape, write_json, write_png

from annotations.convert import convert


@pytest.mark.parametrize("folder", ["", "deep/er/"])
def test_a_picture_far_above_is_named_by_a_path_that_leads_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    # Two files of one stem have their folders in their image_id, and so in their place.
    for name in {f"{folder}a", "other/a"} if folder else {"a"}:
        write_png(tmp_path / "far" / "photos" / f"{name}.png")
        write_json(tmp_path / "far" / "photos" / f"{name}.json", document(shape(), imagePath="a.png"))
    # Above the root of the disk there is nothing, and a path that is reckoned from here would be cut short.
    monkeypatch.chdir("/")
    out = tmp_path / "near" / "labelme"
    convert(tmp_path / "far" / "photos", out, target_form="labelme", parts={})
    found = sorted(out.rglob("*.json"))
    assert len(found) == (2 if folder else 1)
    for path in found:
        picture = path.parent / json.loads(path.read_text())["imagePath"]
        assert picture.resolve() == (tmp_path / "far" / "photos" / path.relative_to(out)).with_suffix(".png")
