import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kkg_area_detection.documents import count_pages, find_image, open_image, open_sheet, open_sheets
from kkg_area_detection.errors import ImageError, ImageNotFoundError, UsageError
from tests.documents.canned_pdf import pdf

TWO_PAGES = pdf(("/MediaBox[0 0 72 72]", ""), ("/MediaBox[0 0 144 72]", ""))


@pytest.fixture
def folder() -> Path:
    Path("two.pdf").write_bytes(TWO_PAGES)
    Image.new("L", (30, 20)).save("plan.png")
    return Path.cwd()


@pytest.mark.parametrize(
    ("path", "page", "sheets"),
    [
        ("two.pdf", None, [("two.pdf#page=1", (200, 200)), ("two.pdf#page=2", (400, 200))]),
        ("two.pdf", 2, [("two.pdf#page=2", (400, 200))]),
        ("two.pdf#page=2", None, [("two.pdf#page=2", (400, 200))]),
        ("two.pdf#page=2", 2, [("two.pdf#page=2", (400, 200))]),
        ("two.pdf#page=02", None, [("two.pdf#page=2", (400, 200))]),
        ("plan.png", None, [("plan.png", (30, 20))]),
        ("plan.png#page=1", None, [("plan.png", (30, 20))]),
    ],
)
def test_pages(folder: Path, path: str, page: int | None, sheets: list[tuple[str, tuple[int, int]]]) -> None:
    for source in (path, folder / path):
        opened = open_sheets(source, page=page)
        assert len(opened) == len(sheets)
        assert [(sheet.name, sheet.image.size) for sheet in opened] == sheets
        assert len(opened) == 0
    sheet = open_sheet(folder / path, page=page)
    assert (sheet.name, sheet.image.size) == sheets[0]
    assert sheet.path == folder / path.partition("#")[0]
    assert open_image(path, page=page).size == sheets[0][1]


@pytest.mark.parametrize(
    ("path", "page", "words"),
    [
        ("two.pdf", 3, "two.pdf has 2 pages, so there is no page 3"),
        ("two.pdf", 0, "from 1 to 2"),
        ("two.pdf", -1, "there is no page -1"),
        ("two.pdf#page=3", None, "there is no page 3"),
        ("two.pdf#page=0", None, "there is no page 0"),
        ("plan.png#page=2", None, "plan.png has 1 page, so"),
    ],
)
def test_pages_that_are_not_there(folder: Path, path: str, page: int | None, words: str) -> None:
    for opens in (open_image, open_sheet, open_sheets):
        with pytest.raises(ImageError, match=words):
            opens(path, page=page)  # type: ignore[operator]


def test_two_pages_at_once(folder: Path) -> None:
    with pytest.raises(UsageError, match="Page 1 is asked for, and the path names page 2"):
        open_image("two.pdf#page=2", page=1)


@pytest.mark.parametrize("dpi", [0, -200, float("nan"), float("inf")])
def test_resolutions_that_are_none(folder: Path, dpi: float) -> None:
    with pytest.raises(UsageError, match="dpi is"):
        open_image("two.pdf", dpi=dpi)


def test_what_has_one_page_and_no_file() -> None:
    for source in (np.zeros((4, 5), np.uint8), Image.new("L", (5, 4))):
        (sheet,) = open_sheets(source)
        assert (sheet.name, sheet.path, sheet.page, sheet.pages) == ("image", None, 1, 1)
        assert sheet.image.size == (5, 4)
        with pytest.raises(ImageError, match="has 1 page"):
            open_image(source, page=2)


# --- names -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["two.pdf#page=2", "two.pdf#page=2#page=1", "C# plans #12.pdf", "１階 平面図（案）.pdf", "#page=1"],
)
def test_names_that_are_really_so(folder: Path, name: str) -> None:
    Path(name).write_bytes(pdf(("/MediaBox[0 0 36 36]", "")))
    assert open_image(name).size == (100, 100)
    assert open_image(f"{name}#page=1").size == (100, 100)
    assert open_sheet(name).name == name
    assert find_image(Path(name)) == Path(name)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="their file names are Unicode")
