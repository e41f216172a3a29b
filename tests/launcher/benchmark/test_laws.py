"""Which law numbers follow."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.benchmark.laws import called, exponent, line, name

XS = [1.0, 10.0, 100.0, 1000.0]


@given(st.floats(-2, 2), st.floats(0.01, 1e6))
def test_a_power_law_is_found(power: float, factor: float) -> None:
    assert exponent(XS, [factor * x**power for x in XS]) == pytest.approx(power, abs=1e-6)


@given(st.floats(0, 1e4), st.floats(1e-3, 1e4))
def test_a_line_is_found(fixed: float, each: float) -> None:
    found = line(XS, [fixed + each * x for x in XS])
    assert found.fixed == pytest.approx(fixed, rel=1e-3, abs=1e-3 * each)
    assert found.each == pytest.approx(each, rel=1e-3, abs=1e-6 * fixed)


def test_every_number_counts_alike() -> None:
    """Relative errors: the largest number does not decide what the small ones say of the price."""
    xs, ys = [1.0, 10.0, 1000.0, 2000.0], [10.0, 19.0, 1500.0, 1600.0]
    found = line(xs, ys)
    errors = [abs((found.fixed + found.each * x) / y - 1) for x, y in zip(xs, ys, strict=True)]
    assert max(errors[:2]) < 0.1, "though the two large ones lie on no line with them"
    assert max(errors[2:]) > 0.1


def test_nothing_costs_less_than_nothing() -> None:
    assert line([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]).each == 0
    falling = line([1.0, 2.0, 4.0], [0.1, 1.0, 4.0])
    assert falling.fixed == 0
    assert falling.each > 0


@pytest.mark.parametrize(
    ("ys", "law"),
    [
        ([5.0, 5.2, 4.9, 5.0], "constant"),
        ([1.0, 10.0, 100.0, 1000.0], "linear"),
        ([9.0, 18.0, 108.0, 1008.0], "linear"),
        ([1.0, 3.16, 10.0, 31.6], "x^0.50"),
        ([1.0, 100.0, 10_000.0, 1e6], "x^2.00"),
        ([1000.0, 100.0, 10.0, 1.0], "x^-1.00"),
    ],
)
def test_what_a_law_is_called(ys: list[float], law: str) -> None:
    assert called(XS, ys) == law


@pytest.mark.parametrize(
    ("power", "law"), [(0.15, "constant"), (0.86, "linear"), (1.15, "linear"), (0.5, "x^0.50")]
)
def test_what_a_power_is_called(power: float, law: str) -> None:
    assert name(power) == law


@pytest.mark.parametrize(("xs", "ys"), [([1.0], [1.0]), ([2.0, 2.0], [1.0, 2.0]), (XS, [0.0] * 4)])
def test_no_law_for_too_little(xs: list[float], ys: list[float]) -> None:
    for law in (exponent, line):
        with pytest.raises(ValueError, match="a law needs"):
            law(xs, ys)
