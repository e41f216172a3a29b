"""A hostile client: it sends requests that no client may send, and that must be refused.

It sends one request at a time, to any node, and checks the reply. A request has one invalid field
(`node/server/requests.py`), or is no request at all, or is valid and long. A node that accepts an
invalid request breaks a bound, even if nothing else goes wrong in this run."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import TYPE_CHECKING

from launcher.simulation.network import Connection, Time
from node import wire
from node.raft.invariants import BOUNDS, InvariantBroken
from node.raft.messages import NodeId
from node.server.requests import MOST_CLIENT_ID_BYTES, MOST_SEQUENCE
from node.wire import MOST_COMMANDS, MOST_UNACKNOWLEDGED, Read, Refused, Submit

if TYPE_CHECKING:
    from launcher.simulation.node import SimulatedNode

EVERY_S = (0.05, 0.8)
"""The least and the most that it pauses before the next request."""

PATIENCE_S = 0.5
"""How long it waits for a reply."""

_GET = b"GET nothing"


class HostileClient:
    """One hostile client, with one connection at a time. The `Caller` port of its connections.

    refused: how many of its requests have been refused
    """

    def __init__(
        self, nodes: Mapping[NodeId, SimulatedNode], time: Time, rng: random.Random
    ) -> None:
        self._nodes = nodes
        self._time = time
        self._rng = rng
        self._until_s = 0.0
        self._sent = ""
        self._must_be_refused = False
        self._connection: Connection | None = None
        self._number = 0
        self.refused = 0

    def work(self, until_s: float) -> None:
        """Sends requests until then; simulated seconds."""
        self._until_s = until_s
        self._pause()

    def received(self, connection: Connection, frames: list[bytes]) -> None:
        """The `Caller` port."""
        if connection is not self._connection:
            return
        for frame in frames:
            reply = wire.decode_reply(frame)
            self.refused += isinstance(reply, Refused)
            if self._must_be_refused and not isinstance(reply, Refused):
                belief = f"a client that sends {self._sent} is refused, and the reply was {reply}"
                raise InvariantBroken(BOUNDS, belief)

    def lost(self, connection: Connection) -> None:
        """The `Caller` port."""
        if connection is self._connection:
            self._connection = None

    def _pause(self) -> None:
        self._time.at(self._time.now + self._rng.uniform(*EVERY_S), self._begin)

    def _begin(self) -> None:
        if self._time.now >= self._until_s:
            return
        there = self._nodes[self._rng.choice(list(self._nodes))]
        if there.server is None:
            self._pause()
            return
        connection = self._connection = Connection(self._time, self, there)
        there.connect(connection)
        self._sent, self._must_be_refused, body = self._next()
        connection.send(wire.frame(body))
        self._time.at(self._time.now + PATIENCE_S, self._end, connection)

    def _end(self, connection: Connection) -> None:
        connection.close()
        self._connection = None
        self._pause()

    def _next(self) -> tuple[str, bool, bytes]:
        """The next request: its description, whether it must be refused, and its frame."""
        self._number += 1
        client_id = b"\xffhostile %d" % self._number
        first = 1 + int(self._rng.random() * 100)
        many = [b"x"] * (MOST_COMMANDS + 1)
        refused: list[tuple[str, Submit | Read]] = [
            (
                "an acknowledgement of the reply to what it only sends now",
                Submit(client_id, first, first + 1 + int(self._rng.random() * 100), [_GET]),
            ),
            (
                "many commands, and acknowledges their replies",
                Submit(client_id, 1, MOST_COMMANDS, [_GET] * 50),
            ),
            ("zero as its first missing reply", Submit(client_id, first, 0, [_GET])),
            ("a number below the first", Submit(client_id, 0, 0, [_GET])),
            ("a number above the maximum", Submit(client_id, MOST_SEQUENCE, MOST_SEQUENCE, [_GET])),
            (
                "more than may be unacknowledged",
                Submit(client_id, MOST_UNACKNOWLEDGED + first, 1, [_GET]),
            ),
            ("no commands", Submit(client_id, 1, 1, [])),
            ("an empty command", Submit(client_id, 1, 1, [_GET, b""])),
            ("too many commands", Submit(client_id, 1, 1, many)),
            ("no id", Submit(b"", 1, 1, [_GET])),
            ("an id that is too long", Submit(b"i" * (MOST_CLIENT_ID_BYTES + 1), 1, 1, [_GET])),
            ("too many queries", Read(first, many, stale=True)),
        ]
        choice = self._rng.random()
        if choice < 0.1:
            return "noise", True, self._rng.randbytes(1 + int(self._rng.random() * 40))
        if choice < 0.2:
            count = 1 + int(self._rng.random() * 600)
            request: Submit | Read = Submit(client_id, 1, 1, [_GET] * count)
            if choice < 0.15:
                request = Read(first, [_GET] * count, stale=self._rng.random() < 0.5)
            return f"{count} commands", False, wire.encode_client(request)
        sent, request = self._rng.choice(refused)
        return sent, True, wire.encode_client(request)
