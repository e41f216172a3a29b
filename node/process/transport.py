"""Framed bytes over the pipes between nodes: at most one link to each peer, each bounded.

A pipe is one end of a `multiprocessing.Pipe`, a connected Unix stream socket. Every frame to or
from a peer passes the fault filter of `node/faults/links.py`, so a fault needs no privileges and no
help from the kernel: outgoing frames are lost, delayed, held or doubled as it says, and incoming
ones are dropped where their direction is cut (they were under way when the cut was made).

A link ends in one of two ways. The other end's process dies: that is an end of file, and news. Or
what came was no stream of frames, so that nobody can tell where the next one begins (`arriving.py`
has the case in which that shows late): then this end says goodbye, an empty frame, and closes the
link, and the supervisor is asked for another. Who is told goodbye knows that the other lives.

What happens when a link is full: a peer that does not read (it is stopped, or slow) fills its
socket, then this side's buffer; past `MAX_BUFFERED_BYTES` frames to it are lost, as they would be
in a network. The leader's own bound on what is in flight normally comes first.

Frames that are sent while the server works are gathered and leave together in `flush`.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from collections.abc import Callable
from functools import partial

from node import wire
from node.errors import WireError
from node.faults.links import HELD, PASS, FaultFilter
from node.process.arriving import LONGEST_S, Arriving
from node.process.waiting import WaitingFrames
from node.raft.messages import NodeId
from node.tap.writer import Tap, no_tap

MAX_BUFFERED_BYTES = 32 << 20
"""Unsent bytes a link may hold; a frame beyond that is lost."""

GOODBYE = b""
"""The body of the last frame over a link that this end closes, and lives."""

MAX_UNREAD_STATUS_BYTES = 1 << 20
"""What a node keeps for a supervisor that does not read."""


class FrameStream(asyncio.Protocol):
    """A stream of frames over one connected socket, which it gathers and reads for its owner."""

    def __init__(
        self,
        max_frame_bytes: int = wire.MAX_FRAME_BYTES,
        *,
        max_buffered_bytes: int | None = MAX_BUFFERED_BYTES,
    ) -> None:
        """max_buffered_bytes: frames are dropped while more than that is unsent; None: never"""
        self._reader = wire.FrameReader(max_frame_bytes)
        self._max_buffered_bytes = max_buffered_bytes
        self._gathered: list[bytes] = []
        self._transport: asyncio.Transport | None = None
        self.dropped = 0

    @property
    def unfinished_bytes(self) -> int:
        """How much has arrived of a frame that is not complete."""
        return self._reader.unfinished_bytes

    def on_frame(self, body: bytes) -> None:
        """A whole frame has arrived. May raise WireError: then the stream is closed."""

    def on_closed(self, reason: str, *, gone: bool) -> None:
        """The other end is gone; or, not `gone`, it has sent what is no frame of ours, and this end
        has been closed."""

    def send(self, body: bytes) -> None:
        """Gathers a frame; it leaves with the next `flush`."""
        self._gathered.append(body)

    def on_dropped(self, bodies: list[bytes], why: str) -> None:
        """Frames are dropped, because this end is `closed`, or too much is unsent (`full`)."""

    def flush(self) -> None:
        """Sends what was gathered, in one write; drops it when the stream is full or closed."""
        bodies, self._gathered = self._gathered, []
        if not bodies:
            return
        transport = self._transport
        if transport is None or transport.is_closing():
            self.on_dropped(bodies, "closed")
            return
        most = self._max_buffered_bytes
        if most is not None and transport.get_write_buffer_size() > most:
            self.dropped += len(bodies)
            self.on_dropped(bodies, "full")
            return
        transport.write(wire.frames(bodies))

    def close(self) -> None:
        """Closes this end; `on_closed` is not called for it."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    # -- asyncio.Protocol ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        try:
            for body in self._reader.feed(data):
                if self._transport is None:
                    return
                self.on_frame(body)
        except WireError as error:
            self.close()
            self.on_closed(str(error), gone=False)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._transport = None
            self.on_closed("end of file" if exc is None else str(exc), gone=True)


