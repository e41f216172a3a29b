"""What a simulated node's disk is at: the DiskQueue port, in simulated time."""

from __future__ import annotations

import contextlib
import math
import random
from collections import deque
from collections.abc import Callable
from typing import Protocol

from launcher.simulation.disk import PowerCut, SimulatedDisk
from launcher.simulation.network import Time
from node.errors import DiskFailed

Done = Callable[[BaseException | None], None]


class Owner(Protocol):
    """Whose disk it is: a simulated node.

    epoch: another at each start and at each end
    server: None when no process runs
    """

    time: Time
    epoch: int
    disk: SimulatedDisk
    disk_hangs_until: float

    @property
    def server(self) -> object: ...

    def disk_takes_s(self) -> float:
        """How long something takes on its disk now."""
        ...

    def report(self, done: Done, failure: BaseException | None) -> None:
        """Something beside the loop has been done."""
        ...


class DiskWork:
    """The DiskQueue port: one thing after the other, each taking its time."""

    __slots__ = (
        "_node",
        "_stalled",
        "_work",
    )

    def __init__(self, node: Owner) -> None:
        self._node = node
        self._work: deque[tuple[Callable[[], None], Done]] = deque()
        self._stalled = False
        """what would be done by now waits for `go_on`: the disk hangs"""

    def run(self, work: Callable[[], None], done: Done) -> None:
        """The port."""
        self._work.append((work, done))
        if len(self._work) == 1:
            self._begin()

    def _begin(self) -> None:
        node = self._node
        node.time.at(node.time.now + node.disk_takes_s(), self._finish, node.epoch)

    def _finish(self, epoch: int) -> None:
        node = self._node
        if epoch != node.epoch or node.server is None:
            return
        if node.time.now < node.disk_hangs_until:
            self._stalled = True
            if node.disk_hangs_until < math.inf:
                node.time.at(node.disk_hangs_until, self.go_on)
            return
        work, done = self._work.popleft()
        failure: BaseException | None = None
        try:
            work()
        except Exception as error:
            failure = error
        if self._work:
            self._begin()
        node.report(done, failure)

    def go_on(self) -> None:
        """What hung goes on now, unless the disk hangs still."""
        if self._stalled:
            self._stalled = False
            self._finish(self._node.epoch)

    def begin_life(self) -> None:
        """Nothing is under way."""
        self._work.clear()
        self._stalled = False

    def interrupt(self, chance: random.Random) -> None:
        """The process ends: what the disk was at is done up to some operation."""
        work, self._work = self._work, deque()
        if not work or chance.random() < 0.3:
            return
        disk = self._node.disk
        disk.crash_at = disk.operations + 1 + int(chance.random() * 6)
        with contextlib.suppress(PowerCut, DiskFailed):
            work[0][0]()
        disk.crash_at = 0
