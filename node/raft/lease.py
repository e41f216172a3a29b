"""Leases: a leader that was heard a moment ago serves reads without a round (thesis §6.4.1).

Off unless `Timing.lease`. A server that hears a leader votes for nobody for the shortest election
timeout. So when a majority has replied to a round that began at `t`, no other leader can be elected
before that much time has passed on *their* clocks since they heard it, which was after `t`. Until
then this leader's commit index is the newest that there is.

This is the one place where safety rests on clocks: **no server's clock runs more than
`CLOCK_DRIFT_BOUND` times as fast as another's.** A lease lasts for the shortest election timeout
divided by that. Clocks that break this bound make reads stale, and never lose an entry.

The promise of a voter needs three things besides:

- It holds against candidates of any term, and whichever leader the voter follows by then
  (`RaftState.is_bound_by_a_lease`): a reply to a refused candidate may have raised its term since.
- A voter that restarts has forgotten its promise, so it votes for nobody for the shortest election
  timeout. Nor does it campaign sooner, for with leases there is no failure hint: a pipe closes when
  its owner dies, but also when what arrived through it made no sense.
- A leader that hands over releases the voters itself. From its first TimeoutNow on it holds no
  lease in this term, since that message may take any time to arrive (thesis §3.10, §4.2.3).

A leader whose disk hangs may hold a lease: the lease rests on the voters' memory of having heard
it, and what it serves is committed by their disks. It ends when it hands over (`stall.py`).
"""

from __future__ import annotations

from node.raft.state import LEADER, RaftState

CLOCK_DRIFT_BOUND = 1.25


def begin(raft: RaftState) -> None:
    """A new leader holds no lease before a majority has replied to a round of its own."""
    lease = raft.lease
    lease.rounds.clear()
    lease.since = float("-inf")
    lease.forgone = False


def extend(raft: RaftState) -> None:
    """A majority may have replied to another round: the lease counts from when that began."""
    rounds = raft.lease.rounds
    if not rounds or not raft.timing.lease:
        return
    acked = raft.quorum_round
    while rounds and rounds[0][0] <= acked:
        raft.lease.since = rounds.popleft()[1]


def is_held(raft: RaftState) -> bool:
    """Whether nobody else can have been elected by `now`."""
    if not raft.timing.lease or raft.role is not LEADER or raft.lease.forgone:
        return False
    lasts_s = raft.timing.election_timeout_min_s / CLOCK_DRIFT_BOUND
    return raft.now < raft.lease.since + lasts_s