class Link(FrameStream):
    """The stream to one process of one peer.

    said_goodbye: the other end has closed it, and lives
    waiting: the frames that a fault keeps for a while
    """

    def __init__(self, peer: NodeId, owner: PipeLinks) -> None:
        super().__init__()
        self.peer = peer
        self.said_goodbye = False
        self._owner = owner
        self._arriving: Arriving | None = None
        self.waiting = WaitingFrames(self._send_now, MAX_BUFFERED_BYTES)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._transport is None or not self.unfinished_bytes:
            return
        if self._arriving is None:
            self._arriving = Arriving()
        elif self._arriving.takes_too_long():
            reason = f"a frame is not whole after {LONGEST_S:.0f} s"
            self.close()
            self.on_closed(reason, gone=False)

    def _send_now(self, body: bytes) -> None:
        self.send(body)
        self.flush()

    def send_later(self, body: bytes, delay_s: float) -> None:
        """Sends a frame after a delay. Those that wait are bounded as those that are unsent are."""
        if not self.waiting.delay(body, delay_s):
            self.dropped += 1
            self.on_dropped([body], "full")

    def hold(self, body: bytes) -> bool:
        """Keeps a frame until it is let go. Those that are kept are bounded, too; False: it is
        dropped."""
        kept = self.waiting.hold(body)
        self.dropped += not kept
        return kept

    def drop_waiting(self, why: str) -> None:
        """Drops what is held, what was to leave later, and what was gathered."""
        gathered, self._gathered = self._gathered, []
        self.on_dropped([*self.waiting.take_all(), *gathered], why)

    def close(self, why: str = "closed") -> None:
        """Says goodbye, and closes this end as soon as that has left. why: for what is dropped"""
        self.drop_waiting(why)
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.write(wire.frame(GOODBYE))
            transport.close()

    def on_dropped(self, bodies: list[bytes], why: str) -> None:
        if self._owner.tap.is_on:
            for body in bodies:
                self._owner.tap.lost_later(self.peer, body, why)

    def on_frame(self, body: bytes) -> None:
        self._arriving = None
        if body == GOODBYE:
            self.said_goodbye = True
        else:
            self._owner.arrived(self, body)

    def on_closed(self, reason: str, *, gone: bool) -> None:
        self.drop_waiting("closed")
        self._owner.lost(self, reason, gone=gone)
        if not gone:
            self._owner.broken(self)


class PipeLinks:
    """All links of one node: the `Links` port over real pipes.

    on_frame(peer, body): a frame that the filter let through
    on_lost(peer, reason, dead): the link is gone; `dead` says that the peer's process is, and that
        the news has come through: a cut link carries none
    on_broken(peer): the link was closed here, for what came over it; its peer lives
    on_dropped(peer, struck, type): a message of this type was lost, because the next one of the
        type `struck` was to be
    """

    def __init__(
        self,
        node_id: NodeId,
        faults: FaultFilter,
        on_frame: Callable[[NodeId, bytes], None],
        on_lost: Callable[[NodeId, str, bool], None],
        on_broken: Callable[[NodeId], None],
        on_dropped: Callable[[NodeId, str, str], None] = lambda peer, struck, kind: None,
        tap: Tap | None = None,
    ) -> None:
        """tap: records what becomes of each message"""
        self.tap = no_tap() if tap is None else tap
        self._node_id = node_id
        self._faults = faults
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._on_broken = on_broken
        self._on_dropped = on_dropped
        self._links: dict[NodeId, Link] = {}

    def has(self, peer: NodeId) -> bool:
        """Whether there is a link to that peer."""
        return peer in self._links

    async def attach(self, peer: NodeId, pipe: socket.socket, *, renewed: bool = False) -> None:
        """Takes over this node's end of a pipe to `peer`; an older link to it is closed.

        renewed: the older link, if any, was to the same process
        """
        previous = self._links.get(peer)
        if previous is not None:
            previous.close("replaced")
            self._drop(previous, "replaced", dead=not renewed)
        pipe.setblocking(False)
        link = self._links[peer] = Link(peer, self)
        await asyncio.get_running_loop().create_connection(lambda: link, sock=pipe)
        if self._links.get(peer) is not link:
            link.close()  # replaced while it was being opened

    def send(self, peer: NodeId, body: bytes) -> None:
        """The port's `send`: as the filter says; lost when there is no open link."""
        link = self._links.get(peer)
        if link is None:
            return
        if self.tap.is_on:
            self.tap.sent(peer, body)
        if self._is_dropped(peer, body):
            return
        if link.waiting.held:
            self._let_go(link)
        self._route(link, body)

    def _route(self, link: Link, body: bytes) -> None:
        """As the filter says."""
        peer = link.peer
        # The true time, whatever moves the node's clock.
        now = time.monotonic() if self._faults.has_rates else 0.0
        verdict = self._faults.verdict(self._node_id, peer, len(body), now)
        if verdict is PASS:
            link.send(body)
            return
        kept = True
        if verdict is HELD:
            kept = link.hold(body)
        if self.tap.is_on:
            self._record(peer, body, verdict, kept=kept)
        if verdict is not HELD:
            for delay_s in verdict:
                link.send_later(body, delay_s)

    def _record(self, peer: NodeId, body: bytes, verdict: tuple[float, ...], *, kept: bool) -> None:
        """What the filter does to a message that it does not just let pass.

        kept: there is room for it, where it is held
        """
        tap, link = self.tap, (self._node_id, peer)
        if verdict is HELD:
            fault = self._faults.cause(*link, "hold")
            if kept:
                tap.held(peer, body, fault=fault)
            else:
                tap.lost(peer, body, "held-full", fault=fault)
        elif not verdict:
            why = self._faults.why_lost
            fault = self._faults.cause(*link, why.removesuffix("-full"))
            tap.lost(peer, body, why, fault=fault)
        elif len(verdict) > 1:
            fault = self._faults.cause(*link, "duplicate")
            tap.duplicated(peer, body, len(verdict), fault=fault)
        else:
            fault = self._faults.cause(*link, "delay", "rate", "reorder")
            tap.delayed(peer, body, verdict[0], fault=fault)

    def _is_dropped(self, peer: NodeId, body: bytes) -> bool:
        """Whether this message is lost because the next one of its type is to be."""
        if not self._faults.awaits(self._node_id, peer):
            return False
        types = wire.types_in(body)
        struck = self._faults.strike(self._node_id, peer, types)
        if struck is not None:
            if self.tap.is_on:
                self.tap.lost(peer, body, "drop")
            self._on_dropped(peer, struck, types[0])
        return struck is not None

    def strike_waiting(self) -> None:
        """Loses what waits on a link and is of a type of which the next message is to be lost."""
        for peer, link in self._links.items():
            link.waiting.strike(partial(self._is_dropped, peer))

    def flush(self) -> None:
        """Lets everything go that was sent since the last flush, or was held until now."""
        for link in self._links.values():
            if link.waiting.held:
                self._let_go(link)
            link.flush()

    def _let_go(self, link: Link) -> None:
        """Sends what was held, unless the link still holds."""
        if not self._faults.holds(self._node_id, link.peer):
            for body in link.waiting.take_held():
                self._release(link, body)

    def _release(self, link: Link, body: bytes) -> None:
        """Sends a message that was held, as one that is sent now."""
        if not self._is_dropped(link.peer, body):
            self._route(link, body)

    def arrived(self, link: Link, body: bytes) -> None:
        """A frame has come in over `link`."""
        peer = link.peer
        if self._links.get(peer) is not link:
            if self.tap.is_on:
                self.tap.lost_from(peer, body, "replaced")
        elif self._faults.is_cut(peer, self._node_id):
            if self.tap.is_on:
                fault = self._faults.cause(peer, self._node_id, "cut")
                self.tap.lost_from(peer, body, "cut", fault=fault)
        else:
            self._on_frame(peer, body)

    def lost(self, link: Link, reason: str, *, gone: bool) -> None:
        """`link` is closed, because its other end is gone or because it is not to be trusted."""
        self._drop(link, reason, dead=gone and not link.said_goodbye)

    def broken(self, link: Link) -> None:
        """`link` was closed here, for what came over it."""
        if link.peer not in self._links:
            self._on_broken(link.peer)

    def _drop(self, link: Link, reason: str, *, dead: bool) -> None:
        if self._links.get(link.peer) is not link:
            return
        del self._links[link.peer]
        heard = dead and not self._faults.is_cut(link.peer, self._node_id)
        self._on_lost(link.peer, reason, heard)


