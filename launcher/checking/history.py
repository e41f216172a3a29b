"""What clients asked for and saw: the vocabulary of histories."""

from __future__ import annotations

import enum
from typing import Final

import msgspec


class Kind(enum.Enum):
    """What a client asked for."""

    READ = "read"
    WRITE = "write"
    CAS = "cas"
    DELETE = "delete"
    __hash__ = object.__hash__  # what Enum has instead takes time


# Looking up a member of an Enum takes ten times as long as a name.
READ: Final = Kind.READ
WRITE: Final = Kind.WRITE
CAS: Final = Kind.CAS
DELETE: Final = Kind.DELETE


class Operation(msgspec.Struct, frozen=True, gc=False):
    """One request of a client, and what came of it. Times in seconds, of one clock.

    client:       who asked; only for people: an operation need not wait for its client's last one
    completed_s:  None: indeterminate, it may have taken effect at any time since, or never will
    ok:           completed: False when the machine refused; a read's is ignored
    value:        WRITE: what was written; CAS: the new value
    expected:     CAS: the old value
    observed:     completed READ: what was seen; refused CAS: what the key held; None: no such key
    """

    client: int
    kind: Kind
    key: bytes
    invoked_s: float
    completed_s: float | None
    ok: bool = True
    value: bytes | None = None
    expected: bytes | None = None
    observed: bytes | None = None
