"""Walls in the style of a drawing: solid, grey, outlined or hatched."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from kkg_area_detection.training.plans.look import Look, WallStyle

Mask = NDArray[np.bool_]


def paint_walls(image: Image.Image, outer: Mask, inner: Mask, look: Look) -> None:
    """Paint all walls.

    Args:
        image: Mode RGB, the canvas.
        outer: Shape (H, W), where outer walls are.
        inner: Where inner walls are.
        look: The styles. Walls of one style run into each other.
    """
    if look.outer_wall is look.inner_wall:
        _paint(image, outer | inner, look.outer_wall)
        return
    _paint(image, inner, look.inner_wall)
    _paint(image, outer, look.outer_wall)


def _paint(image: Image.Image, mask: Mask, style: WallStyle) -> None:
    image.paste(style.fill, mask=_as_image(mask))
    if style.kind == "solid":
        return
    lines = mask & ~_shrunk(mask, style.line)
    if style.kind in ("hatch", "cross"):
        lines |= mask & _hatching(mask.shape, style.pitch, style.kind)
    image.paste(style.ink, mask=_as_image(lines))


def _as_image(mask: Mask) -> Image.Image:
    return Image.fromarray(mask.view(np.uint8) * np.uint8(255))


def _shrunk(mask: Mask, by: int) -> Mask:
    """What is left of ``mask`` when lines of width ``by`` are drawn along the inside of its border."""
    inside = mask
    for _ in range(by):
        smaller = inside.copy()
        smaller[1:] &= inside[:-1]
        smaller[:-1] &= inside[1:]
        smaller[:, 1:] &= inside[:, :-1]
        smaller[:, :-1] &= inside[:, 1:]
        inside = smaller
    return inside


@lru_cache(maxsize=64)
def _hatching(shape: tuple[int, int], pitch: int, kind: str) -> Mask:
    rows, columns = np.arange(shape[0])[:, None], np.arange(shape[1])[None, :]
    lines = (rows + columns) % pitch == 0
    if kind == "cross":
        lines |= (rows - columns) % pitch == 0
    return np.asarray(lines, dtype=np.bool_)
