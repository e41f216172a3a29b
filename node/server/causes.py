"""Timers that fire, and writes that the disk was waited for: what no message shows.

Whoever asks later why something happened needs these beside the messages: a campaign begins since a
deadline has passed, and an entry may be late because a disk was slow. Both are events at `debug`.
"""

from __future__ import annotations

from node.events import HybridClock, Note
from node.raft.state import LEADER, RaftState


class Causes:
    """Tells of timers and of the disk. clock: the node's; only its physical time is read."""

    __slots__ = ("_clock", "_deadline", "_note", "_set_by", "_state", "_write_began")

    def __init__(self, state: RaftState, clock: HybridClock, note: Note) -> None:
        self._state = state
        self._clock = clock
        self._note = note
        self._deadline = state.election_deadline
        self._set_by: int | None = None
        self._write_began = 0

    def arrived(self, t: int) -> None:
        """A message that arrived at `t` was handled; it may have set the election timer."""
        deadline = self._state.election_deadline
        if deadline != self._deadline:
            self._deadline, self._set_by = deadline, t

    def fires(self, now: float, deadline: float) -> None:
        """A timer is due, and is about to be acted on.

        deadline: when it was due, on the clock of `now`
        """
        due = self._clock.physical() - round((now - deadline) * 1e9)
        which = self._which(now)
        set_by = self._set_by if which == "election" and self._is_known else None
        self._note("debug", "timer.fired", which=which, due=due, set_by=set_by)

    def write_begins(self) -> None:
        """The disk gets something to write."""
        self._write_began = self._clock.physical()

    def write_ends(self, *, snapshot: bool) -> None:
        """It has written that. snapshot: not only entries, a term or a vote"""
        seconds = (self._clock.physical() - self._write_began) / 1e9
        what = "snapshot" if snapshot else "append"
        self._note("debug", "disk.waited", what=what, seconds=round(seconds, 6))

    @property
    def _is_known(self) -> bool:
        """Whether it was a message that set the election timer last."""
        return self._state.election_deadline == self._deadline

    def _which(self, now: float) -> str:
        """The timer of those that are due which matters most."""
        raft = self._state
        if raft.role is not LEADER:
            return "election" if now >= raft.election_deadline else "disk"
        if raft.transfer is not None and now >= raft.transfer.deadline:
            return "transfer"
        if now - raft.quorum_contact > raft.timing.election_timeout_max_s:
            return "quorum"
        if now >= raft.heartbeat_deadline:
            return "heartbeat"
        return "disk" if now >= raft.disk.due else "notice"
