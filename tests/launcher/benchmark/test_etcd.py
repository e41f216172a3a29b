"""The client for etcd, against a small server that says what etcd would say."""

from __future__ import annotations

import contextlib
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from launcher.benchmark.etcd import EtcdError, Puts, frame, load, put_request
from launcher.benchmark.generator import Stopwatch

DATA, HEADERS, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 4, 6, 8
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
MESSAGE = b"\0\0\0\0\x04\x0a\x02\x18\x01"


class Server:
    """The other end: takes frames apart, and answers what it is told to."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(30)
        self.port = self._listener.getsockname()[1]

    def accept(self) -> None:
        self.socket, _ = self._listener.accept()
        self.socket.settimeout(30)
        assert self._take(len(PREFACE)) == PREFACE
        assert self.frame()[0] == SETTINGS
        kind, _, stream, payload = self.frame()
        assert (kind, stream) == (WINDOW_UPDATE, 0)
        assert struct.unpack("!I", payload)[0] == 2**31 - 1 - 65_535

    def frame(self) -> tuple[int, int, int, bytes]:
        high, low, kind, flags, stream = struct.unpack("!HBBBI", self._take(9))
        return kind, flags, stream, self._take(high << 8 | low)

    def put(self) -> tuple[int, bytes, bytes]:
        """Takes one put: its stream, headers and message."""
        kind, flags, stream, headers = self.frame()
        assert (kind, flags) == (HEADERS, 4)
        kind, flags, same, message = self.frame()
        assert (kind, flags, same) == (DATA, 1, stream)
        return stream, headers, message

    def answer(self, *streams: int) -> None:
        for stream in streams:
            self.socket.sendall(
                frame(HEADERS, 4, stream, b"\x88")
                + frame(DATA, 0, stream, MESSAGE)
                + frame(HEADERS, 5, stream, b"\xbf")
            )

    def close(self) -> None:
        self._listener.close()
        if hasattr(self, "socket"):
            self.socket.close()

    def _take(self, size: int) -> bytes:
        return self.socket.recv(size, socket.MSG_WAITALL) if size else b""


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.fixture
def puts(server: Server) -> Iterator[Puts]:
    puts = Puts(server.port)
    server.accept()
    yield puts
    puts.socket.close()


def test_a_put_request_is_protobuf_in_a_grpc_message() -> None:
    assert put_request(b"k", b"v" * 3) == b"\0\0\0\0\x08\x0a\x01k\x12\x03vvv"
    long = put_request(b"k", b"v" * 300)
    assert long[5:] == b"\x0a\x01k\x12\xac\x02" + b"v" * 300
    assert struct.unpack("!I", long[1:5])[0] == len(long) - 5


def test_headers_are_said_once_and_then_referred_to(server: Server, puts: Puts) -> None:
    puts.put([put_request(b"a", b"1"), put_request(b"b", b"2")], 0.0)
    first, headers, message = server.put()
    assert first == 1
    assert b"/etcdserverpb.KV/Put" in headers
    assert f"127.0.0.1:{server.port}".encode() in headers
    assert message == put_request(b"a", b"1")
    assert server.put() == (3, bytes([0x83, 0x86, 0xC1, 0xC0, 0xBF, 0xBE]), put_request(b"b", b"2"))


def test_answers_may_come_in_any_order_and_in_pieces(server: Server, puts: Puts) -> None:
    puts.put([put_request(b"a", b"1")], 10.0)
    puts.put([put_request(b"b", b"2")], 20.0)
    server.put()
    server.put()
    whole = frame(HEADERS, 4, 3, b"\x88") + frame(DATA, 0, 3, MESSAGE) + frame(HEADERS, 5, 3, b"x")
    server.socket.sendall(whole[:-1])
    assert puts.answered() == []
    server.socket.sendall(whole[-1:])
    assert puts.answered() == [20.0]
    assert puts.unanswered == 1
    server.answer(1)
    done: list[float] = []
    while not done:
        done = puts.answered()
    assert done == [10.0]
    assert puts.unanswered == 0


def test_a_stream_that_ends_without_a_message_is_an_error(server: Server, puts: Puts) -> None:
    puts.put([put_request(b"a", b"1")], 0.0)
    server.socket.sendall(frame(HEADERS, 5, 1, b"\x88"))
    with pytest.raises(EtcdError, match="refused"):
        puts.answered()


def test_a_connection_that_ends_is_an_error(server: Server, puts: Puts) -> None:
    server.socket.close()
    with pytest.raises(EtcdError, match="closed"):
        puts.answered()


def test_settings_and_pings_are_acknowledged(server: Server, puts: Puts) -> None:
    server.socket.sendall(
        frame(SETTINGS, 0, 0, b"\0\x03\0\0\0\xfa") + frame(PING, 0, 0, b"12345678")
    )
    assert puts.answered() == []
    assert server.frame() == (SETTINGS, 1, 0, b"")
    assert server.frame() == (PING, 1, 0, b"12345678")


def test_what_the_window_has_no_room_for_waits(server: Server, puts: Puts) -> None:
    """65,535 bytes: four messages of 16,000 and a little."""
    requests = [put_request(b"k", b"v" * 16_000) for _ in range(6)]
    puts.put(requests, 0.0)
    for _ in range(4):
        server.put()
    assert puts.unanswered == 6
    server.socket.settimeout(0.1)
    with pytest.raises(TimeoutError):
        server.frame()
    server.socket.settimeout(30)
    server.socket.sendall(frame(WINDOW_UPDATE, 0, 0, struct.pack("!I", 20_000)))
    puts.answered()
    assert server.put()[0] == 9
    server.socket.sendall(frame(WINDOW_UPDATE, 0, 0, struct.pack("!I", 20_000)))
    puts.answered()
    assert server.put()[0] == 11


def test_the_window_is_shared_out_and_kept_full(
    server: Server, puts: Puts, capsys: pytest.CaptureFixture[str]
) -> None:
    """With two answers at a time from a server on another thread, until enough have come."""
    import threading

    most = 0

    def serve() -> None:
        nonlocal most
        waiting: list[int] = []
        with contextlib.suppress(OSError, struct.error):  # until the client is gone
            while True:
                while len(waiting) < 5:
                    waiting.append(server.put()[0])
                most = max(most, len(waiting))
                time.sleep(0.001)
                server.answer(*waiting[:2])
                del waiting[:2]

    thread = threading.Thread(target=serve)
    thread.start()
    watch = Stopwatch(0.05, 0.2)
    load([puts], 5, 10, watch)
    puts.socket.close()
    thread.join(30)
    assert most == 5
    assert len(watch.latencies) > 2
    assert capsys.readouterr().out == '{"begun": true}\n'
