"""Clocks that a fault moves: what they show, and when they will show something."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from node.faults.clocks import MOST_RATE, MOST_STEP_S, TRUE, Clock, bumped, check
from node.wire import ClockFault


def test_a_clock_without_a_fault_shows_the_true_time() -> None:
    clock = Clock()
    assert [clock.read(now) for now in (0.0, 0.1, 1e9)] == [0.0, 0.1, 1e9]
    assert clock.when(5.0, 1.0) == 5.0
    assert clock.when(math.inf, 1.0) == math.inf


def test_a_bump_is_one_step_and_several_add_up() -> None:
    clock = Clock()
    clock.set(bumped(clock.fault, 0.2), 10.0)
    assert clock.read(10.0) == pytest.approx(10.2)
    assert clock.read(20.0) == pytest.approx(20.2)
    assert clock.when(20.2, 10.0) == pytest.approx(20.0)
    clock.set(bumped(clock.fault, -0.5), 20.0)
    assert clock.read(20.0) == pytest.approx(19.7)
    clock.set(clock.fault, 21.0)  # the same order again: no other step
    assert clock.read(21.0) == pytest.approx(20.7)
    clock.set(bumped(clock.fault, 0.3), 22.0)
    assert clock.fault.bump_s == pytest.approx(0.0), "steps that cancel out were made"
    assert clock.read(22.0) == pytest.approx(22.0)


def test_a_rate_counts_from_when_it_is_set() -> None:
    clock = Clock()
    clock.set(ClockFault(rate=2.0), 10.0)
    assert [clock.read(now) for now in (10.0, 11.0, 15.0)] == [10.0, 12.0, 20.0]
    assert clock.when(20.0, 10.0) == 15.0
    clock.set(ClockFault(rate=0.5), 15.0)
    assert clock.read(25.0) == 25.0
    assert clock.when(25.0, 15.0) == 25.0


def test_a_strobe_jumps_forward_and_back_once_in_each_period() -> None:
    clock = Clock()
    clock.set(ClockFault(strobe_s=0.2, period_s=0.5), 10.0)
    shows = {10.0: 10.2, 10.4: 10.6, 10.5: 10.5, 10.9: 10.9, 11.0: 11.2, 11.5: 11.5}
    assert {now: clock.read(now) for now in shows} == pytest.approx(shows)
    assert clock.when(10.65, 10.4) == pytest.approx(10.45), "in the period that has begun"
    assert clock.when(10.9, 10.4) == pytest.approx(10.9), "in the next one, without the jump"
    assert clock.when(11.1, 10.4) == pytest.approx(11.0), "at the next jump forward"
    assert clock.when(11.65, 10.4) == pytest.approx(11.45), "after the next jump forward"
    assert clock.when(10.6, 10.6) <= 10.6
    assert clock.when(10.7, 10.6) == pytest.approx(10.7), "it was shown before, and is no more"


def test_a_clock_whose_faults_end_runs_true_from_where_it_is() -> None:
    clock = Clock()
    clock.set(ClockFault(bump_s=5.0, rate=3.0, strobe_s=-1.0, period_s=10.0), 100.0)
    before = clock.read(104.0)
    assert before == pytest.approx(100 + 5 + 12 - 1)
    clock.set(TRUE, 104.0)
    assert clock.read(104.0) == before
    assert clock.read(105.0) == pytest.approx(before + 1)


def test_a_change_leaves_a_strobe_in_its_period() -> None:
    clock = Clock()
    clock.set(ClockFault(strobe_s=0.2, period_s=1.0), 0.0)
    clock.set(ClockFault(strobe_s=0.2, period_s=1.0, rate=2.0), 0.5)
    assert clock.read(0.5) == pytest.approx(0.7)
    assert clock.read(0.99) == pytest.approx(0.5 + 0.98 + 0.2)
    assert clock.read(1.01) == pytest.approx(0.5 + 1.02)


@pytest.mark.parametrize(
    "fault",
    [
        ClockFault(rate=0.0),
        ClockFault(rate=-1.0),
        ClockFault(rate=math.nan),
        ClockFault(rate=MOST_RATE * 2),
        ClockFault(bump_s=MOST_STEP_S * 2),
        ClockFault(bump_s=math.nan),
        ClockFault(strobe_s=math.inf, period_s=1.0),
        ClockFault(strobe_s=0.2),
        ClockFault(strobe_s=0.2, period_s=-1.0),
    ],
)
def test_what_no_clock_can_do_is_refused_and_changes_nothing(fault: ClockFault) -> None:
    with pytest.raises(ValueError, match=r"rate|moved|period"):
        check(fault)
    clock = Clock()
    with pytest.raises(ValueError, match=r"rate|moved|period"):
        clock.set(fault, 1.0)
    assert (clock.fault, clock.read(2.0)) == (TRUE, 2.0)


_FAULTS = st.builds(
    ClockFault,
    bump_s=st.one_of(st.none(), st.floats(-5.0, 5.0)),
    rate=st.floats(0.1, 10.0),
    strobe_s=st.floats(-5.0, 5.0).filter(lambda jump_s: abs(jump_s) > 1e-3),
    period_s=st.floats(0.01, 5.0),
)


@given(_FAULTS, st.floats(0.0, 20.0), st.floats(-10.0, 30.0))
@example(ClockFault(strobe_s=0.2, period_s=0.5), 0.4, 0.65)
@example(ClockFault(strobe_s=-0.2, period_s=0.5), 0.4, 0.65)
@example(ClockFault(strobe_s=1.0, period_s=0.01), 1.6299995247551848, 1.0)
def test_a_timer_fires_when_the_clock_first_shows_its_deadline(
    fault: ClockFault, now: float, ahead_s: float
) -> None:
    # At the very edge of a period rounding, or the microsecond below, decides on which side it is.
    jumps_s = (0.0, fault.strobe_s, -fault.strobe_s)
    times = [now, *(now + (ahead_s + jump_s) / fault.rate for jump_s in jumps_s)]
    edge = 1e-9 + 2e-6 / fault.period_s
    assume(all(abs(time / fault.period_s % 1 - 0.5) < 0.5 - edge for time in times))
    clock = Clock(fault)
    shows = clock.read(now) + ahead_s
    when = clock.when(shows, now)
    if ahead_s <= 0:
        assert when <= now + 1e-6
        return
    late = max(when, now)
    assert clock.read(late + 1e-6) >= shows - 1e-4
    steps = 400
    for step in range(steps):  # and not before
        earlier = now + (late - now) * step / steps
        assert clock.read(earlier) < shows or late - earlier < 1e-6
