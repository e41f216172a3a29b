"""What a simulated node does beside its loop: the `DiskQueue` and `Fork` ports, in simulated time.

The work itself is done in one moment; its time is what the node waits before, or after it.
"""

from __future__ import annotations

import contextlib
import math
import random
from collections import deque
from collections.abc import Callable
from typing import Protocol, TypeAlias

from launcher.simulation.disk import PowerCut, SimulatedDisk
from launcher.simulation.network import Time
from launcher.simulation.point_port import SimulatedPoints, Struck
from node.errors import DiskFailed
from node.faults.disks import verdict
from node.wire import DiskFault

Done: TypeAlias = Callable[[BaseException | None], None]
ForkDone: TypeAlias = Callable[[bytes | None, BaseException | None], None]
ForkWork: TypeAlias = Callable[[Callable[[], None]], bytes]


class Owner(Protocol):
    """The simulated node that the work is for.

    epoch: changes at each start and at each end of a life
    server: None while no process runs
    """

    time: Time
    epoch: int
    disk: SimulatedDisk
    points: SimulatedPoints

    @property
    def server(self) -> object: ...

    def disk_takes_s(self) -> float:
        """Draws how long one operation takes on the disk now, in simulated seconds."""
        ...

    def disk_stalls_until(self) -> float:
        """Until then the disk finishes nothing; a time that has passed if it works."""
        ...

    def report(self, done: Done, failure: BaseException | None) -> None:
        """Work beside the loop is done."""
        ...


def takes_s(sync_s: tuple[float, float], fault: DiskFault | None, rng: random.Random) -> float:
    """Draws how long one operation takes, in simulated seconds.

    sync_s: the least and the most that it takes on a disk without a fault
    """
    least_s, most_s = sync_s
    drawn_s = least_s + (most_s - least_s) * rng.random()
    if fault is not None:
        longer_s, _ = verdict(fault, "sync")
        drawn_s += longer_s * rng.random()
    return drawn_s


def stalls_until(now: float, until: float, cycle: tuple[DiskFault, float] | None) -> float:
    """Until when a disk finishes nothing; a time that has passed if it works.

    until: a fault makes it hang until then
    cycle: the fault by which it stalls in turn, and when that began
    """
    if cycle is None:
        return until
    fault, began = cycle
    wait_s, _ = verdict(fault, "sync", now - began)
    return max(until, now + wait_s)


class DiskWork:
    """The `DiskQueue` port: one operation after another, each with a duration."""

    __slots__ = (
        "_node",
        "_stalled",
        "_work",
    )

    def __init__(self, node: Owner) -> None:
        self._node = node
        self._work: deque[tuple[Callable[[], None], Done]] = deque()
        self._stalled = False
        """the disk hangs: the operation that would be done by now waits for `resume`"""

    def run(self, work: Callable[[], None], done: Done) -> None:
        """Queues work, and calls `done` with what it raised, or with None."""
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
        stalls_until = node.disk_stalls_until()
        if node.time.now < stalls_until:
            self._stalled = True
            if stalls_until < math.inf:
                node.time.at(stalls_until, self.resume)
            return
        work, done = self._work.popleft()
        failure: BaseException | None = None
        node.points.in_disk_work = True
        try:
            work()
        except Struck as error:
            self._work.clear()
            node.points.end_at(error)
            return
        except Exception as error:
            failure = error
        finally:
            node.points.in_disk_work = False
        if late_s := node.points.take_delay_s():
            self._work.appendleft((lambda: _come_to(failure), done))
            node.time.at(node.time.now + late_s, self._finish, epoch)
            return
        if self._work:
            self._begin()
        node.report(done, failure)

    def resume(self) -> None:
        """Continues what the disk hung at, unless it still hangs."""
        if self._stalled:
            self._stalled = False
            self._finish(self._node.epoch)

    def begin_life(self) -> None:
        """A new life begins without any work."""
        self._work.clear()
        self._stalled = False

    def interrupt(self, rng: random.Random) -> None:
        """The process ends: the current work is done up to some operation, or not at all."""
        work, self._work = self._work, deque()
        if not work or rng.random() < 0.3:
            return
        disk = self._node.disk
        disk.crash_at = disk.operations + 1 + int(rng.random() * 6)
        with contextlib.suppress(PowerCut, DiskFailed):
            work[0][0]()
        disk.crash_at = 0


def _come_to(failure: BaseException | None) -> None:
    """What work came to that was done a while ago."""
    if failure is not None:
        raise failure


class SimulatedFork:
    """The `Fork` port: the work is done at once, and its result is reported later."""

    __slots__ = ("_node", "_rng")

    def __init__(self, node: Owner, rng: random.Random) -> None:
        self._node = node
        self._rng = rng

    def run(self, work: ForkWork, done: ForkDone) -> None:
        """Does the work, and reports its result up to eleven disk operations later."""
        node = self._node
        result: bytes | None = None
        failure: BaseException | None = None
        try:
            result = work(lambda: None)
        except Exception as error:
            failure = error
        takes_s = node.disk_takes_s() * (1 + 10 * self._rng.random())
        node.time.at(node.time.now + takes_s, self._end, node.epoch, done, result, failure)

    def _end(
        self, epoch: int, done: ForkDone, result: bytes | None, failure: BaseException | None
    ) -> None:
        if epoch == self._node.epoch and self._node.server is not None:
            self._node.report(lambda _: done(result, failure), None)
