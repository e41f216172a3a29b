"""The faults that an operator has injected and not ended yet, each with an id.

The id stands in the events of the fault (`fault.injected`, `fault.healed`), in the orders that the
nodes get, and in the status of each node at which the fault is in force
(`node/faults/in_force.py`). Ids rise; none is given twice by one supervisor.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import msgspec

from node.raft.messages import NodeId

_MOST_KEPT = 100_000


class Injection(msgspec.Struct, frozen=True):
    """One fault in force.

    fault: its kind, by the simulated world's name
    layer: the faults that replace each other: `partition`, `links`, `disk`, `pause`, ...
    nodes: those that it concerns
    """

    id: int
    fault: str
    layer: str
    nodes: tuple[NodeId, ...]


class Injections:
    """All faults in force. emit: writes an event of the supervisor (level, name, fields)."""

    def __init__(self, emit: Callable[..., None]) -> None:
        self._emit = emit
        self._in_force: dict[int, Injection] = {}
        self._last_id = 0

    def next_id(self) -> int:
        """An id for a fault that is over at once, or that is about to begin."""
        self._last_id += 1
        return self._last_id

    def begin(
        self, fault: str, layer: str, nodes: Sequence[NodeId], fault_id: int, **fields: Any
    ) -> Injection:
        """Takes a fault as in force and writes `fault.injected` with these fields.

        fault_id: from `next_id`
        """
        injection = Injection(fault_id, fault, layer, tuple(nodes))
        if len(self._in_force) >= _MOST_KEPT:
            raise ValueError(f"more than {_MOST_KEPT} faults are in force")
        self._in_force[fault_id] = injection
        self._emit("warn", "fault.injected", fault=fault, **fields, id=fault_id)
        return injection

    def end(self, ids: Iterable[int], **fields: Any) -> list[int]:
        """Takes faults as ended. Writes one `fault.healed` with these fields and the ids of those
        that were in force; returns them."""
        ended = [one for one in ids if self._in_force.pop(one, None) is not None]
        self._emit("info", "fault.healed", **fields, **({"ids": ended} if ended else {}))
        return ended

    def spent(self, ids: Iterable[int]) -> None:
        """Faults that have struck for the last time, or whose node forgot them by ending."""
        for one in ids:
            self._in_force.pop(one, None)

    def of(self, layer: str, nodes: Collection[NodeId] | None = None) -> list[Injection]:
        """The faults of a layer, in the order of their ids.

        nodes: those that concern any of these; None: all
        """
        return [
            one
            for one in self._in_force.values()
            if one.layer == layer and (nodes is None or not set(nodes).isdisjoint(one.nodes))
        ]

    def all(self) -> list[Injection]:
        """Every fault in force, in the order of the ids."""
        return sorted(self._in_force.values(), key=lambda one: one.id)
