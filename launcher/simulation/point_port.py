"""The armed points of a simulated node: its `Points` port.

What strikes at a point is the verdict of `node/faults/points.py`, as in a real process. How it
strikes differs in one thing. A real process that is stopped or held up continues in the middle of
its code. A simulated one runs to the end of its turn, or of its disk work, and what it has to send
and to report is held back until it continues. So nobody else sees the difference. Only its disk may
hold a little more than it would, if the process is killed while it is stopped.
"""

from __future__ import annotations

import random
from typing import Protocol

from launcher.simulation.disk import SimulatedDisk
from launcher.simulation.network import Time
from node.faults.points import ArmedPoints, Strike
from node.server.server import Server
from node.wire import ArmedPoint, DiskFault


class Struck(Exception):
    """The process ends at a point, by SIGKILL or without power. The product does not handle it."""

    def __init__(self, point: str, *, power: bool) -> None:
        super().__init__(f"struck at {point}")
        self.point = point
        self.power = power

    def __reduce__(self) -> tuple[object, ...]:
        return _struck, (self.point, self.power), self.__dict__


def _struck(point: str, power: bool) -> Struck:
    return Struck(point, power=power)


class PointOwner(Protocol):
    """The simulated node.

    epoch: changes at each start and at each end of a life
    server: None while no process runs
    """

    time: Time
    epoch: int
    disk: SimulatedDisk
    server: Server | None

    def start(self) -> None: ...

    def crash(self, *, power: bool, reason: str) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...


class SimulatedPoints:
    """The points of one node, in all its lives.

    armed: whether any point may strike now; never while no process runs
    in_disk_work: the disk's thread is at work, and not the loop
    """

    __slots__ = (
        "_armed", "_late_s", "_node", "_points", "_rng", "armed", "in_disk_work",
    )  # fmt: skip

    def __init__(self, node: PointOwner, rng: random.Random) -> None:
        self.armed = False
        self.in_disk_work = False
        self._node = node
        self._rng = rng
        self._points = ArmedPoints(rng)
        self._armed: dict[str, ArmedPoint] = {}
        self._late_s = 0.0

    # -- from outside ----------------------------------------------------------------------------

    def arm(self, point: ArmedPoint) -> None:
        """Arms a point, in place of what it was armed with."""
        self._armed[point.point] = point
        self._tell()

    def disarm(self, fault_id: int) -> None:
        """Disarms what this fault has armed."""
        self._armed = {name: one for name, one in self._armed.items() if one.id != fault_id}
        self._tell()

    def disarm_all(self) -> None:
        """Nothing is armed any more."""
        self._armed.clear()
        self._tell()

    def begin_life(self) -> None:
        """A process runs, and has recovered: no point is reached before that."""
        self._late_s = 0.0
        self.armed = self._points.armed

    def end_life(self) -> None:
        """The process ends: what its disk still does reaches no point."""
        self.armed = False

    def take_delay_s(self) -> float:
        """How much longer the disk work takes that was just done."""
        late_s, self._late_s = self._late_s, 0.0
        return late_s

    def end_at(self, struck: Struck) -> None:
        """The process ends where it was struck, and is started again a while later."""
        how = "the power is gone" if struck.power else "killed"
        self._node.crash(power=struck.power, reason=f"{how}: at the point {struck.point}")
        self._node.time.at(self._node.time.now + self._rest_s(), self._node.start)

    # -- the port --------------------------------------------------------------------------------

    def reach(self, point: str) -> None:
        """The port's `reach`. Raises Struck."""
        strike = self._points.reach(point)
        self.armed = self._points.armed
        if strike is None:
            return
        self._note(strike)
        match strike.term.action:
            case "kill" | "power" as action:
                raise Struck(point, power=action == "power")
            case "sleep" if self.in_disk_work:
                self._late_s += strike.term.seconds
            case "sleep":
                self._stop_for(strike.term.seconds)
            case "pause":
                self._stop_for(self._rest_s())
            case "fail-sync":
                self._node.disk.fault = DiskFault("fail-sync")
            case action:
                raise AssertionError(f"no simulated point is armed with {action}")

    def _note(self, strike: Strike) -> None:
        server, state = self._node.server, strike.state
        assert server is not None, f"a dead process has reached {state.point}"
        fields = {"point": state.point, "action": strike.term.action, "number": state.hits}
        server.note("warn", "point.hit", **fields, id=state.id)

    def _stop_for(self, seconds: float) -> None:
        node = self._node
        node.pause()
        node.time.at(node.time.now + seconds, self._continue, node.epoch)

    def _continue(self, epoch: int) -> None:
        if epoch == self._node.epoch:
            self._node.resume()

    def _rest_s(self) -> float:
        """From 20 ms to 4 s; the logarithm is uniform."""
        rest_s: float = 0.02 * 200.0 ** self._rng.random()
        return rest_s

    def _tell(self) -> None:
        self._points.arm(self._armed.values())
        self.armed = self._points.armed and self._node.server is not None
