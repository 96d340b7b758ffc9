import unicodedata

import pytest

from kkg_area_detection.areas.labels import kind_of


@pytest.mark.parametrize(
    ("label", "kind"),
    [
        ("room", "room"),
        (" Outer_Wall ", "exwall"),
        ("inner-wall", "inwall"),
        ("外壁", "exwall"),
        ("窓", "window"),
        ("ﾄﾞｱ", "door"),
        ("ｒｏｏｍ", "room"),
        (unicodedata.normalize("NFD", "ドア"), "door"),
        ("stairs", None),
        ("", None),
    ],
)
def test_kinds(label: str, kind: str | None) -> None:
    assert kind_of(label) == kind
