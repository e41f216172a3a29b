"""The tap of a running node: writes down what becomes of its messages, and what else happens.

Modes: `off`; `ring`, which keeps the two newest segments; `full`, which keeps as many as the
settings say. What is recorded is in the file when a method returns, and a method is called before
what it tells of can have any effect. So the record of a node that is killed, or frozen, lacks
nothing that anybody could have seen.

A tap never stops its node. When a file cannot be made, the tap is off from then on, and an event
says why.
"""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Any

import msgspec

from node.events import HybridClock, Note
from node.faults.links import FaultId
from node.raft.messages import NodeId
from node.raft.state import FOLLOWER, LEADER, RaftState
from node.tap.format import (
    BODY_AT,
    CAUSES,
    DELAYED,
    DUPLICATED,
    EVENT,
    HELD,
    INWARD,
    LEAST_SEGMENT_BYTES,
    LOST,
    RECEIVED,
    RECORD,
    ROLES,
    SENT,
    Head,
    clock_in,
    light,
)
from node.tap.segment import Segment, segments
from node.wire import SetTap

RING_SEGMENTS = 2

_ROLE_NUMBERS = {name: number for number, name in enumerate(ROLES)}
_CAUSE_NUMBERS = {name: number for number, name in enumerate(CAUSES)}


