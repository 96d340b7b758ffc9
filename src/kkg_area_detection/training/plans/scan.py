"""What copying and scanning do to a drawing. Walls stay visible: no step may erase what is labelled."""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageFilter

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEAST_CONTRAST = 30.0  # grey levels that are left between the darkest of a wall and what is around it


def degrade(random_: random.Random, image: Image.Image, wall_tone: float, ground_tone: float) -> Image.Image:
    """Age a picture.

    Args:
        random_: Everything is drawn from it.
        image: Mode RGB, at its final size.
        wall_tone: Grey level of the lightest wall lines, of 255.
        ground_tone: Grey level of the darkest of floors and paper.

    Returns:
        A picture of the same size.
    """
    if random_.random() < 0.12:
        share = random_.uniform(0.6, 0.9)
        small = (max(1, round(image.width * share)), max(1, round(image.height * share)))
        image = image.resize(small, Image.Resampling.BILINEAR).resize(image.size, Image.Resampling.BILINEAR)
    elif random_.random() < 0.22:
        image = image.filter(ImageFilter.GaussianBlur(random_.uniform(0.3, 0.8)))
    elif random_.random() < 0.1:
        image = image.filter(ImageFilter.UnsharpMask(1, random_.randint(50, 150), 0))
    binarised = random_.random() < 0.07 and ground_tone - wall_tone > 90
    pixels = np.asarray(image)
    if binarised:
        pixels = _binarised(random_, image, wall_tone, ground_tone)
    if random_.random() < 0.55:
        pixels = _toned(random_, pixels, ground_tone - wall_tone)
    if random_.random() < 0.3:
        grey = np.asarray(Image.fromarray(pixels).convert("L"))
        pixels = np.repeat(grey[..., None], 3, axis=2)
    if random_.random() < 0.03:
        pixels = 255 - pixels
    image = Image.fromarray(pixels)
    if random_.random() < 0.35:
        image = _jpeg(image, random_.randint(30, 90))
    return image


def _binarised(
    random_: random.Random, image: Image.Image, wall_tone: float, ground_tone: float
) -> NDArray[np.uint8]:
    """Black and white, split between walls and ground so that lines which averaging made lighter stay."""
    threshold = wall_tone + (ground_tone - wall_tone) * random_.uniform(0.6, 0.9)
    black = np.asarray(image.convert("L")) < threshold
    return np.repeat(np.where(black, np.uint8(0), np.uint8(255))[..., None], 3, axis=2)


def _toned(random_: random.Random, pixels: NDArray[np.uint8], contrast: float) -> NDArray[np.uint8]:
    """Contrast, tint, uneven light, noise and stains."""
    height, width = pixels.shape[:2]
    least = min(1.0, _LEAST_CONTRAST / max(contrast * 0.6, 1.0))
    factor = max(random_.uniform(0.45, 1.2), least)
    toned = (pixels.astype(np.float32) - 128) * np.float32(factor) + np.float32(
        128 + random_.uniform(-0.1, 0.9) * 127 * (1 - min(factor, 1.0))
    )
    if random_.random() < 0.25:
        toned *= np.array([1, random_.uniform(0.93, 1), random_.uniform(0.8, 1)], dtype=np.float32)
    if random_.random() < 0.25:
        across = np.linspace(random_.uniform(0.85, 1), random_.uniform(0.85, 1), width, dtype=np.float32)
        down = np.linspace(random_.uniform(0.85, 1), 1, height, dtype=np.float32)
        toned *= (down[:, None] * across[None, :])[..., None]
    noise = np.random.default_rng(random_.getrandbits(32))
    if random_.random() < 0.5:
        grain = noise.standard_normal((height, width), dtype=np.float32)
        toned += (grain * np.float32(random_.uniform(1, 13)))[..., None]
    if random_.random() < 0.1:
        specks = noise.random((height, width), dtype=np.float32)
        toned[specks < 0.003] = 40
        toned[specks > 0.998] = 250
    if random_.random() < 0.08:
        toned -= _stain(random_, height, width)[..., None]
    return np.clip(toned, 0, 255).astype(np.uint8)


def _stain(random_: random.Random, height: int, width: int) -> NDArray[np.float32]:
    """A soft dark patch or a fold, in grey levels."""
    rows = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    columns = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    if random_.random() < 0.5:
        distance = np.abs((rows if random_.random() < 0.5 else columns) - random_.random())
        stain = np.exp(-distance * 90) * random_.uniform(10, 45)
    else:
        distance = np.hypot(rows - random_.random(), columns - random_.random()) / random_.uniform(0.05, 0.3)
        stain = np.exp(-(distance**4)) * random_.uniform(8, 40)
    return np.broadcast_to(stain.astype(np.float32), (height, width))


def _jpeg(image: Image.Image, quality: int) -> Image.Image:
    packed = io.BytesIO()
    image.save(packed, "JPEG", quality=quality)
    return Image.open(packed).convert("RGB")
