from decimal import Decimal

import pytest

from kkg_area_detection.areas.units import Number, Rounding, exact, mat_size, to_jo, to_tsubo
from kkg_area_detection.errors import UsageError


@pytest.mark.parametrize(
    ("mat", "size"),
    [
        ("規約", "1.62"),
        ("advertising", "1.62"),
        ("京間", "1.82405"),  # 955 x 1910 mm
        ("Kyoma", "1.82405"),
        ("中京間", "1.6562"),  # 910 x 1820
        ("江戸間", "1.5488"),  # 880 x 1760
        ("団地間", "1.445"),  # 850 x 1700
        (1.7, "1.7"),
        (Decimal("1.65"), "1.65"),
    ],
)
def test_mats(mat: str | Number, size: str) -> None:
    assert mat_size(mat) == Decimal(size)


@pytest.mark.parametrize("mat", ["大間", 0, -1.62, float("nan"), float("inf")])
def test_what_is_no_mat(mat: str | Number) -> None:
    with pytest.raises(UsageError):
        mat_size(mat)


@pytest.mark.parametrize(
    ("square_metres", "mat", "jo"),
    [
        (Decimal("9.72"), "規約", "6.0"),
        (9.719, "規約", "5.9"),  # 5.999...: an advertisement must not promise 6
        (9.72, "京間", "5.3"),
        (20.25, "規約", "12.5"),
    ],
)
def test_jo(square_metres: Number, mat: str, jo: str) -> None:
    assert Rounding(1, "down").text(to_jo(square_metres, mat)) == jo


@pytest.mark.parametrize(
    ("square_metres", "tsubo"),
    [(400, "121"), (Decimal("3.3"), "0.99825"), (0.1, "0.03025"), (Decimal("73.92"), "22.3608")],
)
def test_tsubo(square_metres: Number, tsubo: str) -> None:
    assert to_tsubo(square_metres) == Decimal(tsubo)


@pytest.mark.parametrize(
    ("value", "digits", "mode", "text"),
    [
        (Decimal("73.926050"), 2, "down", "73.92"),
        (Decimal("73.926050"), 2, "half_up", "73.93"),
        (Decimal("73.926050"), 2, "up", "73.93"),
        (Decimal("73.920000"), 2, "up", "73.92"),
        (0.285, 2, "half_up", "0.29"),  # its binary neighbour is below
        (2.5, 0, "half_up", "3"),  # not to the even number
        (-2.5, 0, "half_up", "-3"),
        (-0.019, 2, "down", "-0.01"),
        (1e-7, 3, "down", "0.000"),  # no exponent
        (12345678901234567890, 2, "down", "12345678901234567890.00"),
        (0.1 + 0.2, 1, "down", "0.3"),
    ],
)
def test_rounding(value: Number, digits: int, mode: str, text: str) -> None:
    assert Rounding(digits, mode).text(value) == text  # type: ignore[arg-type]


@pytest.mark.parametrize(("digits", "mode"), [(-1, "down"), (13, "down"), (2, "even")])
def test_rounding_that_cannot_be(digits: int, mode: str) -> None:
    with pytest.raises(UsageError, match="Rounding"):
        Rounding(digits, mode)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), Decimal("NaN")])
def test_what_is_no_number(value: Number) -> None:
    with pytest.raises(UsageError, match="not a number"):
        exact(value)
