"""From a picture to the array that the network reads.

``preprocessor_config.json`` says how: to what size, with which filter, mean and standard deviation. The
result equals the ``pixel_values`` of transformers' own PIL processors bit for bit. It is reached without
their full-size copies: Pillow resizes the caller's image directly, and since a pixel has only 256 values,
rescaling and normalising are one look-up in a table of 3 x 256 numbers.
"""

from __future__ import annotations

import json
import math
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias, TypeGuard, cast

import numpy as np
from PIL import Image

from kkg_area_detection.errors import ImageError, InvalidModelError
from kkg_area_detection.model_directory import read_json_object

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SETTINGS_FILE = "preprocessor_config.json"

ProcessorKind: TypeAlias = Literal["maskformer", "mask2former"]
_KIND_OF_NAME: dict[str, ProcessorKind] = {"MaskFormer": "maskformer", "Mask2Former": "mask2former"}


class EdgeLimits(NamedTuple):
    """The shorter side becomes ``shortest`` pixels, less where the longer one would exceed ``longest``."""

    shortest: int
    longest: int


class BoxLimits(NamedTuple):
    """The largest picture of the same proportions within ``height`` x ``width`` pixels."""

    height: int
    width: int


class FixedSize(NamedTuple):
    """Always ``height`` x ``width`` pixels, whatever the proportions."""

    height: int
    width: int


SizeRule: TypeAlias = EdgeLimits | BoxLimits | FixedSize
Triple: TypeAlias = tuple[float, float, float]

# Also what the releases of transformers meant that wrote `size` as a bare number, or only `max_size`.
_DEFAULT_SIZE = EdgeLimits(shortest=800, longest=1333)


@dataclass(frozen=True)
class ProcessorSettings:
    """How a model wants its images; the defaults are those of transformers.

    Attributes:
        kind: Which of transformers' two processors the model was saved with. They prepare images alike, but
            post-process differently.
        size: Size of the network's input before it is rounded up to ``size_divisor``.
        size_divisor: Both sides become a multiple of this many pixels; 0 leaves them as they are.
        resample: Pillow's filter.
        do_resize: Whether ``size`` and ``size_divisor`` apply.
        do_rescale: Whether values are multiplied by ``rescale_factor``.
        rescale_factor: Usually 1 / 255.
        do_normalize: Whether ``mean`` is subtracted and the difference divided by ``std``.
        mean: Red, green, blue; in units of the rescaled values.
        std: Red, green, blue; in units of the rescaled values.
    """

    kind: ProcessorKind = "mask2former"
    size: SizeRule = _DEFAULT_SIZE
    size_divisor: int = 32
    resample: Image.Resampling = Image.Resampling.BILINEAR
    do_resize: bool = True
    do_rescale: bool = True
    rescale_factor: float = 1 / 255
    do_normalize: bool = True
    mean: Triple = (0.485, 0.456, 0.406)
    std: Triple = (0.229, 0.224, 0.225)

    @classmethod
    def from_directory(cls, directory: Path) -> ProcessorSettings:
        """Read ``preprocessor_config.json`` of a model directory.

        Args:
            directory: The model directory. A missing file or field means the defaults.

        Returns:
            The settings.

        Raises:
            InvalidModelError: The file is not JSON, a field is malformed, or the processor is of some other
                kind.
        """
        path = directory / SETTINGS_FILE
        fields = _Fields(path, read_json_object(path) if os.path.lexists(path) else {})
        return cls(
            kind=_kind(fields),
            size=_size_rule(fields),
            size_divisor=_size_divisor(fields),
            resample=_resample(fields),
            do_resize=fields.flag("do_resize", cls.do_resize),
            do_rescale=fields.flag("do_rescale", cls.do_rescale),
            rescale_factor=fields.number("rescale_factor", cls.rescale_factor),
            do_normalize=fields.flag("do_normalize", cls.do_normalize),
            mean=fields.triple("image_mean", cls.mean),
            std=_std(fields),
        )


