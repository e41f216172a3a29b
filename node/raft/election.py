"""Elections: how a cluster without a leader gets one (§5.2, §5.4.1, thesis §9.6).

A server that hears no leader for an election timeout campaigns. It first asks for *pre-votes*:
would you vote for me? Only when a majority would does it begin a new term and ask for votes. So a
server that was cut off, or whose log is behind, comes back without having raised anybody's term.
Where pre-votes are off, it begins the term at once, as in the paper (§5.2). `roles.py` has the
transitions; here is what is sent, and how votes are given and counted.

A server that hears a live leader grants neither kind of vote, and does not enter the term of the
request either: nobody can depose a leader that a majority hears (thesis §4.2.3).

A pipe whose other end has died is a hint: the follower need not wait for the timeout. The hint
only shortens the wait; votes are counted as usual. The very first election after a start is
hastened in the same way, since there is no leader yet to hear.
"""

from __future__ import annotations

from node.raft.membership import majority
from node.raft.messages import Floor, NodeId, RequestVote, RequestVoteReply
from node.raft.roles import become_candidate, become_follower, become_pre_candidate
from node.raft.state import CANDIDATE, FOLLOWER, LEADER, RaftState
from node.raft.streaks import Lost

HINTED_RETRIES = 3
"""How many elections in a row a hint may hasten: without a quorum, more haste helps nobody."""


def on_election_timeout(raft: RaftState) -> None:
    """No leader was heard: ask for pre-votes, or begin a term at once where pre-votes are off."""
    assert raft.role is not LEADER
    lost = _lost(raft)
    become_follower(raft, None, "no leader is heard")
    if not raft.may_campaign:
        raft.reset_election_timer()
        return
    hastened = raft.hinted_elections > 0
    raft.hinted_elections -= hastened
    if not raft.timing.pre_vote:
        campaign(raft, lost)
        return
    become_pre_candidate(raft, hastened=hastened, lost=lost)
    _ask(raft)
    won = count_votes(raft)
    assert not won, "a new term and its vote are on disk before it is won"


def campaign(raft: RaftState, lost: Lost | None = None) -> None:
    """Begin a term and ask everybody for votes. Only with the pre-votes of a majority, except where
    pre-votes are off or the leader has asked for it.

    lost: how the attempt before this one ended, for the event log
    """
    become_candidate(raft, lost)
    _ask(raft)


def count_votes(raft: RaftState) -> bool:
    """Whether this candidate has won; a pre-candidate that wins begins its term.

    A candidate's own vote counts once it is on disk, like any other. Otherwise a server that is a
    majority by itself could lead a term that a crash takes back, and then lead the same term again
    with other entries.
    """
    while raft.configuration.has_quorum(voter for voter, yes in raft.votes.items() if yes):
        if not raft.pre_vote:
            return raft.hard_state == raft.persisted_hard_state  # `Raft.persisted` counts again
        campaign(raft)
    return False


def step_down_unheard(raft: RaftState) -> None:
    """This leader has not heard a majority for the longest election timeout (thesis §6.2)."""
    timeout = raft.timing.election_timeout_max_s
    contacts = {peer: raft.now - progress.last_contact for peer, progress in raft.progress.items()}
    heard = sorted(peer for peer, silent_s in contacts.items() if silent_s <= timeout)
    facts: dict[str, object] = {"heard": heard, "in_s": timeout}
    if not raft.configuration.is_joint:
        voters = raft.configuration.voters
        has = sum(voter == raft.node_id or voter in heard for voter in voters)
        facts |= {"has": has, "needs": majority(voters), "of": len(voters)}
    become_follower(raft, None, "no quorum is heard", **facts)


def on_request_vote(raft: RaftState, message: RequestVote) -> None:
    """Grant a vote, or say whether one would be granted (Figure 2, RequestVote).

    `step` has already handled its term, and the case that a live leader is heard.
    """
    if raft.is_bound_by_a_lease and not message.leadership_transfer:
        deny(raft, message, "a leader may hold a lease")
        return
    # Only a log at least as recent as ours holds all that may be committed (§5.4.1).
    recent = raft.is_as_recent(message.last_log_index, message.last_log_term)
    if message.pre_vote:
        _answer_pre_vote(raft, message, recent)
        return
    assert message.term == raft.current_term
    # A server that follows this term's leader has no use for another candidate of the term.
    free = raft.voted_for is None and raft.leader_id is None
    granted = recent and (free or raft.voted_for == message.candidate_id)
    if granted:
        assert raft.role is not LEADER, "a leader has voted for itself"
        become_follower(raft, None, "voted for another")
        raft.voted_for = message.candidate_id
        raft.reset_election_timer()
        raft.streaks.refused.pop(message.candidate_id, None)
        raft.note("info", "vote.granted", candidate=message.candidate_id)
    elif not recent:
        _tell_log_behind(raft, message)
    elif raft.voted_for is not None:
        _tell(raft, message, "it has voted already", voted_for=raft.voted_for)
    else:
        _tell(raft, message, "it follows the leader of the term", leader=raft.leader_id)
    reply = RequestVoteReply(raft.current_term, vote_granted=granted)
    raft.send_after_persist(message.candidate_id, reply)


