import pytest

from annotations.errors import UsageError
from annotations.findings import Finding
from annotations.naming import Naming
from annotations.told_parents import parts_of_pairs


def messages(findings: list[Finding]) -> list[str]:
    return [finding.message.partition(" must")[0] for finding in findings]


def test_labels_that_the_source_lists_are_classes_in_its_order() -> None:
    naming = Naming({}, None, {}).with_source(["zebra", "fip", "ant"], {"fip": "zebra"})
    assert naming.classes_of(set()) == (("zebra", "fip", "ant"), {"fip": "zebra"})
    assert naming.classes_of({"bee"}) == (("zebra", "fip", "ant", "bee"), {"fip": "zebra"})
    assert naming.unused(set(), set()) == []


def test_names_of_the_source_are_old_names() -> None:
    naming = Naming({}, None, {"fip": "corner", "zebra": "code"}).with_source(["zebra", "fip"], {"fip": "zebra"})
    assert naming.classes_of({"corner"}) == (("code", "corner"), {"corner": "code"})
    assert naming.unused({"corner"}, {"fip"}) == []
    assert messages(Naming({}, None, {"fop": "x"}).with_source(["fip"]).unused({"fip"}, set())) == [
        "label to rename 'fop'"
    ]


def test_labels_that_become_one_are_one_class() -> None:
    naming = Naming({}, None, {"a": "c", "b": "c"}).with_source(["a", "d", "b"])
    assert naming.classes_of({"c"}) == (("c", "d"), {})


def test_parts_that_the_user_names_win_over_the_sources() -> None:
    naming = Naming({"eye": "face"}, None, {}).with_source(["face", "eye", "nose"], {"nose": "face"})
    assert naming.classes_of({"eye"}) == (("face", "eye", "nose"), {"eye": "face"})


def test_parts_of_the_source_need_both_labels_among_the_users_classes() -> None:
    told = ["face", "eye"], {"eye": "face"}
    assert Naming({}, ("eye",), {}).with_source(*told).classes_of({"eye"}) == (("eye",), {})
    assert Naming({}, ("eye", "face"), {}).with_source(*told).classes_of({"eye"}) == (("eye", "face"), {"eye": "face"})


def test_renaming_that_makes_a_part_its_own_object_is_refused() -> None:
    with pytest.raises(UsageError, match="part must belong to another label"):
        Naming({}, None, {"eye": "face"}).with_source(["face", "eye"], {"eye": "face"})


@pytest.mark.parametrize(
    ("pairs", "parts"),
    [
        ([], {}),
        ([("fip", "code")] * 3, {"fip": "code"}),
        ([("code", "code")], {}),
        ([("fip", "code"), ("fip", "code"), ("fip", "sheet")], {"fip": "code"}),
        ([("fip", "code"), ("fip", "code"), ("code", "fip")], {"fip": "code"}),
        ([("fip", "code"), ("fip", "code"), ("code", "sheet")], {"fip": "code"}),
        ([("fip", "code"), ("mark", "code")], {"fip": "code", "mark": "code"}),
    ],
)
def test_parts_are_learnt_from_the_boxes_that_have_a_parent(
    pairs: list[tuple[str, str]], parts: dict[str, str]
) -> None:
    assert parts_of_pairs(pairs) == parts
