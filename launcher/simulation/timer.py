"""Deadlines in a simulated world. Most of them move away before they come.

Something with a deadline has a single timer. When the timer fires before the deadline, it is only
set again. So a deadline that never comes, and most never do, costs next to nothing.
"""

from __future__ import annotations

import abc
import math

from launcher.simulation.network import Time

SOON_S = 1e-6
"""How long after `arm_timer` a deadline that has already passed is acted on. Without this pause a
deadline that stays in the past would stop the world's time."""


class Waiting(abc.ABC):
    """Something with a deadline, which acts when the deadline comes."""

    __slots__ = (
        "_looks_at",
        "time",
    )

    def __init__(self, time: Time) -> None:
        self.time = time
        self._looks_at = math.inf

    @abc.abstractmethod
    def due_s(self) -> float:
        """The deadline as it is now, in simulated seconds; infinite if there is none."""

    @abc.abstractmethod
    def act(self) -> None:
        """Called when the deadline has come. To wait for another one, call `arm_timer` again."""

    def arm_timer(self) -> None:
        """To be called whenever the deadline may have moved nearer."""
        due = self.due_s()
        if due < self._looks_at:
            now = self.time.now
            self._looks_at = due if due > now else now + SOON_S
            self.time.at(self._looks_at, self._look, self._looks_at)

    def _look(self, when: float) -> None:
        if when != self._looks_at:
            return  # an earlier timer has replaced this one
        self._looks_at = math.inf
        if when >= self.due_s():
            self.act()
        else:
            self.arm_timer()
