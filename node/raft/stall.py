"""A disk that hangs while the process still sends heartbeats.

A leader sends heartbeats, and commits by the disks of others, while its own disk is busy with a
write (thesis §10.2.1). When that write takes longer than the shortest election timeout, the server
can make nothing durable that it will be asked to promise, and its clients are better served by
another leader: it hands over (`transfer.py`), and when that fails it steps down. It does so only
when it knows of a majority of disks that are better off: they hold committed entries that its own
does not. So a cluster whose disks are all slow, or one too small to lose a disk, keeps its leader.

Until its disk responds, such a server does not campaign.
"""

from __future__ import annotations

import math

from node.raft import transfer
from node.raft.roles import become_follower
from node.raft.state import LEADER, RaftState


def at_work(raft: RaftState, since: float | None) -> None:
    """The write that is under way began at `since`; None when there is none."""
    disk = raft.disk
    disk.since = since
    disk.due = math.inf if since is None else since + raft.timing.election_timeout_min_s
    if since is None and disk.stalled:
        disk.stalled = disk.gave_way = False
        raft.note("info", "disk.recovered")


def check(raft: RaftState) -> None:
    """Notice, when its time has come, that the disk hangs."""
    began = raft.disk.since
    if began is None or raft.now < raft.disk.due:
        return
    raft.disk.stalled = True
    raft.disk.due = math.inf
    raft.note("warn", "disk.stalled", for_s=round(raft.now - began, 3))


def give_way(raft: RaftState) -> bool:
    """Hand over to a server whose disk does not hang; whether this server has stepped down."""
    assert raft.role is LEADER
    if raft.transfer is not None or raft.commit_index <= raft.persisted_index:
        return False
    if raft.disk.gave_way:
        become_follower(raft, None, "its disk hangs, and it could not hand over")
        return True
    if transfer.best_target(raft) is not None:
        raft.disk.gave_way = True
        transfer.begin(raft, None)
    return False
