"""What a simulated node reports to the world around it.

The world watches every step (`watch.py`), keeps the fingerprint and writes the trace. A node does
not know of any of these: it knows an `Observer`.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

from node.machines.protocol import Machine
from node.raft.messages import NodeId

_Node = TypeVar("_Node", contravariant=True)


class Observer(Protocol[_Node]):
    """Receives what a node does. `_Node` is `SimulatedNode`, which cannot be imported here."""

    def machine(self, node: _Node) -> Machine:
        """Returns a new state machine for a new life."""
        ...

    def started(self, node: _Node) -> None:
        """A new life has recovered its log, and has sent nothing yet."""
        ...

    def stepped(self, node: _Node) -> None:
        """The server has finished a turn."""
        ...

    def sending(self, node: _Node, peer: NodeId, frame: bytes) -> None:
        """The server sends a frame to a peer."""
        ...

    def received(self, node: _Node, peer: NodeId, frame: bytes, t: int) -> None:
        """The server has taken a frame of a peer, at this time by the node's clock."""
        ...

    def died(self, node: _Node, reason: str) -> None:
        """A life has ended."""
        ...

    def happened(
        self, node: _Node, level: str, event: str, term: int, role: str, commit: int,
        fields: dict[str, object],
    ) -> None:  # fmt: skip
        """The server has emitted an event for its log."""
        ...
