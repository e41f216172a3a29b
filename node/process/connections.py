"""The clients' connections to a node: who is let in, what is held for each, and who is hung up on.

A client may do anything: send half a frame and stop, ask and never read, connect and say nothing.
What that costs a node is bounded for one client and for all together, and at a bound it is the
client that takes most, or has been idle longest, that loses its connection. Nothing is lost with a
connection: a client of ours connects again and asks again, and its entries take effect once.

- `limits.clients` may be connected. One more takes the place of the one that has been idle longest,
  if that has been idle for `IDLE_S` and waits for nothing; otherwise it is told that there is no
  room, and who leads.
- Of a client that leaves `MAX_BACKLOG_BYTES` of its answers unread no more requests are read. One
  that comes to `MAX_UNREAD_BYTES` all the same, by what it had asked for before, is hung up on, and
  so is the one with most when all together come to `MAX_ALL_UNREAD_BYTES`.
- When all frames that have arrived in part come to `MAX_ALL_UNFINISHED_BYTES` together, the client
  with most of one is hung up on.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from node import wire
from node.events import Note
from node.process import descriptors
from node.process.transport import FrameStream
from node.raft.messages import NodeId

IDLE_S = 1.0
"""A client that has sent no frame for so long may lose its place to another, when all are taken."""

MAX_BACKLOG_BYTES = 16 << 20
MAX_UNREAD_BYTES = 64 << 20
MAX_ALL_UNREAD_BYTES = 256 << 20
MAX_ALL_UNFINISHED_BYTES = 128 << 20


class ConnectedClient(FrameStream):
    """One connected client: the `ClientConnection` port.

    heard_at: when its last whole frame came, or it connected; seconds on the loop's clock
    waits: nothing has been sent to it since
    """

    def __init__(self, owner: Connections) -> None:
        super().__init__(wire.MAX_REQUEST_BYTES, max_buffered_bytes=None)
        self._owner = owner
        self.heard_at = 0.0
        self.waits = False

    @property
    def unread_bytes(self) -> int:
        """How much of its answers it has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def send(self, body: bytes) -> None:
        super().send(body)
        self.waits = False
        self._owner.unflushed.add(self)

    def on_frame(self, body: bytes) -> None:
        self._owner.arrived(self, body)

    def on_closed(self, reason: str, *, gone: bool) -> None:
        self._owner.gone(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=MAX_BACKLOG_BYTES)
        refusal = self._owner.admit(self)
        if refusal is not None:
            super().send(wire.encode_client(refusal))
            self.flush()
            transport.close()

    def data_received(self, data: bytes) -> None:
        before = self.unfinished_bytes
        super().data_received(data)
        if self.unfinished_bytes != before:
            self._owner.unfinished(self, self.unfinished_bytes - before)

    def pause_writing(self) -> None:
        """It does not read its answers: take no more requests from it."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        if self._transport is not None:
            self._transport.resume_reading()


class Connections:
    """All clients of one node.

    unflushed: those with answers gathered since the last flush
    """

    def __init__(
        self,
        most: int,
        on_request: Callable[[ConnectedClient, bytes], None],
        on_gone: Callable[[ConnectedClient], None],
        leader_elsewhere: Callable[[], NodeId | None],
        note: Note,
    ) -> None:
        """most: how many may be connected
        leader_elsewhere: the node that leads, if it is known and another one
        """
        self._most = most
        self._on_request = on_request
        self._on_gone = on_gone
        self._leader_elsewhere = leader_elsewhere
        self._note = note
        self._loop = asyncio.get_running_loop()
        self._listening: asyncio.Server | None = None
        self._clients: OrderedDict[ConnectedClient, None] = OrderedDict()
        """the one that has been idle longest first"""
        self.unflushed: set[ConnectedClient] = set()
        self._backlogged: set[ConnectedClient] = set()
        """those that had not taken all of their answers at the last flush"""
        self._unfinished_bytes = 0

    def __len__(self) -> int:
        return len(self._clients)

    # -- coming and going ------------------------------------------------------------------------

    async def listen(self, path: Path) -> None:
        """Lets clients in at this socket, and at no other any more. Raises OSError."""
        path.unlink(missing_ok=True)
        listening = await asyncio.get_running_loop().create_unix_server(
            lambda: ConnectedClient(self), path, backlog=descriptors.ACCEPTED_AT_ONCE
        )
        descriptors.let_many_wait(listening)
        if self._listening is not None:
            self._listening.close()
        self._listening = listening

    def admit(self, client: ConnectedClient) -> wire.Redirect | None:
        """A client has come. If there is no room for it: what it is to be told."""
        now = self._loop.time()
        if len(self._clients) >= self._most and not self._drop_idle(now):
            reason = f"it has as many clients as it may, {self._most} (limits.clients)"
            return wire.Redirect(self._leader_elsewhere(), reason)
        client.heard_at = now
        self._clients[client] = None
        return None

    def arrived(self, client: ConnectedClient, body: bytes) -> None:
        """A whole frame has come from a client."""
        if client not in self._clients:
            return  # it was not let in
        client.heard_at = self._loop.time()
        client.waits = True
        self._clients.move_to_end(client)
        self._on_request(client, body)

    def gone(self, client: ConnectedClient) -> None:
        """A client has hung up, or has been hung up on."""
        self.unflushed.discard(client)
        self._backlogged.discard(client)
        if client in self._clients:
            del self._clients[client]
            self._unfinished_bytes -= client.unfinished_bytes
            self._on_gone(client)

    def _drop_idle(self, now: float) -> bool:
        """Makes room for one more; whether somebody could be hung up on."""
        for client in self._clients:
            if now - client.heard_at < IDLE_S:
                return False
            if not client.waits and not client.unread_bytes:
                self._hang_up(client, "debug", "it was idle, and another wants its place")
                return True
        return False

    def _hang_up(self, client: ConnectedClient, level: str, reason: str) -> None:
        self._note(level, "client.dropped", reason=reason)
        client.close()
        self.gone(client)

    def tell_all(self, reply: wire.ClientReply) -> None:
        """Says one thing to every client, at once: this node is about to end."""
        body = wire.encode_client(reply)
        for client in list(self._clients):
            client.send(body)
        self.flush()

    # -- what is held ----------------------------------------------------------------------------

    def unfinished(self, client: ConnectedClient, more: int) -> None:
        """So much more, or less, of a frame that is not complete has come from a client."""
        if client not in self._clients:
            return
        self._unfinished_bytes += more
        while self._unfinished_bytes > MAX_ALL_UNFINISHED_BYTES:
            largest = max(self._clients, key=lambda one: one.unfinished_bytes)
            size = largest.unfinished_bytes
            self._hang_up(largest, "warn", f"{size} bytes of a frame had come, and not the rest")

    def flush(self) -> None:
        """Lets all answers go that were gathered."""
        for client in self.unflushed:
            client.flush()
            if client.unread_bytes:
                self._backlogged.add(client)
        self.unflushed.clear()
        if self._backlogged:
            self._bound_unread()

    def _bound_unread(self) -> None:
        unread = {client: client.unread_bytes for client in self._backlogged}
        self._backlogged = {client for client, size in unread.items() if size}
        together = sum(unread.values())
        for client, size in sorted(unread.items(), key=lambda item: item[1], reverse=True):
            if size <= MAX_UNREAD_BYTES and together <= MAX_ALL_UNREAD_BYTES:
                return
            together -= size
            self._hang_up(client, "warn", f"{size} bytes of its answers were unread")
