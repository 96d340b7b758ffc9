"""The outline of a building as rectangles that tile it."""

from __future__ import annotations

import random

IntBox = tuple[int, int, int, int]

_MASKS: tuple[tuple[float, tuple[str, str, str]], ...] = (
    (0.40, ("###", "###", "###")),
    (0.12, (".##", "###", "###")),
    (0.08, ("..#", "###", "###")),
    (0.06, (".##", ".##", "###")),
    (0.08, (".#.", "###", "###")),
    (0.07, ("#.#", "###", "###")),
    (0.04, ("#.#", "#.#", "###")),
    (0.09, (".##", "###", "##.")),
    (0.03, (".#.", "###", ".#.")),
    (0.03, ("###", "#.#", "###")),
)


def outline(random_: random.Random, width: int, height: int) -> list[IntBox]:
    """Rectangles, in units, of a building that fills ``width`` x ``height`` but for corners and courts.

    Args:
        random_: The building is drawn from it.
        width: In units.
        height: In units.

    Returns:
        Rectangles (left, top, right, bottom) that touch and do not overlap.
    """
    mask = random_.choices([rows for _, rows in _MASKS], [weight for weight, _ in _MASKS])[0]
    cells = [[mark == "#" for mark in row] for row in mask]
    for _ in range(random_.randrange(4)):
        cells = [list(row) for row in zip(*cells[::-1], strict=True)]
    shallow = random_.random() < 0.3  # a notch rather than a wing
    low = (0.08, 0.2) if shallow else (0.22, 0.42)
    xs = [0, round(width * random_.uniform(*low)), round(width * random_.uniform(0.58, 0.78)), width]
    ys = [0, round(height * random_.uniform(*low)), round(height * random_.uniform(0.58, 0.78)), height]
    return [
        (xs[left], ys[top], xs[right], ys[bottom])
        for left, top, right, bottom in _rectangles(cells, wide_first=random_.random() < 0.5)
    ]


def _rectangles(cells: list[list[bool]], *, wide_first: bool) -> list[IntBox]:
    """Cover the true cells with few rectangles, each grown one way and then the other."""
    left_over = [row[:] for row in cells]
    found = []
    for top in range(3):
        for left in range(3):
            if not left_over[top][left]:
                continue
            right, bottom = left + 1, top + 1
            for grow_wide in (wide_first, not wide_first):
                if grow_wide:
                    while right < 3 and all(left_over[y][right] for y in range(top, bottom)):
                        right += 1
                else:
                    while bottom < 3 and all(left_over[bottom][left:right]):
                        bottom += 1
            for y in range(top, bottom):
                left_over[y][left:right] = [False] * (right - left)
            found.append((left, top, right, bottom))
    return found
