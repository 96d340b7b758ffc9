"""Against transformers itself: every answer must be the same, to the last pixel and the sixth digit."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers.models.mask2former.image_processing_pil_mask2former import Mask2FormerImageProcessorPil
from transformers.models.maskformer.image_processing_pil_maskformer import MaskFormerImageProcessorPil

from kkg_area_detection.segmentation.postprocessing import (
    PAINTING_GRIDS,
    find_segments,
    mean_probability,
    measure_masks,
    nearest_index,
    rank_candidates,
)

PROCESSORS = {"maskformer": MaskFormerImageProcessorPil(), "mask2former": Mask2FormerImageProcessorPil()}
KINDS = sorted(PROCESSORS)

# Grids of a multiple of 64 cells, as real networks have them. On others the last few numbers of a tensor go
# through torch's scalar code, which rounds a sigmoid differently.
GRIDS = [(8, 8), (16, 12), (64, 1), (40, 56), (32, 90)]
TARGETS = [(1, 1), (1, 50), (7, 3), (40, 56), (64, 64), (100, 333), (257, 91)]


def random_logits(seed, *, queries=20, labels=4, grid=(40, 56), spread=3.0):
    """Class logits (Q, C + 1), and masks (Q, h, w) of smooth blobs, roughly as networks give them."""
    generator = torch.Generator().manual_seed(seed)
    class_logits = torch.randn(queries, labels + 1, generator=generator) * spread
    seeds = torch.randn(1, queries, 4, 4, generator=generator) * 5
    return class_logits, functional.interpolate(seeds, size=grid, mode="bicubic")[0]


def theirs(kind, class_logits, mask_logits, threshold, image_shape):
    outputs = SimpleNamespace(class_queries_logits=class_logits[None], masks_queries_logits=mask_logits[None])
    return PROCESSORS[kind].post_process_instance_segmentation(
        outputs, threshold=threshold, target_sizes=[image_shape]
    )[0]


def ours(kind, class_logits, mask_logits, threshold, image_shape):
    return find_segments(
        class_logits,
        mask_logits,
        image_shape=image_shape,
        threshold=threshold,
        grid_shape=PAINTING_GRIDS[kind],
        id2label={},
    )


def assert_same(kind, class_logits, mask_logits, threshold, image_shape):
    """Compare all that a caller can see; return how many segments there were."""
    expected = theirs(kind, class_logits, mask_logits, threshold, image_shape)
    result = ours(kind, class_logits, mask_logits, threshold, image_shape)
    assert result["segments_info"] == expected["segments_info"]
    assert result["segmentation"].dtype == torch.int32
    assert torch.equal(result["segmentation"], expected["segmentation"].int())
    assert result.pixel_counts() == {
        segment["id"]: int((expected["segmentation"] == segment["id"]).sum())
        for segment in expected["segments_info"]
    }
    return len(expected["segments_info"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(60))
def test_random(kind, seed):
    choose = random.Random(seed)
    class_logits, mask_logits = random_logits(
        seed,
        queries=choose.choice([1, 2, 3, 5, 8, 9, 33, 100]),
        labels=choose.choice([1, 2, 4, 7]),
        grid=choose.choice(GRIDS),
        spread=choose.choice([0.5, 3.0, 8.0]),
    )
    dtype = choose.choice([torch.float32, torch.float32, torch.float16, torch.bfloat16])
    threshold = choose.choice([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
    assert_same(kind, class_logits.to(dtype), mask_logits.to(dtype), threshold, choose.choice(TARGETS))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("grid", [*GRIDS, (1, 1), (2, 1), (1, 2), (7, 31), (33, 90)])
def test_sizes(kind, target, grid):
    # Saturated masks have the same score whatever code path sums them, so that odd grids can be compared too.
    class_logits, mask_logits = random_logits(1, grid=grid)
    assert assert_same(kind, class_logits, mask_logits.sign() * 100, 0.2, target) >= 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_dtypes(kind, dtype):
    class_logits, mask_logits = random_logits(2)
    assert assert_same(kind, class_logits.to(dtype), mask_logits.to(dtype), 0.3, (100, 120)) >= 3


@pytest.mark.parametrize("kind", KINDS)
def test_equal_scores_keep_the_painting_order(kind):
    _, mask_logits = random_logits(3, queries=30)
    assert assert_same(kind, torch.zeros(30, 3), mask_logits.sign() * 100, 0.1, (90, 90)) == 30


@pytest.mark.parametrize("kind", KINDS)
def test_identical_masks_hide_each_other_but_stay_listed(kind):
    class_logits, mask_logits = random_logits(4, labels=2)
    mask_logits = mask_logits[:1].expand(20, -1, -1)
    number = assert_same(kind, class_logits, mask_logits, 0.1, (64, 64))
    counts = ours(kind, class_logits, mask_logits, 0.1, (64, 64)).pixel_counts()
    assert number > 2
    assert [count > 0 for count in counts.values()] == [False] * (number - 1) + [True]


@pytest.mark.parametrize("kind", KINDS)
def test_one_query_under_two_labels(kind):
    class_logits = torch.tensor([[5.0, 5.0, 0.0], [0.0, 0.0, 9.0]])
    _, mask_logits = random_logits(5, queries=2)
    assert assert_same(kind, class_logits, mask_logits, 0.3, (50, 50)) == 2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [-1, 0, 1])
@pytest.mark.parametrize("seed", range(5))
def test_threshold_beside_and_on_a_score(kind, steps, seed):
    class_logits, mask_logits = random_logits(seed)
    if PAINTING_GRIDS[kind]:
        mask_logits = functional.interpolate(mask_logits[None], size=PAINTING_GRIDS[kind], mode="bilinear")[0]
    everything = rank_candidates(class_logits, 0.0)
    scores = everything.probabilities * mean_probability(mask_logits)[everything.queries]
    score = float(scores.sort().values[len(scores) // 2])
    numbers = []
    for threshold in (np.nextafter(score, 0), score, np.nextafter(score, 1)):
        numbers.append(assert_same(kind, class_logits, mask_logits, float(threshold), (80, 70)))
    assert numbers[0] == numbers[1] == numbers[2] + 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.001, 0.05, 1.0])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("where", ["class", "mask"])
def test_logits_that_are_no_numbers(kind, share, value, where):
    class_logits, mask_logits = random_logits(6)
    spoilt = class_logits if where == "class" else mask_logits
    spoilt[torch.rand(spoilt.shape, generator=torch.Generator().manual_seed(0)) < share] = value
    assert_same(kind, class_logits, mask_logits, 0.2, (60, 60))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("class_logits", "mask_logits"),
    [
        (torch.tensor([[0.0, 9.0]]).expand(8, -1), torch.ones(8, 16, 16)),  # all "no object"
        (torch.tensor([[9.0, 0.0]]).expand(8, -1), -torch.ones(8, 16, 16)),  # objects without a mask
        (torch.tensor([[9.0, 0.0]]).expand(8, -1), torch.zeros(8, 16, 16)),  # 0 is outside
    ],
)
def test_nothing_found(kind, class_logits, mask_logits):
    assert assert_same(kind, class_logits, mask_logits, 0.5, (40, 30)) == 0
    assert (ours(kind, class_logits, mask_logits, 0.5, (40, 30))["segmentation"] == -1).all()


@pytest.mark.parametrize("kind", KINDS)
def test_everything_found(kind):
    class_logits = torch.tensor([[0.0, 20.0, 0.0]]).expand(100, -1)
    _, mask_logits = random_logits(7, queries=100)
    assert assert_same(kind, class_logits, mask_logits.sign() * 100, 0.5, (200, 150)) == 100


def test_a_mask_that_vanishes_in_the_reduction_is_not_listed():
    mask_logits = torch.full((2, 64, 64), -9.0)
    mask_logits[0, 1, 1] = 9.0  # reduced by 8, only every eighth row and column is seen
    mask_logits[1, 8, 8] = 9.0
    class_logits = torch.tensor([[9.0, 0.0], [9.0, 0.0]])
    assert assert_same("maskformer", class_logits, mask_logits, 0.5, (8, 8)) == 1
    assert assert_same("maskformer", class_logits, mask_logits, 0.5, (64, 64)) == 2


@pytest.mark.parametrize(
    ("source", "target"), [(200, 3508), (288, 2480), (384, 383), (7, 7), (1000, 1), (1, 9)]
)
def test_nearest_index_is_that_of_torch(source, target):
    image = torch.arange(source, dtype=torch.float32).view(1, 1, 1, source).expand(1, 2, 3, source)
    expected = functional.interpolate(image, size=(5, target), mode="nearest")[0, 0, 0]
    index = nearest_index(source, target)
    assert index.tolist() == expected.tolist()
    assert (np.diff(index) >= 0).all()


@pytest.fixture(params=[1, 2])
def threads(request):
    """Run with this many threads; some of torch's code paths are for one thread only."""
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


