"""The clock by which a node runs elections, leases and cluster time, and its one timer.

Every time that the server is told is read here, and the timer for its next deadline is set here. So
a fault moves both (`node/faults/clocks.py`), and with them the wall clock behind the node's hybrid
times, when it is meant. Everything else of the process has the true time: the event loop, the links
and their faults, the disk and its faults, the patience with forks, clients and the node's own end.

Without a fault `now` is the event loop's own clock, and so nothing stands between.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from node.events import HybridClock
from node.faults.clocks import TRUE, Clock
from node.wire import SetClock


class ClockPort:
    """The node's clocks, and the timer that uses them.

    now: what the monotonic clock shows, in seconds; it may jump, also back. To be asked for anew at
        each reading, because faults replace it
    first_ids: of the injections that it began with
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        hybrid: HybridClock,
        on_time: Callable[[], None],
        first: SetClock,
    ) -> None:
        """on_time: called when the deadline of `wake` has come
        first: the faults from the first moment on. Raises ValueError for impossible ones.
        """
        self._loop = loop
        self._hybrid = hybrid
        self._on_time = on_time
        self._monotonic: Clock | None = None
        self._wall: Clock | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.now: Callable[[], float] = loop.time
        self.first_ids = first.ids
        self._set(first)

    def obey(self, order: SetClock) -> None:
        """From now on these faults move the clocks, and the timer is not set: the caller looks at
        its deadlines, some of which may have come, and calls `wake` again.

        Raises ValueError for an impossible fault.
        """
        self._set(order)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def wake(self, deadline: float) -> None:
        """Has `on_time` called when the clock shows this, and perhaps before, once.

        Deadlines mostly move away: a timer that fires early only looks again.
        """
        due = deadline
        if self._monotonic is not None:
            due = self._monotonic.when(deadline, self._loop.time())
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._on_time()

    def _set(self, order: SetClock) -> None:
        true = self._loop.time()
        if self._monotonic is not None:
            self._monotonic.set(order.monotonic, true)
        elif order.monotonic != TRUE:
            clock = self._monotonic = Clock(order.monotonic, true)
            self.now = lambda: clock.read(self._loop.time())
        if order.wall == TRUE:
            self._hybrid.physical = time.time_ns
            self._wall = None
        elif self._wall is not None:
            self._wall.set(order.wall, true)
        else:
            wall = self._wall = Clock(order.wall, true)
            self._hybrid.physical = lambda: time.time_ns() + _ahead_ns(wall, self._loop.time())


def _ahead_ns(wall: Clock, true: float) -> int:
    """By how much it is ahead of the true wall clock; of that we ask only the machine."""
    return round((wall.read(true) - true) * 1e9)
