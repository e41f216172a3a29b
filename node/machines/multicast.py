"""Messages that everybody gets once, and in one order: reliable multicast.

    SEND text               appends a message; answers its number: 1, then one more at each
    AFTER n [limit]         the messages behind number n, in order, one a line: number, text; at
                            most `limit` of them (1,000 unless told, never more than 10,000), and no
                            more than 1 MiB of text, but for a single message. None when there are
                            none yet. Refused when a message behind n has been dropped
    KEPT                    the numbers of the oldest message that is kept and of the newest; the
                            oldest is one more than the newest when none is

AFTER and KEPT are queries too. A text is all that follows the blank behind SEND: at least one byte,
any but a newline.

A subscriber is whoever remembers the number of the last message that it has seen and asks for those
AFTER it. The machine knows nothing of subscribers, so it waits for none: it keeps the newest
100,000 messages, and no more than 64 MiB of text. One that is further behind is told so.

`launcher watch` is a subscriber; so is `Cluster.watch`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

import msgspec

from node.errors import CommandError
from node.machines import snapshot
from node.machines.protocol import no_argument, shown
from node.machines.verbs import Verbs, number

_SEND = "SEND text"
_AFTER = "AFTER n [limit]"
_VERSION = 1

KEPT_MESSAGES = 100_000
KEPT_BYTES = 64 << 20
DEFAULT_LIMIT = 1000
MOST_MESSAGES = 10_000
MOST_BYTES = 1 << 20


class _Head(msgspec.Struct, frozen=True, array_like=True):
    """In a snapshot, what stands before the texts: the number of the first of them."""

    oldest: int


class Multicast:
    """The newest messages, by number."""

    def __init__(self) -> None:
        self._texts: dict[int, bytes] = {}
        self._bytes = 0
        self._newest = 0

    def apply(self, index: int, command: bytes) -> bytes:
        return self._verbs.apply(self, command)

    def query(self, request: bytes) -> bytes:
        return self._verbs.query(self, request)

    def snapshot(self) -> Iterator[bytes]:
        items = [_Head(self._oldest), *self._texts.values()]
        return snapshot.write("multicast", _VERSION, items)

    def restore(self, chunks: Iterable[bytes]) -> None:
        """Raises MachineError, and changes nothing, when the chunks are no snapshot of it."""
        head, texts = snapshot.read_headed("multicast", _VERSION, _Head, bytes, chunks)
        self._texts = dict(enumerate(texts, head.oldest))
        self._bytes = sum(map(len, texts))
        self._newest = head.oldest + len(texts) - 1

    @property
    def _oldest(self) -> int:
        return self._newest - len(self._texts) + 1

    def _send(self, text: bytes) -> bytes:
        if not text or b"\n" in text:
            raise CommandError(f"write {_SEND}; a text is at least a byte, and holds no newline")
        self._newest += 1
        self._texts[self._newest] = text
        self._bytes += len(text)
        while len(self._texts) > KEPT_MESSAGES or (
            self._bytes > KEPT_BYTES and len(self._texts) > 1
        ):
            self._bytes -= len(self._texts.pop(self._oldest))
        return b"%d" % self._newest

    def _after(self, rest: bytes) -> bytes:
        asked = list(filter(None, rest.split(b" ")))
        if not 1 <= len(asked) <= 2:
            raise CommandError(f"write {_AFTER}; behind the verb stood {shown(rest) or 'nothing'}")
        seen = number(asked[0], "n")
        limit = number(asked[1], "a limit") if len(asked) == 2 else DEFAULT_LIMIT
        if seen + 1 < self._oldest:
            raise CommandError(
                f"the messages before {self._oldest} have been dropped: "
                f"AFTER {self._oldest - 1} has those that are kept"
            )
        lines: list[bytes] = []
        size = 0
        for position in range(seen + 1, min(self._newest, seen + min(limit, MOST_MESSAGES)) + 1):
            text = self._texts[position]
            size += len(text)
            if lines and size > MOST_BYTES:
                break
            lines.append(b"%d %s" % (position, text))
        return b"\n".join(lines)

    def _kept(self, rest: bytes) -> bytes:
        no_argument("KEPT", rest)
        return b"%d %d" % (self._oldest, self._newest)

    _verbs: ClassVar[Verbs[Multicast]] = Verbs(
        "multicast", {_SEND: _send}, {_AFTER: _after, "KEPT": _kept}
    )
