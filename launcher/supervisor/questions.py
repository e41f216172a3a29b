"""What the supervisor asks of nodes, and the callers that wait for the answers.

Each question has a number, which its answer carries: so an answer that comes late is not taken for
that of a later question.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from launcher.errors import LauncherError
from launcher.supervisor.roster import Roster
from node import wire
from node.raft.messages import NodeId

STATUS_PATIENCE_S = 0.3
"""How long `ps` waits for nodes that do not answer; it then shows what was last known of them."""

TRANSFER_PATIENCE_S = 1.0
"""How much longer than it may take we wait for the word of a leader that is to hand over."""


class Questions:
    """The questions to the nodes of a roster that are not answered yet."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._requests = itertools.count(1)
        self._asked: dict[int, set[NodeId]] = {}
        self._transfers: dict[int, asyncio.Future[wire.TransferEnded]] = {}

    def first(self) -> wire.GetStatus:
        """What a node is asked when it starts; nobody waits for the answer."""
        return wire.GetStatus(next(self._requests))

    def answered(self, node_id: NodeId, message: wire.Status | wire.TransferEnded) -> None:
        """A node has answered a question, perhaps one that nobody waits for any more."""
        if isinstance(message, wire.TransferEnded):
            answer = self._transfers.get(message.request)
            if answer is not None and not answer.done():
                answer.set_result(message)
            return
        waiting = self._asked.get(message.request)
        if waiting is not None:
            waiting.discard(node_id)
            if not waiting:
                self._roster.notify()

    async def ask(self, patience_s: float = STATUS_PATIENCE_S) -> int:
        """Has every node that is up say its status, and so confirm what it was sent before.

        Returns the number of the request that they answer.
        """
        request = next(self._requests)
        waiting = self._asked[request] = set()
        for node_id, process in self._roster.running():
            paused = process.is_paused()
            self._roster.all[node_id].lifecycle.paused(paused)
            if not paused and process.ready.is_set():
                waiting.add(node_id)
                process.send(wire.GetStatus(request))
        try:
            async with asyncio.timeout(patience_s):
                while waiting & {node_id for node_id, _ in self._roster.running()}:
                    await self._roster.changed()
        except TimeoutError:
            pass
        finally:
            del self._asked[request]
        return request

    async def transfer(
        self, leader: NodeId, target: NodeId, transfer_s: float
    ) -> wire.TransferEnded:
        """Has the leader hand over to `target`. Raises LauncherError when it does not answer.

        transfer_s: a leader gives up handing over after so long
        """
        process = self._roster.all[leader].process
        if process is None:
            raise LauncherError(f"n{leader} led, and is gone")
        request = next(self._requests)
        answer: asyncio.Future[wire.TransferEnded] = asyncio.get_running_loop().create_future()
        self._transfers[request] = answer
        gone = asyncio.ensure_future(process.gone.wait())
        waits: set[asyncio.Future[Any]] = {answer, gone}
        process.send(wire.TransferLeadership(request, target))
        try:
            patience_s = transfer_s + TRANSFER_PATIENCE_S
            await asyncio.wait(waits, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            how = "has died" if gone.done() else "does not answer"
            raise LauncherError(f"n{leader}, which was to hand over to n{target}, {how}")
        finally:
            gone.cancel()
            del self._transfers[request]
