import re
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.affinity import rotate
from shapely.geometry import LineString, MultiPolygon, Polygon, box

from kkg_area_detection.areas.area import Area, Areas, Wall
from kkg_area_detection.areas.scale import Scale
from kkg_area_detection.areas.schedule import (
    COLUMNS,
    FloorSchedule,
    Schedule,
    ScheduleRules,
    area_schedule,
)
from kkg_area_detection.areas.units import Rounding
from kkg_area_detection.errors import UsageError

CENTIMETRE = Scale(10.0)  # a pixel is a centimetre
EXACT = ScheduleRules(total=None)


def sheet(*shapes: shapely.Geometry, labels: Sequence[str] = (), walls: tuple[Wall, ...] = ()) -> Areas:
    labels = labels or ["room"] * len(shapes)
    areas = [
        Area(id_, 0, label, 0.9, shape, round(shape.area))
        for id_, (shape, label) in enumerate(zip(shapes, labels, strict=True))
    ]
    return Areas(tuple(areas), (2000, 2000), scale=CENTIMETRE, walls=walls)


def by_hand(formula: str) -> Decimal:
    """What a printed formula gives on a pocket calculator."""
    assert re.fullmatch(r"[-+×÷().0-9]+", formula)
    plain = re.sub(r"\d+(\.\d+)?", r"Decimal('\g<0>')", formula.replace("×", "*").replace("÷", "/"))
    return Decimal(eval(plain))


def assert_adds_up(floor: FloorSchedule, rules: ScheduleRules) -> None:
    for row in floor.rows:
        area = by_hand(row.formula)
        assert row.area == (rules.row.apply(area) if rules.row else area)
    rooms = {row.sign.split("-")[0] for row in floor.rows}
    for room in rooms:
        rows = [row for row in floor.rows if row.sign.split("-")[0] == room]
        subtotals = [row.subtotal for row in rows if row.subtotal is not None]
        assert subtotals == ([sum(row.area for row in rows)] if len(rows) > 1 else [])
    total = sum((row.area for row in floor.rows), Decimal(0))
    assert floor.total == (rules.total.apply(total) if rules.total else total)


def test_a_floor_of_a_real_application() -> None:
    """Two rectangles of 67.108800 and 6.817250 m2 make 73.926050 m2, of which 73.92 count."""
    # The second room is 2.75 m by 2.47904 m; its side is printed in millimetres.
    floor = area_schedule(sheet(box(0, 0, 1023, 656), box(0, 656, 275, 903.904)), "1階")
    assert floor.lines() == [
        ("A", "room 0", "10.230×6.560", "67.108800", "", ""),
        ("B", "room 1", "2.750×2.479", "6.817250", "", ""),
        ("", "1階合計", "", "73.926050", "", "73.92"),
    ]


L_SHAPE = Polygon([(0, 0), (1023, 0), (1023, 656), (700, 656), (700, 800), (0, 800)])


@pytest.mark.parametrize(
    ("shape", "formulas"),
    [
        (box(100, 100, 464, 282), ["3.640×1.820"]),
        (box(100, 100, 282, 464), ["1.820×3.640"]),  # upright stays upright
        (rotate(box(0, 0, 364, 182), 33), ["3.640×1.820"]),
        (L_SHAPE, ["7.000×1.440", "10.230×6.560"]),
        (rotate(L_SHAPE, -20), ["7.000×1.440", "10.230×6.560"]),
        # vertices on straight sides, and steps of less than half a millimetre, are not printed
        (Polygon([(0, 0), (180, 0.04), (364, 0), (364, 182), (0, 182)]), ["3.640×1.820"]),
        # a hole
        (
            Polygon(box(0, 0, 500, 400).exterior, [box(100, 100, 200, 200).exterior]),
            ["5.000×2.000", "1.000×1.000", "3.000×1.000", "5.000×1.000"],
        ),
        # two parts
        (MultiPolygon([box(0, 0, 100, 100), box(200, 0, 300, 200)]), ["1.000×1.000", "1.000×2.000"]),
        # slanted: from coordinates
        (Polygon([(0, 0), (400, 0), (400, 200), (0, 300)]), ["(4.000×(3.000-0.000)+4.000×(3.000-1.000))÷2"]),
    ],
)
def test_formulas(shape: shapely.Geometry, formulas: list[str]) -> None:
    floor = area_schedule(sheet(shape), rules=EXACT)
    assert sorted(row.formula for row in floor.rows) == sorted(formulas)
    assert float(floor.total) == pytest.approx(shape.area / 10_000, abs=0.003)
    assert_adds_up(floor, EXACT)


def test_holes_of_slanted_shapes_are_taken_off() -> None:
    shape = Polygon([(0, 0), (500, 40), (480, 400), (0, 380)], [[(100, 100), (200, 130), (150, 220)]])
    outer, hole = area_schedule(sheet(shape), rules=EXACT).rows
    assert outer.area > 0 > hole.area
    assert float(hole.subtotal or 0) == pytest.approx(shape.area / 10_000, abs=0.003)


def test_a_ragged_shape_is_worked_out_from_its_coordinates() -> None:
    stairs = [(step * 10 + over, step * 10) for step in range(20) for over in (0, 10)]
    shape = Polygon([*stairs, (0, 200)])
    floor = area_schedule(sheet(shape), rules=EXACT)
    assert len(floor.rows) == 1
    assert floor.rows[0].formula.endswith("÷2")
    assert float(floor.total) == pytest.approx(shape.area / 10_000, abs=0.003)
    assert_adds_up(floor, EXACT)


