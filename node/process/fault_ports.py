"""The ports of a node at which faults strike: links, disk, clocks, and the points in its code.

The supervisor orders faults; each order replaces the one before it at its port. The status of the
node names the faults in force, which is how the supervisor knows that an order was obeyed.

An armed point may cut the node off, or have its next sync fail. That adds to what was ordered: the
node stays cut off, whatever is ordered of the links, until an order of the points ends it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random
from typing import TypeAlias

import msgspec

from node.events import Note
from node.faults.disks import DiskFaults
from node.faults.in_force import InForce
from node.faults.links import FaultFilter
from node.faults.points import Strike
from node.process.clock_port import ClockPort
from node.process.points import PointPort
from node.wire import (
    ArmPoints,
    DiskFault,
    NodeConfig,
    PointHit,
    SetClock,
    SetDiskFault,
    SetFaults,
    Status,
    ToSupervisor,
)

Order: TypeAlias = SetFaults | SetDiskFault | SetClock | ArmPoints


class FaultPorts:
    """What the ports of this process ask for their verdicts.

    links: asked by whatever sends and receives messages of peers
    disk: asked by every write and sync, also those of forks
    clock: asked for every time that the server is told
    points: asked by the server and its log
    """

    def __init__(
        self,
        config: NodeConfig,
        random: Random,
        clock: ClockPort,
        loop: asyncio.AbstractEventLoop,
        note: Note,
    ) -> None:
        """Raises ValueError for impossible faults of links in the config.

        loop: the one in which this is made
        note: writes an event
        """
        self.links = FaultFilter(config.faults, rng=random)
        self.disk = DiskFaults()
        self.clock = clock
        self.points = PointPort(
            Random(random.getrandbits(64)),
            loop.call_soon_threadsafe,
            self._record,
            lambda: self.disk.set(DiskFault("fail-sync")),
            lambda: self.links.cut_off(config.node_id),
        )
        self._node_id = config.node_id
        self._note = note
        self.tell: Callable[[ToSupervisor], object] = _to_nobody
        """says something to the supervisor: set by the node's `Reports`"""
        self._in_force = InForce()
        self._in_force.set("clock", clock.first_ids)

    def obey(self, order: Order) -> None:
        """From now on the port does this. Raises ValueError for an impossible fault."""
        match order:
            case SetFaults(faults, ids, found):
                self.links.set(faults, {(one, other): by for one, other, by in found})
                self._in_force.set("links", ids)
            case SetDiskFault(fault, ids):
                self.disk.set(fault)
                self._in_force.set("disk", ids)
            case ArmPoints(_, cut):
                self.points.arm(order)
                if cut is not None:
                    self.links.cut_off(self._node_id if cut else None)
            case SetClock(ids=ids):
                self._in_force.set("clock", ids)
                self.clock.obey(order)

    def add_to(self, status: Status) -> Status:
        """The status, with the faults in force."""
        disk_fault = self.disk.current
        if disk_fault is None:  # ended, or it has struck
            self._in_force.set("disk", ())
        points = self.points.states()
        self._in_force.set("points", [point.id for point in points if not point.is_spent])
        return msgspec.structs.replace(
            status, disk_fault=disk_fault, faults=self._in_force.ids(), points=points
        )

    def _record(self, strike: Strike) -> None:
        """Before it strikes: it may be the last that this process does."""
        state, action = strike.state, strike.term.action
        fields = {"point": state.point, "action": action, "number": state.hits, "id": state.id}
        self._note("warn", "point.hit", **fields)
        self.tell(PointHit(state, action))


def _to_nobody(message: ToSupervisor) -> None:
    """Nothing is told before there are `Reports`, and no point is reached before that."""
