"""Which pictures are run together.

Only those whose inputs have the same shape; none is padded. Which ones follows from the order and the shapes
alone, not from which thread was quicker, because a batch changes the last bits of its logits: the same
pictures shall give the same results each time.
"""

from __future__ import annotations

# How far ahead to look for pictures of one shape, in batches.
LOOKAHEAD_BATCHES = 2


class Line:
    """The pictures that wait to be run, by their positions among all pictures.

    Args:
        batch_size: The most to run at a time.

    Attributes:
        batch_size: May be made smaller.
        reached: All pictures before this position were added.

    Example:
        >>> line = Line(batch_size=2)
        >>> line.add(0, (3, 64, 64))
        >>> line.add(2, (3, 64, 64))
        >>> line.next_batch(more_to_come=True)  # picture 1 may belong to it
        []
        >>> line.add(1, (3, 64, 96))
        >>> line.next_batch(more_to_come=True)
        [0, 2]
    """

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.reached = 0
        self._lookahead = LOOKAHEAD_BATCHES * batch_size
        self._ahead: dict[int, tuple[int, ...] | None] = {}  # added before their turn
        self._waiting: dict[int, tuple[int, ...]] = {}  # in the order of positions

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def add(self, position: int, shape: tuple[int, ...] | None) -> None:
        """Note that a picture is prepared.

        Args:
            position: Each once, in any order.
            shape: Of the network's input; None for a picture that failed and will not be run.
        """
        self._ahead[position] = shape
        while self.reached in self._ahead:
            shape = self._ahead.pop(self.reached)
            if shape is not None:
                self._waiting[self.reached] = shape
            self.reached += 1

    def next_batch(self, *, more_to_come: bool) -> list[int]:
        """Choose the first picture in the line, and the next ones of its shape.

        Args:
            more_to_come: Whether it is worth waiting for the pictures from ``reached`` on.

        Returns:
            Positions; none where a picture that belongs to the batch may still come.
        """
        if not self._waiting:
            return []
        first, shape = next(iter(self._waiting.items()))
        end = first + self._lookahead
        alike = [position for position, other in self._waiting.items() if other == shape and position < end]
        if len(alike) >= self.batch_size or self.reached >= end or not more_to_come:
            return alike[: self.batch_size]
        return []

    def remove(self, batch: list[int]) -> None:
        """Note that pictures have been run."""
        for position in batch:
            del self._waiting[position]
