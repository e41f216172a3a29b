"""The load generator for etcd: puts, many of them unanswered, over etcd's own gRPC interface.

    python -m launcher.benchmark.etcd --port 2379 --connections 8 --window 256 --size 256

(see `measure.py` for what it says and when). So that etcd is measured and not a client library,
this speaks just as much HTTP/2 (RFC 9113) and gRPC as a put needs: a stream for each put, its
headers by reference to the connection's header table (RFC 7541), its message encoded by hand, and
of what comes back only what ends streams. That costs a few microseconds for each put.

A put is answered when its stream has ended with a message in it; a stream that ends without one is
an error of etcd's, and ends the run.
"""

from __future__ import annotations

import argparse
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from launcher.benchmark.generator import Stopwatch, keys, say

_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _RESET, _SETTINGS, _PING, _GO_AWAY, _WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
_ACK = _END_STREAM = 0x1
_END_HEADERS = 0x4
_WINDOW_BYTES = 65_535
"""What either side may send of DATA before the other allows more."""

_LARGEST_WINDOW_BYTES = 2**31 - 1
_INDEXED_HEADERS = bytes([0x83, 0x86, 0xC1, 0xC0, 0xBF, 0xBE])
_RECEIVE_BYTES = 1 << 18


class EtcdError(Exception):
    """etcd did not do what was asked, or said something that is not understood."""


class Puts:
    """One connection: puts go out as far as flow control allows, and come back answered."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.unanswered = 0
        self._sent_at: dict[int, float] = {}
        self._has_message: set[int] = set()
        self._next_stream = 1
        self._may_send_bytes = _WINDOW_BYTES
        self._waiting: list[bytes] = []
        self._rest = b""
        more = struct.pack("!I", _LARGEST_WINDOW_BYTES - _WINDOW_BYTES)
        self.socket.sendall(
            _PREFACE + frame(_SETTINGS, 0, 0, b"") + frame(_WINDOW_UPDATE, 0, 0, more)
        )
        self._headers = _first_headers(f"127.0.0.1:{port}")

    def put(self, requests: Sequence[bytes], now: float) -> None:
        """Sends them, together; what the window has no room for goes out when it has."""
        self.unanswered += len(requests)
        self._waiting += requests
        out = []
        sent = 0
        for message in self._waiting:
            if len(message) > self._may_send_bytes:
                break
            self._may_send_bytes -= len(message)
            stream = self._next_stream
            self._next_stream += 2
            self._sent_at[stream] = now
            out.append(frame(_HEADERS, _END_HEADERS, stream, self._headers))
            out.append(frame(_DATA, _END_STREAM, stream, message))
            self._headers = _INDEXED_HEADERS
            sent += 1
        del self._waiting[:sent]
        if out:
            self.socket.sendall(b"".join(out))

    def answered(self) -> list[float]:
        """Takes what has come; when each of the puts that it answers was sent. Raises EtcdError."""
        received = self.socket.recv(_RECEIVE_BYTES)
        if not received:
            raise EtcdError("etcd has closed the connection")
        done: list[float] = []
        for kind, flags, stream, payload in self._frames(received):
            if kind == _DATA and payload:
                self._has_message.add(stream)
            elif kind == _HEADERS and flags & _END_STREAM:
                if stream not in self._has_message:
                    raise EtcdError("etcd has refused a put")
                self._has_message.discard(stream)
                done.append(self._sent_at.pop(stream))
            elif kind in (_RESET, _GO_AWAY):
                raise EtcdError("etcd has reset the connection")
            elif kind == _WINDOW_UPDATE and stream == 0:
                self._may_send_bytes += struct.unpack("!I", payload)[0]
            elif kind in (_SETTINGS, _PING) and not flags & _ACK:
                self.socket.sendall(frame(kind, _ACK, 0, payload if kind == _PING else b""))
        self.unanswered -= len(done)
        if self._waiting:
            self.put([], time.perf_counter())
        return done

    def _frames(self, received: bytes) -> Iterator[tuple[int, int, int, bytes]]:
        data = self._rest + received
        position, size = 0, len(data)
        while position + 9 <= size:
            high, low, kind, flags, stream = struct.unpack_from("!HBBBI", data, position)
            end = position + 9 + (high << 8 | low)
            if end > size:
                break
            yield kind, flags, stream, data[position + 9 : end]
            position = end
        self._rest = data[position:]


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """A frame of HTTP/2."""
    size = len(payload)
    return struct.pack("!HBBBI", size >> 8, size & 0xFF, kind, flags, stream) + payload


def put_request(key: bytes, value: bytes) -> bytes:
    """A PutRequest (etcdserverpb: key = 1, value = 2) as a message of gRPC."""
    body = b"\x0a" + _varint(len(key)) + key + b"\x12" + _varint(len(value)) + value
    return b"\0" + struct.pack("!I", len(body)) + body


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _first_headers(authority: str) -> bytes:
    """The headers of a put, each kept in the connection's table for `_INDEXED_HEADERS`."""

    def text(value: str) -> bytes:
        return bytes([len(value)]) + value.encode()

    return b"".join(
        [
            b"\x83\x86",  # :method POST, :scheme http
            b"\x44" + text("/etcdserverpb.KV/Put"),  # :path
            b"\x41" + text(authority),  # :authority
            b"\x5f" + text("application/grpc"),  # content-type
            b"\x40" + text("te") + text("trailers"),
        ]
    )


def load(connections: Sequence[Puts], window: int, size_bytes: int, watch: Stopwatch) -> None:
    """Keeps `window` puts unanswered, shared out among the connections. Raises EtcdError."""
    value = b"x" * size_bytes
    requests = (put_request(key, value) for key in keys())
    share = [window // len(connections)] * len(connections)
    share[0] += window % len(connections)
    poll = select.poll()
    by_descriptor = {}
    for puts, count in zip(connections, share, strict=True):
        poll.register(puts.socket, select.POLLIN)
        by_descriptor[puts.socket.fileno()] = puts
        if count:
            puts.put([next(requests) for _ in range(count)], time.perf_counter())
    while not watch.is_over:
        for descriptor, _ in poll.poll():
            puts = by_descriptor[descriptor]
            done = puts.answered()
            now = time.perf_counter()
            watch.answered(now, [now - sent_at for sent_at in done])
            if done:
                puts.put([next(requests) for _ in done], now)


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--port", type=int, required=True, help="of the member that leads")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--window", type=int, default=256, help="puts unanswered")
    parser.add_argument("--size", type=int, default=256, help="bytes of a value")
    parser.add_argument("--warm-up", type=float, default=0.5, help="seconds")
    parser.add_argument("--duration", type=float, default=2.0, help="seconds")
    parser.add_argument("--latencies", type=Path, help="where the seconds of each put go")
    asked = parser.parse_args()
    say(servers=[], client=os.getpid())
    connections = [Puts(asked.port) for _ in range(min(asked.connections, asked.window))]
    watch = Stopwatch(asked.warm_up, asked.duration)
    load(connections, asked.window, asked.size, watch)
    watch.conclude(asked.latencies)
    sys.stdin.read()


if __name__ == "__main__":
    main()
