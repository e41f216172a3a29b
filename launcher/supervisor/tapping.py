"""Requests that change how nodes record their messages.

The mode is its node's, whatever becomes of the process: later lives have it too, until the cluster
is taken down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random

from launcher.control.requests import Reply
from launcher.control.taps import TapOfNode, parse_mode
from launcher.control.targets import resolve
from launcher.supervisor.faults import CONFIRM_PATIENCE_S
from launcher.supervisor.node_config import tap_of
from launcher.supervisor.nodes import Nodes
from node.raft.messages import NodeId
from node.wire import SetTap


class Tapping:
    """The taps of all nodes. random: chooses among targets."""

    def __init__(self, nodes: Nodes, random: Random) -> None:
        self._nodes = nodes
        self._random = random

    async def set(self, targets: Sequence[str], mode: str) -> Reply:
        """These nodes record in this mode. Answers when those that run have confirmed it, or after
        some time. Raises LauncherError."""
        order = tap_of(self._nodes.config, parse_mode(mode))
        ids = resolve(targets, await self._nodes.status(), "tap", self._random)
        for node_id in ids:
            node = self._nodes.all[node_id]
            node.tap = order
            if node.process is not None:
                node.process.send(order)
        self._nodes.emit("info", "tap.ordered", targets=ids, mode=mode)
        notes = await self._confirmed(ids, order)
        taps = [TapOfNode(one, order.mode, notes.get(one, "")) for one in ids]
        return Reply(ok=True, taps=taps)

    async def _confirmed(self, ids: Sequence[NodeId], order: SetTap) -> dict[NodeId, str]:
        """Why it is not in force yet, by node; of the others nothing."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + CONFIRM_PATIENCE_S
        while True:
            request = await self._nodes.ask()
            notes = {one: self._why_not(one, order, request) for one in ids}
            left = {one: note for one, note in notes.items() if note}
            if loop.time() > give_up or all(note in _FINAL for note in left.values()):
                return left
            if any(note.startswith(_FAILED) for note in left.values()):
                return left

    def _why_not(self, node_id: NodeId, order: SetTap, request: int) -> str:
        node = self._nodes.all.get(node_id)
        if node is None or node.process is None:
            return DOWN
        if node.process.is_paused():
            return PAUSED
        if node.status is None or node.status.request < request:
            return "it has not confirmed it yet"
        if node.status.tap_problem:
            return f"{_FAILED}{node.status.tap_problem}"
        return "" if node.status.tap == order.mode else "it has not confirmed it yet"


DOWN = "it is down, and records so when it runs again"
PAUSED = "it is paused, and records so when it continues"
_FINAL = (DOWN, PAUSED)
_FAILED = "it cannot: "
