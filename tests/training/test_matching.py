import pytest
import torch

from kkg_area_detection.training.matching import (
    Cells,
    LossWeights,
    draw_cells,
    mask_costs,
    mask_losses,
    match,
)


def masks(*rows):
    return torch.tensor(rows, dtype=torch.float32)


def test_a_cost_is_the_loss_of_the_pair():
    torch.manual_seed(0)
    logits, truth, weight = torch.randn(4, 50), torch.rand(4, 50), torch.rand(50)
    costs, losses = mask_costs(logits, truth, weight), mask_losses(logits, truth, weight)
    for cost, loss in zip(costs, losses, strict=True):
        torch.testing.assert_close(cost.diagonal(), loss)


@pytest.mark.parametrize(
    ("logits", "segments"),
    [
        (masks([9, 9, -9, -9], [-9, -9, 9, 9]), [0, 1]),
        (masks([-9, -9, 9, 9], [9, 9, -9, -9]), [1, 0]),
        (masks([-9, -9, 9, 9], [9, 9, 9, 9], [9, 9, -9, -9]), [1, None, 0]),  # more queries than segments
        (masks([-9, -9, 9, 9]), [1]),  # fewer
    ],
)
def test_matches_masks_with_segments(logits, segments):
    truth = masks([1, 1, 0, 0], [0, 0, 1, 1])
    cells = Cells(torch.arange(4), torch.ones(4), truth)
    query, segment = match(torch.zeros(len(logits), 3), logits, torch.tensor([0, 1]), cells, LossWeights())
    found = dict(zip(query.tolist(), segment.tolist(), strict=True))
    assert [found.get(number) for number in range(len(logits))] == segments


def test_classes_decide_between_equal_masks():
    truth = masks([1, 1, 0, 0], [1, 1, 0, 0])
    cells = Cells(torch.arange(4), torch.ones(4), truth)
    class_logits = masks([0, 9, 0], [9, 0, 0])
    query, segment = match(class_logits, torch.zeros(2, 4), torch.tensor([0, 1]), cells, LossWeights())
    assert query.tolist() == [0, 1]
    assert segment.tolist() == [1, 0]


def test_sums_over_drawn_cells_are_unbiased_and_small_segments_are_seen():
    truth = torch.zeros(2, 4000)
    truth[0, :3000] = 1
    truth[1, 3000:3004] = 1
    generator = torch.Generator().manual_seed(0)
    drawn = [draw_cells(truth, 200, generator) for _ in range(100)]
    areas = torch.stack([cells.truth @ cells.weight for cells in drawn]).mean(dim=0)
    assert areas[0] == pytest.approx(3000, rel=0.03)
    assert areas[1] == pytest.approx(4, rel=0.03)
    assert all(cells.truth[1].sum() > 20 for cells in drawn)


def test_a_small_grid_is_taken_whole():
    cells = draw_cells(torch.rand(3, 16), 16, torch.Generator())
    assert cells.place.tolist() == list(range(16))
    assert cells.weight.tolist() == [1] * 16
