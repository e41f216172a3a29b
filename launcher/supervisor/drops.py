"""The messages that are still to be lost by their type, on which links.

They belong to the links and not to a process: a node that starts is told of those that are left
(`node_config.py`). A node reports each that it has lost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from launcher.control.naming import link_name
from launcher.supervisor.roster import Roster
from node import wire
from node.raft.messages import NodeId


class Drops:
    """How many messages of which type, by link.

    ask: has every node that is up say its status, and so confirm what it was sent before
    """

    def __init__(self, roster: Roster, ask: Callable[[], Awaitable[int]]) -> None:
        self._roster = roster
        self._ask = ask
        self._drops: dict[tuple[NodeId, NodeId, str], int] = {}

    def left(self, source: NodeId | None = None) -> list[wire.Drop]:
        """What is still to be lost: of this node's messages, or of all."""
        return [
            wire.Drop(*which, count)
            for which, count in sorted(self._drops.items())
            if source in (None, which[0])
        ]

    async def add(self, drops: Sequence[wire.Drop]) -> None:
        """These are to be lost, too. Returns when the nodes that are up have heard it."""
        for drop in drops:
            self._count((drop.source, drop.target, drop.type), drop.count)
        for node_id, process in self._roster.running():
            own = [drop for drop in drops if drop.source == node_id]
            if own:
                process.send(wire.SetDrops(own, add=True))
        await self._ask()

    async def clear(self) -> list[str]:
        """Nothing is to be lost by its type any more. Returns what was, a phrase each."""
        said = [f"drop {link_name((one.source, one.target))} {one.type}" for one in self.left()]
        self._drops.clear()
        for _, process in self._roster.running():
            process.send(wire.SetDrops([]))
        await self._ask()
        return said

    def struck(self, source: NodeId, message: wire.Dropped) -> None:
        """A node has lost a message that was to be lost."""
        self._count((source, message.target, message.kind), -1)

    def _count(self, which: tuple[NodeId, NodeId, str], more: int) -> None:
        left = self._drops.pop(which, 0) + more
        if left > 0:
            self._drops[which] = left
