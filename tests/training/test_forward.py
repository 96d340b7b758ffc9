"""Our arithmetic against transformers' own classes: the same numbers, and the same gradients."""

import pytest
import torch

from kkg_area_detection.segmentation.network.deformable_attention import BagSampler, GridSampler, Pyramid
from kkg_area_detection.training import forward
from kkg_area_detection.training.architecture import architecture
from kkg_area_detection.training.deformable_sampling import TrainableBagSampler
from kkg_area_detection.training.model import new_network

SMALL_SWIN = {
    "model_type": "swin",
    "embed_dim": 8,
    "depths": [1, 1, 1, 1],
    "num_heads": [1, 1, 2, 2],
    "window_size": 4,
    "out_features": ["stage1", "stage2", "stage3", "stage4"],
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"backbone_config": SMALL_SWIN},
        {"hidden_dim": 64, "decoder_layers": 5},  # projected levels; more layers than levels
        {"encoder_layers": 2, "mask_feature_size": 64},
    ],
)
@pytest.mark.parametrize("shape", [(64, 64), (96, 64)])
def test_says_what_transformers_says(changes, shape):
    torch.manual_seed(0)
    model = new_network(architecture("tiny") | changes, ("room", "exwall")).eval()
    pixels = torch.randn(2, 3, *shape)

    ours = forward.run(model, pixels)
    theirs = model(pixel_values=pixels, output_auxiliary_logits=True)

    torch.testing.assert_close(ours.mask_logits(), theirs.masks_queries_logits, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(
        ours.predictions[-1].class_logits, theirs.class_queries_logits, atol=2e-5, rtol=1e-4
    )
    assert len(ours.predictions) == 1 + len(theirs.auxiliary_logits)


def test_learns_in_bfloat16_what_it_learns_in_float32():
    torch.manual_seed(0)
    model = new_network(architecture("tiny"), ("room",))
    pixels = torch.randn(1, 3, 64, 64)
    gradients = []
    for enabled in (False, True):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            outputs = forward.run(model, pixels)
        outputs.mask_logits().square().mean().backward()
        gradients.append(
            torch.cat([one.grad.flatten() for one in model.parameters() if one.grad is not None])
        )
    assert torch.cosine_similarity(*gradients, dim=0) > 0.98


@pytest.mark.parametrize(
    "yardstick", [BagSampler.of, lambda values, pyramid, points: GridSampler(values, pyramid)]
)
def test_the_gradient_of_sampling_is_torchs_own(yardstick):
    torch.manual_seed(0)
    pyramid = Pyramid.of(((2, 3), (4, 6), (8, 12)), torch.device("cpu"))
    values = torch.randn(2, 126, 2, 8, requires_grad=True)
    offsets = (torch.randn(2, 126, 2, 3, 4, 2) * 3).requires_grad_()
    weights = torch.rand(2, 126, 2, 3, 4, requires_grad=True)

    def gradients(sampler):
        sums = sampler.sample(offsets, weights, slice(None))
        return torch.autograd.grad((sums * torch.arange(16.0)).sum(), (values, offsets, weights))

    ours = gradients(TrainableBagSampler.of(values, pyramid, 4))
    for our, their in zip(ours, gradients(yardstick(values, pyramid, 4)), strict=True):
        torch.testing.assert_close(our, their, atol=1e-3, rtol=1e-3)
