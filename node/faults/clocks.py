"""A clock that a fault moves: the true time goes in, the node's time comes out. Pure.

What a `ClockFault` (`node/wire/control.py`) does to a clock:

    bump      it makes one step, forward or back, and continues from there
    rate      it runs faster or slower than the true time by this factor
    strobe    it jumps by a duration and back again, in turn, once in each period of true time

The three add up. A timer needs the inverse, `Clock.when`: the true time at which the clock reaches
a deadline.

When a fault ends, the clock runs true from where it is. It does not jump back: a monotonic clock
has no true value to which it could return, only differences count, and a jump would be another
fault. (A wall clock has one. Whoever moves it replaces the `Clock` when its last fault has ended.)

The real node asks this through `node/process/clock_port.py`, and the simulated node itself.
"""

from __future__ import annotations

import math

import msgspec

from node.wire import ClockFault

TRUE = ClockFault()
"""No fault."""

LEAST_RATE = 0.01
MOST_RATE = 100.0
MOST_STEP_S = 86_400.0
"""Steps, alone and together, and jumps are at most so long in either direction."""

LEAST_PERIOD_S = 0.001
MOST_PERIOD_S = 3600.0


def check(fault: ClockFault) -> None:
    """Raises ValueError for a fault that no clock can have."""
    if not LEAST_RATE <= fault.rate <= MOST_RATE:
        raise ValueError(f"a rate is a number from {LEAST_RATE:g} to {MOST_RATE:g}")
    for step_s in (fault.bump_s or 0.0, fault.strobe_s):
        if not -MOST_STEP_S <= step_s <= MOST_STEP_S:
            raise ValueError(f"a clock is moved by at most {MOST_STEP_S:g} s")
    if fault.strobe_s and not LEAST_PERIOD_S <= fault.period_s <= MOST_PERIOD_S:
        raise ValueError(f"a period lasts from {LEAST_PERIOD_S:g} s to {MOST_PERIOD_S:g} s")


def bumped(fault: ClockFault, by_s: float) -> ClockFault:
    """The same fault after one more step."""
    return msgspec.structs.replace(fault, bump_s=(fault.bump_s or 0.0) + by_s)


class Clock:
    """One clock. `now` is the true time in seconds, on any monotonic scale; what the clock shows is
    in seconds of its own.

    fault: what moves it at present
    """

    __slots__ = (
        "_period_s",
        "_rate",
        "_since",
        "_strobe_s",
        "_strobes_since",
        "_then",
        "fault",
    )

    def __init__(self, fault: ClockFault = TRUE, now: float = 0.0) -> None:
        """A clock that has this fault from its first moment, and showed the true time before it.

        Raises ValueError for an impossible fault.
        """
        self.fault = TRUE
        self._rate = 1.0
        self._then = self._since = now
        self._strobe_s = self._period_s = 0.0
        self._strobes_since = now
        self.set(fault, now)

    def set(self, fault: ClockFault, now: float) -> None:
        """From now on the clock has this fault, and no other. What is as before continues.

        Its steps are the difference to those before, so the same fault twice makes no other step.
        Raises ValueError for an impossible fault; then nothing has changed.
        """
        check(fault)
        before = self.fault
        if (fault.strobe_s, fault.period_s) == (before.strobe_s, before.period_s):
            then = self._steady(now)
        else:
            then = self.read(now)
            self._strobe_s, self._period_s = fault.strobe_s, fault.period_s
            self._strobes_since = now
        if fault.bump_s is not None:
            then += fault.bump_s - (before.bump_s or 0.0)
        self._then, self._since, self._rate = then, now, fault.rate
        self.fault = fault

    def read(self, now: float) -> float:
        """What the clock shows."""
        shows = self._then + (now - self._since) * self._rate
        if self._strobe_s and self._phase(now) % 2 == 0:
            shows += self._strobe_s
        return shows

    def when(self, shows: float, now: float) -> float:
        """The true time at which the clock will show that, if nothing changes: from `now` on, the
        first one; a time that has passed if the clock is past it already."""
        steady = self._reaches(shows)
        if not self._strobe_s or math.isinf(steady):
            return steady
        jumped = self._reaches(shows - self._strobe_s)
        phase = self._phase(now)
        here, there = (jumped, steady) if phase % 2 == 0 else (steady, jumped)
        if here <= now:
            return here
        return min(self._within(here, phase), self._within(there, phase + 1))

    # -- the parts ---------------------------------------------------------------------------

    def _steady(self, now: float) -> float:
        """What it would show if it did not strobe."""
        return self._then + (now - self._since) * self._rate

    def _reaches(self, shows: float) -> float:
        """When that comes to be `shows`."""
        return self._since + (shows - self._then) / self._rate

    def _phase(self, now: float) -> int:
        """The number of the period, from 0; in even ones the clock is off by the strobe's jump."""
        return math.floor((now - self._strobes_since) / self._period_s)

    def _within(self, when: float, phase: int) -> float:
        """The first time from `when` on that lies in this period, or 2, 4, ... periods later."""
        missed = math.ceil((self._phase(when) - phase) / 2)
        phase += 2 * max(missed, 0)
        return max(when, self._strobes_since + phase * self._period_s)
