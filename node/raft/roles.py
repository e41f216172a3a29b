"""The four roles of a server, and the transitions between them, in a row (§5.1, §5.2, Figure 4).

    follower --> pre-candidate --> candidate --> leader
        ^              |               |            |
        '--------------+---------------+------------'

A follower that hears no leader asks for pre-votes, as a pre-candidate; with a majority of them it
begins a term and asks for votes, as a candidate; with a majority of those it leads. From each role
it becomes a follower again when a leader is heard, when a message shows a later term, or for a
reason of its own. Where pre-votes are off, or the leader has asked for the election (thesis §3.10),
a follower becomes a candidate at once.

Nothing else changes `role`, `current_term` or `pre_vote`. A role says nothing of what to send:
whoever calls these sends what follows.
"""

from __future__ import annotations

from node.raft import lease
from node.raft.messages import NodeId
from node.raft.progress import Progress
from node.raft.state import CANDIDATE, FOLLOWER, LEADER, RaftState


def advance_term(raft: RaftState, term: int) -> None:
    """Enter `term`, which is later than any seen before. Its vote is not cast, and no leader of it
    is known yet."""
    assert term > raft.current_term, "terms only rise"
    previous, raft.current_term = raft.current_term, term
    raft.voted_for = None
    raft.note("info", "term.advanced", previous=previous)


def become_follower(raft: RaftState, leader_id: NodeId | None, reason: str) -> None:
    """Follow `leader_id` in the current term, or nobody yet. Term and vote stay as they are.

    After it, no vote counts, no peer's progress is kept, and no read of a former leadership waits:
    the server has redirected those who asked. The election timer runs on, except that a leader had
    none running and gets a full timeout.
    """
    was, raft.role = raft.role, FOLLOWER
    raft.pre_vote = False
    raft.asked_to_campaign = False
    raft.votes = {}
    if was is LEADER:
        raft.progress = {}
        raft.chunks_to_send = []
        raft.reads.end_leadership()
        raft.notice_deadline = None
        raft.reset_election_timer()
        raft.note("info", "leader.stepped_down", reason=reason)
    if leader_id is not None and leader_id != raft.leader_id:
        raft.note("info", "leader.heard", leader=leader_id)
    raft.leader_id = leader_id


def become_pre_candidate(raft: RaftState, *, hastened: bool) -> None:
    """Ask whether a majority would vote for this server (thesis §9.6).

    After it, term and vote are what they were, the only pre-vote is the server's own, and a full
    election timeout runs, unless the election is `hastened` by a hint: then a short one.
    """
    assert raft.role is FOLLOWER
    raft.role = CANDIDATE
    raft.pre_vote = True
    _restart_election_timer(raft, hastened=hastened)
    raft.note("info", "election.started", pre_vote=True, for_term=raft.current_term + 1)
    raft.votes = {raft.node_id: True}


def become_candidate(raft: RaftState) -> None:
    """Begin a term and ask for votes (§5.2; Figure 2, Candidates).

    After it, the term is one later, the server has voted for itself and holds no other vote (its
    own counts once it is on disk), and an election timeout runs.
    """
    assert raft.role is not LEADER
    raft.role = CANDIDATE
    advance_term(raft, raft.current_term + 1)
    raft.pre_vote = False
    raft.voted_for = raft.node_id
    raft.votes = {raft.node_id: True}
    _restart_election_timer(raft, hastened=raft.hinted_elections > 0)
    raft.note("info", "election.started", pre_vote=False, for_term=raft.current_term)


def become_leader(raft: RaftState) -> None:
    """Lead the current term: the votes of a majority have come, this server's own from its disk.

    After it, every peer is probed from the end of the log and has acknowledged nothing, no lease is
    held, and cluster time goes on from the log's last entry. What is committed is not known before
    an entry of this term is (§5.4.2, §8): the caller appends one that does nothing.
    """
    assert raft.role is CANDIDATE
    assert not raft.pre_vote
    raft.role = LEADER
    raft.leader_id = raft.node_id
    raft.hinted_elections = 0
    raft.leaving = False
    lease.begin(raft)
    raft.elected_at, raft.elected_time_us = raft.now, raft.log.last_time_us
    next_index = raft.log.last_index + 1
    raft.progress = {peer: Progress(next_index, raft.now) for peer in sorted(raft.peers)}
    votes = sorted(voter for voter, yes in raft.votes.items() if yes)
    raft.note("info", "leader.elected", votes=votes, last_index=raft.log.last_index)
    raft.heartbeat_deadline = raft.now + raft.timing.heartbeat_interval_s


def _restart_election_timer(raft: RaftState, *, hastened: bool) -> None:
    raft.reset_election_timer()
    if hastened:
        # Rivals draw from a wide window, so that one of them is through before the other begins.
        raft.shorten_election_timer(1, 5)
