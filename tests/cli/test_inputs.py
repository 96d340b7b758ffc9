from pathlib import Path

import pytest
from PIL import Image

from kkg_area_detection.cli.inputs import find_documents, free_name, open_documents
from kkg_area_detection.errors import ImageNotFoundError

FILES = (
    "図面/2F.PDF",
    "図面/1F.png",
    "図面/1F.areas.png",
    "図面/notes.txt",
    "図面/below/3F.png",
    "[a].png",
    "b.tif",
)


@pytest.fixture(autouse=True)
def files() -> None:
    for name in FILES:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["b.tif"], ["b.tif"]),
        (["gone.png"], ["gone.png"]),  # said later, with the others that cannot be read
        (["図面"], ["図面/1F.png", "図面/2F.PDF"]),  # no results, nothing below
        (["図面/*.png"], ["図面/1F.png"]),
        (["**/*.png"], ["[a].png", "図面/1F.png", "図面/below/3F.png"]),
        (["[a].png"], ["[a].png"]),  # a file whose name looks like a pattern
        (["図面/2F.PDF#page=2"], ["図面/2F.PDF#page=2"]),
        (["b.tif", "図面", "b.tif", "*.tif"], ["b.tif", "図面/1F.png", "図面/2F.PDF"]),  # each once
    ],
)
def test_find_documents(arguments: list[str], found: list[str]) -> None:
    assert find_documents(arguments) == [str(Path(path)) for path in found]


@pytest.mark.parametrize(
    ("argument", "words"), [("図面/*.dwg", "Nothing fits the pattern"), ("empty", "empty holds no drawings")]
)
def test_nothing_found(argument: str, words: str) -> None:
    Path("empty").mkdir()
    with pytest.raises(ImageNotFoundError, match=words):
        find_documents([argument])


def test_open_documents() -> None:
    pages = [Image.new("L", (9, 9), shade) for shade in range(11)]
    Path("x").mkdir()
    for path in ("pages.tif", "x/Pages.tif"):
        pages[0].save(path, save_all=True, append_images=pages[1:])
    Image.new("L", (9, 9)).save("図.png")
    good, bad = open_documents(
        ["図.png", "b.tif", "pages.tif", "x/Pages.tif", "pages.tif#page=3", "gone.png"]
    )
    assert [one.path for one in bad] == ["b.tif", "gone.png"]
    assert [one.stems for one in good] == [
        ["図"],
        [f"pages-p{page:02}" for page in range(1, 12)],
        [f"Pages-p{page:02}-2" for page in range(1, 12)],
        ["pages-p03-3"],
    ]
    assert good[1].names[1] == "pages.tif#page=2"
    assert good[3].names == ["pages.tif#page=3"]


def test_free_name() -> None:
    taken: set[str] = set()
    assert [free_name(stem, taken) for stem in ("A", "a", "b", "A", "a-2")] == [
        "A",
        "a-2",
        "b",
        "A-3",
        "a-2-2",
    ]
