"""What a client gets for an entry or a query: the machine's answer, or its refusal.

A machine may refuse, and its refusal is an answer too, the same on every node. Calls for one entry
raise it. Where many entries are on the way at once, each is yielded, and a loop has to go on behind
one that was refused; there `ok` and `error` tell. Whoever asks a refused one for its value gets
CommandError, so that a refusal is never taken for a value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from node.errors import CommandError
from node.raft.messages import NodeId


class _Value:
    """What `raw` and `error` of an answer come to, as a value or an exception."""

    __slots__ = ()

    if TYPE_CHECKING:
        raw: bytes
        error: str | None

    @property
    def result(self) -> bytes:
        """The machine's answer. Raises CommandError with the refusal when it refused."""
        if self.error is not None:
            raise CommandError(self.error)
        return self.raw

    @property
    def text(self) -> str:
        """The answer as text; bytes that are no UTF-8 are kept, as in arguments of a program.

        Raises CommandError with the refusal when the machine refused.
        """
        return self.result.decode("utf-8", "surrogateescape")


class Submitted(_Value, msgspec.Struct, frozen=True, gc=False):
    """An entry that is committed and applied.

    entry: as it was submitted
    ok: whether the machine took it; a refused entry stays committed, in its place in the log
    raw: the bytes that the machine answered, a refusal too; `result` and `text` are the safe way
    error: None, or the refusal as text
    index, term: the entry's place in the log
    leader: the node that answered
    latency_ms: from when it was submitted to when its answer was here
    attempts: over how many connections it was sent
    """

    entry: bytes
    ok: bool
    raw: bytes
    error: str | None
    index: int
    term: int
    leader: NodeId
    latency_ms: float
    attempts: int = 1


class ReadAnswer(_Value, msgspec.Struct, frozen=True, gc=False):
    """What the machine answers to a query, from its state just after entry `index` of `term`.

    ok, raw, error, leader, latency_ms: as in `Submitted`; the `leader` of a read that was stale,
        or asked of a certain node, is whichever node answered
    """

    query: bytes
    ok: bool
    raw: bytes
    error: str | None
    index: int
    term: int
    leader: NodeId
    latency_ms: float


def encoded(text: str | bytes) -> bytes:
    """As bytes; surrogates become the bytes that Python decoded them from (see os.fsencode)."""
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
