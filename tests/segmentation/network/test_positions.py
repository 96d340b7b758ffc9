import pytest
import torch
from transformers.models.mask2former.modeling_mask2former import Mask2FormerSinePositionEmbedding

from kkg_area_detection.segmentation.network.positions import sine_positions


@pytest.mark.parametrize("channels", [4, 16, 256])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (7, 1), (5, 8), (100, 144)])
def test_equal_to_those_of_transformers(height, width, channels):
    original = Mask2FormerSinePositionEmbedding(channels // 2, normalize=True)
    expected = original(torch.Size((1, channels, height, width)), "cpu", torch.float32)
    found = sine_positions(height, width, channels, torch.device("cpu"))
    torch.testing.assert_close(found, expected.flatten(2).transpose(1, 2), atol=1e-6, rtol=0)
