"""What a node says of itself when it is asked: `wire.Status`, from what the server's parts know."""

from __future__ import annotations

from node import wire
from node.raft.state import FOLLOWER, RaftState
from node.server.applying import Applying
from node.server.machine_watch import MachineWatch
from node.server.snapshots import Snapshots


def status_of(
    state: RaftState,
    applying: Applying,
    snapshots: Snapshots,
    watch: MachineWatch,
    *,
    request: int,
    sequence: int,
    frames_skipped: int,
) -> wire.Status:
    """How the node sees the world.

    request: the number of the question that this answers; 0: it was not asked
    sequence: of the last record of the node's log that is durable
    frames_skipped: how many messages of peers made no sense
    """
    index, configuration = state.configurations[-1]
    follows = state.role is FOLLOWER
    return wire.Status(
        request=request,
        role="learner" if follows and not state.is_voter else state.role.value,
        term=state.current_term,
        leader=state.leader_id,
        voter=state.is_voter,
        membership=configuration.membership,
        membership_committed=index <= state.commit_index,
        first_index=state.log.first_index,
        last_index=state.log.last_index,
        commit_index=state.commit_index,
        commit_term=state.committed.term,
        applied_index=applying.index,
        snapshot_index=state.snapshot.last_included_index if state.snapshot else 0,
        snapshot_failures=snapshots.failures,
        snapshot_problem=snapshots.problem,
        digest=applying.digest.hex(),
        answers=applying.answers,
        digests=list(applying.digests),
        state=snapshots.state,
        slowest_apply_s=watch.slowest_apply_s,
        slowest_query_s=watch.slowest_query_s,
        sequence=sequence,
        frames_skipped=frames_skipped,
    )
