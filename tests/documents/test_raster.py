import io
import logging
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from kkg_area_detection.documents import count_pages, open_image, open_sheet, open_sheets
from kkg_area_detection.errors import ImageError

PATTERN = np.random.default_rng(0).integers(0, 2, (20, 30), np.uint8) * 255


def tiff(image: Image.Image, **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, "TIFF", **options)
    return file


# --- kinds of TIFF ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, "packbits", "tiff_lzw", "tiff_deflate", "group3", "group4"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
def test_black_and_white(compression: str | None, orientation: int) -> None:
    file = tiff(Image.fromarray(PATTERN).convert("1"), compression=compression, tiffinfo={274: orientation})
    turns = {1: 0, 3: 2, 6: -1}[orientation]
    assert np.array_equal(np.asarray(open_image(file))[..., 0], np.rot90(PATTERN, turns))


@pytest.mark.parametrize(
    ("mode", "colour", "options", "expected"),
    [
        ("I;16", 65535, {}, (255, 255, 255)),
        ("I;16", 32896, {"compression": "tiff_lzw"}, (128, 128, 128)),
        ("F", 1.0, {}, (255, 255, 255)),
        ("CMYK", (0, 0, 0, 0), {}, (255, 255, 255)),
        ("CMYK", (0, 0, 0, 255), {"compression": "tiff_lzw"}, (0, 0, 0)),
        ("CMYK", (0, 0, 0, 255), {"compression": "jpeg"}, (0, 0, 0)),
        ("RGB", (255, 255, 255), {"compression": "jpeg"}, (255, 255, 255)),
        ("YCbCr", (255, 128, 128), {"compression": "jpeg"}, (255, 255, 255)),
        ("P", 0, {}, (0, 0, 0)),
        ("RGBA", (0, 0, 0, 0), {}, (255, 255, 255)),
    ],
)
def test_modes(mode: str, colour: Any, options: dict[str, Any], expected: tuple[int, int, int]) -> None:
    assert open_image(tiff(Image.new(mode, (16, 16), colour), **options)).getpixel((7, 7)) == expected


@pytest.mark.parametrize("order", ["<", ">"])
def test_sixteen_bits_a_channel(order: str) -> None:
    pixels = np.full((2, 2, 3), [65535, 32896, 0], f"{order}u2").tobytes()
    tags = [(256, 2), (257, 2), (258, 16), (259, 1), (262, 2), (277, 3), (278, 2), (279, len(pixels))]
    assert open_image(io.BytesIO(tiff_by_hand(order, tags, [pixels]))).getpixel((1, 1)) == (255, 128, 0)


def test_tiles() -> None:
    picture = np.arange(32 * 48, dtype=np.uint32).reshape(32, 48).astype(np.uint8)
    tiles = [picture[y : y + 16, x : x + 16].tobytes() for y in (0, 16) for x in (0, 16, 32)]
    tags = [(256, 48), (257, 32), (258, 8), (259, 1), (262, 1), (277, 1), (322, 16), (323, 16), (325, 256)]
    image = open_image(io.BytesIO(tiff_by_hand("<", tags, tiles)))
    assert np.array_equal(np.asarray(image)[..., 0], picture)


def tiff_by_hand(order: str, tags: list[tuple[int, int]], parts: list[bytes]) -> bytes:
    """What Pillow cannot write: its strips or tiles follow the directory and its lists."""
    tiled = any(tag == 322 for tag, _ in tags)
    directory = 8 + 2 + 12 * (len(tags) + 1) + 4
    offsets = [directory + 8 * len(parts) + sum(map(len, parts[:number])) for number in range(len(parts))]
    counts = struct.pack(f"{order}{len(parts)}I", *map(len, parts))
    lists = struct.pack(f"{order}{len(parts)}I", *offsets) + counts
    entries = []
    for tag, value in sorted([*tags, (324 if tiled else 273, offsets[0])]):
        count = len(parts) if tag in (273, 279, 324, 325) else 1
        if count > 1:
            value = directory if tag in (273, 324) else directory + 4 * len(parts)  # noqa: PLW2901
        entries.append(struct.pack(f"{order}HHII", tag, 4, count, value))
    head = struct.pack(f"{order}2sHI", b"II" if order == "<" else b"MM", 42, 8)
    content = head + struct.pack(f"{order}H", len(entries)) + b"".join(entries) + bytes(4)
    return content + lists + b"".join(parts)


# --- pages -----------------------------------------------------------------------------------------------


def pages_of(*greys: int, **options: Any) -> io.BytesIO:
    first, *others = [Image.new("L", (4 + grey, 4), grey) for grey in greys]
    return tiff(first, save_all=True, append_images=others, **options)


@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_all_pages(compression: str | None) -> None:
    file = pages_of(10, 20, 30, compression=compression)
    sheets = list(open_sheets(file))
    assert [sheet.image.getpixel((0, 0)) for sheet in sheets] == [(10,) * 3, (20,) * 3, (30,) * 3]
    assert [sheet.image.width for sheet in sheets] == [14, 24, 34]
    assert [(sheet.name, sheet.page, sheet.pages) for sheet in sheets] == [
        ("image#page=1", 1, 3),
        ("image#page=2", 2, 3),
        ("image#page=3", 3, 3),
    ]
    assert count_pages(file) == 3
    assert open_image(file, page=3).width == 34


