"""Other views of a drawing: turned, mirrored, moved, scaled, and printed or scanned otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kkg_area_detection.training.samples import Sample

_BACKGROUND = 0


def view(sample: Sample, height: int, width: int, rng: np.random.Generator) -> Sample:
    """Show a drawing as one of a batch for training.

    Args:
        sample: Of any size.
        height: Of the result, in pixels.
        width: Of the result, in pixels.
        rng: Decides everything.

    Returns:
        The drawing, turned by a multiple of 90 degrees, perhaps mirrored, somewhat larger or smaller, moved,
        perhaps cut, in other colours. What was cut off completely remains as a label without pixels.
    """
    return with_other_colours(framed(turned(sample, rng), height, width, rng), rng)


def turned(sample: Sample, rng: np.random.Generator) -> Sample:
    """Rotate by a multiple of 90 degrees, and mirror every second one."""
    quarters, mirrored = int(rng.integers(4)), bool(rng.integers(2))
    image, ids = np.rot90(sample.image, quarters), np.rot90(sample.ids, quarters)
    if mirrored:
        image, ids = image[:, ::-1], ids[:, ::-1]
    return replace(sample, image=np.ascontiguousarray(image), ids=np.ascontiguousarray(ids))


def framed(sample: Sample, height: int, width: int, rng: np.random.Generator) -> Sample:
    """Fit into a frame at random: mostly whole with some margin, sometimes cut, proportions hardly changed."""
    rows, columns = sample.ids.shape
    zoom = float(np.exp(rng.uniform(-0.35, 0.3)))
    stretch = float(np.exp(rng.uniform(-0.1, 0.1)))
    whole = max(rows / height, columns / width)  # pixels of the drawing for one of the frame
    box_height, box_width = height * whole / zoom * stretch, width * whole / zoom / stretch
    top = (rows - box_height) * rng.uniform(0, 1)
    left = (columns - box_width) * rng.uniform(0, 1)
    return resampled(sample, (left, top, left + box_width, top + box_height), height, width)


def fitted(sample: Sample, size: int) -> Sample:
    """Resize as the finished model will see it: the longest edge ``size``, both edges multiples of 32."""
    rows, columns = sample.ids.shape
    scale = size / max(rows, columns)
    height, width = (max(1, -(-round(side * scale) // 32)) * 32 for side in (rows, columns))
    return resampled(sample, (0, 0, columns, rows), height, width)


def resampled(sample: Sample, box: tuple[float, float, float, float], height: int, width: int) -> Sample:
    """Show a part of a drawing, or more than it.

    Args:
        sample: The drawing.
        box: Left, top, right, bottom in its pixels; what lies outside is paper.
        height: Of the result.
        width: Of the result.
    """
    left, top, right, bottom = box
    rows, columns = sample.ids.shape
    pad_left, pad_top = max(0, int(np.ceil(-left))), max(0, int(np.ceil(-top)))
    pad_right, pad_bottom = max(0, int(np.ceil(right - columns))), max(0, int(np.ceil(bottom - rows)))
    image = sample.image
    if pad_left or pad_top or pad_right or pad_bottom:
        padded = np.empty((rows + pad_top + pad_bottom, columns + pad_left + pad_right, 3), np.uint8)
        padded[:] = _paper(image)
        padded[pad_top : pad_top + rows, pad_left : pad_left + columns] = image
        image = padded
    moved = (left + pad_left, top + pad_top, right + pad_left, bottom + pad_top)
    picture = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR, box=moved)
    y = np.floor(top + (np.arange(height) + 0.5) * (bottom - top) / height).astype(np.intp)
    x = np.floor(left + (np.arange(width) + 0.5) * (right - left) / width).astype(np.intp)
    ids = sample.ids[np.clip(y, 0, rows - 1)[:, None], np.clip(x, 0, columns - 1)]
    ids[(y < 0) | (y >= rows)] = _BACKGROUND
    ids[:, (x < 0) | (x >= columns)] = _BACKGROUND
    return replace(sample, image=np.array(picture), ids=ids)


def _paper(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The usual colour of the picture's border."""
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    colour: NDArray[np.uint8] = np.median(border, axis=0).astype(np.uint8)
    return colour


def with_other_colours(sample: Sample, rng: np.random.Generator) -> Sample:
    """Change contrast, brightness, tint and noise a little; sometimes to grey or to a negative."""
    table: NDArray[np.floating] = np.repeat(np.arange(256, dtype=np.float32)[:, None], 3, axis=1)
    if rng.random() < 0.5:
        table = (table - 255) * rng.uniform(0.6, 1.2) + 255 - rng.uniform(0, 40)
    if rng.random() < 0.2:
        table = 255 * (np.clip(table, 0, 255) / 255) ** rng.uniform(0.6, 1.6)
    if rng.random() < 0.2:
        table = table * rng.uniform(0.85, 1.0, 3)
    if rng.random() < 0.03:
        table = 255 - table
    channels = np.clip(table, 0, 255).astype(np.uint8)
    order = rng.permutation(3) if rng.random() < 0.1 else np.arange(3)
    image = np.stack([channels[:, c][sample.image[:, :, o]] for c, o in enumerate(order)], axis=2)
    if rng.random() < 0.15:
        grey = image.mean(axis=2, dtype=np.float32).astype(np.uint8)
        image = np.repeat(grey[:, :, None], 3, axis=2)
    if rng.random() < 0.2:
        noise = rng.standard_normal(image.shape[:2], dtype=np.float32) * rng.uniform(2, 10)
        image = np.clip(image + noise[:, :, None], 0, 255).astype(np.uint8)
    return replace(sample, image=np.ascontiguousarray(image))
