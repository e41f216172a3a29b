"""The trace of a run: all events and messages of all nodes, in the format of the event logs.

The trace has one JSON object a line, in the order in which things happened. `node` 0 is the world
itself: faults, and starts and ends of nodes. A message between nodes is an event of its sender,
`message.sent`. The same seed gives the same bytes.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from node import wire
from node.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    InstallSnapshot,
    InstallSnapshotReply,
    Message,
    NodeId,
    ReadIndex,
    ReadIndexReply,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)

if TYPE_CHECKING:
    from launcher.simulation.node import SimulatedNode


class Trace:
    """Writes each event as a line.

    write: called with each line, which ends with a newline
    messages: whether the trace has messages too
    """

    def __init__(self, write: Callable[[str], object], *, messages: bool = True) -> None:
        self._write = write
        self._messages = messages

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
        fields: dict[str, object],
    ) -> None:
        """Writes an event of a node."""
        self._put(now, t, node.node_id, node.life, term, role, commit, level, event, fields)

    def message(self, now: float, node: SimulatedNode, peer: NodeId, frame: bytes) -> None:
        """Writes a message that a node sends."""
        if not self._messages or node.server is None:
            return
        t, message = wire.decode_rpc(frame)
        state = node.server.state
        fields = {"to": peer, "message": describe(message)}
        self._put(
            now, t, node.node_id, node.life, state.current_term, state.role_name,
            state.commit_index, "debug", "message.sent", fields,
        )  # fmt: skip

    def world(self, now: float, level: str, event: str, fields: dict[str, object]) -> None:
        """Writes an event of the world."""
        self._put(now, int(now * 1e9), 0, 0, 0, "", 0, level, event, fields)

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
        fields: dict[str, object],
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


def describe(message: Message) -> str:
    """Describes a message in a few words."""
    match message:
        case RequestVote():
            what = "RequestVote (pre-vote)" if message.pre_vote else "RequestVote"
            what += " (transfer)" * message.leadership_transfer
            last = f"last {message.last_log_index} of term {message.last_log_term}"
            return f"{what} term {message.term}, {last}"
        case RequestVoteReply():
            what = "pre-vote" if message.pre_vote else "vote"
            granted = "granted" if message.vote_granted else "denied"
            return f"{what} {granted}, term {message.term}"
        case AppendEntries():
            batches = message.batches
            entries = (
                f"entries {batches[0].first_index} to {batches[-1].last_index}"
                if batches
                else "no entries"
            )
            prev = f"after {message.prev_log_index} of term {message.prev_log_term}"
            return (
                f"AppendEntries term {message.term}, {entries} {prev}, "
                f"commit {message.leader_commit}, round {message.round}"
            )
        case AppendEntriesReply():
            if message.success:
                said = f"holds all up to {message.match_index}"
            else:
                said = (
                    f"refuses after {message.prev_log_index}; may agree at {message.hint_index} "
                    f"of term {message.hint_term}"
                )
            return f"AppendEntriesReply term {message.term}: {said}, round {message.round}"
        case InstallSnapshot():
            said = f"{len(message.data)} bytes at {message.offset} of {message.snapshot.size}"
            index = message.snapshot.last_included_index
            return f"InstallSnapshot term {message.term}, of {index}: {said}, round {message.round}"
        case InstallSnapshotReply():
            said = "all of it" if message.installed else f"{message.offset} bytes"
            index = message.last_included_index
            return f"InstallSnapshotReply term {message.term}, of {index}: {said} is there"
        case TimeoutNow():
            return f"TimeoutNow term {message.term}"
        case ReadIndex():
            return f"ReadIndex term {message.term}, ticket {message.ticket}"
        case ReadIndexReply():
            said = f"ticket {message.ticket} at {message.index}"
            return f"ReadIndexReply term {message.term}: {said}"
