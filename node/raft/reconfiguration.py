"""Membership changes (§6): joint consensus, any change in one step, servers that learn first.

A server uses the last configuration in its log, committed or not. A change is a *target*: the
servers that vote in the end. The leader drives it, entry by entry, each when the one before it is
committed:

1. the voters as they are, with the target named: new servers are learners from then on. A learner
   has caught up when a round of replication to it took no longer than an election timeout (thesis
   §4.2.1);
2. the joint configuration, once all learners have caught up: target and old voters;
3. the target alone. A leader that is not in it has nothing left to do then, and steps down.

The change under way is in the log, so a leader that is elected in the middle continues it. While
learners catch up another target may be named, so that a learner which never does can be given up.
"""

from __future__ import annotations

from collections.abc import Iterable

from node.errors import Busy
from node.raft import membership
from node.raft.membership import Configuration
from node.raft.messages import CONFIGURATION, Batch, Membership, NodeId
from node.raft.progress import Progress
from node.raft.roles import become_follower
from node.raft.state import CANDIDATE, LEADER, RaftState

# -- every server --------------------------------------------------------------------------------


def adopt(raft: RaftState, batches: Iterable[Batch]) -> None:
    """Use the configurations among `batches`, which have just been appended to the log."""
    for batch in batches:
        if batch.kind is CONFIGURATION:
            configuration = Configuration(membership.decode(batch.data))
            raft.configurations.append((batch.first_index, configuration))
            _use_last(raft)


def fall_back(raft: RaftState, truncated: int) -> None:
    """The log lost its entries from `truncated` on: use the last configuration left in it."""
    configurations = raft.configurations
    if configurations[-1][0] < truncated:
        return
    while configurations[-1][0] >= truncated:
        configurations.pop()
    _use_last(raft)


def begin_from(raft: RaftState, index: int, membership: Membership) -> None:
    """A snapshot has replaced the log up to `index`, with this membership."""
    raft.configurations = [(index, Configuration(membership))]
    _use_last(raft)
    _end_campaign_of_non_voter(raft)


def commit_up_to(raft: RaftState, index: int) -> None:
    """Raise the commit index. No truncation can undo a configuration up to there any more, so the
    ones before it are forgotten."""
    assert index > raft.commit_index, "the commit index only rises"
    raft.commit_index = index
    raft.note("debug", "commit.advanced")
    configurations = raft.configurations
    while len(configurations) > 1 and configurations[1][0] <= raft.commit_index:
        del configurations[0]
        if raft.role is LEADER:
            _track_peers(raft)
    _end_campaign_of_non_voter(raft)


def _use_last(raft: RaftState) -> None:
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
        _track_peers(raft)


def _end_campaign_of_non_voter(raft: RaftState) -> None:
    """While a server campaigns, a snapshot that it received before may become durable, by which it
    is in no configuration that may still count."""
    if raft.role is CANDIDATE and not raft.may_campaign:
        become_follower(raft, None, "it is no voter any more")


def _track_peers(raft: RaftState) -> None:
    """Keep a `Progress` of each of this leader's peers, and of nobody else."""
    known = raft.progress
    if known.keys() != (wanted := raft.peers):
        raft.progress = {peer: progress for peer, progress in known.items() if peer in wanted}
        for peer in sorted(wanted - known.keys()):
            progress = Progress(raft.log.last_index + 1, raft.now, first_round=raft.round + 1)
            raft.progress[peer] = progress


# -- the leader ----------------------------------------------------------------------------------


def request(raft: RaftState, target: Iterable[NodeId]) -> Membership | None:
    """The entry that begins a change to `target`; None when that is the target already.

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
        raise Busy("leadership is being handed over; try again in a moment")
    if not raft.knows_what_is_committed:
        raise Busy("the leader has not committed an entry of its term yet; try again in a moment")
    if configuration.is_joint or index > raft.commit_index:
        raise Busy("another change of the membership is under way; try again in a moment")
    return Membership(membership.voters, wanted)


def next_stage(raft: RaftState) -> Membership | None:
    """The entry of the next stage of the change under way; None when it is not time for one."""
    index, configuration = raft.configurations[-1]
    current = configuration.membership
    if index > raft.commit_index or raft.transfer is not None:
        return None
    if configuration.is_joint:
        return membership.stable(current.target)
    if current.target == current.voters or not raft.is_voter:
        return None  # a leader that is no voter, though it may be a learner, hands over
    if not raft.knows_what_is_committed:
        return None
    if any(not raft.progress[learner].caught_up for learner in configuration.learners):
        return None
    return Membership(current.target, current.target, current.voters)


def has_removed_us(raft: RaftState) -> bool:
    """The target is committed, and this leader is not in it."""
    return raft.configurations[-1][0] <= raft.commit_index and not raft.is_voter


def note_round(raft: RaftState, progress: Progress) -> None:
    """Learners: when the peer holds all entries that there were when the round began, note whether
    that took less than the shortest election timeout, and begin the next round."""
    if progress.caught_up or progress.match_index < progress.round_end:
        return
    timely = raft.now - progress.round_began < raft.timing.election_timeout_min_s
    progress.caught_up = progress.round_end > 0 and timely
    progress.round_began, progress.round_end = raft.now, raft.log.last_index
