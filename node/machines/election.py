"""Offices and who holds them: leader election, for the programs that use the cluster.

    CAMPAIGN office candidate ttl       stands for `ttl`; answers "leads TERM", or "waits N WHO
                                        TERM": the Nth in line behind WHO, who leads in TERM
    RENEW office candidate term ttl     leads for `ttl` from now; answers the term
    RESIGN office candidate             leads, or stands in line, no more; answers "resigned"
    LEADER office                       candidate, term and time left; refused when nobody leads
    CANDIDATES office                   the leader, then the line, one a line, and the time left
    OFFICES                             all that are held, sorted: office, leader, term, time left

LEADER, CANDIDATES and OFFICES are queries too. An office, and a candidate, is one word of at most
255 bytes; a ttl is written 500ms, 5s, 2m or 1h, from 10ms to 24h.

Each candidate keeps itself alive by campaigning again within its ttl, and keeps its place in line,
or leadership and its term. When the leader resigns or its time ends, the first in line leads at
once, in a new term, until its own time ends. It learns so from its next CAMPAIGN, or from LEADER.

A term is higher than all before it, over all offices, so it does what a lock's token does: whoever
obeys a leader must refuse a term that is lower than the highest that it has seen. RENEW is refused
to a leader of an earlier term.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

import msgspec

from node.errors import CommandError
from node.machines import snapshot
from node.machines.lease import Leases, parse_ttl
from node.machines.protocol import no_argument, shown
from node.machines.verbs import Verbs, number, words

_CAMPAIGN = "CAMPAIGN office candidate ttl"
_RENEW = "RENEW office candidate term ttl"
_RESIGN = "RESIGN office candidate"
_LEADER = "LEADER office"
_CANDIDATES = "CANDIDATES office"
_VERSION = 1


class _Head(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """In a snapshot, what stands before the offices."""

    time_us: int
    last_term: int


class _Saved(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """In a snapshot, one office: its candidates in order, and when each one's time ends."""

    office: bytes
    term: int
    line: list[tuple[bytes, int]]


class _Office:
    """The candidates in the order in which they came; the first leads, in `term`."""

    __slots__ = ("line", "term")

    def __init__(self, term: int, line: Iterable[bytes]) -> None:
        self.term = term
        self.line = dict.fromkeys(line)

    @property
    def leader(self) -> bytes:
        return next(iter(self.line))


class Election:
    """The offices that have candidates, by name. An office has a leader as soon as it has one."""

    def __init__(self) -> None:
        self._offices: dict[bytes, _Office] = {}
        self._leases: Leases[tuple[bytes, bytes]] = Leases()
        self._last_term = 0

    def apply(self, index: int, command: bytes) -> bytes:
        return self._verbs.apply(self, command)

    def query(self, request: bytes) -> bytes:
        return self._verbs.query(self, request)

    def advance(self, time_us: int) -> None:
        """All whose time has ended are out before anyone takes over."""
        ended: dict[bytes, list[bytes]] = {}
        for name, candidate in self._leases.advance(time_us):
            ended.setdefault(name, []).append(candidate)
        for name, candidates in ended.items():
            self._take_out(name, candidates)

    def deadline_us(self) -> int | None:
        return self._leases.deadline_us()

    def snapshot(self) -> Iterator[bytes]:
        head = _Head(self._leases.time_us, self._last_term)
        offices = [
            _Saved(
                name,
                office.term,
                [(candidate, self._leases.end_us((name, candidate))) for candidate in office.line],
            )
            for name, office in sorted(self._offices.items(), key=lambda item: item[0])
        ]
        return snapshot.write("election", _VERSION, [head, *offices])

    def restore(self, chunks: Iterable[bytes]) -> None:
        """Raises MachineError, and changes nothing, when the chunks are no snapshot of election."""
        head, saved = snapshot.read_headed("election", _VERSION, _Head, _Saved, chunks)
        self._offices = {
            one.office: _Office(one.term, [candidate for candidate, _ in one.line]) for one in saved
        }
        self._leases = Leases(
            head.time_us,
            [((one.office, candidate), end) for one in saved for candidate, end in one.line],
        )
        self._last_term = head.last_term

    def _campaign(self, rest: bytes) -> bytes:
        name, candidate, ttl = words(rest, _CAMPAIGN)
        ttl_us = parse_ttl(ttl)
        office = self._offices.get(name)
        if office is None:
            office = self._offices[name] = _Office(self._next_term(), [candidate])
        else:
            office.line.setdefault(candidate)
        self._leases.grant((name, candidate), ttl_us)
        if office.leader == candidate:
            return b"leads %d" % office.term
        place = list(office.line).index(candidate)
        return b"waits %d %s %d" % (place, office.leader, office.term)

    def _renew(self, rest: bytes) -> bytes:
        name, candidate, term, ttl = words(rest, _RENEW)
        ttl_us = parse_ttl(ttl)
        wanted = number(term, "a term")
        office = self._offices.get(name)
        if office is None or (office.leader, office.term) != (candidate, wanted):
            raise CommandError(f"{self._who(name)}: campaign anew")
        self._leases.grant((name, candidate), ttl_us)
        return b"%d" % office.term

    def _resign(self, rest: bytes) -> bytes:
        name, candidate = words(rest, _RESIGN)
        office = self._offices.get(name)
        if office is None or candidate not in office.line:
            raise CommandError(f"{shown(candidate)} is no candidate for {shown(name)}")
        self._leases.drop((name, candidate))
        self._take_out(name, [candidate])
        return b"resigned"

    def _take_out(self, name: bytes, candidates: Iterable[bytes]) -> None:
        """These are no candidates any more; their leases are gone already."""
        office = self._offices[name]
        leader = office.leader
        for candidate in candidates:
            del office.line[candidate]
        if not office.line:
            del self._offices[name]
        elif office.leader != leader:
            office.term = self._next_term()

    def _next_term(self) -> int:
        self._last_term += 1
        return self._last_term

    def _who(self, name: bytes) -> str:
        office = self._offices.get(name)
        if office is None:
            return f"nobody leads {shown(name)}"
        return f"{shown(office.leader)} leads {shown(name)} in term {office.term}"

    def _leader(self, rest: bytes) -> bytes:
        (name,) = words(rest, _LEADER)
        office = self._offices.get(name)
        if office is None:
            raise CommandError(self._who(name))
        left = self._leases.left((name, office.leader))
        return b"%s %d %s" % (office.leader, office.term, left.encode())

    def _candidates(self, rest: bytes) -> bytes:
        (name,) = words(rest, _CANDIDATES)
        office = self._offices.get(name)
        return b"\n".join(
            b"%s %s" % (candidate, self._leases.left((name, candidate)).encode())
            for candidate in (office.line if office is not None else ())
        )

    def _list_offices(self, rest: bytes) -> bytes:
        no_argument("OFFICES", rest)
        return b"\n".join(b"%s %s" % (name, self._leader(name)) for name in sorted(self._offices))

    _verbs: ClassVar[Verbs[Election]] = Verbs(
        "election",
        {_CAMPAIGN: _campaign, _RENEW: _renew, _RESIGN: _resign},
        {_LEADER: _leader, _CANDIDATES: _candidates, "OFFICES": _list_offices},
    )
