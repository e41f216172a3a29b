"""What law numbers follow as something grows (pure).

Two answers. The *exponent* b of the power law y = a * x**b that fits best where both axes are
logarithmic: 0 is constant, 1 is linear. And the *line* y = fixed + each * x that is nearest by its
relative errors, for what has a price of its own beside the price of each; it says what one more
costs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import msgspec

CONSTANT, LINEAR = 0.15, 0.15
"""So far from 0, or from 1, an exponent may be and still be called that."""

NEAR = 0.25
"""So far off, relatively, every number may be from a line that is called its law."""


class Line(msgspec.Struct, frozen=True):
    """y = fixed + each * x."""

    fixed: float
    each: float


def exponent(xs: Sequence[float], ys: Sequence[float]) -> float:
    """The slope of the straight line through log x and log y, by least squares.

    At least two different xs; all numbers above 0. Raises ValueError.
    """
    if len(set(xs)) < 2 or min(*xs, *ys) <= 0:
        raise ValueError("a law needs two different places, and numbers above 0")
    places, heights = [math.log(x) for x in xs], [math.log(y) for y in ys]
    middle_x, middle_y = sum(places) / len(places), sum(heights) / len(heights)
    spread = sum((x - middle_x) ** 2 for x in places)
    return (
        sum((x - middle_x) * (y - middle_y) for x, y in zip(places, heights, strict=True)) / spread
    )


def line(xs: Sequence[float], ys: Sequence[float]) -> Line:
    """The straight line with the least squares of relative errors, (fixed + each * x) / y - 1.

    Neither part is below 0: nothing of what is measured here costs less than nothing. Conditions
    as for `exponent`.
    """
    if len(set(xs)) < 2 or min(*xs, *ys) <= 0:
        raise ValueError("a law needs two different places, and numbers above 0")
    weights = [1 / y**2 for y in ys]
    total = sum(weights)
    sum_x = sum(w * x for w, x in zip(weights, xs, strict=True))
    sum_xx = sum(w * x * x for w, x in zip(weights, xs, strict=True))
    sum_y = sum(w * y for w, y in zip(weights, ys, strict=True))
    sum_xy = sum(w * x * y for w, x, y in zip(weights, xs, ys, strict=True))
    each = (total * sum_xy - sum_x * sum_y) / (total * sum_xx - sum_x**2)
    fixed = (sum_y - each * sum_x) / total
    if each < 0:
        return Line(sum_y / total, 0.0)
    if fixed < 0:
        return Line(0.0, sum_xy / sum_xx)
    return Line(fixed, each)


def called(xs: Sequence[float], ys: Sequence[float]) -> str:
    """What the law is called: constant, linear, or the power of x.

    Linear is also what has a price of its own beside the price of each, if a line is that near.
    """
    near = line(xs, ys)
    if near.each * max(xs) <= CONSTANT * near.fixed:
        near_enough = max(ys) <= (1 + NEAR) * min(ys)
    else:
        near_enough = all(
            abs((near.fixed + near.each * x) / y - 1) <= NEAR for x, y in zip(xs, ys, strict=True)
        )
        if near_enough:
            return "linear"
    return "constant" if near_enough else name(exponent(xs, ys))


def name(power: float) -> str:
    """What an exponent is called: constant, linear, or the power itself."""
    if abs(power) <= CONSTANT:
        return "constant"
    if abs(power - 1) <= LINEAR:
        return "linear"
    return f"x^{power:.2f}"
