"""Every mode of picture, brought into one: upright, RGB, eight bits, on white paper."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

import numpy as np
from PIL import Image, ImageFile, ImageOps

from kkg_area_detection.errors import ImageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

ImageLike: TypeAlias = "Image.Image | NDArray[np.uint8] | str | os.PathLike[str] | BinaryIO"

_EXIF_ORIENTATION = 0x0112
_EIGHT_BITS = ((np.arange(65536) * 255 + 32767) // 65535).astype(np.uint8)


def from_array(array: NDArray[np.uint8]) -> Image.Image:
    """An array of shape (H, W), (H, W, 3) or (H, W, 4) as an image.

    Raises:
        ImageError: It has another shape or dtype, or is empty.
    """
    shape_fits = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))
    if array.dtype != np.uint8 or not shape_fits or array.size == 0:
        raise ImageError(
            f"An array of shape {array.shape} and dtype {array.dtype} is not an image that can be read.",
            next_step="pass a non-empty uint8 array of shape (H, W), (H, W, 3) or (H, W, 4).",
        )
    return Image.fromarray(np.ascontiguousarray(array))


def check_open(image: Image.Image) -> None:
    """Refuse an image that was closed.

    Raises:
        ImageError: Its pixels are gone.
    """
    if _is_closed(image):
        raise ImageError(
            "The image is closed.",
            cause="it is used after its `with` block, or after close().",
            next_step="pass it while it is open, or pass the path of the file.",
        )


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


def to_rgb(image: Image.Image) -> Image.Image:
    """Decode an image and bring it into the form that the models read. The image itself is not changed.

    Raises:
        ImageError: It has no pixels.
    """
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
    if image.mode.startswith("I;16"):  # exact, and without floats of the size of the sheet
        return Image.fromarray(_EIGHT_BITS[np.asarray(image)]).convert("RGB")
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
