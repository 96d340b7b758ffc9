"""``Sample``: a drawing and what is on it, wherever both come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LABELS = ("room", "exwall", "inwall", "door", "window")
"""What the plan generator draws, and the classes of a model that is trained on its plans alone."""


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A drawing with its segments.

    Attributes:
        image: uint8, shape (H, W, 3), RGB.
        ids: uint16, shape (H, W): at each pixel the number of its segment, from 1; 0 is background.
        labels: Label of segment 1, 2 and so on. A segment may have no pixel.
        name: For people: a seed, or a file name.
    """

    image: NDArray[np.uint8]
    ids: NDArray[np.uint16]
    labels: tuple[str, ...]
    name: str = ""
