"""What is to be made durable together, in one go on the disk queue, and what may then be said."""

from __future__ import annotations

from dataclasses import dataclass, field

from node.ports import Points
from node.raft.messages import Batch, HardState, Message, NodeId, RequestVoteReply, Snapshot
from node.raft.ready import Ready
from node.storage.store import Store

MOST_MESSAGES = 10_000
"""More that wait for a disk that hangs are lost, the oldest first, as in a network."""


@dataclass(slots=True)
class Write:
    """All that has gathered while the write before it was under way.

    messages: leave when it is done
    publish: our own snapshot, which is written, and gets its name behind all of this
    """

    readies: list[Ready] = field(default_factory=list)
    messages: list[tuple[NodeId, Message]] = field(default_factory=list)
    publish: Snapshot | None = None

    def keep_bounded(self) -> None:
        """While a disk hangs this grows by what peers send: so much in flight, and heartbeats.

        What the newest Ready replaces in the log need not be written any more.
        """
        del self.messages[:-MOST_MESSAGES]
        if not self.readies or not self.readies[-1].batches:
            return
        first = self.readies[-1].batches[0].first_index
        for position in range(len(self.readies) - 2, -1, -1):
            batches = self.readies[position].batches
            while batches and batches[-1].first_index >= first:
                batches.pop()
            if batches:
                break

    @property
    def is_empty(self) -> bool:
        """There is nothing to be done, or said."""
        return not (self.readies or self.messages or self.publish)

    @property
    def hard_state(self) -> HardState | None:
        """The last that is asked for."""
        states = [ready.hard_state for ready in self.readies if ready.hard_state is not None]
        return states[-1] if states else None

    @property
    def install(self) -> Snapshot | None:
        """A leader's snapshot, which takes the place of the log."""
        snapshots = [ready.snapshot for ready in self.readies if ready.snapshot is not None]
        return snapshots[-1] if snapshots else None

    @property
    def batches(self) -> list[Batch]:
        """What is to be stored: behind the snapshot, if there is one."""
        batches: list[Batch] = []
        for ready in self.readies:
            if ready.snapshot is not None:
                batches = []
            batches += ready.batches
        return batches

    @property
    def has_vote(self) -> bool:
        """A vote for another node is among the messages."""
        return any(
            isinstance(message, RequestVoteReply) and message.vote_granted and not message.pre_vote
            for _, message in self.messages
        )

    def carry_out(self, store: Store, points: Points) -> None:
        """Makes it durable. Raises DiskFailed."""
        hard_state, install = self.hard_state, self.install
        if install is not None:
            if points.armed:
                points.reach("before-install-snapshot")
            store.install(install, hard_state)
            if points.armed:
                points.reach("after-install-snapshot")
            hard_state = None
        store.append(hard_state, self.batches)
        if self.publish is not None:
            if points.armed:
                points.reach("before-save-snapshot")
            store.publish(self.publish)
            if points.armed:
                points.reach("after-save-snapshot")
