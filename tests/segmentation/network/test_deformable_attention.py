"""The two ways of sampling against each other, and both against transformers."""

import pytest
import torch
from transformers.models.mask2former.modeling_mask2former import multi_scale_deformable_attention

from kkg_area_detection.segmentation.network.deformable_attention import (
    BagSampler,
    GridSampler,
    Pyramid,
    sampler_of,
)

CPU = torch.device("cpu")
HEADS, CHANNELS, POINTS = 2, 3, 4
SHAPES = ((2, 3), (4, 6), (7, 11))
CELLS = sum(height * width for height, width in SHAPES)


def draw(offsets_of, shapes=SHAPES, batch=2, seed=0):
    """Values, offsets and weights of one layer."""
    generator = torch.Generator().manual_seed(seed)
    cells = sum(height * width for height, width in shapes)
    shape = (batch, cells, HEADS, len(shapes), POINTS)
    values = torch.randn(batch, cells, HEADS, CHANNELS, generator=generator)
    weights = torch.randn(shape, generator=generator).flatten(3).softmax(dim=3).view(shape)
    return values, offsets_of(torch.randn(*shape, 2, generator=generator)), weights


def sample(sampler_class, values, offsets, weights, shapes=SHAPES, queries=slice(None)):
    pyramid = Pyramid.of(shapes, CPU)
    bags = sampler_class is BagSampler
    sampler = BagSampler.of(values, pyramid, POINTS) if bags else GridSampler(values, pyramid)
    return sampler.sample(offsets[:, queries], weights[:, queries], queries)


def as_transformers_does(values, offsets, weights, shapes):
    """Reference points and normalisation as in ``Mask2FormerPixelDecoderEncoderMultiscaleDeformableAttention``."""
    points = [
        torch.stack(torch.meshgrid(row, column, indexing="ij")[::-1], dim=-1).flatten(0, 1)
        for row, column in ((side(height), side(width)) for height, width in shapes)
    ]
    sizes = torch.tensor([(width, height) for height, width in shapes])
    locations = torch.cat(points)[None, :, None, None, None] + offsets / sizes[:, None]
    return multi_scale_deformable_attention(values, shapes, locations, weights)


def side(length):
    return torch.linspace(0.5, length - 0.5, length) / length


@pytest.mark.parametrize(
    "offsets_of",
    [
        torch.zeros_like,
        lambda noise: noise,
        lambda noise: noise * 8,
        lambda noise: noise * 1e4,  # nearly all outside
        lambda noise: noise * 1e30,
        lambda noise: (noise * 4).round(),  # cell centres, for queries of the same level
        lambda noise: (noise * 4).round() + 0.5,  # between cells, and on the border of the map
        lambda noise: torch.full_like(noise, -1e9),
        lambda noise: torch.full_like(noise, 1e9),
    ],
)
@pytest.mark.parametrize(
    "shapes",
    [SHAPES, ((1, 1), (1, 1), (1, 1)), ((1, 1), (1, 2), (1, 3)), ((3, 1), (5, 1), (10, 1)), ((8, 8),)],
)
def test_both_do_what_transformers_does(offsets_of, shapes):
    values, offsets, weights = draw(offsets_of, shapes)
    expected = as_transformers_does(values, offsets, weights, shapes)
    for sampler_class in (BagSampler, GridSampler):
        found = sample(sampler_class, values, offsets, weights, shapes)
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("sampler_class", [BagSampler, GridSampler])
def test_some_of_the_queries(sampler_class):
    values, offsets, weights = draw(lambda noise: noise * 3)
    everything = sample(sampler_class, values, offsets, weights)
    for queries in (slice(0, 1), slice(5, 31), slice(CELLS - 4, CELLS)):
        part = sample(sampler_class, values, offsets, weights, queries=queries)
        torch.testing.assert_close(part, everything[:, queries])


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf"), 3.4e38, -3.4e38])
@pytest.mark.parametrize("axis", [0, 1])
def test_offsets_that_are_no_place(number, axis):
    """They read no memory that is not theirs, and disturb no other head and no other query."""
    values, offsets, weights = draw(lambda noise: noise * 3)
    broken = offsets.clone()
    broken[1, 5, 1, 2, 3, axis] = number
    expected = sample(BagSampler, values, offsets, weights).unflatten(2, (HEADS, CHANNELS))
    found = sample(BagSampler, values, broken, weights).unflatten(2, (HEADS, CHANNELS))
    found[1, 5, 1] = expected[1, 5, 1]
    assert torch.equal(found, expected)


@pytest.mark.parametrize("sampler_class", [BagSampler, GridSampler])
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_not_hidden(sampler_class, number):
    values, offsets, weights = draw(torch.zeros_like)
    weights[1, 5, 1] = number
    found = sample(sampler_class, values, offsets, weights).unflatten(2, (HEADS, CHANNELS))
    assert not found[1, 5, 1].isfinite().any()
    found[1, 5, 1] = 0
    assert found.isfinite().all()


def test_the_choice():
    values, _, _ = draw(torch.zeros_like)
    pyramid = Pyramid.of(SHAPES, CPU)
    assert isinstance(sampler_of(values, pyramid, POINTS), BagSampler)
    assert isinstance(sampler_of(values.to("meta"), pyramid, POINTS), GridSampler)
