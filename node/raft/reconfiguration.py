"""Membership changes (§6): joint consensus, any change in one step, servers that learn first.

A server goes by the last configuration in its log, committed or not. A change is a *target*: who is
to vote in the end. The leader drives it, entry by entry, each when the one before is committed:

1. voters as they are, the target named: who is new learns. A learner has caught up when a round of
   replication to it took no longer than an election timeout (thesis §4.2.1);
2. the joint configuration, once all learners have caught up: target and old voters;
3. the target alone. A leader that is not in it has then done its last deed, and steps down.

What is under way stands in the log, so whoever is elected in the middle goes on with it. While
learners catch up another target may be named: so one that never does can be given up.
"""

from __future__ import annotations

from collections.abc import Iterable

from node.errors import Busy
from node.raft import membership as memberships
from node.raft.membership import Configuration
from node.raft.messages import CONFIGURATION, Batch, Membership, NodeId
from node.raft.state import CANDIDATE, LEADER, Progress, RaftState

# -- every server --------------------------------------------------------------------------------


def adopt(raft: RaftState, batches: Iterable[Batch]) -> None:
    """Goes by the configurations among what has just been appended to the log."""
    for batch in batches:
        if batch.kind is CONFIGURATION:
            configuration = Configuration(memberships.decode(batch.data))
            raft.configurations.append((batch.first_index, configuration))
            _now_in_force(raft)


def fall_back(raft: RaftState, truncated: int) -> None:
    """The log was truncated from there on: what it does not hold any more is not in force."""
    configurations = raft.configurations
    if configurations[-1][0] < truncated:
        return
    while configurations[-1][0] >= truncated:
        configurations.pop()
    _now_in_force(raft)


def begin_from(raft: RaftState, index: int, membership: Membership) -> None:
    """A snapshot stands for the log up to `index`."""
    raft.configurations = [(index, Configuration(membership))]
    _now_in_force(raft)
    _stand_no_longer(raft)


def commit_up_to(raft: RaftState, index: int) -> None:
    """The log is committed up to there; no truncation falls back behind a configuration in that."""
    assert index > raft.commit_index, "the commit index only rises"
    raft.commit_index = index
    raft.note("debug", "commit.advanced")
    configurations = raft.configurations
    while len(configurations) > 1 and configurations[1][0] <= raft.commit_index:
        del configurations[0]
        if raft.role is LEADER:
            _follow_peers(raft)
    _stand_no_longer(raft)


def _now_in_force(raft: RaftState) -> None:
    configuration = raft.configurations[-1][1]
    membership = configuration.membership
    raft.configuration = configuration
    raft.note(
        "info",
        "configuration.adopted",
        voters=list(membership.voters),
        outgoing=list(membership.outgoing),
        learners=list(configuration.learners),
    )
    if raft.role is LEADER:
        _follow_peers(raft)


def _stand_no_longer(raft: RaftState) -> None:
    """While a server stands for election, a snapshot may come to it, on its disk, that it has
    received before: and no configuration that may still count lets it."""
    if raft.role is CANDIDATE and not raft.may_stand:
        raft.become_follower(None, "it is no voter any more")


def _follow_peers(raft: RaftState) -> None:
    """A leader replicates to everybody in a configuration that may still count, so that who is
    removed hears of it."""
    known = raft.progress
    if known.keys() != (wanted := peers_of(raft)):
        raft.progress = {peer: progress for peer, progress in known.items() if peer in wanted}
        for peer in sorted(wanted - known.keys()):
            progress = Progress(raft.log.last_index + 1, raft.now, first_round=raft.round + 1)
            raft.progress[peer] = progress


def peers_of(raft: RaftState) -> set[NodeId]:
    """To whom a leader replicates."""
    everybody = {node for _, one in raft.configurations for node in one.everybody}
    return everybody - {raft.node_id}


# -- the leader ----------------------------------------------------------------------------------


def request(raft: RaftState, target: Iterable[NodeId]) -> Membership | None:
    """The entry that begins a change; None when that is the target already.

    Raises Busy while a change is past its first stage, or nothing of this term is committed yet.
    """
    wanted = tuple(sorted(set(target)))
    assert wanted, "a cluster has a voter"
    index, configuration = raft.configurations[-1]
    membership = configuration.membership
    if membership.target == wanted:
        return None
    if not raft.is_voter:
        raise Busy("this leader is no member any more; ask the next one in a moment")
    if raft.transfer is not None:
        raise Busy("the lead is being handed over; try again in a moment")
    if not raft.knows_what_is_committed:
        raise Busy("the leader has not committed an entry of its term yet; try again in a moment")
    if configuration.is_joint or index > raft.commit_index:
        raise Busy("another change of the membership is under way; try again in a moment")
    return Membership(membership.voters, wanted)


def next_stage(raft: RaftState) -> Membership | None:
    """The entry that brings the change under way on, if it is time for it."""
    index, configuration = raft.configurations[-1]
    membership = configuration.membership
    if index > raft.commit_index or raft.transfer is not None:
        return None
    if configuration.is_joint:
        return memberships.stable(membership.target)
    if membership.target == membership.voters or not raft.is_voter:
        return None  # who leads and is no voter, though it may be learning, hands over
    if not raft.knows_what_is_committed:
        return None
    if any(not raft.progress[learner].caught_up for learner in configuration.learners):
        return None
    return Membership(membership.target, membership.target, membership.voters)


def is_done_with_us(raft: RaftState) -> bool:
    """The target is committed, and this leader is not in it."""
    return raft.configurations[-1][0] <= raft.commit_index and not raft.is_voter


def note_round(raft: RaftState, progress: Progress) -> None:
    """Learners: how long did it take to send what there was when the round began?"""
    if progress.caught_up or progress.match_index < progress.round_end:
        return
    timely = raft.now - progress.round_began < raft.timing.election_timeout_min_s
    progress.caught_up = progress.round_end > 0 and timely
    progress.round_began, progress.round_end = raft.now, raft.log.last_index