def _answer_pre_vote(raft: RaftState, message: RequestVote, recent: bool) -> None:
    granted = recent and message.term > raft.current_term
    if granted and raft.role is FOLLOWER and raft.hinted_elections > 0:
        # The other server was quicker: give it time to be elected before we hasten to campaign.
        raft.election_deadline = max(
            raft.election_deadline, raft.now + raft.random.uniform(1, 2) * raft.timing.hint_delay_s
        )
    if granted:
        raft.streaks.refused.pop(message.candidate_id, None)
        raft.note("debug", "prevote.granted", candidate=message.candidate_id, for_term=message.term)
    elif not recent:
        _tell_log_behind(raft, message)
    else:
        _tell(raft, message, "the term has begun already")
    # A refusal carries our term: a candidate that is behind learns it and can ask again (§5.1).
    term = message.term if granted else raft.current_term
    reply = RequestVoteReply(term, vote_granted=granted, pre_vote=True)
    raft.send_after_persist(message.candidate_id, reply)


def deny(raft: RaftState, message: RequestVote, reason: str) -> None:
    """Refuse, with our own term and without entering the request's."""
    heard = {"leader": raft.leader_id} if raft.hears_a_leader else {}
    _tell(raft, message, reason, event="vote.denied", **heard)
    reply = RequestVoteReply(raft.current_term, vote_granted=False, pre_vote=message.pre_vote)
    raft.send_after_persist(message.candidate_id, reply)


def ignore(raft: RaftState, message: RequestVote) -> None:
    """A vote of a later term is asked for while a leader is heard: it is not answered (§6)."""
    _tell(raft, message, "a leader is heard", leader=raft.leader_id, ignored=True)


def _tell_log_behind(raft: RaftState, message: RequestVote) -> None:
    ours = max(raft.floor, Floor(raft.log.last_term, raft.log.last_index))
    _tell(
        raft,
        message,
        "its log is behind ours",
        last_index=ours.index,
        last_term=ours.term,
        candidate_index=message.last_log_index,
        candidate_term=message.last_log_term,
    )


def _tell(
    raft: RaftState, message: RequestVote, reason: str, *, event: str = "", **facts: object
) -> None:
    """Note that this server refuses, and why; at `debug` where that only repeats."""
    level, count = raft.streaks.refuse(
        message.candidate_id, pre_vote=message.pre_vote, reason=reason
    )
    raft.note(
        level,
        event or ("prevote.denied" if message.pre_vote else "vote.denied"),
        candidate=message.candidate_id,
        reason=reason,
        pre_vote=message.pre_vote,
        for_term=message.term,
        count=count,
        **facts,
    )


def on_request_vote_reply(raft: RaftState, sender: NodeId, message: RequestVoteReply) -> bool:
    """Count one vote; whether that wins the election. Replies to an earlier request are ignored."""
    if raft.role is not CANDIDATE or message.pre_vote != raft.pre_vote:
        return False
    asked = raft.current_term + 1 if raft.pre_vote else raft.current_term
    if message.vote_granted and message.term != asked:
        return False
    raft.votes[sender] = message.vote_granted
    return count_votes(raft)


def hint_start(raft: RaftState) -> None:
    """This server has just started. If there is a leader, it will be heard in a moment."""
    raft.reset_election_timer()
    raft.streaks.reason = "it has just started and hears no leader"
    if raft.timing.failure_hint:
        raft.hinted_elections = HINTED_RETRIES
        raft.shorten_election_timer(2.5, 7.5)


def hint_failure(raft: RaftState, peer: NodeId) -> None:
    """The process of `peer` is dead. If it led, do not wait for its silence to be noticed."""
    if not raft.timing.failure_hint or raft.role is LEADER or raft.leader_id != peer:
        return
    become_follower(raft, None, "the leader has died")
    raft.streaks.reason = "the leader's process has ended"
    raft.hinted_elections = HINTED_RETRIES
    raft.shorten_election_timer(0, 1)


def _lost(raft: RaftState) -> Lost | None:
    """How the attempt ended that was under way until now; None when there was none."""
    if raft.role is not CANDIDATE:
        return None
    asked = [peer for peer in raft.configuration.everybody if raft.configuration.may_vote(peer)]
    others = sorted(peer for peer in asked if peer != raft.node_id)
    votes = raft.votes
    return Lost(
        pre_vote=raft.pre_vote,
        yes=tuple(peer for peer in others if votes.get(peer) is True),
        no=tuple(peer for peer in others if votes.get(peer) is False),
        silent=tuple(peer for peer in others if peer not in votes),
    )


def _ask(raft: RaftState) -> None:
    request = RequestVote(
        term=raft.current_term + 1 if raft.pre_vote else raft.current_term,
        candidate_id=raft.node_id,
        last_log_index=raft.log.last_index,
        last_log_term=raft.log.last_term,
        pre_vote=raft.pre_vote,
        leadership_transfer=raft.asked_to_campaign,
    )
    configuration = raft.configuration
    for peer in configuration.everybody:
        if peer != raft.node_id and configuration.may_vote(peer):
            raft.send_after_persist(peer, request)
