"""What a node says of itself when it is asked: `wire.Status`, from what the server's parts know."""

from __future__ import annotations

from node import wire
from node.raft.progress import REPLICATE
from node.raft.state import FOLLOWER, LEADER, RaftState
from node.server.applying import Applying
from node.server.machine_watch import MachineWatch
from node.server.snapshots import Snapshots


def status_of(
    state: RaftState,
    applying: Applying,
    snapshots: Snapshots,
    watch: MachineWatch,
    *,
    now: float,
    request: int,
    sequence: int,
    frames_skipped: int,
) -> wire.Status:
    """How the node sees the world.

    now: in seconds, on the core's time scale
    request: the number of the question that this answers; 0: it was not asked
    sequence: of the last record of the node's log that is durable
    frames_skipped: how many messages of peers made no sense
    """
    (committed_at, committed), (index, configuration) = (
        state.configurations[0],
        state.configurations[-1],
    )
    leads, heard_at = state.role is LEADER, state.leader_heard_at
    return wire.Status(
        request=request,
        role=_role_of(state),
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
        snapshot_index=_snapshot_index(state),
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
        committed_membership=(committed_at, committed.membership),
        voted_for=state.voted_for,
        kept_term=state.persisted_hard_state.current_term,
        kept_vote=state.persisted_hard_state.voted_for,
        election_in_s=None if leads else round(state.election_deadline - now, 6),
        leader_heard_s=None if leads or heard_at < 0 else round(now - heard_at, 6),
        peers=_peers_of(state, now) if leads else [],
    )


def log_part(state: RaftState, asked: wire.GetLog) -> wire.LogPart:
    """The entries of its log that were asked for, and the state that belongs to them."""
    log = state.log
    first = max(asked.first_index, log.first_index)
    batches = log.batches_from(log.batch_start(first)) if first <= log.last_index else []
    return wire.LogPart(
        request=asked.request,
        role=_role_of(state),
        term=state.current_term,
        voted_for=state.voted_for,
        commit_index=state.commit_index,
        first_index=log.first_index,
        last_index=log.last_index,
        snapshot_index=_snapshot_index(state),
        entries=wire.entries_of(batches, first, asked.most_entries, asked.most_bytes),
    )


def _role_of(state: RaftState) -> str:
    if state.role is FOLLOWER and not state.is_voter:
        return "learner"
    return state.role_name


def _snapshot_index(state: RaftState) -> int:
    return state.snapshot.last_included_index if state.snapshot else 0


def _peers_of(state: RaftState, now: float) -> list[wire.Peer]:
    """What this leader believes of each peer."""
    found = []
    for peer, progress in sorted(state.progress.items()):
        flying, flying_bytes = len(progress.inflight), progress.inflight_bytes
        if progress.snapshot is not None:
            flying, flying_bytes = 1, progress.snapshot.size - progress.snapshot_offset
        elif progress.mode is not REPLICATE and progress.probe_sent:
            flying = 1
        found.append(
            wire.Peer(
                peer,
                progress.next_index,
                progress.match_index,
                progress.mode.value,
                flying,
                flying_bytes,
                round(now - progress.last_contact, 6) if progress.round_acked else None,
            )
        )
    return found
