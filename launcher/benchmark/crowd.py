"""Many clients at once: a load generator with many connections, each with one entry unanswered.

    python -m launcher.benchmark.crowd --socket node-1.sock --clients 1000 --size 256

(see `measure.py` for what it says and when). Every connection is a session of its own, as that of a
program of its own would be; but they share one process and one loop, since a thousand processes
would measure the machine's scheduler. The node behind the socket must lead, and go on leading.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import resource
import secrets
import selectors
import socket
import sys
import time
from array import array
from pathlib import Path

from node import wire
from node.machines.sessions import session_id

_RECEIVE_BYTES = 64 << 10
OTHER_DESCRIPTORS = 64


class Member:
    """One client: sends an entry whenever the one before is answered."""

    def __init__(self, path: str, entry: bytes) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self._id = session_id(1, secrets.token_bytes(16))
        self._entry = entry
        self._sequence = 0
        self._frames = wire.FrameReader()
        self.sent_at = 0.0

    def send(self) -> None:
        """The next entry; a frame fits into the socket's buffer, for nothing else is in it."""
        self._sequence += 1
        submit = wire.Submit(self._id, self._sequence, self._sequence, [self._entry])
        self.sent_at = time.perf_counter()
        self.socket.sendall(wire.frame(wire.encode_client(submit)))

    def receive(self) -> bool:
        """Whether the answer is here. Exits when the node has hung up, or answers otherwise."""
        data = self.socket.recv(_RECEIVE_BYTES)
        if not data:
            sys.exit("the node has hung up")
        for body in self._frames.feed(data):
            reply = wire.decode_reply(body)
            if not isinstance(reply, wire.Answers):
                sys.exit(f"the node does not take it: {reply}")
            return True
        return False


def run(clients: list[Member], warm_up_s: float, duration_s: float) -> tuple[array[float], float]:
    """Keeps all of them busy; what each answer took, and the seconds in which they came."""
    latencies: array[float] = array("d")
    selector = selectors.DefaultSelector()
    for client in clients:
        selector.register(client.socket, selectors.EVENT_READ, client)
        client.send()
    began_at, begun = time.perf_counter() + warm_up_s, False
    while True:
        for key, _ in selector.select():
            client = key.data
            if client.receive():
                now = time.perf_counter()
                if begun:
                    latencies.append(now - client.sent_at)
                client.send()
        now = time.perf_counter()
        if not begun and now >= began_at:
            begun, began_at = True, now
            say(begun=True)
        elif begun and now - began_at >= duration_s:
            return latencies, now - began_at


def say(**what: object) -> None:
    """A line of JSON on standard output."""
    print(json.dumps(what), flush=True)


def main() -> None:
    """The program."""
    import os

    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--socket", required=True)
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--warm-up", type=float, required=True)
    parser.add_argument("--duration", type=float, required=True)
    parser.add_argument("--latencies", type=Path, required=True)
    asked = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (asked.clients + OTHER_DESCRIPTORS, most))
    clients = [Member(asked.socket, bytes(asked.size)) for _ in range(asked.clients)]
    say(servers=[], client=os.getpid())
    latencies, seconds = run(clients, asked.warm_up, asked.duration)
    asked.latencies.write_bytes(latencies.tobytes())
    say(ended=True, entries=len(latencies), seconds=seconds)
    sys.stdin.read()


if __name__ == "__main__":
    main()
