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
from node.raft.membership import majority
from node.raft.messages import NodeId
from node.raft.progress import Progress
from node.raft.state import CANDIDATE, FOLLOWER, LEADER, RaftState
from node.raft.streaks import Lost


def advance_term(raft: RaftState, term: int, **facts: object) -> None:
    """Enter `term`, which is later than any seen before. Its vote is not cast, and no leader of it
    is known yet.

    facts: for the event log
    """
    assert term > raft.current_term, "terms only rise"
    previous, raft.current_term = raft.current_term, term
    raft.voted_for = None
    raft.streaks.refused.clear()
    raft.note("info", "term.advanced", previous=previous, **facts)


def become_follower(
    raft: RaftState, leader_id: NodeId | None, reason: str, **facts: object
) -> None:
    """Follow `leader_id` in the current term, or nobody yet. Term and vote stay as they are.

    After it, no vote counts, no peer's progress is kept, and no read of a former leadership waits:
    the server has redirected those who asked. The election timer runs on, except that a leader had
    none running and gets a full timeout.

    reason, facts: why a leader steps down, for the event log
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
        raft.note("info", "leader.stepped_down", reason=reason, **facts)
    if leader_id is not None and leader_id != raft.leader_id:
        attempts = raft.streaks.end()
        asked = {"attempts": attempts} if attempts else {}
        raft.note("info", "leader.heard", leader=leader_id, **asked)
    raft.leader_id = leader_id


def become_pre_candidate(raft: RaftState, *, hastened: bool, lost: Lost | None) -> None:
    """Ask whether a majority would vote for this server (thesis §9.6).

    After it, term and vote are what they were, the only pre-vote is the server's own, and a full
    election timeout runs, unless the election is `hastened` by a hint: then a short one.

    lost: how the attempt before this one ended, for the event log
    """
    assert raft.role is FOLLOWER
    raft.role = CANDIDATE
    raft.pre_vote = True
    _restart_election_timer(raft, hastened=hastened)
    level, why = _why_now(raft, lost)
    raft.note(level, "election.started", pre_vote=True, for_term=raft.current_term + 1, **why)
    raft.votes = {raft.node_id: True}


def become_candidate(raft: RaftState, lost: Lost | None) -> None:
    """Begin a term and ask for votes (§5.2; Figure 2, Candidates).

    After it, the term is one later, the server has voted for itself and holds no other vote (its
    own counts once it is on disk), and an election timeout runs.

    lost: how the attempt before this one ended, for the event log
    """
    assert raft.role is not LEADER
    asked, raft.role = raft.pre_vote, CANDIDATE
    promised = sorted(voter for voter, yes in raft.votes.items() if yes)
    advance_term(raft, raft.current_term + 1)
    raft.pre_vote = False
    raft.voted_for = raft.node_id
    raft.votes = {raft.node_id: True}
    _restart_election_timer(raft, hastened=raft.hinted_elections > 0)
    why = {"promised": promised} if asked else _why_now(raft, lost)[1]
    raft.note("info", "election.started", pre_vote=False, for_term=raft.current_term, **why)


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
    raft.streaks.end()
    raft.leaving = False
    lease.begin(raft)
    raft.elected_at, raft.elected_time_us = raft.now, raft.log.last_time_us
    next_index = raft.log.last_index + 1
    raft.progress = {peer: Progress(next_index, raft.now) for peer in sorted(raft.peers)}
    votes = sorted(voter for voter, yes in raft.votes.items() if yes)
    raft.note("info", "leader.elected", votes=votes, last_index=raft.log.last_index)
    raft.heartbeat_deadline = raft.now + raft.timing.heartbeat_interval_s


def _why_now(raft: RaftState, lost: Lost | None) -> tuple[str, dict[str, object]]:
    """At which level to tell of this attempt, and the fields that say why it is made."""
    level, attempt = raft.streaks.attempt(lost)
    why: dict[str, object] = {"reason": raft.streaks.reason or "no leader is heard"}
    if raft.asked_to_campaign:
        why = {"reason": "the leader has asked for it"}
    elif not raft.streaks.reason and raft.leader_heard_at > float("-inf"):
        why["silent_s"] = round(raft.now - raft.leader_heard_at, 3)
    if lost is not None:
        voters = raft.configuration.voters
        why |= {"attempt": attempt, "lost_pre_vote": lost.pre_vote}
        why |= {"yes": list(lost.yes), "no": list(lost.no), "silent": list(lost.silent)}
        if not raft.configuration.is_joint:
            why |= {"needs": majority(voters), "of": len(voters)}
    return level, why


def _restart_election_timer(raft: RaftState, *, hastened: bool) -> None:
    raft.reset_election_timer()
    if hastened:
        # Rivals draw from a wide window, so that one of them is through before the other begins.
        raft.shorten_election_timer(1, 5)
