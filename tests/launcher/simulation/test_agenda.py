"""The world's time: what happens next, and in which order."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.simulation.agenda import NEAR_S, Agenda


def test_what_is_due_at_one_time_happens_in_the_order_in_which_it_was_asked_for() -> None:
    """Also when the world is stopped there, and goes on: links keep what they carry in order."""
    time = Agenda()
    happened: list[str] = []
    for name in ("first", "second", "third"):
        time.at(1.0, happened.append, name)
    assert time.run_until(2.0, lambda: True)
    assert happened == []
    time.run_until(0.5)
    assert happened == []
    time.run_until(2.0)
    assert happened == ["first", "second", "third"]


def test_time_never_goes_back() -> None:
    """Whoever is asked whether it is enough may begin something, as clients do in the end; that
    comes before what is due later, though it was asked for later."""
    time = Agenda()
    happened: list[tuple[str, float]] = []

    def happen(name: str) -> None:
        happened.append((name, time.now))

    def enough() -> bool:
        if time.now == 1.0 and len(happened) == 1:
            time.at(1.1, happen, "begun when asked")
        return False

    time.at(1.0, happen, "at first")
    time.at(1.5, happen, "later")
    time.run_until(2.0, enough)
    assert happened == [("at first", 1.0), ("begun when asked", 1.1), ("later", 1.5)]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 12), st.lists(st.integers(0, 12), max_size=3)), max_size=12),
    st.lists(st.integers(0, 30), max_size=4),
)
def test_everything_happens_once_and_in_order_near_and_far(
    asked: list[tuple[int, list[int]]], stops: list[int]
) -> None:
    """Whatever is asked for, before or while other things happen, however far away, and wherever
    the world is stopped meanwhile."""
    time = Agenda()
    step_s = NEAR_S / 4
    happened: list[tuple[float, int]] = []
    number = 0

    def ask(when: float, then: list[int]) -> None:
        nonlocal number
        number += 1
        time.at(when, happen, (when, number), then)

    def happen(which: tuple[float, int], then: list[int]) -> None:
        assert time.now == which[0]
        happened.append(which)
        for steps in then:
            ask(time.now + steps * step_s, [])

    for steps, then in asked:
        ask(steps * step_s, then)
    for stop in sorted(stops):
        time.run_until(stop * step_s)
        assert time.now == stop * step_s
        assert all(when <= time.now for when, _ in happened)
    time.run_until(1e6)
    assert len(happened) == number == time.events
    assert happened == sorted(happened)
