"""What the parts of the network are made of: nodes for linear layers, norms and reshaping.

A node is an operation of OpenVINO with one output. Whatever is a list (the cells of a feature map, the queries) has
the shape (1, length, channels). Without the leading 1, OpenVINO 2026.4 fuses some sequences of linear layers in a
way that crashes the process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from kkg_area_detection.segmentation.openvino_network.runtime import ops

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch
    from numpy.typing import NDArray

Node: TypeAlias = Any

_EPSILON = 1e-5  # of all norms but those within Swin's blocks, where the configuration says it
_GROUPS = 32


@dataclass(frozen=True)
class Weights:
    """The weights of a part of the network: ``(weights / "layers.0")["bias"]``.

    Attributes:
        tensors: Of the whole network, float32, on the CPU.
        prefix: What the names of the part begin with.
    """

    tensors: Mapping[str, torch.Tensor]
    prefix: str = ""

    def __truediv__(self, part: str) -> Weights:
        return Weights(self.tensors, f"{self.prefix}{part}.")

    def __getitem__(self, name: str) -> NDArray[np.float32]:
        array: NDArray[np.float32] = self.tensors[self.prefix + name].numpy()
        return array

    def __contains__(self, name: str) -> bool:
        return self.prefix + name in self.tensors


@dataclass(frozen=True)
class FeatureMap:
    """A picture's features at one resolution.

    Attributes:
        cells: Shape (1, height * width, channels), row by row.
        height: In cells.
        width: In cells.
    """

    cells: Node
    height: int
    width: int

    @classmethod
    def from_image(cls, image: Node) -> FeatureMap:
        """Of a node of shape (1, C, h, w)."""
        _, channels, height, width = image.get_output_shape(0)
        return cls(reshape(transpose(image, 0, 2, 3, 1), 1, height * width, channels), height, width)

    def as_image(self) -> Node:
        """Shape (1, C, h, w)."""
        return transpose(reshape(self.cells, 1, self.height, self.width, channels_of(self.cells)), 0, 3, 1, 2)


def constant(values: Any, dtype: Any = np.float32) -> Node:
    """A node that holds a number or an array."""
    return ops.constant(np.asarray(values, dtype=dtype, order="C"))


def reshape(x: Node, *shape: int) -> Node:
    """Give a node another shape; one side may be -1."""
    return ops.reshape(x, constant(shape, np.int64), special_zero=False)


def transpose(x: Node, *order: int) -> Node:
    """Reorder the dimensions of a node."""
    return ops.transpose(x, constant(order, np.int64))


def gathered(cells: Node, index: Any) -> Node:
    """Cells by their numbers; a number that is one too high stands for zeros."""
    index = np.ravel(index)
    if (index == length_of(cells)).any():
        before, after = (constant([0, more, 0], np.int64) for more in (0, 1))
        cells = ops.pad(cells, before, after, "constant", constant(0))
    return ops.gather(cells, constant(index, np.int32), constant(1, np.int64))


def part(cells: Node, start: int, stop: int) -> Node:
    """Cells start to stop."""
    begin, end, step, axis = (constant([number], np.int64) for number in (start, stop, 1, 1))
    return ops.slice(cells, begin, end, step, axis)


def length_of(cells: Node) -> int:
    """How many cells there are."""
    return int(cells.get_output_shape(0)[1])


def channels_of(cells: Node) -> int:
    """How long a cell is."""
    return int(cells.get_output_shape(0)[-1])


def linear(x: Node, weights: Weights, *, scale: float = 1.0, outputs: slice = slice(None)) -> Node:
    """Map (1, N, in) to (1, N, out).

    Args:
        x: The input.
        weights: ``weight`` of shape (out, in) or (out, in, 1, 1), and perhaps ``bias``.
        scale: Multiplies the result.
        outputs: Which of the outputs are wanted.
    """
    matrix = weights["weight"]
    product = ops.matmul(x, constant(matrix.reshape(matrix.shape[:2])[outputs] * scale), False, True)
    if "bias" not in weights:
        return product
    return ops.add(product, constant(weights["bias"][None, None, outputs] * scale))


def convolution(
    x: Node, weights: Weights, *, stride: int = 1, before: int = 0, after: tuple[int, int]
) -> Node:
    """Map (1, C, h, w) to (1, C', h', w').

    Args:
        x: The input.
        weights: ``weight`` of shape (C', C, rows, columns), and perhaps ``bias``.
        stride: In both directions.
        before: Zeros added above and on the left.
        after: Zeros added below, and on the right.
    """
    y = ops.convolution(x, constant(weights["weight"]), [stride] * 2, [before] * 2, list(after), [1, 1])
    return ops.add(y, constant(weights["bias"][None, :, None, None])) if "bias" in weights else y


def layer_norm(cells: Node, weights: Weights, epsilon: float = _EPSILON) -> Node:
    """Normalise each of the cells (1, N, C)."""
    y = ops.mvn(cells, constant([2], np.int64), True, epsilon, "inside_sqrt")
    return ops.add(
        ops.multiply(y, constant(weights["weight"][None, None])), constant(weights["bias"][None, None])
    )


def group_norm(cells: Node, weights: Weights) -> Node:
    """Normalise cells (1, N, C) over groups of channels.

    The mean over a group is the mean over its channels' means. So cells stay as they lie in memory; the operation
    of that name would want them as an image.
    """
    channels = channels_of(cells)
    size = channels // _GROUPS
    within_groups = constant(np.kron(np.eye(_GROUPS), np.full((size, size), 1 / size)))

    def mean(x: Node) -> Node:
        return ops.matmul(ops.reduce_mean(x, constant([1], np.int64), True), within_groups, False, False)

    centred = ops.subtract(cells, mean(cells))
    deviation = ops.sqrt(ops.add(mean(ops.multiply(centred, centred)), constant(_EPSILON)))
    scale = ops.divide(constant(weights["weight"][None, None]), deviation)
    return ops.add(ops.multiply(centred, scale), constant(weights["bias"][None, None]))


def resized(feature_map: FeatureMap, height: int, width: int) -> FeatureMap:
    """Interpolate bilinearly, corners not aligned."""
    image = ops.interpolate(
        feature_map.as_image(),
        constant([height, width], np.int64),
        "linear_onnx",
        "sizes",
        coordinate_transformation_mode="half_pixel",
        axes=constant([2, 3], np.int64),
    )
    return FeatureMap.from_image(image)


def attention(queries: Node, keys: Node, values: Node, *biases: Node) -> Node:
    """Scaled dot-product attention (Vaswani et al. 2017, section 3.2.1), for queries that are scaled already.

    Args:
        queries: Shape (B, heads, N, channels).
        keys: Shape (B, heads, M, channels).
        values: Like keys.
        biases: Added to the products; each can be broadcast to (B, heads, N, M).

    Returns:
        Shape (1, B * N, heads * channels).
    """
    products = ops.matmul(queries, keys, False, True)
    for bias in biases:
        products = ops.add(products, bias)
    attended = ops.matmul(ops.softmax(products, 3), values, False, False)
    _, heads, _, channels = attended.get_output_shape(0)
    return reshape(transpose(attended, 0, 2, 1, 3), 1, -1, heads * channels)


def split_heads(cells: Node, heads: int, length: int) -> Node:
    """(1, B * length, heads * channels) to (B, heads, length, channels)."""
    return transpose(reshape(cells, -1, length, heads, channels_of(cells) // heads), 0, 2, 1, 3)
