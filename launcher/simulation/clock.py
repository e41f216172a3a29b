"""The clocks of a simulated process: what `node/faults/clocks.py` says, in simulated time."""

from __future__ import annotations

import msgspec

from node.faults.clocks import TRUE, Clock, bumped
from node.wire import ClockFault

EPOCH_NS = 1_000_000_000 * 10**9
"""What the wall clocks show, in nanoseconds, when a simulation begins."""


class SimulatedClock(Clock):
    """The monotonic clock of a node, through all its lives, and with it the wall clock.

    Every `now` is simulated time, in seconds.
    """

    __slots__ = ("_wall",)

    def __init__(self) -> None:
        super().__init__()
        self._wall = Clock()

    def wall_ns(self, now: float) -> int:
        """What the wall clock shows, in nanoseconds."""
        return EPOCH_NS + int(self._wall.read(now) * 1e9)

    def move(self, fault: ClockFault, now: float, *, wall_by_s: float = 0.0) -> None:
        """From now on the monotonic clock has this fault. The wall clock runs at the same rate,
        once it has made a step of its own.

        wall_by_s: that step, in seconds
        """
        self.set(fault, now)
        rate = msgspec.structs.replace(self._wall.fault, rate=fault.rate)
        self._wall.set(bumped(rate, wall_by_s), now)

    def run_true(self, now: float) -> None:
        """Nothing moves the clocks any more. The wall clock stays as wrong as it is."""
        self.set(TRUE, now)
        self._wall.set(TRUE, now)