@pytest.mark.parametrize(("pages", "warnings"), [(1, 0), (3, 1)])
def test_further_pages_are_not_left_out_silently(
    caplog: pytest.LogCaptureFixture, pages: int, warnings: int
) -> None:
    with caplog.at_level(logging.WARNING):
        assert open_image(pages_of(*range(pages))).getpixel((0, 0)) == (0, 0, 0)
    assert len(caplog.records) == caplog.text.count(f"has {pages} pages") == warnings


def test_a_page_that_is_asked_for_is_no_reason_to_warn(caplog: pytest.LogCaptureFixture) -> None:
    open_image(pages_of(1, 2), page=1)
    assert not caplog.records


def test_smaller_copies_are_no_pages() -> None:
    first, copy, second = (Image.new("L", (4, 4), grey) for grey in (10, 20, 30))
    copy.encoderinfo = {"tiffinfo": {254: 1}}  # type: ignore[attr-defined]
    file = tiff(first, save_all=True, append_images=[copy, second])
    assert [sheet.image.getpixel((0, 0)) for sheet in open_sheets(file)] == [(10,) * 3, (30,) * 3]


def test_frames_of_a_gif_are_no_pages(caplog: pytest.LogCaptureFixture) -> None:
    first, second = Image.new("L", (4, 4), 0), Image.new("L", (4, 4), 255)
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=[second])
    (sheet,) = open_sheets(file)
    assert (sheet.image.getpixel((0, 0)), sheet.name, caplog.records) == ((0, 0, 0), "image", [])


def test_a_damaged_page_does_not_hide_the_others(tmp_path: Path) -> None:
    content = bytearray(pages_of(10, 20, 30).getvalue())
    with Image.open(io.BytesIO(content)) as image:
        image.seek(1)
        strip = image.tag_v2[273][0]  # type: ignore[attr-defined]
    place = content.index(struct.pack("<I", strip), 200)
    content[place : place + 4] = struct.pack("<I", len(content) + 9)  # its pixels lie behind the end
    sheets = open_sheets(io.BytesIO(content))
    assert next(sheets).page == 1
    with pytest.raises(ImageError, match="cannot be decoded"):
        next(sheets)
    assert next(sheets).page == 3


# --- resolution ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "expected"),
    [
        ("PNG", {"dpi": (300, 300)}, 300),
        ("PNG", {"dpi": (72, 72)}, None),
        ("PNG", {"dpi": (96, 96)}, None),
        ("PNG", {}, None),
        ("JPEG", {"dpi": (400, 400)}, 400),
        ("JPEG", {}, None),  # JFIF unit 0
        ("JPEG", {"dpi": (1, 1)}, None),
        ("JPEG", {"dpi": (65535, 65535)}, None),
        ("BMP", {"dpi": (200, 200)}, 200),
        ("BMP", {}, None),
        ("GIF", {}, None),
        ("WEBP", {}, None),
        ("JPEG2000", {}, None),
        ("TIFF", {"dpi": (600, 600)}, 600),
        ("TIFF", {"dpi": (204, 98)}, None),  # a fax
        ("TIFF", {"dpi": (0, 0)}, None),
        ("TIFF", {"tiffinfo": {282: 118.11, 283: 118.11, 296: 3}}, 300),  # a centimetre
        ("TIFF", {"tiffinfo": {282: 300.0, 283: 300.0, 296: 1}}, None),  # no unit
        ("TIFF", {}, None),
    ],
)
def test_resolution(kind: str, options: dict[str, Any], expected: float | None) -> None:
    file = io.BytesIO()
    Image.new("L", (1000, 500)).save(file, kind, **options)
    sheet = open_sheet(file)
    if expected is None:
        assert (sheet.dpi, sheet.size_mm) == (None, None)
    else:
        assert sheet.dpi == pytest.approx(expected, rel=1e-3)
        assert sheet.size_mm == pytest.approx((25400 / expected, 12700 / expected), rel=1e-3)


def test_the_resolution_of_a_photograph_means_nothing() -> None:
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x829D] = 2.8  # its aperture
    file = io.BytesIO()
    Image.new("L", (40, 30)).save(file, "JPEG", dpi=(350, 350), exif=exif)
    assert open_sheet(file).dpi is None


def test_a_turned_sheet_is_as_wide_as_it_was_high() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    Image.new("L", (400, 300)).save(file, "JPEG", dpi=(100, 100), exif=exif)
    assert open_sheet(file).size_mm == pytest.approx((76.2, 101.6))


def test_an_image_in_memory_keeps_its_resolution() -> None:
    image = Image.new("L", (300, 300))
    assert open_sheet(image).dpi is None
    image.info["dpi"] = (300, 300)
    assert open_sheet(image).size_mm == pytest.approx((25.4, 25.4))
