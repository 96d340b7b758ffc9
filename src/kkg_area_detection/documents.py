"""Opening images: whatever the caller holds becomes one upright RGB picture."""

from __future__ import annotations

import contextlib
import logging
import os
import stat
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from kkg_area_detection.errors import ImageError, ImageNotFoundError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ImageLike: TypeAlias = "Image.Image | NDArray[np.uint8] | str | os.PathLike[str]"

logger = logging.getLogger(__name__)

_EXIF_ORIENTATION = 0x0112


def open_image(source: ImageLike) -> Image.Image:
    """Bring an image into the form that the models read.

    Args:
        source: A path, a ``PIL.Image`` of any mode and size, or a uint8 array of shape (H, W), (H, W, 3) or
            (H, W, 4), channels in the order red, green, blue, alpha.

    Returns:
        An RGB image; the first page of a file with several. The EXIF orientation is applied, transparency is
        laid on white paper, and 16-bit and floating-point greys are scaled to 8 bits. The caller's own image
        is never changed.

    Raises:
        ImageNotFoundError: There is no file at the path.
        ImageError: The file is no image, is damaged, or is larger than ``PIL.Image.MAX_IMAGE_PIXELS`` allows;
            or the object is empty, closed, or of a type, shape or dtype other than those above.
    """
    if isinstance(source, Image.Image):
        if _is_closed(source):
            raise ImageError(
                "The image is closed.",
                cause="it is used after its `with` block, or after close().",
                next_step="pass it while it is open, or pass the path of the file.",
            )
        with _explained("the image"):
            return _to_rgb(source)
    if isinstance(source, np.ndarray):
        return _to_rgb(_from_array(source))
    if isinstance(source, (str, os.PathLike)):
        return _open_file(Path(source))
    raise ImageError(
        f"An image of type {type(source).__name__} cannot be read.",
        next_step="pass a path, a PIL.Image, or a uint8 numpy array of shape (H, W), (H, W, 3) or (H, W, 4).",
    )


def find_image(path: Path) -> Path:
    """Look whether there is a file, without opening it.

    Returns:
        The path, with ``~`` for a home directory filled in.

    Raises:
        ImageNotFoundError: There is no file at the path, and there cannot be one.
        ImageError: It is a directory.
    """
    with contextlib.suppress(RuntimeError):  # `~$plan.png` is a file of an office program, and no one's home
        path = path.expanduser()
    try:
        mode = path.stat().st_mode
    except PermissionError as error:
        raise ImageError(f"{path} may not be read.", next_step="check the file's permissions.") from error
    except (OSError, ValueError) as error:  # a file in the place of a directory, a name too long, a NUL byte
        raise ImageNotFoundError(
            f"There is no file {path}.", next_step=f"check the path{_working_directory()}."
        ) from error
    if stat.S_ISDIR(mode):
        raise ImageError(
            f"{path} is a directory, not an image.", next_step="pass the path of one image file."
        )
    return path


def _working_directory() -> str:
    try:
        return f"; the working directory is {Path.cwd()}"
    except FileNotFoundError:  # it was deleted under us
        return ""


def _open_file(path: Path) -> Image.Image:
    path = find_image(path)
    with _explained(str(path)), warnings.catch_warnings():
        # Pillow warns from half its limit on, and scanned A1 sheets are larger than that.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        try:
            image = Image.open(path)
        except PermissionError as error:
            raise ImageError(f"{path} may not be read.", next_step="check the file's permissions.") from error
        except UnidentifiedImageError as error:
            raise ImageError(
                f"{path} is not an image in a format that can be read.",
                cause=_format_hint(path),
                next_step="save it as PNG, JPEG or TIFF and try again.",
            ) from error
        with image:
            pages = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
            if pages > 1:
                logger.warning("%s has %d pages; only the first is read.", path, pages)
            return _to_rgb(image)


@contextlib.contextmanager
def _explained(name: str) -> Iterator[None]:
    """Turn whatever Pillow raises into an error that says what to do."""
    try:
        yield
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise ImageError(
            f"{name} has too many pixels to be opened safely: {error}",
            cause="it was scanned at a very high resolution, or it is a decompression bomb.",
            next_step="export it at 300 dpi or less; if you trust it, raise PIL.Image.MAX_IMAGE_PIXELS.",
        ) from error
    except Exception as error:  # for damaged files, Pillow's plugins raise whatever happens to them
        raise ImageError(
            f"{name} cannot be decoded: {str(error) or type(error).__name__}",
            cause="the file is damaged or was not copied completely.",
            next_step="open it in a viewer, save it anew and try again.",
        ) from error


def _is_closed(image: Image.Image) -> bool:
    if isinstance(image, ImageFile.ImageFile) and image.tile:  # not decoded yet, so its file is still needed
        return image.fp is None or getattr(image.fp, "closed", False)
    try:
        _ = image.im
    except ValueError:  # "Operation on closed image"
        return True
    except (AssertionError, AttributeError):  # decoded when it is first used
        return False
    return False


def _from_array(array: NDArray[np.uint8]) -> Image.Image:
    shape_fits = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype != np.uint8 or not shape_fits or array.size == 0:
        raise ImageError(
            f"An array of shape {array.shape} and dtype {array.dtype} is not an image that can be read.",
            next_step="pass a non-empty uint8 array of shape (H, W), (H, W, 3) or (H, W, 4).",
        )
    return Image.fromarray(np.ascontiguousarray(array))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.width == 0 or image.height == 0:
        raise ImageError(f"The image is empty ({image.width} x {image.height} pixels).")
    image.load()
    if image.getexif().get(_EXIF_ORIENTATION, 1) != 1:
        image = ImageOps.exif_transpose(image)
    return _flatten(image)


def _flatten(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _wide_grey_to_rgb(image)
    if image.mode == "La":  # Pillow knows one way only out of this mode
        image = image.convert("LA")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        paper = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(paper, rgba).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _wide_grey_to_rgb(image: Image.Image) -> Image.Image:
    """16-bit, 32-bit and float greys: Pillow would clip them at 255 and give a white sheet."""
    grey = np.asarray(image, dtype=np.float32)
    grey = np.nan_to_num(grey, nan=0.0, posinf=65535.0, neginf=0.0)
    if image.mode == "F" and grey.max(initial=0.0) <= 1.0:
        white = 1.0
    elif image.mode in ("I", "F") and grey.max(initial=0.0) <= 255.0:
        white = 255.0
    else:
        white = 65535.0
    scaled = np.clip(grey * (255.0 / white) + 0.5, 0.0, 255.0).astype(np.uint8)
    return Image.fromarray(scaled).convert("RGB")


def _format_hint(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(512)
    if not head:
        return "the file is empty."
    if head.startswith(b"%PDF"):
        return "it is a PDF; export the page as PNG at 300 dpi first."
    if b"<html" in head.lower() or b"<?xml" in head.lower():
        return "it is a web page or an XML file, perhaps an error page saved under an image's name."
    return "it is damaged, or of another kind than its name says."