class ControlChannel:
    """A node's end of the pipe to its supervisor: frames both ways, and file descriptors inwards.

    A descriptor arrives with the first byte of its frame (SCM_RIGHTS), so descriptors are taken
    in the order of the frames that need one. Status is worth little when it is old: when the
    supervisor does not read, what does not fit is dropped.

    on_frame(body): a whole frame has arrived
    on_closed(): the supervisor is gone
    """

    def __init__(
        self,
        pipe: socket.socket,
        on_frame: Callable[[bytes], None],
        on_closed: Callable[[], None],
    ) -> None:
        pipe.setblocking(False)
        self._pipe = pipe
        self._on_frame = on_frame
        self._on_closed = on_closed
        self._reader = wire.FrameReader()
        self._descriptors: deque[int | None] = deque()
        self._unsent = bytearray()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(pipe, self._read)

    def take_descriptor(self) -> socket.socket | None:
        """The socket that came with the frame at hand; None when this process has too many files
        open, and the kernel has closed it. Raises WireError when none came."""
        if not self._descriptors:
            raise WireError("a frame that promises a file descriptor came without one")
        descriptor = self._descriptors.popleft()
        return None if descriptor is None else socket.socket(fileno=descriptor)

    def send(self, body: bytes) -> None:
        """Sends a frame, now or as soon as the supervisor reads."""
        if len(self._unsent) > MAX_UNREAD_STATUS_BYTES:
            return
        self._unsent += wire.frame(body)
        self._write()

    def close(self) -> None:
        """Closes this end."""
        self._loop.remove_reader(self._pipe)
        self._loop.remove_writer(self._pipe)
        self._pipe.close()

    def _read(self) -> None:
        try:
            data, descriptors, flags, _ = socket.recv_fds(self._pipe, 1 << 16, 64)
        except BlockingIOError:
            return
        except OSError:
            data, descriptors, flags = b"", [], 0
        self._descriptors.extend(descriptors)
        if flags & socket.MSG_CTRUNC and not descriptors:
            # One at most comes with what one call returns: each was sent with a frame of its own.
            self._descriptors.append(None)
        if not data:
            self._loop.remove_reader(self._pipe)
            self._on_closed()
            return
        for body in self._reader.feed(data):
            self._on_frame(body)

    def _write(self) -> None:
        try:
            sent = self._pipe.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            sent = len(self._unsent)  # the supervisor is gone: reading tells
        del self._unsent[:sent]
        if self._unsent:
            self._loop.add_writer(self._pipe, self._write)
        else:
            self._loop.remove_writer(self._pipe)
