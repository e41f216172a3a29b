"""What a search may use: memory, and either time or steps. A search that needs more is given up.

`TimeLimit` bounds the time that a user waits. `StepLimit` bounds the work, so that the verdict on a
history is the same on any machine, however busy it is.
"""

from __future__ import annotations

import time
from typing import Protocol

import msgspec

STEPS_PER_LOOK = 256
"""How many steps of a search pass between two looks at its limit. A step takes microseconds."""


class Exhausted(Exception):
    """The search has reached one of its bounds. The message says which."""


class Limit(Protocol):
    """How long a search may go on. Several searches may share one.

    reason: what to say of a search that reaches it
    """

    reason: str

    def is_over(self) -> bool:
        """Called every `STEPS_PER_LOOK` steps: whether the search must end."""
        ...


class TimeLimit:
    """A number of seconds, from now on."""

    reason = "not decided in the time given"

    def __init__(self, timeout_s: float) -> None:
        self._deadline = time.monotonic() + timeout_s

    def is_over(self) -> bool:
        return time.monotonic() > self._deadline


class StepLimit:
    """A number of steps, counted in blocks of `STEPS_PER_LOOK`."""

    reason = "not decided in the number of steps given"

    def __init__(self, max_steps: int) -> None:
        self._left = max_steps

    def is_over(self) -> bool:
        self._left -= STEPS_PER_LOOK
        return self._left < 0


class Budget(msgspec.Struct):
    """What one search may still use.

    max_states: how many configurations it may hold at once
    ticks: steps until it looks at its limit
    """

    max_states: int
    limit: Limit
    ticks: int = 1

    def spend(self, states: int = 0, width_bits: int = 0) -> None:
        """Counts one step, and checks how many configurations are held. Raises Exhausted."""
        # 500 bytes hold a configuration of 2048 bits, and twice as many of twice as many bits.
        if states * (1 + width_bits // 2048) > self.max_states:
            raise Exhausted(f"more possible states than may be held at once ({self.max_states})")
        self.ticks -= 1
        if not self.ticks:
            self.ticks = STEPS_PER_LOOK
            if self.limit.is_over():
                raise Exhausted(self.limit.reason)