def prepare(image: Image.Image, settings: ProcessorSettings) -> NDArray[np.float32]:
    """Turn a picture into the network's input.

    Args:
        image: Mode RGB, any size from 1 x 1 on.
        settings: How the model wants it.

    Returns:
        Shape (3, h, w), float32, channels red, green, blue. Row 0 is the top of the picture. h and w are at
        least one ``size_divisor``, also where transformers would round a side of an extremely long picture
        down to nothing and fail.

    Raises:
        ImageError: The image is not in mode RGB.
    """
    if image.mode != "RGB":
        raise ImageError(
            f"An image in mode {image.mode} cannot be segmented.",
            next_step='pass it through `documents.open_image` first, or call `image.convert("RGB")`.',
        )
    if settings.do_resize:
        height, width = input_shape(image.height, image.width, settings)
        image = image.resize((width, height), resample=settings.resample)
    return _look_up(np.asarray(image), _value_table(settings))


def input_shape(height: int, width: int, settings: ProcessorSettings) -> tuple[int, int]:
    """Say how large the network's input is for a picture.

    Args:
        height: Of the picture, in pixels.
        width: Of the picture, in pixels.
        settings: How the model wants it, resizing included.

    Returns:
        Height and width in pixels.

    Example:
        >>> input_shape(3508, 2480, ProcessorSettings())
        (1152, 800)
    """
    match settings.size:
        case EdgeLimits(shortest, longest):
            height, width = _within_edges(height, width, shortest, longest)
        case BoxLimits(max_height, max_width):
            scale = min(max_height / height, max_width / width)
            height, width = int(height * scale), int(width * scale)
        case FixedSize(fixed_height, fixed_width):
            height, width = fixed_height, fixed_width
    cell = settings.size_divisor or 1
    return max(1, math.ceil(height / cell)) * cell, max(1, math.ceil(width / cell)) * cell


def _within_edges(height: int, width: int, shortest: int, longest: int) -> tuple[int, int]:
    """Apply ``EdgeLimits`` with transformers' own roundings, which differ between the two sides."""
    edge: float = shortest
    if float(max(height, width)) / float(min(height, width)) * shortest > longest:
        edge = longest * float(min(height, width)) / float(max(height, width))
    rounded = round(edge)
    if min(height, width) == rounded:
        return height, width
    if width < height:
        return int(edge * height / width), rounded
    return rounded, int(edge * width / height)


def _value_table(settings: ProcessorSettings) -> NDArray[np.float32]:
    """Tabulate what becomes of each of the 256 values of a pixel.

    Returns:
        Shape (3, 256), float32. The dtypes on the way are those of transformers: the same bits come out.
    """
    values = np.arange(256, dtype=np.float64)
    if settings.do_rescale:
        values = values * settings.rescale_factor
    table = np.broadcast_to(values.astype(np.float32), (3, 256))
    if settings.do_normalize:
        mean = np.array(settings.mean, dtype=np.float32)[:, None]
        std = np.array(settings.std, dtype=np.float32)[:, None]
        table = (table - mean) / std
    return table


