"""What is to be made durable together, in one go on the disk queue, and what may then be said."""

from __future__ import annotations

from dataclasses import dataclass, field

from node.raft.messages import Batch, HardState, Message, NodeId, Snapshot
from node.raft.state import Ready
from node.storage.store import Store


@dataclass
class Write:
    """All that has gathered while the write before it was under way.

    messages: leave when it is done
    publish: our own snapshot, which is written, and gets its name behind all of this
    """

    readies: list[Ready] = field(default_factory=list)
    messages: list[tuple[NodeId, Message]] = field(default_factory=list)
    publish: Snapshot | None = None

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

    def carry_out(self, store: Store) -> None:
        """Makes it durable. Raises DiskFailed."""
        hard_state, install = self.hard_state, self.install
        if install is not None:
            store.install(install, hard_state)
            hard_state = None
        store.append(hard_state, self.batches)
        if self.publish is not None:
            store.publish(self.publish)
