"""What a node tells its supervisor: how it does, why it ends, and what became of a transfer."""

from __future__ import annotations

import traceback

import msgspec

from node import wire
from node.errors import (
    DamagedLog,
    LeekyError,
    LostData,
    MachineError,
    RaftError,
    WrongDirectory,
)
from node.events import HybridClock
from node.printable import printable_line
from node.process.fault_ports import FaultPorts
from node.process.transport import ControlChannel
from node.raft.state import LEADER, RaftState
from node.server.server import Server
from node.tap.writer import Tap
from node.wire import (
    Failed,
    TimedOut,
    TimeOut,
    ToSupervisor,
    TransferEnded,
    TransferLeadership,
)

DIGESTS_EVERY_S = 0.1
"""Digests that are logged are told unasked, at most once in so long: then nodes are compared soon,
and at any rate of entries it costs the node a thousandth of a core."""

MOST_REASON_CHARACTERS = 2000
"""No reason for the end of a node is longer."""


def end_by(error: BaseException) -> Failed:
    """Why the error ends the node, whether the node's data counts no more, and whether to start
    the node again. Prints the traceback of an error that is none of ours."""
    lost = isinstance(error, (DamagedLog, LostData))
    retry = not (lost or isinstance(error, (WrongDirectory, MachineError)))
    if isinstance(error, LeekyError):
        reason = str(error)
    else:
        reason = f"internal error: {type(error).__name__}: {error}"
        traceback.print_exception(error)
    # The reason may quote anything: many lines, and text that is no valid Unicode.
    return Failed(printable_line(reason, MOST_REASON_CHARACTERS), retry, lost)


class Reports:
    """The node's half of its conversation with the supervisor."""

    def __init__(
        self, control: ControlChannel, clock: HybridClock, faults: FaultPorts, tap: Tap
    ) -> None:
        self._control = control
        self._clock = clock
        self._faults = faults
        self._tap = tap
        faults.tell = self.tell
        self._reported: tuple[object, ...] = ()
        self._commit_told: int | None = None
        """the commit index when that was told; None once its first commit after that is told"""
        self._digest_told = 0
        self._digest_due = 0.0
        """the last index whose digest was told, and from when on the next is"""
        self._transfers: list[int] = []
        """the requests to hand over that are to be answered"""

    def tell(self, message: ToSupervisor) -> None:
        """Sends one message."""
        self._control.send(wire.encode(self._clock.tick(), message))

    # -- status ----------------------------------------------------------------------------------

    def answer(
        self, server: Server | None, asked: wire.GetStatus | wire.GetLog, now: float
    ) -> None:
        """Answers the supervisor, once there is a server."""
        if server is None:
            return
        if isinstance(asked, wire.GetLog):
            self.tell(server.log_part(asked))
        else:
            self.tell_status(server, asked.request, now)

    def tell_status(self, server: Server, request: int = 0, now: float | None = None) -> None:
        """How the node sees the world, how its disk does, and which faults are in force.

        now: seconds on the loop's clock; by default the time of the server's last step
        """
        status = msgspec.structs.replace(
            server.status(request, now),
            disk_stalled=server.state.disk.stalled,
            tap=self._tap.mode,
            tap_problem=self._tap.problem,
        )
        self.tell(self._faults.add_to(status))

    def tell_changes(self, server: Server) -> None:
        """The status, if role, term, leader or membership is another than when this last told it,
        if a leader has committed something for the first time, or if a digest was logged."""
        state = server.state
        members_since = state.configurations[-1][0]
        now = (state.role, state.is_voter, state.current_term, state.leader_id, members_since)
        if now != self._reported:
            self._reported, self._commit_told = now, state.commit_index
        elif self._has_first_commit(state):
            self._commit_told = None
        elif not self._has_digest(server):
            return
        self.tell_status(server)

    def _has_first_commit(self, state: RaftState) -> bool:
        """Whether it leads, and has committed something since it was told that it does."""
        told = self._commit_told
        return state.role is LEADER and told is not None and state.commit_index > told

    def _has_digest(self, server: Server) -> bool:
        """Whether a digest was logged that is to be told now."""
        digests, now = server.applying.digests, server.state.now
        if not digests or digests[-1][0] == self._digest_told or now < self._digest_due:
            return False
        self._digest_told, self._digest_due = digests[-1][0], now + DIGESTS_EVERY_S
        return True

    # -- an election by command ------------------------------------------------------------------

    def time_out(self, server: Server | None, message: TimeOut, now: float) -> None:
        """Has the election timer fire, and tells what became of that.

        server: None: the node is not ready, or about to end
        """
        if server is None:
            self.tell(TimedOut(message.request, failure="it is not ready"))
            return
        try:
            server.time_out(now)
        except RaftError as error:
            self.tell(TimedOut(message.request, failure=str(error)))
            return
        state = server.state
        self.tell(TimedOut(message.request, state.current_term + state.pre_vote, state.pre_vote))

    # -- handing over ----------------------------------------------------------------------------

    @property
    def awaits_transfer(self) -> bool:
        """Whether the supervisor is still to be told what became of a transfer."""
        return bool(self._transfers)

    def transfer(self, server: Server | None, message: TransferLeadership, now: float) -> bool:
        """Begins the transfer that the supervisor asks for, or tells why it cannot begin.

        server: None: the node is not ready, or about to end
        now: seconds on the node's clock

        Returns whether it has begun.
        """
        if server is None:
            self.tell(TransferEnded(message.request, None, "it is not ready"))
            return False
        try:
            server.transfer(message.target, now)
        except RaftError as error:
            self.tell(TransferEnded(message.request, server.state.leader_id, str(error)))
            return False
        self._transfers.append(message.request)
        return True

    def transfer_ended(self, server: Server) -> None:
        """Handing over has succeeded or failed: tells those who asked for it."""
        state = server.state
        for request in self._transfers:
            self.tell(TransferEnded(request, state.leader_id, state.transfer_failure))
        self._transfers.clear()
