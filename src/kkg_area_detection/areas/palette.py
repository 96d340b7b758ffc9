"""Colours that people with any kind of colour vision can tell apart, the same for a label in every picture."""

from __future__ import annotations

from typing import TypeAlias

Colour: TypeAlias = tuple[int, int, int]

# Okabe and Ito's palette, which people with any kind of colour vision can tell apart
# (https://jfly.uni-koeln.de/color/); its black is left out, because walls are black on paper.
PALETTE = (
    (86, 180, 233),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (0, 114, 178),
    (240, 228, 66),
)


def colour_of(label_id: int) -> Colour:
    """Red, green and blue, 0 to 255, of a label."""
    return PALETTE[label_id % len(PALETTE)]
