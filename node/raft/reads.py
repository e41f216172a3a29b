"""Linearizable reads that cost no log entry: ReadIndex (§8, thesis §6.4).

A leader may have been deposed without knowing it, so its own state may be old. Before it answers
a read it notes its commit index, then learns from a majority that it still led *after* the read
had arrived; the read is answered from the state at that index or later. One round of heartbeats
serves every read that waits when it begins; those that come meanwhile share the next.

A new leader does not know what is committed until it has committed an entry of its own term
(§5.4.2): until then reads wait.
"""

from __future__ import annotations

from node.raft.replication import broadcast_heartbeat
from node.raft.state import RaftState, ReadRound


def begin_round(raft: RaftState) -> None:
    """Send a round for the reads that wait, unless one is under way or none may be sent yet."""
    if raft.read_round is not None or not raft.reads_waiting:
        return
    if raft.log.term_at(raft.commit_index) != raft.current_term:
        return
    broadcast_heartbeat(raft)
    raft.read_round = ReadRound(raft.round, raft.commit_index, raft.reads_waiting)
    raft.reads_waiting = []
    confirm(raft)


def confirm(raft: RaftState) -> None:
    """Release the reads whose round, or a later one, a majority has answered."""
    if raft.read_round is None:
        return

    def round_acked(node_id: int) -> int:
        return raft.round if node_id == raft.node_id else raft.progress[node_id].round_acked

    if raft.configuration.quorum_value(round_acked) >= raft.read_round.round:
        raft.reads_ready.append((raft.read_round.read_index, raft.read_round.contexts))
        raft.read_round = None
