"""What waits for a deadline acts when that has come, and not before, however often it moves."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.simulation.agenda import Agenda
from launcher.simulation.timer import SOON_S, Waiting


class Waiter(Waiting):
    """Waits for what it is told to, once."""

    def __init__(self, agenda: Agenda) -> None:
        super().__init__(agenda)
        self.deadline = math.inf
        self.acted: list[float] = []

    def due_s(self) -> float:
        return self.deadline

    def act(self) -> None:
        self.acted.append(self.time.now)
        self.deadline = math.inf

    def wait_until(self, deadline: float) -> None:
        self.deadline = deadline
        self.arm_timer()


def test_a_deadline_that_moves_away_leaves_one_event_and_not_one_each() -> None:
    agenda = Agenda()
    waiter = Waiter(agenda)
    for tenth in range(1, 1000):
        agenda.at(tenth / 10, waiter.wait_until, tenth / 10 + 5)
    agenda.run_until(200.0)
    assert waiter.acted == [pytest.approx(104.9)]
    assert agenda.events < 999 + 100 / 5 + 2


def test_what_stays_due_does_not_stop_the_time() -> None:
    class Stubborn(Waiter):
        def act(self) -> None:
            self.acted.append(self.time.now)
            self.arm_timer()

    agenda = Agenda()
    stubborn = Stubborn(agenda)
    stubborn.wait_until(1.0)
    agenda.run_until(1.0 + 10.5 * SOON_S)
    assert len(stubborn.acted) == 11


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.one_of(st.none(), st.integers(0, 60)))))
def test_it_acts_when_the_deadline_has_come_and_not_before(
    moves: list[tuple[int, int | None]],
) -> None:
    """Whenever it is moved, wherever to: it acts at each deadline that nobody moved in time."""
    agenda = Agenda()
    waiter = Waiter(agenda)
    moves.sort(key=lambda move: move[0])
    for when, deadline in moves:
        agenda.at(float(when), waiter.wait_until, math.inf if deadline is None else float(deadline))
    agenda.run_until(100.0)
    expected = []
    for place, (when, deadline) in enumerate(moves):
        if deadline is None:
            continue
        due = float(max(when, deadline))
        later = moves[place + 1][0] if place + 1 < len(moves) else math.inf
        if due < later:
            expected.append(due)
    assert waiter.acted == pytest.approx(expected, abs=2 * SOON_S)
