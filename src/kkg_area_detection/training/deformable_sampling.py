"""Sampling of deformable attention on CPUs, with a backward pass that costs no more than the forward one.

The points of a query are a few weighted cells, so sampling is the product of a sparse matrix and the table of all
cells: torch's ``embedding_bag``. Its own gradient for the table sorts all indices and takes ten times as long
as the product; here the transposed product is left to SciPy, which has the indices in the right order already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from kkg_area_detection.segmentation.network.deformable_attention import BagSampler, GridSampler, Pyramid

if TYPE_CHECKING:
    from kkg_area_detection.segmentation.network.deformable_attention import Sampler


def sampler_of(values: torch.Tensor, pyramid: Pyramid, points: int) -> Sampler:
    """Choose what trains fastest where the values are.

    Args:
        values: Shape (B, S, heads, channels), float32: the cells of all levels one after the other.
        pyramid: The geometry of the levels.
        points: Points of a query in each level.
    """
    if values.device.type == "cpu":
        return TrainableBagSampler.of(values, pyramid, points)
    return GridSampler(values, pyramid)


class TrainableBagSampler(BagSampler):
    """The sampler of inference, with another gradient."""

    def weighted_sums(self, index: torch.Tensor, table: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """See ``BagSampler``."""
        sums: torch.Tensor = _WeightedSums.apply(index, table, weights)
        return sums


class _WeightedSums(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, index: torch.Tensor, table: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(index, table, weights)
        return functional.embedding_bag(index, table, per_sample_weights=weights, mode="sum")

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[None, torch.Tensor, torch.Tensor]:
        from scipy import sparse

        index, table, weights = ctx.saved_tensors
        bags, cells = index.shape
        flat, starts = index.flatten(), torch.arange(0, bags * cells + 1, cells, dtype=index.dtype)
        matrix = sparse.csr_matrix(
            (weights.flatten().numpy(), flat.numpy(), starts.numpy()), shape=(bags, len(table)), copy=False
        )
        of_table = torch.from_numpy(matrix.T @ gradient.contiguous().numpy())
        of_weights = torch.ops.aten._embedding_bag_per_sample_weights_backward(
            gradient, table, flat, starts[:-1], flat.new_empty(0), 0
        )
        return None, of_table, of_weights.view_as(weights)