@pytest.mark.usefixtures("threads")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grid", [(8, 8), (40, 56)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("number", [1, 2, 3, 4, 9])
def test_a_few_masks_get_the_bits_they_get_among_all(kind, grid, dtype, number):
    mask_logits = random_logits(number, grid=grid)[1].to(dtype)
    shape = PAINTING_GRIDS[kind]
    resized = mask_logits
    if shape:
        resized = functional.interpolate(mask_logits[None], size=shape, mode="bilinear")[0]
    queries = torch.arange(0, 2 * number, 2)
    masks = measure_masks(mask_logits, queries, shape, np.arange(1), np.arange(1))
    assert torch.equal(masks.inside, (resized > 0)[queries])
    assert torch.equal(masks.probabilities, mean_probability(resized)[queries])


def test_logits_of_an_engine_are_left_alone():
    class_logits, mask_logits = random_logits(8)
    before = class_logits.clone(), mask_logits.clone()
    ours("mask2former", class_logits, mask_logits, 0.1, (30, 30))
    assert torch.equal(class_logits, before[0])
    assert torch.equal(mask_logits, before[1])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("seed", range(5))
def test_cuda_gives_what_the_cpu_gives(kind, dtype, seed):
    class_logits, mask_logits = (logits.to(dtype) for logits in random_logits(seed, queries=100))
    cpu = ours(kind, class_logits, mask_logits, 0.3, (500, 700))
    cuda = ours(kind, class_logits.cuda(), mask_logits.cuda(), 0.3, (500, 700))
    assert [s["label_id"] for s in cuda["segments_info"]] == [s["label_id"] for s in cpu["segments_info"]]
    assert [s["score"] for s in cuda["segments_info"]] == pytest.approx(
        [s["score"] for s in cpu["segments_info"]], abs=1e-6 if dtype == torch.float32 else 1e-3
    )
    # Resized logits may lie on the other side of 0 by their last bit, here and there.
    assert (cuda.id_grid != cpu.id_grid).mean() < 1e-3