def _look_up(pixels: NDArray[np.uint8], table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Map (h, w, 3) uint8 through a (3, 256) table to (3, h, w)."""
    height, width, _ = pixels.shape
    values = np.empty((3, height, width), dtype=np.float32)
    for channel in range(3):
        values[channel] = table[channel][pixels[:, :, channel]]
    return values


# --- reading the file ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Fields:
    """The fields of one file, checked one by one."""

    path: Path
    raw: dict[str, object]

    def flag(self, name: str, default: bool) -> bool:
        value = self.raw.get(name, default)
        if value is None:  # to transformers a null is false here, while elsewhere it means the default
            return False
        if not isinstance(value, bool):
            raise self.malformed(name, "true or false")
        return value

    def number(self, name: str, default: float) -> float:
        value = self.raw.get(name)
        if value is None:
            return default
        if not _is_number(value):
            raise self.malformed(name, "a number")
        return value

    def triple(self, name: str, default: Triple) -> Triple:
        value = self.raw.get(name)
        if value is None:
            return default
        if _is_number(value):
            return (value, value, value)
        if isinstance(value, list) and len(value) == 3 and all(_is_number(item) for item in value):
            return cast("Triple", tuple(value))
        raise self.malformed(name, "a number or a list of three numbers (red, green, blue)")

    def malformed(self, name: str, expected: str) -> InvalidModelError:
        return InvalidModelError(
            f"{name} in {self.path} is {json.dumps(self.raw.get(name))}.",
            cause=f"it must be {expected}.",
            next_step="correct the field, or remove it to use the default.",
        )


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_length(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _kind(fields: _Fields) -> ProcessorKind:
    name = "image_processor_type" if fields.raw.get("image_processor_type") else "feature_extractor_type"
    value = fields.raw.get(name)
    if value is None:
        return ProcessorSettings.kind
    match = re.fullmatch(r"(Mask2?Former)(ImageProcessor(Fast|Pil)?|FeatureExtractor)", str(value))
    if match is None:
        raise fields.malformed(name, "MaskFormerImageProcessor or Mask2FormerImageProcessor")
    return _KIND_OF_NAME[match[1]]


def _size_rule(fields: _Fields) -> SizeRule:
    """Read ``size`` in any of the forms it ever had: a number, a pair, or one of three kinds of object."""
    if fields.raw.get("pad_size") is not None:
        raise fields.malformed("pad_size", "null: results for padded images would not lie on the picture")
    size = fields.raw.get("size")
    if isinstance(size, dict):
        return _size_rule_of_object(fields, size)
    if isinstance(size, list):
        if len(size) == 2 and _is_length(size[0]) and _is_length(size[1]):
            return FixedSize(*size)
        raise fields.malformed("size", "two whole numbers above 0 (height, width)")
    if size is not None and not _is_length(size):
        raise fields.malformed("size", "a whole number above 0, or an object with the sides as fields")
    longest = fields.raw.get("max_size")
    if longest is not None and not _is_length(longest):
        raise fields.malformed("max_size", "a whole number above 0")
    return EdgeLimits(size or _DEFAULT_SIZE.shortest, longest or _DEFAULT_SIZE.longest)


def _size_rule_of_object(fields: _Fields, size: dict[str, object]) -> SizeRule:
    given = {name: value for name, value in size.items() if value is not None}
    lengths = {name: value for name, value in given.items() if _is_length(value)}
    if len(lengths) == len(given):
        match lengths:
            case {"shortest_edge": shortest, "longest_edge": longest, **rest} if not rest:
                return EdgeLimits(shortest, longest)
            case {"max_height": height, "max_width": width, **rest} if not rest:
                return BoxLimits(height, width)
            case {"height": height, "width": width, **rest} if not rest:
                return FixedSize(height, width)
    raise fields.malformed(
        "size",
        "shortest_edge and longest_edge, max_height and max_width, or height and width, in pixels",
    )


def _size_divisor(fields: _Fields) -> int:
    name = "size_divisor" if fields.raw.get("size_divisor") is not None else "size_divisibility"
    value = fields.raw.get(name)
    if value is None:
        return ProcessorSettings.size_divisor
    if value == 0 or _is_length(value):
        return int(value)
    raise fields.malformed(name, "a whole number of pixels, or 0 for none")


def _resample(fields: _Fields) -> Image.Resampling:
    value = fields.raw.get("resample")
    if value is None:
        return ProcessorSettings.resample
    if isinstance(value, int) and not isinstance(value, bool) and value in set(Image.Resampling):
        return Image.Resampling(value)
    raise fields.malformed("resample", "the number of one of Pillow's filters (2 is bilinear)")


def _std(fields: _Fields) -> Triple:
    std = fields.triple("image_std", ProcessorSettings.std)
    if 0 in std:
        raise fields.malformed("image_std", "different from 0")
    return std
