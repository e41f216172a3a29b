"""Percentiles, medians of rounds, ratios and goals."""

from __future__ import annotations

import msgspec
import pytest

from launcher.benchmark.figures import FIELDS, Figures, Goal, median, percentile, ratios


def figures(throughput: float, **others: float | None) -> Figures:
    known: dict[str, float | None] = {"p50_ms": 1.0, "p99_ms": 2.0, "p999_ms": 3.0, **others}
    return msgspec.convert({"throughput": throughput, **known}, Figures)


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.5, 50), (0.99, 99), (0.999, 100), (1.0, 100), (0.01, 1), (0.001, 1), (0.501, 51)],
)
def test_a_percentile_is_a_value_that_was_measured(share: float, expected: int) -> None:
    assert percentile(range(1, 101), share) == expected


def test_a_percentile_of_one_value_is_that_value() -> None:
    assert [percentile([7.0], share) for share in (0.001, 0.5, 0.999, 1.0)] == [7.0] * 4


def test_rounding_does_not_push_a_percentile_up() -> None:
    """0.07 * 100 is a little more than 7 in binary."""
    assert percentile(range(1, 101), 0.07) == 7


def test_the_ratio_is_the_median_of_ratios_not_the_ratio_of_medians() -> None:
    """A machine that is slow for a while is slow for both sides of a round."""
    rounds = [
        (figures(50.0), figures(100.0)),
        (figures(5.0), figures(10.0)),
        (figures(400.0), figures(500.0)),
    ]
    assert ratios(rounds)["throughput"] == 0.5
    ours, floors = zip(*rounds, strict=True)
    assert median(ours).throughput / median(floors).throughput == 0.5
    assert ratios([*rounds[:2], (figures(1.0), figures(1000.0))])["throughput"] == 0.5


def test_what_one_round_does_not_know_has_no_median() -> None:
    known, unknown = figures(1.0, written_per_byte=5.0), figures(3.0)
    assert median([known, unknown]).written_per_byte is None
    assert median([known, known]).written_per_byte == 5.0
    assert median([known, unknown]).throughput == 2.0
    assert ratios([(known, unknown)])["written_per_byte"] is None
    assert set(ratios([(known, known)])) == set(FIELDS)


def test_nothing_is_divided_by_nothing() -> None:
    assert (
        ratios([(figures(1.0, cpu_s_per_1000=1.0), figures(1.0, cpu_s_per_1000=0.0))])[
            "cpu_s_per_1000"
        ]
        is None
    )


@pytest.mark.parametrize(
    ("goal", "ratio", "reached"),
    [
        (Goal(figure="throughput", least=0.5), 0.5, True),
        (Goal(figure="throughput", least=0.5), 0.49, False),
        (Goal(figure="p50_ms", most=1.4), 1.4, True),
        (Goal(figure="p50_ms", most=1.4), 1.41, False),
    ],
)
def test_a_goal_is_reached_at_its_bound(goal: Goal, ratio: float, reached: bool) -> None:
    assert goal.reached(ratio) is reached


def test_a_goal_in_words() -> None:
    assert str(Goal(figure="throughput", least=0.5)) == "at least 0.5"
    assert str(Goal(figure="p50_ms", most=1.4)) == "at most 1.4"
