"""How long one frame takes to arrive.

A length that is nonsense, but not absurd, would make a reader wait for bytes that never come: all
frames that follow are taken for parts of it. So a frame that is not whole after a long while in
which bytes keep coming is given up, and the stream with it.
"""

from __future__ import annotations

from time import monotonic

LONGEST_S = 30.0
"""Much longer than the longest frame takes between two processes of one machine."""

_MOST_PAUSE_S = 1.0
"""What a pause counts for at most: a process that was stopped has read nothing meanwhile."""


class Arriving:
    """One frame of which a part has come."""

    __slots__ = ("_last_s", "_took_s")

    def __init__(self) -> None:
        self._last_s = monotonic()
        self._took_s = 0.0

    def takes_too_long(self) -> bool:
        """More of it has come, and it is not whole yet: whether it is to be given up."""
        now_s = monotonic()
        self._took_s += min(now_s - self._last_s, _MOST_PAUSE_S)
        self._last_s = now_s
        return self._took_s > LONGEST_S
