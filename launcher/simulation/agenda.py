"""The agenda of a simulated world: the queue of its callbacks, and its time.

Nothing waits: the agenda runs the next callback at once, and its time is then the time that the
callback was planned for. Callbacks for the same time run in the order in which they were planned.

Callbacks for the near future are in a heap of their own. The other heap has the rest, mostly
deadlines that never come. Most callbacks that run are planned a moment before. So they find their
place among a dozen others, and not among hundreds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from heapq import heappop, heappush
from typing import TypeAlias

NEAR_S = 0.02
"""How far after the next callback the near future ends. It affects the speed only."""

ASK_EVERY_S = 0.01
"""`run_until` checks its condition at most this often, in simulated seconds."""

_Event: TypeAlias = tuple[float, int, Callable[..., None], tuple[object, ...]]
"""The time, the number in the order of planning, the callback and its arguments."""


class Agenda:
    """The `Time` port of a world.

    now: simulated seconds since the run began; it never goes back
    events: how many callbacks have run
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
        """all callbacks before this time are in `_near`, all others in `_far`"""

    def at(self, when: float, what: Callable[..., None], *arguments: object) -> None:
        """Plans to call `what` at that time, which must not have passed."""
        event = when, next(self._number), what, arguments
        heappush(self._near if when < self._horizon else self._far, event)

    def run_until(self, end_s: float, holds: Callable[[], bool] | None = None) -> bool:
        """Runs callbacks until that time, or until a condition holds (`ASK_EVERY_S`).

        Returns whether the condition holds; False where there is none.
        """
        near = self._near
        ask_at = self.now if holds is not None else math.inf
        while near or self._look_further():
            event = heappop(near)
            when, _, what, arguments = event
            if when > end_s:
                heappush(near, event)
                break
            if when >= ask_at:
                heappush(near, event)  # the condition may plan a callback that comes before it
                if holds is not None and holds():
                    return True
                ask_at = when + ASK_EVERY_S
                continue
            self.now = when
            self.events += 1
            what(*arguments)
        self.now = end_s
        return holds is not None and holds()

    def _look_further(self) -> bool:
        """Moves the next callbacks into the empty near heap. Returns whether there are any."""
        far = self._far
        if not far:
            return False
        self._horizon = far[0][0] + NEAR_S
        while far and far[0][0] < self._horizon:
            heappush(self._near, heappop(far))
        return True