@st.composite
def shapes(draw: st.DrawFn) -> shapely.Geometry:
    """Unions of a few boxes, and sometimes a triangle, turned."""
    corner = st.integers(0, 400)
    parts = [
        box(x, y, x + width, y + height)
        for x, y, width, height in draw(
            st.lists(
                st.tuples(corner, corner, st.integers(30, 300), st.integers(30, 300)), min_size=1, max_size=5
            )
        )
    ]
    if draw(st.booleans()):
        parts.append(Polygon([(200, 200), (430, 260), (240, 450)]))
    return rotate(shapely.union_all(parts), draw(st.sampled_from([0, 0, 90, 17.3])))


@given(
    st.lists(shapes(), min_size=1, max_size=3),
    st.sampled_from([None, Rounding(2, "half_up"), Rounding(4, "up")]),
    st.sampled_from([None, Rounding(2, "down"), Rounding(1, "half_up")]),
)
def test_every_schedule_adds_up_by_hand(
    rooms: list[shapely.Geometry], row: Rounding | None, total: Rounding | None
) -> None:
    rules = ScheduleRules(row=row, total=total)
    floor = area_schedule(sheet(*rooms), rules=rules)
    assert_adds_up(floor, rules)
    exact = area_schedule(sheet(*rooms), rules=EXACT)
    true = sum(room.area for room in rooms) / 10_000
    # Coordinates are off by half a millimetre.
    assert float(exact.total) == pytest.approx(true, abs=0.0005 * sum(room.length for room in rooms) / 100)


@pytest.mark.parametrize(
    ("rules", "areas", "total"),
    [
        # 1.235 x 1.115 = 1.377025; 1.234 x 2.345 = 2.893730
        (ScheduleRules(), ["1.377025", "2.893730"], "4.27"),
        (ScheduleRules(total=Rounding(2, "up")), ["1.377025", "2.893730"], "4.28"),
        (ScheduleRules(row=Rounding(2, "down")), ["1.37", "2.89"], "4.26"),  # the stage matters
        (
            ScheduleRules(row=Rounding(3, "half_up"), total=Rounding(1, "half_up")),
            ["1.377", "2.894"],
            "4.3",
        ),
        (ScheduleRules(side_digits=2, total=None), ["1.3776", "2.8782"], "4.2558"),  # 1.23|1.24 x 1.12|1.11
    ],
)
def test_rules(rules: ScheduleRules, areas: list[str], total: str) -> None:
    floor = area_schedule(sheet(box(0, 0, 123.5, 111.5), box(200, 0, 323.4, 234.5)), rules=rules)
    assert_adds_up(floor, rules)
    if rules.side_digits == 3:
        assert [f"{row.area:f}" for row in floor.rows] == areas
        assert f"{floor.total:f}" == total


def test_floors_are_summed_as_printed() -> None:
    first = area_schedule(sheet(box(0, 0, 1023.5, 656)), "1階", names={0: "店舗"})
    second = area_schedule(sheet(box(0, 0, 364.5, 187)), "2階")
    schedule = Schedule((first, second))
    assert COLUMNS == ("符号", "室名", "計算式", "面積", "小計", "合計")
    assert schedule.lines() == [
        ("A", "店舗", "10.235×6.560", "67.141600", "", ""),
        ("", "1階合計", "", "67.141600", "", "67.14"),
        ("A", "room 0", "3.645×1.870", "6.816150", "", ""),
        ("", "2階合計", "", "6.816150", "", "6.81"),
        ("", "総合計", "", "", "", "73.95"),
    ]


def test_what_is_listed() -> None:
    shapes = [box(100 * number, 0, 100 * number + 100, 100) for number in range(4)]
    areas = sheet(*shapes, labels=["room", "exwall", "階段", "ドア"])
    assert [row.name for row in area_schedule(areas).rows] == ["room 0"]
    assert [row.name for row in area_schedule(areas, labels=["ドア", "階段"]).rows] == ["階段 2", "ドア 3"]
    no_room = sheet(*shapes, labels=["LDK", "exwall", "階段", "ドア"])
    assert [row.name for row in area_schedule(no_room).rows] == ["LDK 0", "階段 2"]


def test_signs() -> None:
    floor = area_schedule(sheet(*(box(20 * n, 0, 20 * n + 10, 10) for n in range(29))))
    assert [row.sign for row in floor.rows][24:] == ["Y", "Z", "AA", "AB", "AC"]


def test_to_the_centre_lines() -> None:
    """A room of 3.64 x 2.73 m between centre lines, with walls of 12 cm."""
    corners = np.array([(0, 0), (364, 0), (364, 273), (0, 273), (0, 0)]) + 100
    walls = tuple(Wall(LineString(corners[n : n + 2]), 12.0, "exwall") for n in range(4))
    areas = sheet(box(106, 106, 458, 367), walls=walls)
    assert [row.formula for row in area_schedule(areas).rows] == ["3.640×2.730"]
    assert [row.formula for row in area_schedule(areas, basis="inner").rows] == ["3.520×2.610"]


def test_what_gives_no_schedule() -> None:
    with pytest.raises(UsageError, match="without a scale"):
        area_schedule(Areas((), (10, 10)))
    with pytest.raises(UsageError, match="not known"):
        area_schedule(sheet(box(0, 0, 1, 1)), basis="wall_centre")
    with pytest.raises(UsageError, match="decimals"):
        ScheduleRules(side_digits=7)


def test_nothing_to_list() -> None:
    assert area_schedule(sheet()).lines() == [("", "合計", "", "0", "", "0.00")]
