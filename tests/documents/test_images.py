import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kkg_area_detection.documents import open_image
from kkg_area_detection.errors import ImageError, ImageNotFoundError

GREY = 128


@pytest.mark.parametrize(
    ("mode", "colour", "expected"),
    [
        ("1", 1, (255, 255, 255)),
        ("L", GREY, (GREY,) * 3),
        ("LA", (0, 0), (255, 255, 255)),  # transparent is paper
        ("LA", (0, 255), (0, 0, 0)),
        ("La", (0, 0), (255, 255, 255)),
        ("P", 0, (0, 0, 0)),
        ("RGB", (1, 2, 3), (1, 2, 3)),
        ("RGBA", (1, 2, 3, 255), (1, 2, 3)),
        ("RGBA", (1, 2, 3, 0), (255, 255, 255)),
        ("RGBa", (0, 0, 0, 0), (255, 255, 255)),
        ("CMYK", (0, 0, 0, 0), (255, 255, 255)),
        ("CMYK", (0, 0, 0, 255), (0, 0, 0)),
        ("YCbCr", (255, 128, 128), (255, 255, 255)),
        ("HSV", (0, 0, 255), (255, 255, 255)),
        ("I;16", 65535, (255, 255, 255)),
        ("I;16", 32896, (GREY,) * 3),
        ("I;16B", 65535, (255, 255, 255)),
        ("I", 65535, (255, 255, 255)),
        ("I", 128, (GREY,) * 3),  # eight bits in a wide mode
        ("I", -5, (0, 0, 0)),
        ("F", 1.0, (255, 255, 255)),
        ("F", 255.0, (255, 255, 255)),
        ("F", float("nan"), (0, 0, 0)),
    ],
)
def test_modes(mode: str, colour: float | tuple[int, ...], expected: tuple[int, int, int]) -> None:
    source = Image.new(mode, (3, 2), colour)
    before = source.tobytes()
    image = open_image(source)
    assert (image.mode, image.size) == ("RGB", (3, 2))
    assert image.getpixel((1, 1)) == expected
    assert source.tobytes() == before


def test_transparent_palette() -> None:
    source = Image.new("P", (2, 2), 0)
    source.putpalette([10, 20, 30])
    source.info["transparency"] = 0
    assert open_image(source).getpixel((0, 0)) == (255, 255, 255)


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3), (4, 5, 4), (1, 1)])
def test_arrays(shape: tuple[int, ...]) -> None:
    image = open_image(np.full(shape, 255, np.uint8))
    assert image.size == (shape[1], shape[0])
    assert image.getpixel((0, 0)) == (255, 255, 255)


def test_an_array_that_is_a_view() -> None:
    array = np.zeros((4, 6, 3), np.uint8)
    array[0, 0] = 9
    assert open_image(array[::-1, ::2]).getpixel((0, 3)) == (9, 9, 9)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 5), np.float32),
        np.zeros((4, 5, 2), np.uint8),
        np.zeros((3, 4, 5), np.uint8),
        np.zeros((0, 5), np.uint8),
        np.zeros(5, np.uint8),
        np.zeros((1, 2, 3, 3), np.uint8),
    ],
)
def test_arrays_that_are_no_images(array: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> None:
    with pytest.raises(ImageError, match="uint8 array of shape"):
        open_image(array)


@pytest.mark.parametrize("source", [None, 3, b"bytes", [[1]]])
def test_types_that_are_no_images(source: object) -> None:
    with pytest.raises(ImageError, match="cannot be read"):
        open_image(source)  # type: ignore[arg-type]


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "bmp", "webp", "gif"])
def test_files(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"図面 1階.{suffix}"
    Image.new("RGB", (30, 20), "white").save(path)
    assert open_image(path).size == (30, 20)
    assert open_image(str(path)).getpixel((5, 5)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("orientation", "size"), [(1, (30, 20)), (3, (30, 20)), (6, (20, 30)), (8, (20, 30))]
)
def test_exif_orientation(tmp_path: Path, orientation: int, size: tuple[int, int]) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (30, 20)).save(tmp_path / "photo.jpg", exif=exif)
    assert open_image(tmp_path / "photo.jpg").size == size
    with Image.open(tmp_path / "photo.jpg") as image:
        assert open_image(image).size == size


def test_home_directory(tmp_path: Path) -> None:
    Image.new("L", (2, 2)).save(tmp_path / "home" / "plan.png")
    assert open_image("~/plan.png").size == (2, 2)