@pytest.mark.parametrize("content", [TWO_PAGES, b"", b"no image"])
def test_names_that_are_no_text(content: bytes) -> None:
    name = os.fsdecode(b"\x90}\x96\xca.pdf")  # Shift JIS
    Path(name).write_bytes(content)
    if content == TWO_PAGES:
        sheet = open_sheet(name, page=2)
        assert (sheet.image.size, sheet.path) == ((400, 200), Path(name))
        assert sheet.name.encode() == b"\\udc90}\\udc96\\udcca.pdf#page=2"
    else:
        with pytest.raises(ImageError) as caught:
            open_image(name)
        assert str(caught.value).encode()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("two.pdf#page=x", "a page is written as plan.pdf#page=2"),
        ("two.pdf#page=", "a page is written as"),
        ("two.pdf#2", "a page is written as"),
        ("gone.pdf#page=1", "There is no file gone.pdf."),
        ("gone.pdf", "There is no file gone.pdf."),
    ],
)
def test_names_that_lead_nowhere(folder: Path, name: str, words: str) -> None:
    with pytest.raises(ImageNotFoundError, match=words):
        open_image(name)
    with pytest.raises(ImageNotFoundError, match=words):
        find_image(Path(name))


def test_finding_keeps_the_page(folder: Path) -> None:
    assert find_image(Path("two.pdf#page=2")) == Path("two.pdf#page=2")
    Path(os.environ["HOME"], "two.pdf").write_bytes(TWO_PAGES)
    assert open_image(find_image(Path("~/two.pdf#page=2"))).size == (400, 200)


@pytest.mark.parametrize(("name", "kind"), [("plan.png", "pdf"), ("plan.pdf", "png"), ("plan", "pdf")])
def test_the_content_says_what_it_is(tmp_path: Path, name: str, kind: str) -> None:
    if kind == "pdf":
        (tmp_path / name).write_bytes(b"a header of some mail program\r\n" + TWO_PAGES)
        assert count_pages(tmp_path / name) == 2
    else:
        Image.new("L", (3, 3)).save(tmp_path / name, "PNG")
        assert open_image(tmp_path / name).size == (3, 3)


def test_an_image_that_speaks_of_pdf(tmp_path: Path) -> None:
    Image.new("L", (3, 3)).save(tmp_path / "plan.tif", tiffinfo={270: "made from %PDF-1.7"})
    assert b"%PDF-" in (tmp_path / "plan.tif").read_bytes()[:1024]
    assert open_image(tmp_path / "plan.tif").size == (3, 3)


# --- files that are in use -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (PermissionError(13, "Permission denied"), "may not be read.*\n.*another program has it open"),
        (OSError(5, "Input/output error"), "cannot be opened: Input/output error"),
    ],
)
@pytest.mark.parametrize("name", ["two.pdf", "plan.png"])
def test_files_that_cannot_be_opened(
    folder: Path, name: str, error: OSError, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ImageError, match=words) as caught:
        open_image(name)
    assert caught.value.__cause__ is error


def test_read_only_files(folder: Path) -> None:
    for name in ("two.pdf", "plan.png"):
        (folder / name).chmod(0o400)
        assert open_image(name)


def test_no_file_is_left_open(folder: Path) -> None:
    """On Windows, a file that is open cannot be moved away."""
    before = open_files()
    sheets = open_sheets("two.pdf")
    next(sheets)
    with pytest.raises(ImageError):
        open_image("two.pdf", page=9)
    Path("two.pdf").rename("moved.pdf")
    Path("moved.pdf").rename("two.pdf")
    assert open_files() == before


def open_files() -> int:
    """How many this process has open; 0 where the system does not say."""
    return len(list(Path("/proc/self/fd").glob("*")))


# --- file objects ----------------------------------------------------------------------------------------


def test_file_objects(folder: Path) -> None:
    content = io.BytesIO(TWO_PAGES)
    content.seek(100)
    assert open_image(content, page=2).size == (400, 200)
    assert not content.closed
    with Path("two.pdf").open("rb") as file:
        assert [sheet.name for sheet in open_sheets(file)] == ["two.pdf#page=1", "two.pdf#page=2"]
    with Path("plan.png").open("rb") as file:
        assert open_sheet(file).name == "plan.png"


def test_a_pipe() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as from_there:
        with os.fdopen(writer, "wb") as to_there:
            to_there.write(TWO_PAGES)
        assert count_pages(from_there) == 2


def test_file_objects_that_cannot_be_read(folder: Path) -> None:
    with Path("plan.png").open("rb") as file:
        pass
    with pytest.raises(ImageError, match=r"file object plan\.png cannot be read"):
        open_image(file)
    with pytest.raises(ImageError, match="gives str, not bytes"):
        open_image(io.StringIO("text"))  # type: ignore[arg-type]
    with Path("plan.png").open("wb") as file, pytest.raises(ImageError, match="cannot be read"):
        open_image(file)
