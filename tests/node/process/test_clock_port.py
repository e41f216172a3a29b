"""The clock port: readings and the timer of a node, with its clocks moved."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, cast

import pytest

from node.events import HybridClock
from node.process.clock_port import ClockPort
from node.wire import ClockFault, SetClock

TRUE = SetClock()


class Timer:
    """A `TimerHandle`."""

    def __init__(self, due: float, what: Callable[[], None]) -> None:
        self.due = due
        self.what = what
        self.cancelled = False

    def when(self) -> float:
        return self.due

    def cancel(self) -> None:
        self.cancelled = True


class Loop:
    """An event loop whose time passes when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.timers: list[Timer] = []

    def time(self) -> float:
        return self.now

    def call_at(self, when: float, what: Callable[[], None], *_: Any) -> Timer:
        timer = Timer(when, what)
        self.timers.append(timer)
        return timer

    @property
    def due(self) -> list[float]:
        return [timer.due for timer in self.timers if not timer.cancelled]


def port_of(loop: Loop, first: SetClock = TRUE) -> tuple[ClockPort, HybridClock, list[float]]:
    hybrid = HybridClock()
    woken: list[float] = []
    as_loop = cast(asyncio.AbstractEventLoop, loop)
    return ClockPort(as_loop, hybrid, lambda: woken.append(loop.now), first), hybrid, woken


def test_without_a_fault_the_clocks_are_the_loop_s_and_the_machine_s() -> None:
    loop = Loop()
    port, hybrid, woken = port_of(loop)
    assert port.now == loop.time
    assert hybrid.physical is time.time_ns
    port.wake(1001.5)
    port.wake(1002.5)  # later: the timer that is set is early, and only looks again
    port.wake(1001.0)
    assert loop.due == [1001.0]
    loop.timers[-1].what()
    assert woken == [1000.0]


def test_the_timer_fires_when_the_moved_clock_reaches_the_deadline() -> None:
    loop = Loop()
    port, _, _ = port_of(loop)
    port.wake(1002.0)
    port.obey(SetClock(ClockFault(rate=4.0)))
    assert loop.due == [], "the caller looks at its deadlines, and sets the timer anew"
    port.wake(1002.0)
    assert loop.due == [1000.5]
    loop.now = 1000.25
    assert port.now() == 1001.0
    port.obey(SetClock(ClockFault(bump_s=0.5, rate=4.0)))
    port.wake(1002.0)
    assert loop.due == [1000.375]


def test_a_node_that_starts_has_its_faults_from_the_first_reading() -> None:
    loop = Loop()
    port, _, _ = port_of(loop, SetClock(ClockFault(bump_s=7.0, rate=2.0), ids=[3]))
    assert port.first_ids == [3]
    assert port.now() == 1007.0
    port.obey(SetClock(ClockFault(bump_s=7.0, rate=2.0), ids=[3]))
    assert port.now() == 1007.0, "the same order makes no other step"


def test_the_wall_clock_moves_alone_and_is_set_right_in_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loop = Loop()
    monkeypatch.setattr("node.process.clock_port.time.time_ns", lambda: 5 * 10**18)
    port, hybrid, _ = port_of(loop)
    port.obey(SetClock(wall=ClockFault(bump_s=-2.0)))
    assert hybrid.physical() == 5 * 10**18 - 2 * 10**9
    assert port.now() == 1000.0
    port.obey(SetClock(wall=ClockFault(bump_s=-2.0, rate=1.5)))
    loop.now += 10.0
    assert hybrid.physical() == 5 * 10**18 + 3 * 10**9
    port.obey(SetClock())
    assert hybrid.physical() == 5 * 10**18
