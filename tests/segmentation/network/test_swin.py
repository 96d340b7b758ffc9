"""The geometry of windows, against transformers' own."""

import pytest
import torch
from transformers.models.swin.configuration_swin import SwinConfig
from transformers.models.swin.modeling_swin import SwinLayer, SwinRelativePositionBias, window_partition

from kkg_area_detection.segmentation.network.swin import Windows, relative_position_index

CPU = torch.device("cpu")


@pytest.mark.parametrize("window", [1, 2, 4, 7, 12])
def test_relative_positions(window):
    expected = SwinRelativePositionBias(1, (window, window)).relative_position_index
    assert torch.equal(relative_position_index(window), expected)


def test_relative_positions_by_hand():
    """Two by two cells: the middle of the table is no offset, its last row one down and one to the right."""
    index = relative_position_index(2).view(4, 4)
    assert index.diagonal().tolist() == [4, 4, 4, 4]
    assert index[3, 0] == 8
    assert index[0, 3] == 0
    assert index[0, 1] == 3
    assert index[0, 2] == 1


@pytest.mark.parametrize("shifted", [False, True])
@pytest.mark.parametrize("window", [2, 4, 7])
@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 14), (5, 9), (1, 1), (3, 1), (16, 2)])
def test_windows(height, width, window, shifted):
    shift = window // 2 if shifted else 0
    windows = Windows.of(height, width, window, shift, CPU)
    layer = SwinLayer(SwinConfig(embed_dim=4, window_size=window), 4, (8, 8), 1, shift_size=shift)

    cells = torch.arange(1.0, height * width + 1).view(1, height, width, 1)
    padded, _ = layer.maybe_pad(cells, height, width)
    expected = window_partition(layer.cyclic_shift(padded), window).flatten()
    found = torch.zeros(windows.cells)
    found[windows.place] = cells.flatten()
    assert torch.equal(found, expected)

    mask = layer.get_attn_mask(*padded.shape[1:3], torch.float32, CPU)
    if shift:
        assert torch.equal(windows.mask, mask[:, None])
    else:
        assert windows.mask is None
        assert mask is None
