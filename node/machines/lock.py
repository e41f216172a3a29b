"""Named locks, each held for a time, with fencing tokens: mutual exclusion.

    ACQUIRE name owner ttl          takes the lock; answers its token; refused while another holds
                                    it. Who holds it already renews it, and keeps the token
    RENEW name owner token ttl      holds it for `ttl` from now; answers the token
    RELEASE name owner token        gives it back; answers "released"
    HOLDER name                     owner, token and time left; refused when nobody holds it
    LOCKS                           all that are held, sorted: name, owner, token, time left

HOLDER and LOCKS are queries too. A name, and an owner, is one word of at most 255 bytes; a ttl is
written 500ms, 5s, 2m or 1h, from 10ms to 24h. RENEW and RELEASE are refused unless the lock is held
by just this owner with just this token: whoever comes late must acquire it anew.

A token is a number that no other grant of this machine has had or will have: each is higher than
all before, over all names. That is what makes a lock safe. A holder that was frozen does not know
that its lease has ended, and goes on: so whatever the lock guards must be told the token, and must
refuse one that is lower than the highest that it has seen. The lease alone protects nothing.

Nobody waits in line here: ask again, or use the machine `election`, which is a lock with a line.
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

_ACQUIRE = "ACQUIRE name owner ttl"
_RENEW = "RENEW name owner token ttl"
_RELEASE = "RELEASE name owner token"
_HOLDER = "HOLDER name"
_VERSION = 1


class _Head(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """In a snapshot, what stands before the locks."""

    time_us: int
    last_token: int


class _Held(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """In a snapshot, one lock."""

    name: bytes
    owner: bytes
    token: int
    end_us: int


class Lock:
    """The locks that are held, by name: the owner, and the token of the grant."""

    def __init__(self) -> None:
        self._held: dict[bytes, tuple[bytes, int]] = {}
        self._leases: Leases[bytes] = Leases()
        self._last_token = 0

    def apply(self, index: int, command: bytes) -> bytes:
        return self._verbs.apply(self, command)

    def query(self, request: bytes) -> bytes:
        return self._verbs.query(self, request)

    def advance(self, time_us: int) -> None:
        for name in self._leases.advance(time_us):
            del self._held[name]

    def deadline_us(self) -> int | None:
        return self._leases.deadline_us()

    def snapshot(self) -> Iterator[bytes]:
        head = _Head(self._leases.time_us, self._last_token)
        held = [
            _Held(name, owner, token, self._leases.end_us(name))
            for name, (owner, token) in sorted(self._held.items())
        ]
        return snapshot.write("lock", _VERSION, [head, *held])

    def restore(self, chunks: Iterable[bytes]) -> None:
        """Raises MachineError, and changes nothing, when the chunks are no snapshot of lock."""
        head, held = snapshot.read_headed("lock", _VERSION, _Head, _Held, chunks)
        self._held = {one.name: (one.owner, one.token) for one in held}
        self._leases = Leases(head.time_us, [(one.name, one.end_us) for one in held])
        self._last_token = head.last_token

    def _acquire(self, rest: bytes) -> bytes:
        name, owner, ttl = words(rest, _ACQUIRE)
        ttl_us = parse_ttl(ttl)
        holder, token = self._held.get(name, (None, 0))
        if holder is None:
            self._last_token = token = self._last_token + 1
            self._held[name] = (owner, token)
        elif holder != owner:
            raise CommandError(f"{self._who(name)}, for {self._leases.left(name)} more")
        self._leases.grant(name, ttl_us)
        return b"%d" % token

    def _renew(self, rest: bytes) -> bytes:
        name, owner, token, ttl = words(rest, _RENEW)
        ttl_us = parse_ttl(ttl)
        self._check(name, owner, token)
        self._leases.grant(name, ttl_us)
        return b"%d" % self._held[name][1]

    def _release(self, rest: bytes) -> bytes:
        name, owner, token = words(rest, _RELEASE)
        self._check(name, owner, token)
        del self._held[name]
        self._leases.drop(name)
        return b"released"

    def _check(self, name: bytes, owner: bytes, token: bytes) -> None:
        """Raises CommandError unless this very grant is the one in force."""
        if self._held.get(name) != (owner, number(token, "a token")):
            raise CommandError(f"{self._who(name)}: acquire it anew")

    def _who(self, name: bytes) -> str:
        if name not in self._held:
            return f"nobody holds {shown(name)}"
        owner, token = self._held[name]
        return f"{shown(name)} is held by {shown(owner)} with token {token}"

    def _holder(self, rest: bytes) -> bytes:
        (name,) = words(rest, _HOLDER)
        if name not in self._held:
            raise CommandError(self._who(name))
        owner, token = self._held[name]
        return b"%s %d %s" % (owner, token, self._leases.left(name).encode())

    def _locks(self, rest: bytes) -> bytes:
        no_argument("LOCKS", rest)
        return b"\n".join(b"%s %s" % (name, self._holder(name)) for name in sorted(self._held))

    _verbs: ClassVar[Verbs[Lock]] = Verbs(
        "lock",
        {_ACQUIRE: _acquire, _RENEW: _renew, _RELEASE: _release},
        {_HOLDER: _holder, "LOCKS": _locks},
    )
