"""One request to one node, sent once: how `submit --node` puts an entry where the user wants it.

The usual client asks for the leader before it begins a session, follows redirects, and sends again
what got no answer (`launcher/client/client.py`). None of that is wanted here: the request goes to
this node at once. A leader that is cut off takes the entry into its log, and cannot commit it; that
is what makes the interesting situations. Nothing is ever sent again, so nothing is applied twice.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from pathlib import Path
from secrets import token_bytes

from launcher.client.answers import Submitted
from launcher.client.route import Refused
from launcher.client.session import Session
from launcher.errors import LauncherError, TimedOut
from node import wire
from node.errors import WireError
from node.raft.messages import NodeId
from node.wire import UNIQUE_BYTES, Appended


class NotCommitted(TimedOut):
    """The node has not committed the entries in time: they may still be committed, or lost.

    node: which one
    first_index: of the first entry in its log; None when it has not answered at all
    term: of the entries
    count: how many they are
    """

    def __init__(self, node: NodeId, count: int, appended: Appended | None, why: str) -> None:
        self.node = node
        self.count = count
        self._made_of = node, count, appended, why
        self.first_index = None if appended is None else appended.first_index
        self.term = None if appended is None else appended.term
        them, may = ("it", "it") if count == 1 else ("them", "they")
        if appended is None:
            entries = "the entry" if count == 1 else f"the {count} entries"
            text = f"n{node} has not answered{why}: it may have {entries} or not"
        else:
            first, last = appended.first_index, appended.first_index + count - 1
            where = f"the entry at index {first}"
            if count > 1:
                where = f"the entries at indexes {first} to {last}"
            text = f"n{node} has {where} and has not committed {them}{why}: "
            text += f"{may} may still be committed or lost"
        super().__init__(text)

    def __reduce__(self) -> tuple[object, ...]:
        return NotCommitted, self._made_of, self.__dict__


def submit_here(
    node: NodeId, path: Path, entries: Sequence[bytes], timeout_s: float
) -> list[Submitted]:
    """Has this node append the entries, if it leads; their answers, in order.

    path: where it listens

    Raises NotCommitted when they are not committed in time, and LauncherError when the node does
    not lead or cannot be reached: then it has appended nothing.
    """
    until = time.monotonic() + timeout_s
    request = wire.SubmitHere(token_bytes(UNIQUE_BYTES), list(entries))
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(path))
        except OSError:  # also where the queue of those who want to be let in is full
            raise LauncherError(f"n{node} cannot be reached, and nothing was submitted") from None
        one = _Conversation(node, entries, connection, until)
        try:
            connection.sendall(wire.frame(wire.encode_client(request)))
            while (answers := one.hear()) is None:
                pass
        except TimeoutError:
            raise one.not_committed(f" in {timeout_s:g} s") from None
        except OSError:
            raise one.not_committed("; it has hung up") from None
        except WireError as error:
            raise one.not_committed(f", but what makes no sense ({error})") from None
    return answers


class _Conversation:
    """What one node says to one request."""

    def __init__(
        self, node: NodeId, entries: Sequence[bytes], connection: socket.socket, until: float
    ) -> None:
        self._node = node
        self._count = len(entries)
        self._connection = connection
        self._until = until
        self._frames = wire.FrameReader()
        self._appended: Appended | None = None
        self._answers: list[Submitted] = []
        # The node's own session for this request, as the client that began it would see it.
        self._session = Session(lambda: b"")
        self._session.add(entries, time.monotonic())
        self._session.frames(0)

    def not_committed(self, why: str) -> NotCommitted:
        """What is known of the entries, and why no more of it is."""
        return NotCommitted(self._node, self._count, self._appended, why)

    def hear(self) -> list[Submitted] | None:
        """Waits for something to come; all the answers once they are there.

        Raises TimeoutError, OSError, WireError, LauncherError.
        """
        self._connection.settimeout(max(0.001, self._until - time.monotonic()))
        data = self._connection.recv(1 << 16)
        if not data:
            raise ConnectionResetError
        for body in self._frames.feed(data):
            self._take(wire.decode_reply(body), time.monotonic())
        return self._answers if len(self._answers) == self._count else None

    def _take(self, reply: wire.ClientReply, now: float) -> None:
        match reply:
            case Appended():
                self._appended = reply
            case wire.Answers() if answers := self._session.take(reply, self._node, now):
                self._answers += answers
            case wire.Redirect(leader_id, reason) if self._appended is None:
                raise LauncherError(self._refusal(leader_id, reason))
            case wire.Redirect():
                raise self.not_committed(", and leads no more")
            case wire.Ending(reason):
                raise self.not_committed(f", and fails: {reason}")
            case wire.Refused(reason):
                raise Refused(reason)
            case _:
                raise WireError(f"{type(reply).__name__} answers nothing here")

    def _refusal(self, leader_id: NodeId | None, reason: str) -> str:
        if reason != "not the leader":
            return f"n{self._node} does not take it now, and nothing was submitted: {reason}"
        follows = "knows no leader" if leader_id is None else f"follows n{leader_id}"
        return f"n{self._node} does not lead; it {follows}; nothing was submitted"
