"""Mask2Former's arithmetic for training: transformers' parameters, without the work that its own classes repeat.

The parameters stay in transformers' module, so that every model directory can be read and written as it is. What
is computed from them here equals what transformers computes up to rounding (dropout excepted, which is not
used), with the short cuts of ``segmentation.network`` that gradients pass through:

* deformable attention as one ``embedding_bag`` on CPUs;
* attention masks from mask features that were resized before the product;
* masks as embeddings and features, so that the loss computes only those cells and queries that it looks at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch.nn import functional

from kkg_area_detection.segmentation.network.deformable_attention import Pyramid
from kkg_area_detection.segmentation.network.positions import sine_positions
from kkg_area_detection.training.deformable_sampling import sampler_of

if TYPE_CHECKING:
    from torch import nn

LEVELS = 3
POINTS = 4


class Prediction(NamedTuple):
    """What one layer of the decoder says.

    Attributes:
        class_logits: Shape (B, Q, C + 1), float32; the last column means "no object".
        embeddings: Shape (B, Q, C'), float32. The product with the mask features gives mask logits.
    """

    class_logits: torch.Tensor
    embeddings: torch.Tensor


class Outputs(NamedTuple):
    """What the network says about a batch.

    Attributes:
        predictions: One of each layer, the last one last.
        mask_features: Shape (B, C', H / 4, W / 4), float32.
    """

    predictions: list[Prediction]
    mask_features: torch.Tensor

    def mask_logits(self) -> torch.Tensor:
        """Shape (B, Q, H / 4, W / 4), float32: those of the last layer."""
        masks = self.predictions[-1].embeddings @ self.mask_features.flatten(2)
        return masks.unflatten(2, self.mask_features.shape[2:])


def run(model: nn.Module, pixel_values: torch.Tensor) -> Outputs:
    """Run the network.

    Args:
        model: ``Mask2FormerForUniversalSegmentation`` of a kind that ``model.check_trainable`` accepts.
        pixel_values: Shape (B, 3, H, W), float32, sides divisible by 32.

    Returns:
        The predictions of every layer, that of the untouched queries included.
    """
    whole: Any = model
    inner = whole.model
    features = inner.pixel_level_module.encoder(pixel_values).feature_maps
    levels, mask_features = _pixel_features(inner.pixel_level_module.decoder, features)
    decoder = inner.transformer_module
    return Outputs(_predictions(decoder, whole.class_predictor, levels, mask_features), mask_features)


class _Level(NamedTuple):
    """Cells of one resolution, (B, h * w, C), and h and w."""

    cells: torch.Tensor
    shape: tuple[int, int]


def _pixel_features(decoder: Any, features: tuple[torch.Tensor, ...]) -> tuple[list[_Level], torch.Tensor]:
    """The deformable encoder over three levels, coarsest first, and the step to the finest one."""
    # On CPUs convolutions are quicker channels-last, but group norms take ten times as long.
    finest, *others = (feature.contiguous() for feature in features)
    maps = [
        norm(_pointwise(project, level))
        for (project, norm), level in zip(decoder.input_projections, reversed(others), strict=True)
    ]
    shapes = tuple((level.shape[2], level.shape[3]) for level in maps)
    pyramid = Pyramid.of(shapes, finest.device)
    size = maps[0].shape[1]
    positions = torch.cat(
        [
            sine_positions(*shape, size, finest.device) + decoder.level_embed[level]
            for level, shape in enumerate(shapes)
        ],
        dim=1,
    )
    cells = torch.cat([level.flatten(2).transpose(1, 2) for level in maps], dim=1).float()
    for layer in decoder.encoder.layers:
        cells = _encoded(layer, cells, positions, pyramid)
    levels = [
        _Level(level, shape)
        for level, shape in zip(cells.split([h * w for h, w in shapes], dim=1), shapes, strict=True)
    ]
    above = levels[-1].cells.transpose(1, 2).unflatten(2, shapes[-1]).contiguous()
    project, norm = decoder.adapter_1
    lateral = norm(_pointwise(project, finest))
    above = functional.interpolate(above, size=lateral.shape[-2:], mode="bilinear", align_corners=False)
    return levels, _pointwise(decoder.mask_projection, decoder.layer_1(lateral + above)).float()


def _pointwise(convolution: Any, x: torch.Tensor) -> torch.Tensor:
    """A convolution of one pixel as the product that it is: what comes out is never channels-last."""
    product = convolution.weight.flatten(1) @ x.flatten(2)
    if convolution.bias is not None:
        product = product + convolution.bias[:, None].to(product.dtype)
    return product.unflatten(2, x.shape[2:])


def _encoded(layer: Any, cells: torch.Tensor, positions: torch.Tensor, pyramid: Pyramid) -> torch.Tensor:
    attention = layer.self_attn
    heads = attention.n_heads
    sampler = sampler_of(attention.value_proj(cells).float().unflatten(2, (heads, -1)), pyramid, POINTS)
    with torch.autocast(cells.device.type, enabled=False):  # coordinates
        placed = cells + positions
        offsets = attention.sampling_offsets(placed).unflatten(2, (heads, LEVELS, POINTS, 2))
        weights = attention.attention_weights(placed).unflatten(2, (heads, LEVELS * POINTS)).softmax(dim=-1)
        attended = sampler.sample(offsets, weights.unflatten(3, (LEVELS, POINTS)), slice(None))
    cells = layer.self_attn_layer_norm(cells + attention.output_proj(attended).float())
    return layer.final_layer_norm(cells + layer.fc2(functional.relu(layer.fc1(cells))).float())


def _predictions(
    module: Any, class_predictor: nn.Module, levels: list[_Level], mask_features: torch.Tensor
) -> list[Prediction]:
    decoder = module.decoder
    memories, keys, small_masks = [], [], []
    for index, (cells, shape) in enumerate(levels):
        channels_first = cells.transpose(1, 2).unflatten(2, shape)
        memory = module.input_projections[index](channels_first).flatten(2).transpose(1, 2).float()
        memory = memory + module.level_embed.weight[index]
        memories.append(memory)
        keys.append(memory + sine_positions(*shape, memory.shape[2], memory.device))
        small = functional.interpolate(
            mask_features.detach(), size=shape, mode="bilinear", align_corners=False
        )
        small_masks.append(small.flatten(2))

    batch = mask_features.shape[0]
    positions = module.queries_embedder.weight.expand(batch, -1, -1)
    queries = module.queries_features.weight.expand(batch, -1, -1)
    predictions = [_predicted(decoder, class_predictor, queries)]
    for index, layer in enumerate(decoder.layers):
        level = index % LEVELS
        allowed = predictions[-1].embeddings.detach() @ small_masks[level] >= 0
        allowed = allowed | ~allowed.any(dim=-1, keepdim=True)  # a query with an empty mask looks everywhere
        queries = _decoded(
            layer,
            queries,
            positions=positions,
            memory=memories[level],
            keys=keys[level],
            allowed=allowed[:, None],
        )
        predictions.append(_predicted(decoder, class_predictor, queries))
    return predictions


def _predicted(decoder: Any, class_predictor: nn.Module, queries: torch.Tensor) -> Prediction:
    normed = decoder.layernorm(queries)
    return Prediction(class_predictor(normed).float(), decoder.mask_predictor.mask_embedder(normed).float())


def _decoded(
    layer: Any,
    queries: torch.Tensor,
    *,
    positions: torch.Tensor,
    memory: torch.Tensor,
    keys: torch.Tensor,
    allowed: torch.Tensor,
) -> torch.Tensor:
    cross, own = layer.cross_attn, layer.self_attn
    weights, biases = cross.in_proj_weight.chunk(3), cross.in_proj_bias.chunk(3)
    attended = _attend(
        [
            functional.linear(x, weight, bias)
            for x, weight, bias in zip((queries + positions, keys, memory), weights, biases, strict=True)
        ],
        cross.num_heads,
        allowed,
    )
    queries = layer.cross_attn_layer_norm(queries + cross.out_proj(attended).float())
    placed = queries + positions
    attended = _attend([own.q_proj(placed), own.k_proj(placed), own.v_proj(queries)], own.num_heads, None)
    queries = layer.self_attn_layer_norm(queries + own.out_proj(attended).float())
    return layer.final_layer_norm(queries + layer.fc2(functional.relu(layer.fc1(queries))).float())


def _attend(projected: list[torch.Tensor], heads: int, allowed: torch.Tensor | None) -> torch.Tensor:
    """Attend; ``projected`` are queries, keys and values, each (B, N, C); ``allowed`` is (B, 1, Q, S)."""
    queries, keys, values = (x.unflatten(2, (heads, -1)).transpose(1, 2) for x in projected)
    if queries.device.type == "cpu":  # the gradient of torch's kernel takes three times as long in bfloat16
        queries, keys, values = queries.float(), keys.float(), values.float()
    with torch.autocast(queries.device.type, enabled=False):
        attended = functional.scaled_dot_product_attention(queries, keys, values, attn_mask=allowed)
    return attended.transpose(1, 2).flatten(2)
