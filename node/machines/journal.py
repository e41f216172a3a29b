"""A journal: every entry is kept, as it is, in the order of the log.

Any bytes are an entry, those that spell a query too. The answer is the entry's position: 1 for the
first, then one more at each. (An index of the log is something else: the log also holds entries
that are no commands.) What is there is asked for by query only:

    COUNT       how many entries there are
    GET n       the entry at position n, exactly; refused when there is none
    TAIL n      the last n entries, or all when there are fewer, one a line
    LS          all entries, one a line

An entry with a newline in it takes up several lines of TAIL and LS; GET gives it whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from node.errors import CommandError
from node.machines import snapshot
from node.machines.protocol import no_argument, shown, split_verb

_VERSION = 1

_decoder = msgspec.msgpack.Decoder(list[bytes])


class Journal:
    """All entries, the first at position 1."""

    def __init__(self) -> None:
        self._entries: list[bytes] = []

    def apply(self, index: int, command: bytes) -> bytes:
        self._entries.append(command)
        return b"%d" % len(self._entries)

    def apply_many(self, first_index: int, commands: list[bytes]) -> tuple[list[bytes], list[int]]:
        """See `Batched`. A journal refuses nothing."""
        before = len(self._entries)
        self._entries += commands
        return [b"%d" % position for position in range(before + 1, len(self._entries) + 1)], []

    def query(self, request: bytes) -> bytes:
        verb, rest = split_verb(request)
        entries = self._entries
        match verb:
            case b"COUNT":
                no_argument("COUNT", rest)
                return b"%d" % len(entries)
            case b"GET":
                position = _number("GET", rest)
                if not 1 <= position <= len(entries):
                    raise CommandError(f"no entry {position}: the journal holds {len(entries)}")
                return entries[position - 1]
            case b"TAIL":
                count = _number("TAIL", rest)
                return b"\n".join(entries[-count:] if count else ())
            case b"LS":
                no_argument("LS", rest)
                return b"\n".join(entries)
        raise CommandError(
            f"not understood: {shown(request)} (a journal answers COUNT, GET n, TAIL n, LS; "
            "anything else is an entry: submit it)"
        )

    def snapshot(self) -> Iterator[bytes]:
        return snapshot.write("journal", _VERSION, self._entries.copy())

    def restore(self, chunks: Iterable[bytes]) -> None:
        """Raises MachineError, and changes nothing, when the chunks are no snapshot of journal."""
        self._entries = list(snapshot.read("journal", _VERSION, _decoder, chunks))


def _number(verb: str, rest: bytes) -> int:
    digits = rest.strip(b" ")
    # int() would take "+1", "1_000" and more digits than anyone can count to.
    if not digits.isdigit() or len(digits) > 18:
        raise CommandError(f"write {verb} n, where n is a number; this was {shown(rest) or 'none'}")
    return int(digits)
