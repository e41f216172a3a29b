"""A simulated process's clock, which may run fast or slow."""

from __future__ import annotations


class Clock:
    """A clock that may run fast or slow. Simulated seconds in, its own seconds out."""

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
        """What it shows."""
        return self._then + (now - self._since) * self.rate

    def when(self, shows: float) -> float:
        """When it will show that."""
        return self._since + (shows - self._then) / self.rate

    def run_at(self, rate: float, now: float) -> None:
        """From now on it runs so many seconds in a second."""
        self._then, self._since, self.rate = self.read(now), now, rate
