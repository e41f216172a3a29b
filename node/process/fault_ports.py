"""The ports of a node at which faults strike: its links, its disk and its clocks.

The supervisor orders faults; each order replaces the one before it at its port. The status of the
node names the faults in force, which is how the supervisor knows that an order was obeyed.
"""

from __future__ import annotations

from collections.abc import Iterable
from random import Random
from typing import TypeAlias

import msgspec

from node.faults.disks import DiskFaults
from node.faults.in_force import InForce
from node.faults.links import FaultFilter
from node.process.clock_port import ClockPort
from node.wire import LinkFault, SetClock, SetDiskFault, SetFaults, Status

Order: TypeAlias = SetFaults | SetDiskFault | SetClock


class FaultPorts:
    """What the ports of this process ask for their verdicts.

    links: asked by whatever sends and receives messages of peers
    disk: asked by every write and sync, also those of forks
    clock: asked for every time that the server is told
    """

    def __init__(self, faults: Iterable[LinkFault], random: Random, clock: ClockPort) -> None:
        """faults: of the links, from the first moment on. Raises ValueError for impossible ones."""
        self.links = FaultFilter(faults, rng=random)
        self.disk = DiskFaults()
        self.clock = clock
        self._in_force = InForce()
        self._in_force.set("clock", clock.first_ids)

    def obey(self, order: Order) -> None:
        """From now on the port does this. Raises ValueError for an impossible fault."""
        match order:
            case SetFaults(faults, ids):
                self.links.set(faults)
                self._in_force.set("links", ids)
            case SetDiskFault(fault, ids):
                self.disk.set(fault)
                self._in_force.set("disk", ids)
            case SetClock(ids=ids):
                self._in_force.set("clock", ids)
                self.clock.obey(order)

    def add_to(self, status: Status) -> Status:
        """The status, with the faults in force."""
        disk_fault = self.disk.current
        if disk_fault is None:  # ended, or it has struck
            self._in_force.set("disk", ())
        return msgspec.structs.replace(status, disk_fault=disk_fault, faults=self._in_force.ids())
