"""The trace of a run: all events and messages of all nodes, in the format of the event logs.

The trace has one JSON object a line, in the order in which things happened. `node` 0 is the world
itself: faults, and starts and ends of nodes. The same seed gives the same bytes, and a run with a
trace is the same as a run without.

Messages are events of the nodes between which they travel. A message is named by its sender, the
time `t` that it carries, and its receiver:

    message.sent        by its sender, just before it leaves; `t` is the time that it carries
    message.received    by its receiver, with `from` and `sent_t`; `t` is the receiver's time
    message.lost        by the node where it was lost. `why` is cut, loss, rate-full, held-full,
                        closed (the link ended before it crossed), replaced (the cluster was
                        recovered meanwhile) or dead (its receiver ended before it read it); `fault`
                        is the number of the fault behind it, if there is one
    message.held, message.delayed, message.duplicated
                        by its sender: what a fault does to it

Each has the message's own fields under `message` (`node/tap/fields.py`), and `said`, the same in a
few words. An event of a node has its server's `state` at that moment: term, vote, commit index, the
index and the term of its last entry, and its configuration. With `entries.proposed`, which has the
entries that a leader has appended, these are the fields of which a trace can be checked against a
specification of Raft. `telling.py` describes what else a state has, `state.changed` and
`world.changed`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

from launcher.simulation.saying import describe
from launcher.simulation.telling import Telling
from launcher.timeline.trace_file import BEGUN, TRACE_FORMAT
from node import wire
from node.faults.links import FaultId
from node.raft.messages import NodeId
from node.raft.state import LEADER, RaftState
from node.tap.fields import fields_of, type_of

if TYPE_CHECKING:
    from launcher.simulation.network import SimulatedLinks, Time
    from launcher.simulation.node import SimulatedNode


class Trace:
    """Writes each event as a line.

    write: called with each line, which ends with a newline
    messages: whether the trace has messages, and proposals, too
    """

    def __init__(self, write: Callable[[str], object], *, messages: bool = True) -> None:
        self._write = write
        self.has_messages = messages
        self._logged: dict[NodeId, tuple[int, int]] = {}
        """of each node that leads: its term, and the last entry that is in the trace"""
        self._telling = Telling()
        if messages:
            self.world(0.0, "info", BEGUN, {"format": TRACE_FORMAT})

    def event(
        self,
        now: float,
        t: int,
        node: SimulatedNode,
        level: str,
        event: str,
        term: int,
        role: str,
        commit: int,
        fields: Mapping[str, object],
    ) -> None:
        """Writes an event of a node."""
        if node.server is not None and self.has_messages:
            self._tell_proposals(now, t, node, node.server.state)
            fields = {**fields, "state": self._telling.state(node)}
        self._put(now, t, node.node_id, node.life, term, role, commit, level, event, fields)

    def of_messages(
        self, now: float, t: int, node: SimulatedNode, event: str, fields: Mapping[str, object]
    ) -> None:
        """Writes what became of a message at a node, which may be dead."""
        term, role, commit = 0, "", 0
        if node.server is not None:
            state = node.server.state
            term, role, commit = state.current_term, state.role_name, state.commit_index
        self.event(now, t, node, "debug", event, term, role, commit, fields)

    def world(self, now: float, level: str, event: str, fields: dict[str, object]) -> None:
        """Writes an event of the world."""
        self._put(now, int(now * 1e9), 0, 0, 0, "", 0, level, event, fields)

    def stepped(self, now: float, node: SimulatedNode) -> None:
        """Writes the state of a node that has changed without an event of its own."""
        if self.has_messages and self._telling.is_news(node):
            self.of_messages(now, node.present(0), node, "state.changed", {})

    def look(self, now: float, links: SimulatedLinks, nodes: Iterable[SimulatedNode]) -> None:
        """Writes what befell the world since it was last looked at."""
        if self.has_messages and (changed := self._telling.world(links, nodes)):
            self.world(now, "debug", "world.changed", changed)

    def _tell_proposals(self, now: float, t: int, node: SimulatedNode, state: RaftState) -> None:
        """Writes what a leader has appended since it was last looked at."""
        term, last = state.current_term, state.log.last_index
        if state.role is not LEADER:
            self._logged.pop(node.node_id, None)
            return
        before = self._logged.get(node.node_id)
        self._logged[node.node_id] = (term, last)
        if before is not None and before[0] == term:
            first = before[1] + 1
        else:  # it begins its term with an entry of its own
            own = (b for b in state.log.batches_from(state.log.first_index) if b.term == term)
            first = next((batch.first_index for batch in own), last + 1)
        if first <= last:
            proposed: dict[str, object] = {
                "prop": {"first": first, "last": last},
                "state": self._telling.state(node),
            }
            self._put(
                now, t, node.node_id, node.life, term, state.role_name, state.commit_index,
                "debug", "entries.proposed", proposed,
            )  # fmt: skip

    def _put(
        self,
        now: float,
        t: int,
        node: NodeId,
        life: int,
        term: int,
        role: str,
        commit: int,
        level: str,
        event: str,
        fields: Mapping[str, object],
    ) -> None:
        record = {
            "t": t,
            "node": node,
            "life": life,
            "term": term,
            "role": role,
            "commit": commit,
            "level": level,
            "event": event,
            "at_s": round(now, 6),
            **fields,
        }
        self._write(json.dumps(record, separators=(",", ":"), default=str) + "\n")


class MessageTrace:
    """What becomes of each message, into the trace: the `LinkWatch` of the links."""

    def __init__(self, trace: Trace, time: Time, nodes: Mapping[NodeId, SimulatedNode]) -> None:
        self._trace = trace
        self._time = time
        self._nodes = nodes

    def sent(self, source: NodeId, target: NodeId, frame: bytes) -> None:
        """The `LinkWatch` port."""
        t, fields = _message(frame)
        self._put(t, source, "message.sent", {"to": target}, fields)

    def fared(
        self, how: str, source: NodeId, target: NodeId, frame: bytes, fault: FaultId | None,
        **more: object,
    ) -> None:  # fmt: skip
        """The `LinkWatch` port."""
        sent_t, fields = _message(frame)
        t = self._nodes[source].present(sent_t)
        which = {"to": target, "sent_t": sent_t, "fault": fault, **more}
        self._put(t, source, f"message.{how}", which, fields)

    def lost(
        self, source: NodeId, target: NodeId, frame: bytes, why: str, fault: FaultId | None,
        *, at: NodeId,
    ) -> None:  # fmt: skip
        """The `LinkWatch` port."""
        sent_t, fields = _message(frame)
        t = self._nodes[at].present(sent_t + (at != source))
        which = {"from": source, "to": target, "sent_t": sent_t, "why": why, "fault": fault}
        self._put(t, at, "message.lost", which, fields)

    def received(self, node: SimulatedNode, peer: NodeId, frame: bytes, t: int) -> None:
        """A server has taken a message of a peer, at this time."""
        sent_t, fields = _message(frame)
        which = {"from": peer, "sent_t": sent_t}
        self._put(t, node.node_id, "message.received", which, fields)

    def _put(
        self,
        t: int,
        at: NodeId,
        event: str,
        which: Mapping[str, object],
        fields: Mapping[str, object],
    ) -> None:
        self._trace.of_messages(self._time.now, t, self._nodes[at], event, {**which, **fields})


def _message(frame: bytes) -> tuple[int, dict[str, object]]:
    """The time that a message carries, and its fields."""
    t, message = wire.decode_rpc(frame)
    return t, {
        "type": type_of(message),
        "bytes": len(frame),
        "message": fields_of(message),
        "said": describe(message),
    }
