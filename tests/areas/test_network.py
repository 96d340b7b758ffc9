import numpy as np

from kkg_area_detection.areas.network import Network
from tests.areas.segmentations import drawn, traced


def test_vertices_and_sides_are_there_once() -> None:
    """Two cells beside a third as high as both: five outer corners, a junction on the border, one inside."""
    coverage = traced(drawn("02", "12"))
    network = Network.of(coverage)
    points = [tuple(point) for point in network.points.tolist()]
    assert sorted(points) == [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 2), (2, 0), (2, 2)]
    degree = dict(zip(points, network.degree().tolist(), strict=True))
    assert degree == {
        (0, 0): 2, (0, 1): 3, (0, 2): 2, (1, 0): 3, (1, 1): 3, (1, 2): 3, (2, 0): 2, (2, 2): 2,
    }  # fmt: skip
    assert len(network.sides) == 10
    assert {*zip(points, network.on_border.tolist(), strict=True)} == {
        (point, point != (1, 1)) for point in points
    }
    assert np.array_equal(
        network.points[network.sides[:, 1]] - network.points[network.sides[:, 0]], network.steps()
    )


def test_coordinates_know_their_vertex_and_face() -> None:
    coverage = traced(drawn("000", "0.0", "000"))
    network = Network.of(coverage)
    face = network.ring_face[network.ring]
    for number, polygon in enumerate(coverage.faces):
        mine = [tuple(point) for point in network.points[network.vertex[face == number]].tolist()]
        rings = [polygon.exterior, *polygon.interiors]
        assert mine == [tuple(point) for ring in rings for point in ring.coords]
