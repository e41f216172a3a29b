"""What the supervisor asks of nodes for `launcher log`: some entries of their logs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

from launcher.supervisor.roster import Roster
from node import wire
from node.raft.messages import NodeId

PATIENCE_S = 1.0
"""How long a node may take; whoever asked then reads its files."""

MOST_BYTES = 64 << 10
"""At most this much text of entries comes from each node."""


class LogQuestions:
    """The questions to the nodes of a roster that are not answered yet."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._requests = itertools.count(1)
        self._waiting: dict[int, set[NodeId]] = {}
        self._answers: dict[int, dict[NodeId, wire.LogPart]] = {}

    def answered(self, node_id: NodeId, part: wire.LogPart) -> None:
        """A node has answered a question, perhaps one that nobody waits for any more."""
        waiting = self._waiting.get(part.request)
        if waiting is None or node_id not in waiting:
            return
        waiting.discard(node_id)
        self._answers[part.request][node_id] = part
        if not waiting:
            self._roster.notify()

    async def ask(
        self, ids: Iterable[NodeId], first_index: int, count: int
    ) -> dict[NodeId, wire.LogPart]:
        """The answers of those nodes that run, are not paused, and answer in PATIENCE_S."""
        request = next(self._requests)
        waiting = self._waiting[request] = set()
        answers = self._answers[request] = {}
        question = wire.GetLog(request, first_index, count, MOST_BYTES)
        wanted = set(ids)
        for node_id, process in self._roster.running():
            if node_id in wanted and process.ready.is_set() and not process.is_paused():
                waiting.add(node_id)
                process.send(question)
        try:
            await self._roster.until_answered(waiting, PATIENCE_S)
        finally:
            del self._waiting[request], self._answers[request]
        return answers
