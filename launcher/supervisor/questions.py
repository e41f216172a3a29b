"""What the supervisor asks of nodes, and the callers that wait for the answers.

Each question has a number, which its answer carries: so an answer that comes late is not taken for
that of a later question.
"""

from __future__ import annotations

import asyncio
from typing import Any, TypeAlias

from launcher.errors import LauncherError
from launcher.supervisor.roster import Roster
from node import wire
from node.raft.messages import NodeId

STATUS_PATIENCE_S = 0.3
"""How long `ps` waits for nodes that do not answer; it then shows what was last known of them."""

TRANSFER_PATIENCE_S = 1.0
"""How much longer than it may take we wait for the word of a leader that is to hand over."""


TIME_OUT_PATIENCE_S = 2.0
"""How long a node may take to say whether it campaigns."""

_Outcome: TypeAlias = wire.TransferEnded | wire.TimedOut
"""What became of an order that a node answers."""


class Questions:
    """The questions to the nodes of a roster that are not answered yet.

    asked: the number of the last question
    """

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self.asked = 0
        self._asked: dict[int, set[NodeId]] = {}
        self._orders: dict[int, asyncio.Future[_Outcome]] = {}

    def first(self) -> wire.GetStatus:
        """What a node is asked when it starts; nobody waits for the answer."""
        return wire.GetStatus(self._next())

    def _next(self) -> int:
        self.asked += 1
        return self.asked

    def answered(self, node_id: NodeId, message: wire.Status | _Outcome) -> None:
        """A node has answered a question, perhaps one that nobody waits for any more."""
        if not isinstance(message, wire.Status):
            answer = self._orders.get(message.request)
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
        request = self._next()
        waiting = self._asked[request] = set()
        for node_id, process in self._roster.running():
            paused = process.is_paused()
            self._roster.all[node_id].lifecycle.paused(paused)
            if not paused and process.ready.is_set():
                waiting.add(node_id)
                process.send(wire.GetStatus(request))
        try:
            await self._roster.until_answered(waiting, patience_s)
        finally:
            del self._asked[request]
        return request

    async def transfer(
        self, leader: NodeId, target: NodeId, transfer_s: float
    ) -> wire.TransferEnded:
        """Has the leader hand over to `target`. Raises LauncherError when it does not answer.

        transfer_s: a leader gives up handing over after so long
        """
        request = self._next()
        order = wire.TransferLeadership(request, target)
        late = f"n{leader}, which was to hand over to n{target},"
        ended = await self._outcome(leader, request, order, transfer_s + TRANSFER_PATIENCE_S, late)
        assert isinstance(ended, wire.TransferEnded)
        return ended

    async def time_out(self, node: NodeId) -> wire.TimedOut:
        """Has the election timer of a node fire. Raises LauncherError when it does not answer."""
        request = self._next()
        order = wire.TimeOut(request)
        ended = await self._outcome(node, request, order, TIME_OUT_PATIENCE_S, f"n{node}")
        assert isinstance(ended, wire.TimedOut)
        return ended

    async def _outcome(
        self, node: NodeId, request: int, order: wire.ToNode, patience_s: float, who: str
    ) -> _Outcome:
        process = self._roster.all[node].process
        if process is None:
            raise LauncherError(f"{who} is gone")
        answer: asyncio.Future[_Outcome] = asyncio.get_running_loop().create_future()
        self._orders[request] = answer
        gone = asyncio.ensure_future(process.gone.wait())
        waits: set[asyncio.Future[Any]] = {answer, gone}
        process.send(order)
        try:
            await asyncio.wait(waits, timeout=patience_s, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            raise LauncherError(f"{who} {'has died' if gone.done() else 'does not answer'}")
        finally:
            gone.cancel()
            del self._orders[request]
