"""What is going to happen in a simulated world, and the order of it: the world's time.

Nothing waits: the next thing is always next, and the time is then what it was to happen at. Things
that happen at the same moment happen in the order in which they were asked for.

What is near stands in a heap of its own. The other heap has what is further away, which is most:
deadlines that hardly anything ever reaches. So what happens within a moment, which is most of what
happens at all, finds its place among a dozen others and not among hundreds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from heapq import heappop, heappush
from typing import TypeAlias

NEAR_S = 0.02
"""What happens within so long of what is next counts as near. It decides about speed only."""

ASK_EVERY_S = 0.01
"""`run_until` asks so often, at the most, whether it is enough."""

_Event: TypeAlias = tuple[float, int, Callable[..., None], tuple[object, ...]]
"""When, which of those asked for, what, and with which arguments."""


class Agenda:
    """The `Time` port of a world.

    now: simulated seconds since the beginning; it never goes back
    events: how many things have happened
    """

    __slots__ = (
        "_far",
        "_horizon",
        "_near",
        "_number",
        "events",
        "now",
    )

    def __init__(self) -> None:
        self.now = 0.0
        self.events = 0
        self._number = itertools.count()
        self._near: list[_Event] = []
        self._far: list[_Event] = []
        self._horizon = 0.0
        """whatever happens before it is in `_near`, and nothing else is"""

    def at(self, when: float, what: Callable[..., None], *arguments: object) -> None:
        """Calls `what` at that time, which must not have passed."""
        event = when, next(self._number), what, arguments
        heappush(self._near if when < self._horizon else self._far, event)

    def run_until(self, end_s: float, enough: Callable[[], bool] | None = None) -> bool:
        """Lets things happen until then, or until it is `enough`, which is asked now and then."""
        near = self._near
        ask_at = self.now if enough is not None else math.inf
        while near or self._look_further():
            event = heappop(near)
            when, _, what, arguments = event
            if when > end_s:
                heappush(near, event)
                break
            if when >= ask_at:
                heappush(near, event)  # who is asked may begin something that comes before it
                if enough is not None and enough():
                    return True
                ask_at = when + ASK_EVERY_S
                continue
            self.now = when
            self.events += 1
            what(*arguments)
        self.now = end_s
        return enough is not None and enough()

    def _look_further(self) -> bool:
        """Nothing is near any more: what is next becomes near. Whether there is anything."""
        far = self._far
        if not far:
            return False
        self._horizon = far[0][0] + NEAR_S
        while far and far[0][0] < self._horizon:
            heappush(self._near, heappop(far))
        return True
