"""When a client's operations are due: at random moments, at a rate, whatever the answers take.

The rate does not follow the answers (an open loop): a cluster that is slow is not spared. A client
does one operation at a time, though, so while it waits it falls behind. It then makes up for at
most `MOST_BEHIND_S`, for a flood of what was missed would test nothing that users do. Pure.
"""

from __future__ import annotations

import random

MOST_BEHIND_S = 1.0


class Pace:
    """The moments of one client."""

    def __init__(self, rate: float, rng: random.Random, now_s: float) -> None:
        """rate: operations a second, on average"""
        self._rate = rate
        self._rng = rng
        self._due_s = now_s

    def due_s(self, now_s: float) -> float:
        """When the next operation is due; called once for each."""
        step_s = self._rng.expovariate(self._rate)
        self._due_s = max(self._due_s + step_s, now_s - MOST_BEHIND_S)
        return self._due_s
