"""The slices of a throttled process: it gets its share, also when the signals are late."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from node.faults.slices import PERIOD_S, Slices


def share_of(share: float, late: Callable[[], float], turns: int = 500) -> tuple[float, float]:
    """The share that a process gets by signals that are each late by so much, and the longest time
    for which it was stopped, in seconds."""
    slices = Slices(share)
    ran_s, stopped_s, longest_s = 0.0, 0.0, 0.0
    run_s = 0.0
    for _ in range(turns):
        run_s += late()
        ran_s += run_s
        stop_s = slices.stop_after(run_s) + late()
        stopped_s += stop_s
        longest_s = max(longest_s, stop_s)
        run_s = slices.run_after(stop_s)
    return ran_s / (ran_s + stopped_s), longest_s


@pytest.mark.parametrize("share", [0.01, 0.2, 0.5, 0.99])
def test_signals_in_time_give_exactly_the_share_in_each_period(share: float) -> None:
    slices = Slices(share)
    stop_s = slices.stop_after(0.0)
    for _ in range(100):
        run_s = slices.run_after(stop_s)
        stop_s = slices.stop_after(run_s)
        assert run_s == pytest.approx(share * PERIOD_S)
        assert stop_s == pytest.approx((1 - share) * PERIOD_S)


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.8])
def test_signals_that_are_late_leave_the_share_as_it_is(share: float) -> None:
    rng = Random(1)
    got, _ = share_of(share, lambda: rng.uniform(0.0, 0.01))
    assert got == pytest.approx(share, abs=0.03)


def test_after_a_long_delay_it_is_stopped_for_a_few_periods_at_most() -> None:
    delays = iter([0.0] * 10 + [30.0] + [0.0] * 1000)
    _, longest_s = share_of(0.2, lambda: next(delays), turns=200)
    assert longest_s < 5 * PERIOD_S
    slices = Slices(0.2)
    assert slices.run_after(30.0) < 3 * 0.2 * PERIOD_S


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, 2.0, float("nan")])
def test_there_is_no_share_of_nothing_or_of_everything(share: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        Slices(share)
