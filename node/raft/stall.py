"""A disk that hangs while the heart beats on.

A leader sends heartbeats and commits by the disks of others while its own is at a write (thesis
§10.2.1). Should that write take longer than the shortest election timeout, the server could keep
none of what it will be asked to promise, and its clients had better be led by another: the leader
hands over (`transfer.py`), and when that fails it steps down. It does so only when it knows of a
majority of disks that are better off: they hold committed entries that its own does not. So a
cluster whose disks are all slow, or one too small to lose a disk, keeps the leader that it has.

Until its disk answers, such a server does not stand for election.
"""

from __future__ import annotations

import math

from node.raft import transfer
from node.raft.state import LEADER, RaftState


def at_work(raft: RaftState, since: float | None) -> None:
    """The write that is under way began at `since`; None when there is none."""
    disk = raft.disk
    disk.since = since
    disk.due = math.inf if since is None else since + raft.timing.election_timeout_min_s
    if since is None and disk.stalled:
        disk.stalled = disk.gave_way = False
        raft.note("info", "disk.recovered")


def look(raft: RaftState) -> None:
    """Notice that the disk hangs."""
    began = raft.disk.since
    if began is None or raft.now < raft.disk.due:
        return
    raft.disk.stalled = True
    raft.disk.due = math.inf
    raft.note("warn", "disk.stalled", for_s=round(raft.now - began, 3))


def give_way(raft: RaftState) -> bool:
    """Have another lead, whose disk does not hang; whether this server has stepped down."""
    assert raft.role is LEADER
    if raft.transfer is not None or raft.commit_index <= raft.persisted_index:
        return False
    if raft.disk.gave_way:
        raft.become_follower(None, "its disk hangs, and it could not hand over")
        return True
    if transfer.most_recent(raft) is not None:
        raft.disk.gave_way = True
        transfer.begin(raft, None)
    return False
