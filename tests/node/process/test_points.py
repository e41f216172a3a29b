"""The port of armed points: told first, then struck, in whichever thread."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Callable

from node.faults.points import Strike
from node.process.points import PointPort
from node.wire import ArmedPoint, ArmPoints, PointTerm


class Told:
    """What happens, in order, and in which thread."""

    def __init__(self) -> None:
        self.happened: list[tuple[str, bool]] = []
        self._loop_thread = threading.get_ident()

    def note(self, what: str) -> None:
        self.happened.append((what, threading.get_ident() == self._loop_thread))

    def record(self, strike: Strike) -> None:
        self.note(f"told of {strike.term.action}, hit {strike.state.hits}")


def port(told: Told, *terms: PointTerm) -> PointPort:
    made = PointPort(
        random.Random(1),
        asyncio.get_running_loop().call_soon_threadsafe,
        told.record,
        lambda: told.note("fail-sync"),
        lambda: told.note("cut"),
    )
    made.arm(ArmPoints([ArmedPoint("before-sync", 3, list(terms))]))
    return made


async def in_a_thread(work: Callable[[], None]) -> None:
    await asyncio.get_running_loop().run_in_executor(None, work)


def test_a_strike_in_the_loop_is_told_first() -> None:
    async def run() -> None:
        told = Told()
        points = port(told, PointTerm("cut", count=1))
        assert points.armed
        points.reach("before-sync")
        points.reach("before-sync")
        assert told.happened == [("told of cut, hit 1", True), ("cut", True)]
        assert not points.armed

    asyncio.run(run())


def test_a_strike_in_another_thread_is_told_by_the_loop_and_strikes_where_it_was_reached() -> None:
    async def run() -> None:
        told = Told()
        points = port(told, PointTerm("fail-sync", count=1))
        await in_a_thread(lambda: points.reach("before-sync"))
        assert told.happened == [("told of fail-sync, hit 1", True), ("fail-sync", False)]

    asyncio.run(run())


def test_a_sleep_holds_up_the_thread_that_came_to_the_point_and_no_other() -> None:
    async def run() -> None:
        told = Told()
        points = port(told, PointTerm("sleep", seconds=0.2))
        began = time.monotonic()
        waits = asyncio.ensure_future(in_a_thread(lambda: points.reach("before-sync")))
        await asyncio.sleep(0)
        assert not waits.done()
        await waits
        assert time.monotonic() - began >= 0.2
        assert [(state.hits, state.strikes) for state in points.states()] == [(1, 1)]

    asyncio.run(run())


def test_nothing_strikes_once_the_loop_is_closed() -> None:
    """The process is about to exit: a disk thread that still works must not hang at the point."""
    told = Told()

    async def make() -> PointPort:
        return port(told, PointTerm("cut", count=1))

    points = asyncio.run(make())
    reached = threading.Thread(target=points.reach, args=("before-sync",))
    reached.start()
    reached.join(10)
    assert not reached.is_alive()
    assert told.happened == []
