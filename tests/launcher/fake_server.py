"""Nodes that speak only to clients, in threads, over real sockets: what the client's tests talk to.

A `FakeServer` listens where a node would and treats each connection as its `behave` says, a
function that is given the `Peer`. What is committed is in a `Ledger` that all of them share: it
applies requests by the very rules of `node/machines/sessions.py`.
"""

from __future__ import annotations

import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeAlias

from launcher.client.answers import Submitted
from launcher.client.client import Client
from node import wire
from node.errors import CommandError
from node.machines.sessions import TIMEOUT_US, Sessions


class Recorder:
    """A machine that keeps what it applies, answers with the index, and refuses what says so."""

    def __init__(self) -> None:
        self.applied: list[bytes] = []

    def apply(self, index: int, command: bytes) -> bytes:
        self.applied.append(command)
        if command.startswith(b"refuse"):
            raise CommandError("no such thing")
        return b"at %d" % index

    def query(self, request: bytes) -> bytes:
        if request.startswith(b"refuse"):
            raise CommandError("no such query")
        return b"%d applied" % len(self.applied)

    def snapshot(self) -> Iterator[bytes]:
        return iter(())

    def restore(self, chunks: Iterable[bytes]) -> None:
        self.applied = list(chunks)


class Ledger:
    """What a cluster has committed, and what its machine made of it."""

    def __init__(self) -> None:
        self.machine = Recorder()
        self.requests: list[wire.Submit] = []
        self._sessions = Sessions()
        self._last_index = 0
        self._time_us = 0
        self._lock = threading.Lock()

    @property
    def applied(self) -> list[bytes]:
        return self.machine.applied

    def commit(self, request: wire.Submit, term: int = 1) -> list[wire.ClientReply]:
        with self._lock:
            self.requests.append(request)
            first_index = self._last_index + 1
            self._last_index += len(request.commands)
            outcome = self._sessions.apply(self.machine, first_index, term, request)
            return [outcome] if isinstance(outcome, wire.OutOfOrder) else list(outcome)

    def end_sessions(self) -> None:
        """More time has passed than any session may be idle for."""
        with self._lock:
            self._time_us += 2 * TIMEOUT_US
            self._sessions.advance(self._time_us)

    def read(self, request: wire.Read) -> wire.ReadResult:
        results, errors = [], []
        with self._lock:
            for position, query in enumerate(request.queries):
                try:
                    results.append(self.machine.query(query))
                except CommandError as error:
                    results.append(str(error).encode())
                    errors.append(position)
            return wire.ReadResult(request.read_id, self._last_index, 1, results, errors)

    def answer(self, request: wire.Submit | wire.Read) -> list[wire.ClientReply]:
        return [self.read(request)] if isinstance(request, wire.Read) else self.commit(request)


class Peer:
    """A connected client, as a node sees it. Iterating gives its requests until it hangs up."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._frames = wire.FrameReader()

    def __iter__(self) -> Iterator[wire.Submit | wire.Read]:
        for body in self.bodies():
            request = wire.decode_request(body)
            assert not isinstance(request, wire.SubmitHere), "no client sends it by itself"
            yield request

    def bodies(self) -> Iterator[bytes]:
        """Its requests as they came."""
        with suppress(OSError):
            while data := self._socket.recv(1 << 16):
                yield from self._frames.feed(data)

    def submits(self, ledger: Ledger) -> Iterator[wire.Submit]:
        """Of its requests only these; what a session asks before it begins is answered."""
        for request in self:
            if isinstance(request, wire.Submit):
                yield request
            else:
                self.send(ledger.read(request))

    def send(self, *replies: wire.ClientReply) -> None:
        with suppress(OSError):
            for reply in replies:
                self._socket.sendall(wire.frame(wire.encode_client(reply)))


Behaviour: TypeAlias = Callable[[Peer], None]

PATIENT_S = 30.0
"""For what is expected to come: a bound, never waited for."""


def leads(ledger: Ledger) -> Behaviour:
    """Answers everything at once."""

    def behave(peer: Peer) -> None:
        for request in peer:
            peer.send(*ledger.answer(request))

    return behave


def redirects(leader: int | None, ledger: Ledger | None = None) -> Behaviour:
    """A follower: sends everybody on, and answers stale reads."""
    ledger = ledger or Ledger()

    def behave(peer: Peer) -> None:
        for request in peer:
            if isinstance(request, wire.Read) and request.stale:
                peer.send(ledger.read(request))
            else:
                peer.send(wire.Redirect(leader, "not the leader"))

    return behave


def commits_in_silence(ledger: Ledger) -> Behaviour:
    """A leader that commits what it gets, and whose answers are lost."""

    def behave(peer: Peer) -> None:
        for request in peer.submits(ledger):
            ledger.commit(request)

    return behave


def silent(peer: Peer) -> None:
    """A paused node: takes what it is sent, for ever, and says nothing."""
    for _ in peer:
        pass


class FakeServer:
    """Listens at `path` until it is killed. `behave` may be replaced at any time."""

    def __init__(self, path: Path, behave: Behaviour) -> None:
        self.path = path
        self.behave = behave
        self.connections = 0
        self._open: list[socket.socket] = []
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen(128)
        threading.Thread(target=self._accept, daemon=True).start()

    def kill(self) -> None:
        """Every client sees an end of file, and the next one a refusal."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._open:
            hang_up(sock)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                self.connections += 1
                self._open.append(sock)
                threading.Thread(target=self._serve, args=[sock], daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        self.behave(Peer(sock))
        hang_up(sock)


def hang_up(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


class Nodes:
    """Five places for nodes; those that a test starts are there, the others are dead."""

    def __init__(self, folder: Path) -> None:
        self.sockets = {n: folder / f"{n}.sock" for n in range(1, 6)}
        self.servers: dict[int, FakeServer] = {}
        self.ledger = Ledger()

    def start(self, node: int, behave: Behaviour) -> FakeServer:
        server = self.servers[node] = FakeServer(self.sockets[node], behave)
        return server

    def lead(self, node: int = 1) -> FakeServer:
        return self.start(node, leads(self.ledger))

    def client(self, **settings: float) -> Client:
        """Of a client of these nodes; quick to hedge, slow to give up, unless told otherwise."""
        timeout_s = settings.pop("timeout_s", PATIENT_S)
        hedge_s = settings.pop("hedge_s", 0.05)
        sizes: dict[str, Any] = {name: int(size) for name, size in settings.items()}
        return Client(self.sockets, timeout_s=timeout_s, hedge_s=hedge_s, **sizes)

    def sessions(self) -> list[bytes]:
        """The client ids that have been heard of, in order."""
        return list(dict.fromkeys(request.client_id for request in self.ledger.requests))


@contextmanager
def five_places() -> Iterator[Nodes]:
    """In a folder whose path is short enough for a socket."""
    folder = Path(tempfile.mkdtemp(prefix="lk"))
    nodes = Nodes(folder)
    yield nodes
    for server in nodes.servers.values():
        server.kill()
    shutil.rmtree(folder)


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.002)


def numbered(count: int) -> list[bytes]:
    return [b"entry %d" % n for n in range(count)]


def assert_all(done: list[Submitted], nodes: Nodes, commands: list[bytes]) -> None:
    """Applied exactly once, in order, and answered with the first answer."""
    assert [one.entry for one in done] == commands
    assert nodes.ledger.applied == commands
    assert all(one.result == b"at %d" % one.index for one in done)
