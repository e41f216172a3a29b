"""The armed points of a real node: its `Points` port, and what strikes there.

A point is reached in the loop, or in the disk's thread, and an action strikes where it is reached:
`sleep` holds up that thread alone, `kill` and `pause` the whole process, before another
instruction of that thread. The event of the hit is written, and the supervisor told, before the
action strikes. Both belong to the loop, so the disk's thread waits until the loop has done it.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections.abc import Callable

from node.faults.points import ArmedPoints, Strike
from node.wire import ArmedPoint, ArmPoints, PointAction


class PointPort:
    """The `Points` port of the process in whose loop it is made.

    armed: whether any point is; kept as a plain attribute, because it is looked at all the time
    """

    def __init__(
        self,
        rng: random.Random,
        call_soon: Callable[..., object],
        record: Callable[[Strike], None],
        fail_sync: Callable[[], None],
        cut: Callable[[], None],
    ) -> None:
        """call_soon: has a function called in the loop; callable from any thread
        record: tells of a strike that is about to happen; called in the loop
        fail_sync, cut: have the next sync fail; cut the links. Called in any thread
        """
        self.armed = False
        self._points = ArmedPoints(rng)
        self._lock = threading.Lock()
        self._loop_thread = threading.get_ident()
        self._call_soon = call_soon
        self._record = record
        self._strikes: dict[PointAction, Callable[[], None]] = {
            "kill": _kill,
            "power": _lose_power,
            "pause": _pause,
            "fail-sync": fail_sync,
            "cut": cut,
        }

    def arm(self, order: ArmPoints) -> None:
        """These are armed from now on, and no others."""
        with self._lock:
            self._points.arm(order.points)
            self.armed = self._points.armed

    def states(self) -> list[ArmedPoint]:
        """The points, and their counts."""
        with self._lock:
            return self._points.states()

    def reach(self, point: str) -> None:
        """The port's `reach`. Called in the loop, or in a thread of the disk."""
        with self._lock:
            strike = self._points.reach(point)
            self.armed = self._points.armed
        if strike is None or not self._tell(strike):
            return
        if strike.term.action == "sleep":
            time.sleep(strike.term.seconds)
        else:
            self._strikes[strike.term.action]()

    def _tell(self, strike: Strike) -> bool:
        """Returns when the strike is on record; False: the process is about to exit."""
        if threading.get_ident() == self._loop_thread:
            self._record(strike)
            return True
        told = threading.Event()
        try:
            self._call_soon(self._record_for, strike, told)
        except RuntimeError:
            return False  # the loop is closed
        told.wait()
        return True

    def _record_for(self, strike: Strike, told: threading.Event) -> None:
        try:
            self._record(strike)
        finally:
            told.set()


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _lose_power() -> None:
    """Stops the process at this very place. Its supervisor, which has been told, ends it then, and
    undoes on its files what was not synced."""
    _pause()


def _pause() -> None:
    """To this very thread: a signal to the process might let it go on for a moment."""
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)
