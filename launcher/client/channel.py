"""The client's sockets: one channel carries one conversation with the cluster, and waits for it.

A `Channel` is the loop around a `Route`: it opens the connections that the route asks for, hands it
what comes in, and calls it when its deadline has come. Sockets are Unix sockets and never block;
the only place that waits is the `select` in `exchange`, and an exception out of there (Ctrl-C)
leaves everything as it was.

The selector is `poll`, which keeps nothing in the kernel: a forked child shares an epoll with its
parent, and what it unregisters there is unregistered for both.
"""

from __future__ import annotations

import math
import selectors
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from random import Random
from typing import Generic, TypeVar

from launcher import forked
from launcher.client.route import HEDGE_S, Route
from launcher.client.session import Work
from launcher.errors import LauncherError, UsageError
from node import wire
from node.errors import WireError
from node.raft.messages import NodeId

_RECEIVE_BYTES = 256 << 10

_T = TypeVar("_T")


class Channel(Generic[_T]):
    """The connections of one conversation, and the loop that waits for its answers."""

    def __init__(
        self,
        sockets: Mapping[NodeId, Path],
        nodes: Sequence[NodeId],
        work: Work[_T],
        random: Random,
        *,
        leader: NodeId | None = None,
        hedge_s: float = HEDGE_S,
    ) -> None:
        self.nodes = list(nodes)
        self.route: Route[_T] = Route(nodes, work, self, random, leader=leader, hedge_s=hedge_s)
        self._sockets = sockets
        self._selector = selectors.PollSelector()
        self._closed = False
        self._error: LauncherError | None = None
        self.forked = False
        """This is a copy in a forked child; the connections are the parent's."""
        forked.tell_children(self)

    def open(self, node: NodeId) -> SocketConnection | None:
        """The `Dial` port."""
        path = self._sockets.get(node)
        return None if path is None else SocketConnection.to(path, self._selector)

    def exchange(self, until: float) -> list[_T]:
        """Sends what is to be sent and waits, until then at most, for anything to happen once.

        until: by time.monotonic()
        returns: what was answered, in order; often nothing

        Raises what the route raises, but not before all that was answered has been returned.
        """
        if self.forked:
            raise forked.begun_elsewhere("call")
        if self._error is not None:
            raise self._error
        if self._closed:
            raise UsageError("the client was closed while it waited")
        now = time.monotonic()
        self.route.advance(now)
        wait_s = min(self.route.deadline, until) - now
        answers = self._wait(None if wait_s == math.inf else max(0.0, wait_s))
        if self._error is not None and not answers:
            raise self._error
        return answers

    def catch_up(self) -> None:
        """Hears what has happened while nobody listened: a node may have hung up."""
        self._wait(0.0)

    def _wait(self, wait_s: float | None) -> list[_T]:
        events = self._selector.select(wait_s)
        now = time.monotonic()
        answers: list[_T] = []
        for key, ready in events:
            connection = key.data
            if connection is None:
                continue  # there is more input: that is the caller's
            if ready & selectors.EVENT_WRITE:
                connection.flush()
            if ready & selectors.EVENT_READ:
                self._receive(connection, now, answers)
        return answers

    def _receive(self, connection: SocketConnection, now: float, answers: list[_T]) -> None:
        bodies = connection.receive()
        if bodies is None:
            self.route.lost(connection, now)
            return
        try:
            for body in bodies:
                answers += self.route.received(connection, wire.decode_reply(body), now)
        except WireError:
            self.route.lost(connection, now)
        except LauncherError as error:
            self._error = error

    @contextmanager
    def woken_by(self, bell: socket.socket) -> Iterator[None]:
        """`exchange` returns when this socket is readable, too."""
        self._selector.register(bell, selectors.EVENT_READ, None)
        try:
            yield
        finally:
            if not self._closed:
                self._selector.unregister(bell)

    def close(self) -> None:
        """Ends the connections."""
        if not self._closed:
            self._closed = True
            self.route.close()
            self._selector.close()

    def after_fork(self) -> None:
        """See `forked.Forkable`. From here on `exchange` raises."""
        self.close()
        self.forked = True


class SocketConnection:
    """A connection to a node, registered with its channel's selector while it is open."""

    def __init__(self, sock: socket.socket, selector: selectors.BaseSelector) -> None:
        self._socket = sock
        self._selector = selector
        self._frames = wire.FrameReader()
        self._unsent = bytearray()
        selector.register(sock, selectors.EVENT_READ, self)

    @classmethod
    def to(cls, path: Path, selector: selectors.BaseSelector) -> SocketConnection | None:
        """A connection to the node that listens at `path`. None when there is none."""
        sock = _connect(path)
        return None if sock is None else cls(sock, selector)

    def send(self, data: bytes) -> None:
        """See `route.Connection`. A broken pipe is also readable, so `receive` will tell."""
        if self._unsent:
            self._unsent += data
            return
        sent = self._send_some(data)
        if sent < len(data):
            self._unsent += memoryview(data)[sent:]
            self._selector.modify(self._socket, selectors.EVENT_READ | selectors.EVENT_WRITE, self)

    def flush(self) -> None:
        """Sends what did not fit before."""
        if self._socket.fileno() < 0:
            return  # closed by an event of the same round
        del self._unsent[: self._send_some(self._unsent)]
        if not self._unsent:
            self._selector.modify(self._socket, selectors.EVENT_READ, self)

    def receive(self) -> list[bytes] | None:
        """The frames that have come; None at the end. Raises WireError."""
        try:
            data = self._socket.recv(_RECEIVE_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            return None
        return self._frames.feed(data) if data else None

    def close(self) -> None:
        """Ends it."""
        if self._socket.fileno() >= 0:
            self._selector.unregister(self._socket)
            self._socket.close()

    def _send_some(self, data: bytes | bytearray) -> int:
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            return len(data)


def _connect(path: Path) -> socket.socket | None:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.connect(str(path))
    except OSError:  # gone, refused, or a paused node's queue is full
        sock.close()
        return None
    except BaseException:
        sock.close()
        raise
    return sock


def roll_call(sockets: Mapping[NodeId, Path], until: float) -> set[NodeId]:
    """The nodes that answer anything at all: each is asked for a stale read of nothing.

    Returns as soon as all that can be reached have answered, at `until` at the latest.
    """
    there: set[NodeId] = set()
    waiting: dict[NodeId, socket.socket] = {}
    request = wire.frame(wire.encode_client(wire.Read(0, [], stale=True)))
    with selectors.DefaultSelector() as selector:
        try:
            for node, path in sockets.items():
                sock = _connect(path)
                if sock is not None:
                    waiting[node] = sock
                    selector.register(sock, selectors.EVENT_READ, node)
                    with suppress(OSError):  # it has just died, and that can be read, too
                        sock.send(request)
            while waiting and (left_s := until - time.monotonic()) > 0:
                for key, _ in selector.select(left_s):
                    sock = waiting.pop(key.data)
                    with suppress(OSError):
                        if sock.recv(1):
                            there.add(key.data)
                    selector.unregister(sock)
                    sock.close()
        finally:
            for sock in waiting.values():
                sock.close()
    return there
