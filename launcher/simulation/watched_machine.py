"""A state machine that is watched: every node must apply the same commands, each of them once.

Raises `InvariantBroken` for `exactly-once` and `state-machine-safety`.
"""

from __future__ import annotations

import zlib

from launcher.simulation.properties import EXACTLY_ONCE
from node.machines.kv import KeyValue
from node.raft.invariants import STATE_MACHINE_SAFETY, InvariantBroken
from node.raft.messages import NodeId


class Applied:
    """What all machines have applied, in all lives of all nodes.

    at: the command at each index
    of: the index of each command that writes a unique value
    snapshots: a checksum of the state at each index at which a node took a snapshot
    """

    def __init__(self) -> None:
        self.at: dict[int, bytes] = {}
        self.of: dict[bytes, int] = {}
        self.snapshots: dict[int, int] = {}


class WatchedMachine:
    """The kv machine of one life, and what it shares with all others in `applied`."""

    def __init__(self, node_id: NodeId, applied: Applied) -> None:
        self._machine = KeyValue()
        self.query = self._machine.query
        self.restore = self._machine.restore
        self._apply = self._machine.apply
        self._node_id = node_id
        self._at = applied.at
        self._of = applied.of
        self._snapshots = applied.snapshots
        self._last_index = 0

    def apply(self, index: int, command: bytes) -> bytes:
        if index <= self._last_index:
            belief = f"n{self._node_id} applies {index} after {self._last_index}"
            raise InvariantBroken(STATE_MACHINE_SAFETY, belief)
        self._last_index = index
        first = self._at.get(index)
        if first is None:
            self._at[index] = command
            # Each SET and each CAS writes a value that no other command writes.
            if command[0] in b"SC" and self._of.setdefault(command, index) != index:
                belief = (
                    f"n{self._node_id} applies {command!r} at {index}, and it took effect at "
                    f"{self._of[command]} already"
                )
                raise InvariantBroken(EXACTLY_ONCE, belief)
        elif first != command:
            belief = f"all apply {first!r} at {index}, and n{self._node_id} applies {command!r}"
            raise InvariantBroken(STATE_MACHINE_SAFETY, belief)
        return self._apply(index, command)

    def snapshot(self) -> list[bytes]:
        """The machine's snapshot. Two machines with the same last index must have the same."""
        chunks = list(self._machine.snapshot())
        checksum = zlib.crc32(b"".join(chunks))
        index = self._last_index
        if index and self._snapshots.setdefault(index, checksum) != checksum:
            belief = f"all have the same state after {index}, and n{self._node_id} has another"
            raise InvariantBroken(STATE_MACHINE_SAFETY, belief)
        return chunks
