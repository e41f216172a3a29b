"""What a log ought to hold: the model that the tests compare with, and short ways to say things."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from node.raft.messages import Batch, BatchKind, HardState
from node.storage.segment import Identity

IDENTITY = Identity("c0ffee", 1)


def batch(first: int, count: int = 1, *, term: int = 1, size: int = 20) -> Batch:
    """A batch whose data says what it is, `size` bytes long."""
    text = f"<{first}+{count}@{term}>".encode()
    data = (text * (size // len(text) + 1))[:size]
    return Batch(first, term, BatchKind.COMMANDS, count, data)


class Append(msgspec.Struct, frozen=True):
    hard_state: HardState | None
    batches: tuple[Batch, ...]


class Drop(msgspec.Struct, frozen=True):
    index: int


class Model(msgspec.Struct, frozen=True):
    """A log that never forgets.

    dropped_below: entries below this index need not be there any more
    """

    hard_state: HardState = HardState()
    batches: tuple[Batch, ...] = ()
    dropped_below: int = 0

    def after(self, step: Append | Drop) -> Model:
        if isinstance(step, Drop):
            return msgspec.structs.replace(self, dropped_below=max(self.dropped_below, step.index))
        batches = self.batches
        for new in step.batches:
            batches = (*(b for b in batches if b.last_index < new.first_index), new)
        hard_state = self.hard_state if step.hard_state is None else step.hard_state
        return Model(hard_state, batches, self.dropped_below)

    def agrees(self, hard_state: HardState, batches: Sequence[Batch]) -> bool:
        """Whether a log holds exactly this, apart from what it was free to drop."""
        missing = len(self.batches) - len(batches)
        return (
            hard_state == self.hard_state
            and missing >= 0
            and list(self.batches[missing:]) == list(batches)
            and all(b.last_index < self.dropped_below for b in self.batches[:missing])
        )
