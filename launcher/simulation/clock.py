"""The clock of a simulated process, which may run fast or slow."""

from __future__ import annotations

EPOCH_NS = 1_000_000_000 * 10**9
"""What the wall clocks show, in nanoseconds, when a simulation begins."""


class Clock:
    """A monotonic clock that may run fast or slow, and a wall clock that may be wrong besides.

    Every `now` is simulated time, in seconds; what the clock shows is in seconds of its own.

    rate: how many of its own seconds pass in a simulated one
    wall_offset_s: by how much the wall clock is ahead
    """

    __slots__ = (
        "_since",
        "_then",
        "rate",
        "wall_offset_s",
    )

    def __init__(self) -> None:
        self.rate = 1.0
        self.wall_offset_s = 0.0
        self._since = 0.0
        self._then = 0.0

    def read(self, now: float) -> float:
        """What the monotonic clock shows."""
        return self._then + (now - self._since) * self.rate

    def when(self, shows: float) -> float:
        """The simulated time at which the monotonic clock will show that."""
        return self._since + (shows - self._then) / self.rate

    def wall_ns(self, now: float) -> int:
        """What the wall clock shows, in nanoseconds."""
        return EPOCH_NS + int((self.read(now) + self.wall_offset_s) * 1e9)

    def run_at(self, rate: float, now: float) -> None:
        """Changes the rate from now on."""
        self._then, self._since, self.rate = self.read(now), now, rate
