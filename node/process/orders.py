"""What the supervisor orders a running node to do: faults, other settings, elections, snapshots.

Settings and faults count from the moment at which the order arrives, whether the node has recovered
by then or not. None of it outlives the process: the supervisor tells the next one. Whatever a
server raises beyond what is expected here ends the process, as everywhere (`node.py`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TypeAlias

from node.errors import Busy, NotLeader
from node.events import Note
from node.process.fault_ports import FaultPorts
from node.process.reports import Reports
from node.process.tapped_events import TappedEvents
from node.raft.messages import NodeId
from node.raft.settings import Timing
from node.server.server import Server
from node.tap.writer import Tap
from node.wire import (
    ArmPoints,
    ChangeMembership,
    ChangeSettings,
    Dropped,
    SetDiskFault,
    SetDrops,
    SetFaults,
    SetTap,
    TakeSnapshot,
    TimeOut,
    TransferLeadership,
)

Order: TypeAlias = (
    SetFaults
    | SetDrops
    | SetDiskFault
    | ArmPoints
    | ChangeSettings
    | SetTap
    | ChangeMembership
    | TransferLeadership
    | TimeOut
    | TakeSnapshot
)


class Orders:
    """Carries out the orders of one node's supervisor.

    server: the node's, while it is ready
    now: seconds on the clock by which the node runs
    strike_waiting: loses messages that a fault keeps and that are to be lost
    """

    def __init__(
        self,
        node_id: NodeId,
        timing: Timing,
        faults: FaultPorts,
        events: TappedEvents,
        tap: Tap,
        reports: Reports,
        note: Note,
        server: Callable[[], Server | None],
        now: Callable[[], float],
        strike_waiting: Callable[[], None],
    ) -> None:
        self._node_id = node_id
        self._timing = timing
        self._faults = faults
        self._events = events
        self._tap = tap
        self._reports = reports
        self._note = note
        self._server = server
        self._now = now
        self._strike_waiting = strike_waiting

    def carry_out(self, order: Order) -> None:
        """Does what is ordered. The server is to be pumped then."""
        server, now = self._server(), self._now()
        match order:
            case SetFaults() | SetDiskFault() | ArmPoints():
                self._faults.obey(order)
            case SetDrops(drops, add):
                self._faults.links.drop(drops, add=add)
                self._strike_waiting()
            case ChangeSettings():
                self._change(order)
            case SetTap():
                self._tap.obey(order)
            case TimeOut():
                self._reports.time_out(server, order, now)
            case TransferLeadership():
                self._reports.transfer(server, order, now)
            case ChangeMembership(target, term):
                if server is not None:
                    # Who asks looks at the status, and asks again while it is not what it is to be.
                    with contextlib.suppress(NotLeader, Busy):
                        server.change_membership(target, now, term)
            case TakeSnapshot():
                if server is not None:
                    server.take_snapshot()

    def begin(self, server: Server) -> None:
        """The server is ready: it gets the timers that were ordered while it recovered."""
        if server.state.timing != self._timing:
            server.change_timing(self._timing, self._now())

    def dropped(self, peer: NodeId, struck: str, kind: str) -> None:
        """A message to `peer` was lost because one of the type `struck` was to be lost."""
        fields: dict[str, object] = {"from": self._node_id, "to": peer, "type": kind}
        self._note("info", "message.dropped", **fields)
        self._reports.tell(Dropped(peer, struck))

    def _change(self, order: ChangeSettings) -> None:
        self._events.set_level(order.log_level)
        self._faults.links.delay_all(order.message_delay_s)
        server = self._server()
        if server is not None and order.timing != self._timing:
            server.change_timing(order.timing, self._now())
        self._timing = order.timing
        self._note("debug", "settings.adopted")
