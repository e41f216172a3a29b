"""What waits in a simulated world: a deadline that mostly moves away before it comes.

Who waits has one timer and not one for each deadline: when that fires early it only looks again. So
what never comes, which is most, costs next to nothing.
"""

from __future__ import annotations

import abc
import math

from launcher.simulation.network import Time

SOON_S = 1e-6
"""A deadline that has passed is acted on after so long. Were it at once, one that stays in the past
would keep the world from going on."""


class Waiting(abc.ABC):
    """Something that has a deadline and acts when that has come."""

    __slots__ = (
        "_looks_at",
        "time",
    )

    def __init__(self, time: Time) -> None:
        self.time = time
        self._looks_at = math.inf

    @abc.abstractmethod
    def due_s(self) -> float:
        """The deadline as it is now, in simulated seconds; infinite for none."""

    @abc.abstractmethod
    def act(self) -> None:
        """The deadline has come. Whoever goes on waiting calls `arm_timer` again."""

    def arm_timer(self) -> None:
        """Due whenever the deadline may have come nearer."""
        due = self.due_s()
        if due < self._looks_at:
            now = self.time.now
            self._looks_at = due if due > now else now + SOON_S
            self.time.at(self._looks_at, self._look, self._looks_at)

    def _look(self, when: float) -> None:
        if when != self._looks_at:
            return  # an earlier deadline came between, and has been looked at
        self._looks_at = math.inf
        if when >= self.due_s():
            self.act()
        else:
            self.arm_timer()
