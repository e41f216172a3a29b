"""Leadership transfer: the leader chooses who leads next (thesis §3.10).

The leader takes no more proposals, brings the target's log up to date, and then tells it to
campaign at once (TimeoutNow). The target asks for no pre-votes, and its RequestVote says that the
leader wants it, so that a server which hears that leader votes all the same. Safety does not rest
on any of this: the target needs a majority's votes like any other candidate.

A transfer that takes longer than the shortest election timeout is given up, and the leader takes
proposals again; likewise when the target's process dies meanwhile. A TimeoutNow that is still under
way then may yet cause an election; one of an earlier term is stale, like any message.
"""

from __future__ import annotations

from node.errors import ImpossibleTransfer
from node.raft.election import campaign
from node.raft.messages import NodeId, TimeoutNow
from node.raft.roles import become_follower
from node.raft.state import LEADER, RaftState, Transfer

# -- the leader ----------------------------------------------------------------------------------


def begin(raft: RaftState, target: NodeId | None) -> None:
    """Begin to hand over to `target`, or to the live voter that holds most of the log.

    An attempt that is under way goes on if any target will do; otherwise it is given up. Raises
    ImpossibleTransfer.
    """
    assert raft.role is LEADER
    if target is None:
        if raft.transfer is not None:
            return
        target = best_target(raft)
        if target is None:
            raise ImpossibleTransfer("no other voter is heard that could lead")
    if target == raft.node_id:
        raise ImpossibleTransfer(f"n{target} leads already")
    if target not in raft.progress or not raft.configuration.may_vote(target):
        raise ImpossibleTransfer(f"n{target} is no voter of this cluster")
    if raft.transfer is not None:
        if raft.transfer.target == target:
            return
        abort(raft, raft.transfer, f"n{target} is to lead instead")
    raft.transfer = Transfer(target, raft.now + raft.timing.election_timeout_min_s)
    raft.transfer_failure = ""
    raft.note("info", "transfer.started", target=target, lacks=_lacks(raft, target))


def best_target(raft: RaftState) -> NodeId | None:
    """Of the voters heard within the shortest election timeout, the one with most of the log."""
    since = raft.now - raft.timing.election_timeout_min_s
    heard = [
        peer
        for peer, progress in raft.progress.items()
        if progress.last_contact >= since
        and not progress.died
        and raft.configuration.may_vote(peer)
    ]
    return max(heard, key=lambda peer: raft.progress[peer].match_index, default=None)


def hand_over(raft: RaftState, transfer: Transfer) -> None:
    """Tell the target to campaign, once its disk holds all of the log."""
    if transfer.told or _lacks(raft, transfer.target) > 0:
        return
    transfer.told = True
    raft.lease.forgone = True  # a server that hears the target votes, whatever lease we hold
    raft.send(transfer.target, TimeoutNow(raft.current_term, raft.node_id))


def check(raft: RaftState) -> None:
    """Give up a transfer that has taken too long."""
    transfer = raft.transfer
    if transfer is None or raft.now < transfer.deadline:
        return
    if raft.role is not LEADER:
        reason = "no leader was elected in time"
    elif (lacks := _lacks(raft, transfer.target)) > 0:
        reason = f"it still lacked {lacks} entries"
    else:
        reason = "it was told to campaign, and was not elected in time"
    abort(raft, transfer, reason)


def on_lost(raft: RaftState, peer: NodeId, reason: str) -> None:
    """The process of `peer` has ended, or another has taken its place."""
    if raft.transfer is not None and raft.transfer.target == peer:
        abort(raft, raft.transfer, reason)


def on_leader(raft: RaftState, leader_id: NodeId) -> None:
    """A leader is heard: if this server was handing over, that is done, or has failed."""
    transfer = raft.transfer
    if transfer is None:
        return
    if leader_id != transfer.target:
        abort(raft, transfer, f"n{leader_id} was elected instead")
        return
    raft.transfer = None
    raft.note("info", "transfer.done", target=leader_id)


def abort(raft: RaftState, transfer: Transfer, reason: str) -> None:
    """Give up; a leader takes proposals again."""
    raft.transfer, raft.transfer_failure = None, reason
    raft.note("warn", "transfer.aborted", target=transfer.target, reason=reason)


def _lacks(raft: RaftState, target: NodeId) -> int:
    progress = raft.progress.get(target)
    held = 0 if progress is None else progress.match_index  # None: it has been removed meanwhile
    return raft.log.last_index - held


def leave(raft: RaftState) -> None:
    """A leader that is no member any more hands over to one that is, or else steps down (§6)."""
    if raft.transfer is not None:
        return
    if raft.leaving or best_target(raft) is None:
        become_follower(raft, None, "it is no member any more")
        return
    raft.leaving = True
    begin(raft, None)


# -- the target ----------------------------------------------------------------------------------


def on_timeout_now(raft: RaftState, message: TimeoutNow) -> None:
    """Campaign at once: the leader of this term wants it. `step` has handled terms."""
    assert message.term == raft.current_term
    assert raft.role is not LEADER, "a term has one leader (Election Safety, §5.2)"
    if raft.disk.stalled or not raft.may_campaign:
        return  # it could neither vote nor lead
    become_follower(raft, None, "asked to campaign")
    raft.note("info", "transfer.received", leader=message.leader_id)
    raft.asked_to_campaign = True
    campaign(raft)
