"""Timers by command: a running server gets another timing, or its election timer fires now.

Both are for whoever watches a cluster or teaches with it. No property of Raft rests on the values
of timers (§5.6), so both may come at any moment, on one server or on all. Leases are the exception:
a voter's promise lasts for the shortest election timeout, and the leader counts on it
(`lease.py`). So that timeout, and whether there are leases, never change; and a server that has
made such a promise does not campaign before it has passed.
"""

from __future__ import annotations

import math

from node.errors import ImpossibleElection
from node.raft import election, stall
from node.raft.settings import Timing
from node.raft.state import LEADER, RaftState


def change(raft: RaftState, timing: Timing) -> None:
    """Use `timing` from now on. Every wait that is under way begins again, by the new timers.

    A leader tells its peers at once that it leads, and gives them a full timeout to reply: what
    they last said may be older than a new, shorter timeout, though nothing is wrong.
    """
    before = raft.timing
    assert timing.lease == before.lease, "leases are turned on and off only by a restart"
    assert not timing.lease or timing.election_timeout_min_s == before.election_timeout_min_s, (
        "a voter keeps its promise for as long as the leader counts on it"
    )
    raft.timing = timing
    if not timing.failure_hint:
        raft.hinted_elections = 0
    if raft.role is LEADER:
        raft.heartbeat_deadline = raft.now
        for progress in raft.progress.values():
            progress.last_contact = raft.now
    else:
        raft.reset_election_timer()
    if raft.transfer is not None:
        raft.transfer.deadline = raft.now + timing.election_timeout_min_s
    question = raft.reads.question
    if question is not None:
        question.patience_s = timing.heartbeat_interval_s
        question.ask_again_at = raft.now + question.patience_s
    if raft.disk.due < math.inf:
        stall.at_work(raft, raft.disk.since)


def time_out(raft: RaftState) -> None:
    """Act as if the election timer had fired. Raises ImpossibleElection where it could not."""
    if raft.role is LEADER:
        raise ImpossibleElection(f"n{raft.node_id} leads, and has no election timer")
    if not raft.configuration.may_vote(raft.node_id) and not raft.may_campaign:
        raise ImpossibleElection(f"n{raft.node_id} has no vote, so it does not campaign")
    if not raft.may_campaign:
        raise ImpossibleElection(
            f"n{raft.node_id} was rebuilt and does not hold enough of the log yet to campaign"
        )
    if raft.disk.stalled:
        raise ImpossibleElection(f"the disk of n{raft.node_id} hangs, so it does not campaign")
    if raft.is_bound_by_a_lease:
        raise ImpossibleElection(
            f"n{raft.node_id} hears a leader that may hold a lease (raft.reads: lease)"
        )
    raft.note("info", "election.timed_out")
    election.on_election_timeout(raft)