class Tap:
    """One node's, in one life.

    is_on: whether anything is recorded. To be asked before any other method is called
    problem: why it is off although it was ordered to be on
    state: the core's, once there is one: its term, role and commit index stand in each record
    """

    def __init__(
        self,
        folder: Path | None,
        node: NodeId,
        life: int,
        clock: HybridClock,
        note: Note,
    ) -> None:
        """folder: of the files; None: there is none, and it stays off
        clock: the node's; what happens here moves it on, as every event does
        note: writes an event
        """
        self._folder = folder
        self._node = node
        self._life = life
        self._clock = clock
        self._note = note
        self._thread = threading.get_ident()
        self._order = SetTap()
        self._segment: Segment | None = None
        self._number = 0
        self._seen: bytes = b""
        self._light: bytes = b""
        self._sent_t = 0
        self.is_on = False
        self.problem = ""
        self.state: RaftState | None = None

    @property
    def mode(self) -> str:
        """What it does now."""
        return self._order.mode if self.is_on else "off"

    def obey(self, order: SetTap) -> None:
        """From now on this mode, with segments of this size."""
        if order == self._order and (self.is_on or order.mode == "off"):
            return
        self._order, self.problem = order, ""
        if order.mode == "off" or self._folder is None:
            self.close()
        else:
            self._begin_segment()

    def close(self) -> None:
        """Nothing is recorded any more."""
        self.is_on = False
        segment, self._segment = self._segment, None
        if segment is not None:
            segment.close()

    # -- messages --------------------------------------------------------------------------------

    def sent(self, peer: NodeId, frame: bytes) -> None:
        """A message to `peer` is about to leave."""
        self._write(SENT, 0, peer, frame)

    def received(self, peer: NodeId, frame: bytes, t: int) -> None:
        """The server has taken a message of `peer`, at this time by the node's clock."""
        self._write(RECEIVED, 0, peer, frame, t)

    def lost(self, peer: NodeId, frame: bytes, why: str, *, fault: FaultId | None = None) -> None:
        """A message to `peer` is lost as it is sent. why: one of `format.CAUSES`"""
        self._write(LOST, _CAUSE_NUMBERS[why], peer, frame, None, fault)

    def lost_later(self, peer: NodeId, frame: bytes, why: str) -> None:
        """A message to `peer` that has waited here is lost."""
        self._write(LOST, _CAUSE_NUMBERS[why], peer, frame, self._clock.tick())

    def lost_from(
        self, peer: NodeId, frame: bytes, why: str, *, fault: FaultId | None = None
    ) -> None:
        """A message of `peer` has come as far as this node, and is lost here."""
        self._write(LOST, _CAUSE_NUMBERS[why], peer, frame, self._clock.tick(), fault, INWARD)

    def held(self, peer: NodeId, frame: bytes, *, fault: FaultId | None = None) -> None:
        """A message to `peer` waits until its link does not hold any more."""
        self._write(HELD, 0, peer, frame, None, fault)

    def delayed(
        self, peer: NodeId, frame: bytes, delay_s: float, *, fault: FaultId | None = None
    ) -> None:
        """A message to `peer` leaves later."""
        self._write(DELAYED, 0, peer, frame, None, fault, round(delay_s * 1e6))

    def duplicated(
        self, peer: NodeId, frame: bytes, copies: int, *, fault: FaultId | None = None
    ) -> None:
        """A message to `peer` is this many messages from here on."""
        self._write(DUPLICATED, 0, peer, frame, None, fault, copies)

    # -- other events ----------------------------------------------------------------------------

    def event(
        self, level: str, event: str, term: int, role: str, commit: int, fields: dict[str, object]
    ) -> None:
        """Something that the event log leaves out. Other threads than the loop's are not heard."""
        if threading.get_ident() != self._thread:
            return
        body = _encode((event, level, fields))
        body_bytes = len(body)
        length = BODY_AT + body_bytes + (-body_bytes & 7)
        number, t = _ROLE_NUMBERS.get(role, 0), self._clock.tick()
        self._put(
            _pack(0, EVENT, number, 0, length, 0, 0, t, term, commit, 0, 0, body_bytes) + body,
            length,
        )

    # -- the file --------------------------------------------------------------------------------

    def _write(
        self,
        kind: int,
        cause: int,
        peer: NodeId,
        frame: bytes,
        t: int | None = None,
        fault: FaultId | None = None,
        detail: int = 0,
    ) -> None:
        """t: None: the time that the frame carries"""
        if frame is not self._seen:  # one message to many is looked at once
            self._seen, self._light, self._sent_t = frame, light(frame), clock_in(frame)
        body = self._light
        body_bytes = len(body)
        length = BODY_AT + body_bytes + (-body_bytes & 7)
        state = self.state
        if state is None:
            role = term = commit = 0
        else:
            role = _role_number(state)
            term, commit = state.current_term, state.commit_index
        fault_id = fault if isinstance(fault, int) else 0
        when = self._sent_t if t is None else t
        record = _pack(
            0, kind, role, cause, length, peer, len(frame), when, term, commit, detail, fault_id,
            body_bytes,
        ) + body  # fmt: skip
        segment = self._segment
        if segment is None or not segment.write(record, length):
            self._put(record, length)

    def _put(self, record: bytes, length: int) -> None:
        segment = self._segment
        if segment is None or segment.write(record, length):
            return
        self._begin_segment()
        if self._segment is not None:
            self._segment.write(record, length)  # one that is larger than a segment is left out

    def _begin_segment(self) -> None:
        """Goes on in a new file, and removes what is not to be kept. Off if it cannot be made."""
        self.close()
        assert self._folder is not None
        capacity = max(self._order.segment_bytes, LEAST_SEGMENT_BYTES)
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            there = segments(self._folder, self._node)
            self._number = max(self._number, there[-1][1] if there else 0) + 1
            keep = RING_SEGMENTS
            if self._order.mode == "full":
                keep = max(RING_SEGMENTS, self._order.keep_bytes // capacity)
            for _, _, path in there[: max(0, len(there) + 1 - keep)]:
                with contextlib.suppress(FileNotFoundError):
                    path.unlink()
            of = Head(self._node, self._life, self._number, capacity)
            self._segment = Segment(self._folder, of)
        except OSError as error:
            self.problem = error.strerror or str(error)
            self._note("warn", "tap.failed", reason=self.problem)
            return
        self.is_on = True


def _role_number(state: RaftState) -> int:
    """As `_ROLE_NUMBERS` has it for the name; this is called for each message, and is fast."""
    if state.role is LEADER:
        return 3
    if state.pre_vote:
        return 1
    return 0 if state.role is FOLLOWER else 2


def no_tap() -> Tap:
    """One that records nothing, whatever it is told."""
    return Tap(None, 0, 0, HybridClock(), lambda *_, **__: None)


def _encode(what: Any) -> bytes:
    return _encoder.encode(what)


_pack = RECORD.pack
_encoder = msgspec.msgpack.Encoder(enc_hook=str)
