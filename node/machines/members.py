"""Who is in the group: membership and failure detection, for the programs that use the cluster.

    JOIN name ttl [info]    is a member from now on; answers the number of the new view
    HEARTBEAT name          is alive for its ttl from now; answers the number of the view; refused
                            to one who is no member: it must join again
    LEAVE name              is a member no more; answers the number of the new view
    VIEW                    the number of the view, then the members, sorted, one a line: name, the
                            view in which it joined, info
    MEMBER name             the view in which it joined, ttl, time left, info; refused when it is
                            no member
    HISTORY [n]             the last n changes, the newest last, one a line: the view that each
                            made, "joined", "left" or "failed", and the name. By default all that
                            are kept: the newest 1,000

VIEW, MEMBER and HISTORY are queries too. A name is one word of at most 255 bytes; a ttl is written
500ms, 5s, 2m or 1h, from 10ms to 24h; the info is the rest of the line, at most 1024 bytes, for
example an address.

A member that sends no heartbeat for its ttl has failed: the log says so, so everybody agrees on it,
at the same point between the same changes. Each change makes a view, and views are numbered without
gaps. To join under a name that is there replaces the member, in a view of its own.

Failed is not dead. A member that was frozen, or cut off, goes on until it learns that it is out.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import ClassVar

import msgspec

from node.errors import CommandError
from node.machines import snapshot
from node.machines.lease import Leases, parse_ttl, shown_time
from node.machines.protocol import no_argument, shown
from node.machines.verbs import Verbs, number, words

_JOIN = "JOIN name ttl [info]"
_HEARTBEAT = "HEARTBEAT name"
_LEAVE = "LEAVE name"
_MEMBER = "MEMBER name"
_HISTORY = "HISTORY [n]"
_VERSION = 1

KEPT_CHANGES = 1000
MAX_INFO_BYTES = 1024


class _Head(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """In a snapshot, what stands before the members. changes: view, kind, name."""

    time_us: int
    view: int
    changes: list[tuple[int, bytes, bytes]]


class _Member(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A member. end_us: of its lease, in a snapshot; elsewhere the leases know."""

    name: bytes
    view: int
    ttl_us: int
    info: bytes
    end_us: int = 0


class Members:
    """The members by name, and the changes that led to them."""

    def __init__(self) -> None:
        self._members: dict[bytes, _Member] = {}
        self._leases: Leases[bytes] = Leases()
        self._view = 0
        self._changes: deque[tuple[int, bytes, bytes]] = deque(maxlen=KEPT_CHANGES)

    def apply(self, index: int, command: bytes) -> bytes:
        return self._verbs.apply(self, command)

    def query(self, request: bytes) -> bytes:
        return self._verbs.query(self, request)

    def advance(self, time_us: int) -> None:
        for name in self._leases.advance(time_us):
            del self._members[name]
            self._change(b"failed", name)

    def deadline_us(self) -> int | None:
        return self._leases.deadline_us()

    def snapshot(self) -> Iterator[bytes]:
        head = _Head(self._leases.time_us, self._view, list(self._changes))
        members = [
            msgspec.structs.replace(self._members[name], end_us=self._leases.end_us(name))
            for name in sorted(self._members)
        ]
        return snapshot.write("members", _VERSION, [head, *members])

    def restore(self, chunks: Iterable[bytes]) -> None:
        """Raises MachineError, and changes nothing, when the chunks are no snapshot of members."""
        head, members = snapshot.read_headed("members", _VERSION, _Head, _Member, chunks)
        self._members = {one.name: one for one in members}
        self._leases = Leases(head.time_us, [(one.name, one.end_us) for one in members])
        self._view = head.view
        self._changes = deque(head.changes, KEPT_CHANGES)

    def _join(self, rest: bytes) -> bytes:
        name_and_ttl, info = _split_info(rest)
        name, ttl = words(name_and_ttl, _JOIN.removesuffix(" [info]"))
        ttl_us = parse_ttl(ttl)
        if b"\n" in info or len(info) > MAX_INFO_BYTES:
            raise CommandError(f"the info is one line of at most {MAX_INFO_BYTES} bytes")
        answer = self._change(b"joined", name)
        self._members[name] = _Member(name, self._view, ttl_us, info)
        self._leases.grant(name, ttl_us)
        return answer

    def _heartbeat(self, rest: bytes) -> bytes:
        (name,) = words(rest, _HEARTBEAT)
        self._leases.grant(name, self._member_called(name).ttl_us)
        return b"%d" % self._view

    def _leave(self, rest: bytes) -> bytes:
        (name,) = words(rest, _LEAVE)
        del self._members[self._member_called(name).name]
        self._leases.drop(name)
        return self._change(b"left", name)

    def _change(self, kind: bytes, name: bytes) -> bytes:
        self._view += 1
        self._changes.append((self._view, kind, name))
        return b"%d" % self._view

    def _member_called(self, name: bytes) -> _Member:
        member = self._members.get(name)
        if member is None:
            raise CommandError(f"{shown(name)} is no member in view {self._view}")
        return member

    def _list_view(self, rest: bytes) -> bytes:
        no_argument("VIEW", rest)
        lines = [b"%d" % self._view]
        for name, member in sorted(self._members.items(), key=lambda item: item[0]):
            lines.append(b" ".join(filter(None, [name, b"%d" % member.view, member.info])))
        return b"\n".join(lines)

    def _member(self, rest: bytes) -> bytes:
        (name,) = words(rest, _MEMBER)
        member = self._member_called(name)
        ttl, left = shown_time(member.ttl_us), self._leases.left(name)
        parts = [b"%d" % member.view, ttl.encode(), left.encode(), member.info]
        return b" ".join(filter(None, parts))

    def _history(self, rest: bytes) -> bytes:
        count = number(rest.strip(b" "), "n") if rest.strip(b" ") else KEPT_CHANGES
        newest = list(self._changes)[-count:] if count else []
        return b"\n".join(b"%d %s %s" % change for change in newest)

    _verbs: ClassVar[Verbs[Members]] = Verbs(
        "members",
        {_JOIN: _join, _HEARTBEAT: _heartbeat, _LEAVE: _leave},
        {"VIEW": _list_view, _MEMBER: _member, _HISTORY: _history},
    )


def _split_info(rest: bytes) -> tuple[bytes, bytes]:
    """The first two words, and what follows the blank behind them."""
    stripped = rest.lstrip(b" ")
    name, _, after = stripped.partition(b" ")
    ttl, _, info = after.lstrip(b" ").partition(b" ")
    return name + b" " + ttl, info
