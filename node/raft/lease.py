"""Leases: a leader that was heard a moment ago answers reads without a round (thesis §6.4.1).

Off unless `Timing.lease`. Who hears a leader gives nobody its vote for the shortest election
timeout. So when a majority has answered a round that began at `t`, no other leader can be elected
before that much has passed on *their* clocks since they heard it, which was after `t`. Until then
the leader's own commit index is the newest that there is.

This is the one place where safety rests on clocks: **no server's clock runs more than
`CLOCK_DRIFT_BOUND` times as fast as another's.** A lease lasts for the shortest election timeout
divided by that. Clocks that break this make reads stale, and never lose an entry.

What the promise of a voter needs besides:

- It holds against candidates of any term, and whatever leader the voter believes in by then
  (`RaftState.is_bound_by_a_lease`): a refused candidate's answer may have raised its term since.
- A voter that starts again has forgotten it, and votes for nobody for the shortest election
  timeout. Nor does it stand sooner, for there is no failure hint where there are leases: a pipe
  closes when its owner dies, and also when what came over it made no sense.
- A leader that hands over releases the voters itself. From its first TimeoutNow on it holds no
  lease in this term, since that message may take any time (thesis §3.10, §4.2.3).

A leader whose disk hangs may hold one: the lease is about the voters' memory of having heard it,
and what it answers with is committed by their disks. That it hands over soon (`stall.py`) ends it.
"""

from __future__ import annotations

from node.raft.state import LEADER, RaftState

CLOCK_DRIFT_BOUND = 1.25


def begin(raft: RaftState) -> None:
    """A new leader holds none before a round of its own is answered."""
    raft.rounds.clear()
    raft.lease_from = float("-inf")
    raft.lease_forgone = False


def extend(raft: RaftState) -> None:
    """A round may have been answered by a majority: the lease is counted from its beginning."""
    rounds = raft.rounds
    if not rounds or not raft.timing.lease:
        return
    acked = raft.quorum_round
    while rounds and rounds[0][0] <= acked:
        raft.lease_from = rounds.popleft()[1]


def is_held(raft: RaftState) -> bool:
    """Whether nobody else can have been elected by `now`."""
    if not raft.timing.lease or raft.role is not LEADER or raft.lease_forgone:
        return False
    lasts_s = raft.timing.election_timeout_min_s / CLOCK_DRIFT_BOUND
    return raft.now < raft.lease_from + lasts_s
