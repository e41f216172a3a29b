"""The links to a node's peers: which life of each peer they lead to, and how a lost one comes back.

The supervisor hands over a pipe for each life of a peer. One to an earlier life may come later than
one to a later life: it is closed. A link whose stream cannot be understood is closed while its peer
lives; then the supervisor is asked for another pipe, until there is one.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from node.events import Note
from node.process.transport import PipeLinks
from node.raft.messages import NodeId
from node.wire import LinkLost, NewLink, ToSupervisor

ASK_FOR_LINK_AGAIN_S = 1.0
"""The supervisor may have missed what it was asked for."""


class Peers:
    """The peers of a node, and the newest life of each that a link was opened to.

    is_over: whether nothing new is to be begun
    on_opened(peer): there is a link to it
    """

    def __init__(
        self,
        links: PipeLinks,
        note: Note,
        tell_supervisor: Callable[[ToSupervisor], None],
        on_opened: Callable[[NodeId], None],
        is_over: Callable[[], bool],
    ) -> None:
        self._links = links
        self._note = note
        self._tell_supervisor = tell_supervisor
        self._on_opened = on_opened
        self._is_over = is_over
        self._loop = asyncio.get_running_loop()
        self._lives: dict[NodeId, int] = {}

    async def attach(self, peer: NodeId, life: int, pipe: socket.socket) -> None:
        """Opens a link, unless one to a later life of the peer has overtaken it."""
        if life < self._lives.get(peer, 0):
            pipe.close()
            return
        renewed = self._lives.get(peer) == life
        self._lives[peer] = life
        await self._links.attach(peer, pipe, renewed=renewed)
        self._note("debug", "link.opened", peer=peer)
        self._on_opened(peer)

    def no_pipe(self, message: NewLink) -> None:
        """The pipe that was to come with the message did not: this node has no descriptor left."""
        self._note("warn", "link.closed", peer=message.peer, reason="too many open files")
        self._lives[message.peer] = message.life
        self._loop.call_later(ASK_FOR_LINK_AGAIN_S, self.ask_for_link, message.peer)

    def ask_for_link(self, peer: NodeId) -> None:
        """Nothing can be understood of what comes from `peer`, which lives: asks the supervisor for
        another pipe to it, until there is one."""
        if self._links.has(peer) or self._is_over():
            return
        self._tell_supervisor(LinkLost(peer, self._lives.get(peer, 0)))
        self._loop.call_later(ASK_FOR_LINK_AGAIN_S, self.ask_for_link, peer)
