import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import ndimage

from kkg_area_detection.areas.skeleton import thin, trace_branches

CORNERS_TOUCH = np.ones((3, 3))


@st.composite
def masks(draw: st.DrawFn) -> np.ndarray:  # type: ignore[type-arg]
    """Noise, and noise of thicker cells."""
    height, width = draw(st.integers(1, 10)), draw(st.integers(1, 10))
    thicker = draw(st.integers(1, 3))
    mask = draw(arrays.arrays(bool, (height, width)))
    return np.repeat(np.repeat(mask, thicker, axis=0), thicker, axis=1)


@given(masks())
def test_parts_and_holes_stay(mask: np.ndarray) -> None:  # type: ignore[type-arg]
    thinned = thin(mask)
    assert not np.any(thinned & ~mask)
    for grid, structure in ((mask, CORNERS_TOUCH), (np.pad(~mask, 1, constant_values=True), None)):
        kept = thinned if structure is not None else np.pad(~thinned, 1, constant_values=True)
        assert ndimage.label(kept, structure)[1] == ndimage.label(grid, structure)[1]


@given(masks())
def test_branches_lead_from_node_to_node_along_the_skeleton(mask: np.ndarray) -> None:  # type: ignore[type-arg]
    skeleton = thin(mask)
    branches, nodes = trace_branches(skeleton)
    seen = np.zeros_like(skeleton)
    for branch in branches:
        assert branch.path[0].tolist() == nodes[branch.start].tolist()
        assert branch.path[-1].tolist() == nodes[branch.end].tolist()
        inner = branch.path[1:-1].astype(int)
        assert abs(np.diff(inner, axis=0)).max(initial=0) <= 1
        assert skeleton[inner[:, 0], inner[:, 1]].all()
        assert not seen[inner[:, 0], inner[:, 1]].any()  # no cell is in two branches
        seen[inner[:, 0], inner[:, 1]] = True


@pytest.mark.parametrize(
    ("rows", "branches", "nodes"),
    [
        (["......"], 0, 0),
        ([".####."], 1, 2),
        (["#....#", "######", "#....#"], 1, 6),
        (["#####", "#...#", "#...#", "#####"], 1, 1),  # a ring
        (["..#..", "..#..", "#####", "..#..", "..#.."], 4, 5),
    ],
)
def test_branches(rows: list[str], branches: int, nodes: int) -> None:
    found = trace_branches(np.array([[letter == "#" for letter in row] for row in rows]))
    assert (len(found[0]), len(found[1])) == (branches, nodes)