def test_no_such_file() -> None:
    with pytest.raises(ImageNotFoundError, match="working directory is") as caught:
        open_image("plan.png")
    assert isinstance(caught.value, FileNotFoundError)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"<!doctype html><HTML>", "web page"),
        (b"<?xml version='1.0'?><svg>", "SVG drawing"),
        (b"AC1032", "DWG drawing"),
        (b"JwwData.", "Jw_cad drawing"),
        (b"  0\nSECTION\n  2\nHEADER", "DXF drawing"),
        (b"PK\x03\x04", "Office document"),
        (b"\0\0\0\x18ftypheic", "HEIC photograph"),
        (b"plain text", "damaged, or of another kind"),
    ],
)
def test_files_that_are_no_images(tmp_path: Path, content: bytes, words: str) -> None:
    (tmp_path / "plan.png").write_bytes(content)
    with pytest.raises(ImageError) as caught:
        open_image(tmp_path / "plan.png")
    assert words in str(caught.value)


def test_truncated_file(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (200, 200, 3), np.uint8)
    path = tmp_path / "plan.jpg"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:9000])
    with pytest.raises(ImageError, match="damaged or was not copied completely"):
        open_image(path)


def test_directory(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="is a directory"):
        open_image(tmp_path)


def test_an_image_without_pixels() -> None:
    with pytest.raises(ImageError, match="is empty"):
        open_image(Image.new("RGB", (0, 5)))


@pytest.mark.parametrize(
    "name", ["gone.png", "plan.png/x", "nul\0byte.png", "x" * 300, "~no-such-user/plan.png"]
)
def test_paths_that_lead_nowhere(name: str) -> None:
    Image.new("L", (2, 2)).save("plan.png")
    with pytest.raises(ImageNotFoundError, match="There is no file"):
        open_image(name)


def test_a_tilde_that_is_no_home() -> None:
    Image.new("L", (2, 2)).save("~$plan.png")
    assert open_image("~$plan.png").size == (2, 2)


@pytest.mark.parametrize("suffix", ["png", "tif", "jpg", "bmp", "gif"])
@pytest.mark.parametrize("load", [True, False])
def test_closed_images(tmp_path: Path, suffix: str, load: bool) -> None:
    path = tmp_path / f"plan.{suffix}"
    Image.new("RGB", (4, 4)).save(path)
    image = Image.open(path)
    if load:
        image.load()
    image.close()
    with pytest.raises(ImageError, match="The image is closed"):
        open_image(image)
    with Image.open(path) as image:
        if load:
            image.load()
    if load:
        assert open_image(image).size == (4, 4)
    else:
        with pytest.raises(ImageError, match="The image is closed"):
            open_image(image)


def test_a_closed_image_that_was_made_in_memory() -> None:
    image = Image.new("RGB", (4, 4))
    image.close()
    with pytest.raises(ImageError, match="The image is closed"):
        open_image(image)


Image.init()
READABLE_AND_WRITABLE = sorted(Image.SAVE.keys() & Image.OPEN.keys() - {"EPS", "BUFR", "GRIB", "HDF5", "WMF"})


@pytest.mark.filterwarnings("ignore")  # of Pillow
@pytest.mark.parametrize("kind", READABLE_AND_WRITABLE)
def test_damaged_files_give_no_other_error(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut short, or with bytes changed, wherever it is: an image, or an ImageError."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)  # a changed width must not cost gigabytes
    random = np.random.default_rng(0)
    whole = saved_as(kind, random.integers(0, 256, (24, 24, 3), np.uint8))
    path = tmp_path / "plan"
    path.write_bytes(whole)
    open_image(path)
    for number in range(80):
        content = bytearray(whole)
        # Most of what a decoder can stumble over is near the beginning.
        reach = min(len(content), 100) if number % 2 else len(content)
        if number % 3 == 0:
            del content[random.integers(reach) :]
        else:
            for place in random.integers(0, reach, 1 + number % 4):
                content[place] = random.integers(256)
        path.write_bytes(content)
        with contextlib.suppress(ImageError):
            open_image(path)


def saved_as(kind: str, pixels: "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]") -> bytes:
    for mode in ("RGB", "P", "L", "1", "F"):
        file = io.BytesIO()
        with contextlib.suppress(OSError, ValueError, KeyError):
            Image.fromarray(pixels).convert(mode).save(file, kind)
            return file.getvalue()
    raise AssertionError(f"{kind} cannot be written")
