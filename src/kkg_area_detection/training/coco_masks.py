"""The two ways in which COCO writes a mask: polygons, and run lengths down the columns."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FEWEST_NUMBERS = 6  # of a polygon: three corners


def mask_of(segmentation: Any, height: int, width: int, rows: int, columns: int) -> NDArray[np.bool_]:
    """Draw a segmentation.

    Args:
        segmentation: Polygons, or an object with ``counts`` and ``size``.
        height: Of the picture that it belongs to, in pixels.
        width: Of that picture.
        rows: Height of the result; the picture may be drawn smaller than it is.
        columns: Width of the result.

    Returns:
        Shape (rows, columns).

    Raises:
        ValueError: It is malformed; the text says how.
    """
    if isinstance(segmentation, dict):
        mask = _run_lengths(segmentation, height, width)
        y = (np.arange(rows) * 2 + 1) * height // (2 * rows)
        x = (np.arange(columns) * 2 + 1) * width // (2 * columns)
        return mask[y[:, None], x]
    if not isinstance(segmentation, list) or not segmentation:
        raise ValueError("there is none")
    mask = np.zeros((rows, columns), dtype=np.bool_)
    for polygon in segmentation:
        _fill(mask, _corners(polygon) * (columns / width, rows / height))
    return mask


def _fill(mask: NDArray[np.bool_], corners: NDArray[np.float64]) -> None:
    """Set the pixels whose centres lie within a polygon (even-odd rule). Pillow would add those of its outline."""
    sides = np.zeros((mask.shape[0], mask.shape[1] + 1), dtype=np.bool_)  # True where one is crossed
    for one, other in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        (left, top), (right, bottom) = sorted((one, other), key=lambda corner: corner[1])
        y = np.arange(max(0, math.ceil(top - 0.5)), min(len(mask), math.ceil(bottom - 0.5)))
        if len(y):
            x = left + (y + 0.5 - top) * (right - left) / (bottom - top)
            sides[y, np.clip(np.ceil(x - 0.5), 0, mask.shape[1]).astype(np.intp)] ^= True
    mask |= np.logical_xor.accumulate(sides, axis=1)[:, :-1]


def _corners(polygon: Any) -> NDArray[np.float64]:
    try:
        numbers = np.array(polygon, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError("a polygon holds something that is no number") from error
    if numbers.ndim != 1 or len(numbers) % 2 or len(numbers) < _FEWEST_NUMBERS:
        raise ValueError(f"a polygon has {numbers.size} numbers, not x and y of three or more corners")
    if not np.isfinite(numbers).all() or abs(numbers).max() > 1e7:
        raise ValueError("a polygon has a corner at infinity")
    return numbers.reshape(-1, 2)


def _run_lengths(segmentation: dict[str, Any], height: int, width: int) -> NDArray[np.bool_]:
    if segmentation.get("size") != [height, width]:
        raise ValueError(f"its size is {segmentation.get('size')}, but the picture's is {[height, width]}")
    counts = segmentation.get("counts")
    if isinstance(counts, str):
        counts = decompress(counts)
    if not isinstance(counts, list) or not all(type(count) is int and count >= 0 for count in counts):
        raise ValueError("its counts are neither a list of numbers nor compressed")
    if sum(counts) != height * width:
        raise ValueError(
            f"its counts add up to {sum(counts)}, not to the {height * width} pixels of the picture"
        )
    values = np.arange(len(counts)) % 2 == 1  # the first run is background
    return np.repeat(values, counts).reshape(width, height).T


def decompress(text: str) -> list[int]:
    """Read COCO's compressed counts (``rleFrString`` of its ``maskApi.c``).

    A character holds five bits, lowest first, and whether more follow. From the fourth on, a number is the
    difference to the last but one.

    Raises:
        ValueError: A character is none of theirs, or the text ends within a number.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise ValueError(f"its compressed counts hold {character!r}")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("its compressed counts end within a number")
    return counts


def encode(mask: NDArray[np.bool_]) -> dict[str, Any]:
    """Write a mask that has pixels.

    Returns:
        The fields ``segmentation`` (plain run lengths), ``area`` (pixels) and ``bbox`` (x, y, width, height).
    """
    columns_first = mask.T.ravel()
    changes = np.flatnonzero(columns_first[1:] != columns_first[:-1]) + 1
    ends = np.concatenate([[0] if columns_first[0] else [], [0], changes, [mask.size]]).astype(int)
    counts = np.diff(ends).tolist()
    y, x = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return {
        "segmentation": {"size": list(mask.shape), "counts": counts},
        "area": int(mask.sum()),
        "bbox": [int(x[0]), int(y[0]), int(x[-1] - x[0] + 1), int(y[-1] - y[0] + 1)],
    }
