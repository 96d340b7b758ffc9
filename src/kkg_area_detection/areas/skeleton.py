"""The skeleton of a mask: lines one cell wide along its middle, and the graph that they form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NO_NODE = -1


@dataclass(frozen=True, slots=True)
class Branch:
    """A line of the skeleton between two nodes.

    Attributes:
        start: Number of the node at its first cell's end.
        end: Number of the other node; the same one for a ring.
        path: Shape (n, 2), float64: rows and columns, from node to node, both included.
    """

    start: int
    end: int
    path: NDArray[np.float64]


def thin(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Peel a mask from both sides until lines are left, after Guo and Hall (1989).

    Parts stay in one piece, holes stay, and no part vanishes. Only the cells at its edge are looked at, so that
    large sheets are quick.

    Args:
        mask: Shape (h, w).

    Returns:
        Shape (h, w).
    """
    alive = np.pad(mask, 1)
    width = alive.shape[1]
    flat = alive.ravel()
    # North, north-east and so on, clockwise: the bits of a neighbourhood, from the lowest.
    around = np.array([-width, 1 - width, 1, width + 1, width, width - 1, -1, -width - 1])
    deletable = _deletable()
    cells = np.flatnonzero(flat)
    edge = cells[~flat[cells[:, None] + around].all(axis=1)]
    turn, idle = 0, 0
    while idle < 2:
        bits = (flat[edge[:, None] + around] << np.arange(8)).sum(axis=1)
        goes = deletable[turn % 2][bits]
        flat[edge[goes]] = False
        bared = (edge[goes][:, None] + around).ravel()
        edge = np.unique(np.concatenate((edge[~goes], bared[flat[bared]])))
        turn, idle = turn + 1, 0 if goes.any() else idle + 1
    return alive[1:-1, 1:-1]


def _deletable() -> NDArray[np.bool_]:
    """Shape (2, 256): whether a cell goes, in even and in odd turns, by the bits of its neighbourhood."""
    p = (np.arange(256)[:, None] >> np.arange(8)) & 1 == 1
    n, ne, e, se, s, sw, w, nw = p.T
    sides, next_corners, last_corners = (n, e, s, w), (ne, se, sw, nw), (nw, ne, se, sw)
    runs = sum(
        (~side & (corner | following)).astype(int)
        for side, corner, following in zip(sides, next_corners, (e, s, w, n), strict=True)
    )
    pairs = np.minimum(
        sum((side | corner).astype(int) for side, corner in zip(sides, last_corners, strict=True)),
        sum((side | corner).astype(int) for side, corner in zip(sides, next_corners, strict=True)),
    )
    goes = (runs == 1) & (pairs >= 2) & (pairs <= 3)
    return np.stack((goes & ~((s | sw | ~nw) & w), goes & ~((n | ne | ~se) & e)))


def trace_branches(skeleton: NDArray[np.bool_]) -> tuple[list[Branch], NDArray[np.float64]]:
    """Follow the lines of a skeleton.

    A node is where lines meet or end. Junctions that touch are one node.

    Args:
        skeleton: Shape (h, w), from ``thin``.

    Returns:
        The branches, and the nodes: shape (n, 2), rows and columns. A ring without nodes gets one.
    """
    neighbours = _neighbours(skeleton)
    node_of, nodes = _find_nodes(neighbours)
    branches: list[Branch] = []
    done: set[complex] = set()

    def follow(node: int, before: complex, cell: complex) -> None:
        path = [before, cell]
        while cell not in node_of:
            done.add(cell)
            ahead = [other for other in neighbours[cell] if other != before]
            before, cell = cell, ahead[0]
            path.append(cell)
        end = node_of[cell]
        points = np.array([(point.imag, point.real) for point in path])
        points[0], points[-1] = nodes[node], nodes[end]
        branches.append(Branch(node, end, points))

    for start in list(node_of):
        for cell in neighbours[start]:
            if cell not in done and cell not in node_of:
                follow(node_of[start], start, cell)
    for cell in neighbours:
        if cell not in done and cell not in node_of:  # a ring
            node_of[cell] = len(nodes)
            nodes.append((cell.imag, cell.real))
            follow(node_of[cell], cell, neighbours[cell][0])
    return branches, np.array(nodes, dtype=np.float64).reshape(-1, 2)


def _neighbours(skeleton: NDArray[np.bool_]) -> dict[complex, list[complex]]:
    """The neighbours of each cell; a cell is column + row * 1j. Of those at corners, only who meet nowhere else."""
    cells = {complex(column, row) for row, column in np.argwhere(skeleton).tolist()}
    found = {}
    for cell in cells:
        sides = [cell + step for step in (1, 1j, -1, -1j) if cell + step in cells]
        corners = [
            cell + a + b
            for a, b in ((1, 1j), (1j, -1), (-1, -1j), (-1j, 1))
            if cell + a + b in cells and cell + a not in cells and cell + b not in cells
        ]
        found[cell] = sides + corners
    return found


def _find_nodes(
    neighbours: dict[complex, list[complex]],
) -> tuple[dict[complex, int], list[tuple[float, float]]]:
    node_of: dict[complex, int] = {}
    nodes: list[tuple[float, float]] = []
    joints = {cell for cell, others in neighbours.items() if len(others) > 2}
    for cell in [*joints, *(cell for cell, others in neighbours.items() if len(others) < 2)]:
        if cell in node_of:
            continue
        group = [cell]
        node_of[cell] = len(nodes)
        for member in group:  # grows while it is read
            for other in neighbours[member]:
                if other in joints and member in joints and other not in node_of:
                    node_of[other] = len(nodes)
                    group.append(other)
        middle = sum(group) / len(group)
        nodes.append((middle.imag, middle.real))
    return node_of, nodes
