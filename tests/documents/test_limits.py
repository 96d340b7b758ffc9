import io
import struct
import zlib

import pytest
from PIL import Image

from kkg_area_detection.documents import open_image
from kkg_area_detection.documents.limits import pixel_limit
from kkg_area_detection.errors import ImageError, SettingsError, UsageError

A0_AT_300_DPI = 9933 * 14043


@pytest.mark.parametrize(
    ("argument", "variable", "of_pillow", "expected"),
    [
        (None, None, 1000, 2000),  # Pillow warns from 1000 on, and refuses from 2000 on
        (None, None, None, float("inf")),
        (None, "", 1000, 2000),
        (None, "500_000", 1000, 500_000),
        (70, "500", 1000, 70),
    ],
)
def test_whose_word_counts(
    argument: int | None,
    variable: str | None,
    of_pillow: int | None,
    expected: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", of_pillow)
    if variable is not None:
        monkeypatch.setenv("KKG_MAX_PIXELS", variable)
    assert pixel_limit(argument) == expected


def test_large_sheets_are_allowed_by_default() -> None:
    assert pixel_limit(None) >= A0_AT_300_DPI


@pytest.mark.parametrize("argument", [0, -1])
def test_arguments_that_are_no_limits(argument: int) -> None:
    with pytest.raises(UsageError, match="positive"):
        open_image(Image.new("L", (2, 2)), max_pixels=argument)


@pytest.mark.parametrize("variable", ["0", "-1", "1e9", "many"])
def test_variables_that_are_no_limits(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KKG_MAX_PIXELS", variable)
    with pytest.raises(SettingsError, match="KKG_MAX_PIXELS"):
        open_image(Image.new("L", (2, 2)))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "GIF", "JPEG", "WEBP", "ICO"])
@pytest.mark.parametrize(
    ("of_pillow", "max_pixels", "opens"),
    [
        (9_000, None, True),  # Pillow only warns: a large sheet
        (4_000, None, False),
        (4_000, 10_000, True),
        (4_000, 9_999, False),
        (89_000_000, 9_999, False),
        (None, 9_999, False),
        (None, None, True),
    ],
)
def test_limits_of_image_files(
    kind: str, of_pillow: int | None, max_pixels: int | None, opens: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = io.BytesIO()
    Image.new("RGB", (100, 100)).save(file, kind, sizes=[(100, 100)])
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", of_pillow)
    if opens:
        assert open_image(file, max_pixels=max_pixels).size == (100, 100)
    else:
        with pytest.raises(ImageError, match=r"too many pixels.*\n.*\n.*KKG_MAX_PIXELS"):
            open_image(file, max_pixels=max_pixels)
    assert of_pillow == Image.MAX_IMAGE_PIXELS


def test_a_bomb() -> None:
    """A hundred kilobytes that would take nearly four gigabytes."""
    header = struct.pack(">IIBBBBB", 30_000, 30_000, 1, 0, 0, 0, 0)
    pixels = zlib.compress(bytes(30_000 * 3_751))
    chunks = [(b"IHDR", header), (b"IDAT", pixels), (b"IEND", b"")]
    content = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    assert len(content) < 120_000
    with pytest.raises(ImageError, match="too many pixels"):
        open_image(io.BytesIO(content))
