"""A process that gets only a share of a core: it is stopped and continued in turn.

`node/faults/slices.py` says for how long each time. The signals go to the forks of the node too.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from node.faults.slices import Slices


class Throttling:
    """The slices of one process. send: sends a signal to it and its forks; never raises

    share: None while it is not throttled
    stops_it: it is stopped at the moment because of this, and so is not paused
    """

    def __init__(self, send: Callable[[int], None]) -> None:
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._slices: Slices | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._since = 0.0
        self.share: float | None = None
        self.stops_it = False

    def set(self, share: float | None, *, begin: bool = True) -> None:
        """Throttles it to this share of a core, in place of an earlier one; None: no longer.

        begin: at once; False for a process that is paused: with the next `go_on`
        """
        self.suspend()
        self.share = share
        if begin:
            self.go_on()

    def suspend(self) -> None:
        """The process runs until `go_on`, or until it is stopped by somebody else."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.stops_it:
            self.stops_it = False
            self._send(signal.SIGCONT)

    def close(self) -> None:
        """The process is gone. Lets go of what was to send signals to it: its descriptors are
        closed when nothing refers to it any more."""
        self.suspend()
        self._send = _send_nothing

    def go_on(self) -> None:
        """The process runs, and is throttled again if it was. Does nothing to one that is
        throttled already."""
        if self.share is None or self._timer is not None:
            return
        self._slices = Slices(self.share)
        self._since = self._loop.time()
        self._timer = self._loop.call_later(0.0, self._turn)

    def _turn(self) -> None:
        """The slice is over; begins the other one."""
        assert self._slices is not None, "there are slices once it goes on"
        now = self._loop.time()
        lasted_s, self._since = now - self._since, now
        if self.stops_it:
            self._send(signal.SIGCONT)
            self.stops_it = False
            next_s = self._slices.run_after(lasted_s)
        else:
            self.stops_it = True
            self._send(signal.SIGSTOP)
            next_s = self._slices.stop_after(lasted_s)
        self._timer = self._loop.call_later(next_s, self._turn)


def _send_nothing(_: int) -> None:
    """There is no process to send a signal to."""
