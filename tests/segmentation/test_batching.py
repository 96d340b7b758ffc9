import itertools
import random

import pytest

from kkg_area_detection.segmentation.batching import Line

A, B, C = (3, 64, 64), (3, 64, 96), (3, 96, 64)
FAILED = None


@pytest.mark.parametrize(
    ("shapes", "more_to_come", "expected"),
    [
        ([], True, []),
        ([], False, []),
        ([A], True, []),  # the next one may join
        ([A], False, [0]),
        ([A, A], True, []),
        ([A, A, A], True, [0, 1, 2]),
        ([A, A, A, A], True, [0, 1, 2]),  # never more than the batch size
        ([A, B, A, B, A], True, [0, 2, 4]),  # no shape is mixed with another
        ([A, B, B, B], True, []),  # the first in the line is never passed over
        ([A, B, B, B], False, [0]),
        ([A, B, B, B, B, B], True, [0]),  # far enough: six positions are two batches of three
        ([A, B, C, B, C, A], True, [0, 5]),
        ([A, B, B, B, B, B, A, A], True, [0]),  # what lies farther ahead does not count
        ([FAILED, A, FAILED, A, A], True, [1, 3, 4]),
        ([FAILED, A, B, B, B, B], True, []),  # looks ahead from the first that can be run
        ([FAILED, FAILED], False, []),
    ],
)
def test_batches_of_three(shapes, more_to_come, expected):
    line = Line(batch_size=3)
    for position, shape in enumerate(shapes):
        line.add(position, shape)
    assert line.reached == len(shapes)
    assert line.next_batch(more_to_come=more_to_come) == expected


def test_one_at_a_time_never_waits():
    line = Line(batch_size=1)
    line.add(0, A)
    assert line.next_batch(more_to_come=True) == [0]


def test_what_came_before_its_turn_waits():
    line = Line(batch_size=2)
    line.add(1, A)
    line.add(2, A)
    assert not line
    assert line.next_batch(more_to_come=False) == []
    line.add(0, A)
    assert line.next_batch(more_to_come=True) == [0, 1]


def batches_of(shapes, batch_size, order):
    """Let pictures come in some order, running what can be run after each."""
    line = Line(batch_size)
    batches = []
    for position in [*order, None]:
        if position is not None:
            line.add(position, shapes[position])
        while batch := line.next_batch(more_to_come=position is not None):
            batches.append(batch)
            line.remove(batch)
    assert not line
    return batches


@pytest.mark.parametrize("batch_size", [1, 2, 3, 8])
def test_batches_do_not_depend_on_who_came_first(batch_size):
    choice = random.Random(batch_size)
    for _ in range(50):
        shapes = choice.choices([A, B, C, FAILED], k=20)
        expected = batches_of(shapes, batch_size, range(20))
        order = sorted(range(20), key=lambda position: position + choice.uniform(0, 8))
        assert batches_of(shapes, batch_size, order) == expected
        assert sorted(itertools.chain(*expected)) == [n for n in range(20) if shapes[n] is not FAILED]
        for batch in expected:
            assert len({shapes[position] for position in batch}) == 1
            assert len(batch) <= batch_size


def test_a_smaller_batch_after_a_failure():
    line = Line(batch_size=4)
    for position in range(4):
        line.add(position, A)
    assert line.next_batch(more_to_come=True) == [0, 1, 2, 3]
    line.batch_size = 2
    assert line.next_batch(more_to_come=True) == [0, 1]
