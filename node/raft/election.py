"""Elections: how a cluster without a leader gets one (§5.2, §5.4.1, thesis §9.6).

A server that hears no leader for an election timeout first asks for *pre-votes*: would you vote
for me? Only when a majority would does it begin a new term and ask for votes. So a server that
was cut off, or whose log is behind, comes back without having raised anybody's term. Where
pre-votes are switched off, it begins the term at once, as the paper has it (§5.2).

A server that hears a live leader grants neither, and does not even take note of the term it is
asked about: nobody can depose a leader that a majority hears (thesis §4.2.3).

A pipe whose other end has died is a hint: the follower need not wait for the timeout. The hint
only shortens the wait; the votes are counted as ever. The same goes for the very first election
after a start, when there is no leader yet to hear.
"""

from __future__ import annotations

from node.raft.messages import NodeId, RequestVote, RequestVoteReply
from node.raft.state import CANDIDATE, FOLLOWER, LEADER, RaftState

HINTED_RETRIES = 3
"""How many elections in a row a hint may hasten: with no quorum to be had, haste is noise."""


def on_election_timeout(raft: RaftState) -> None:
    """No leader was heard: ask for pre-votes. A single voter begins its term at once, and so does
    everybody where pre-votes are off."""
    assert raft.role is not LEADER
    raft.become_follower(None, "no leader is heard")
    if not raft.may_stand:
        raft.reset_election_timer()
        return
    raft.role = CANDIDATE
    hinted = raft.hinted_elections > 0
    raft.hinted_elections -= hinted
    if not raft.timing.pre_vote:
        begin_term(raft)
        return
    raft.pre_vote = True
    raft.reset_election_timer()
    if hinted:
        # Rivals draw from a wide window, so that one of them is through before the other begins.
        raft.shorten_election_timer(1, 5)
    raft.note("info", "election.started", pre_vote=True, for_term=raft.current_term + 1)
    raft.votes = {raft.node_id: True}
    _ask(raft)
    won = count_votes(raft)
    assert not won, "a new term and its vote are on disk before it is won"


def begin_term(raft: RaftState) -> None:
    """A majority would vote for us: begin a term and ask (Figure 2, Candidates)."""
    raft.advance_term(raft.current_term + 1)
    raft.pre_vote = False
    raft.voted_for = raft.node_id
    raft.votes = {raft.node_id: True}
    raft.reset_election_timer()
    if raft.hinted_elections > 0:
        raft.shorten_election_timer(1, 5)
    raft.note("info", "election.started", pre_vote=False, for_term=raft.current_term)
    _ask(raft)


def count_votes(raft: RaftState) -> bool:
    """Whether this candidate has won; a candidate that wins the pre-vote begins its term.

    Its own vote counts once it is on disk, like any other: a server that is its own majority must
    not lead a term that a crash takes back, or it would lead that term again, with other entries.
    """
    while raft.configuration.has_quorum(voter for voter, yes in raft.votes.items() if yes):
        if not raft.pre_vote:
            return raft.hard_state == raft.persisted_hard_state  # `Raft.persisted` counts again
        begin_term(raft)
    return False


def on_request_vote(raft: RaftState, message: RequestVote) -> None:
    """Grant a vote, or say whether one would be granted (Figure 2, RequestVote).

    `step` has already dealt with terms and with a live leader.
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
    # Who follows this term's leader already has no use for another candidate of the term.
    free = raft.voted_for is None and raft.leader_id is None
    granted = recent and (free or raft.voted_for == message.candidate_id)
    if granted:
        assert raft.role is not LEADER, "a leader has voted for itself"
        raft.become_follower(None, "voted for another")
        raft.voted_for = message.candidate_id
        raft.reset_election_timer()
        raft.note("info", "vote.granted", candidate=message.candidate_id)
    else:
        chosen = raft.voted_for or raft.leader_id
        why = "its log is behind ours" if not recent else f"for {chosen} already"
        raft.note("info", "vote.denied", candidate=message.candidate_id, reason=why)
    reply = RequestVoteReply(raft.current_term, vote_granted=granted)
    raft.send_after_persist(message.candidate_id, reply)


def _answer_pre_vote(raft: RaftState, message: RequestVote, recent: bool) -> None:
    granted = recent and message.term > raft.current_term
    if granted and raft.role is FOLLOWER and raft.hinted_elections > 0:
        # It was quicker: leave it the time of an election before we hasten into our own.
        raft.election_deadline = max(
            raft.election_deadline, raft.now + raft.random.uniform(1, 2) * raft.timing.hint_delay_s
        )
    raft.note(
        "debug", "prevote.granted" if granted else "prevote.denied", candidate=message.candidate_id
    )
    # A refusal carries our term: a candidate that is behind learns it and can ask again (§5.1).
    term = message.term if granted else raft.current_term
    reply = RequestVoteReply(term, vote_granted=granted, pre_vote=True)
    raft.send_after_persist(message.candidate_id, reply)


def deny(raft: RaftState, message: RequestVote, reason: str) -> None:
    """Say no, and in which term we are, without taking note of the one asked about."""
    raft.note("debug", "vote.denied", candidate=message.candidate_id, reason=reason)
    reply = RequestVoteReply(raft.current_term, vote_granted=False, pre_vote=message.pre_vote)
    raft.send_after_persist(message.candidate_id, reply)


def on_request_vote_reply(raft: RaftState, sender: NodeId, message: RequestVoteReply) -> bool:
    """Count one answer; whether it made us win. Late answers to an earlier question are ignored."""
    if raft.role is not CANDIDATE or message.pre_vote != raft.pre_vote:
        return False
    asked = raft.current_term + 1 if raft.pre_vote else raft.current_term
    if message.vote_granted and message.term != asked:
        return False
    raft.votes[sender] = message.vote_granted
    return count_votes(raft)


def hint_start(raft: RaftState) -> None:
    """This server has just started. If a leader lives it will be heard from in a moment."""
    raft.reset_election_timer()
    if raft.timing.failure_hint:
        raft.hinted_elections = HINTED_RETRIES
        raft.shorten_election_timer(2.5, 7.5)


def hint_failure(raft: RaftState, peer: NodeId) -> None:
    """The process of `peer` is dead. If it led, do not wait for its silence to be noticed."""
    if not raft.timing.failure_hint or raft.role is LEADER or raft.leader_id != peer:
        return
    raft.become_follower(None, "the leader has died")
    raft.hinted_elections = HINTED_RETRIES
    raft.shorten_election_timer(0, 1)


def _ask(raft: RaftState) -> None:
    request = RequestVote(
        term=raft.current_term + 1 if raft.pre_vote else raft.current_term,
        candidate_id=raft.node_id,
        last_log_index=raft.log.last_index,
        last_log_term=raft.log.last_term,
        pre_vote=raft.pre_vote,
        leadership_transfer=raft.asked_to_stand,
    )
    configuration = raft.configuration
    for peer in configuration.everybody:
        if peer != raft.node_id and configuration.may_vote(peer):
            raft.send_after_persist(peer, request)
