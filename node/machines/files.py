"""The registry of a distributed file system: which files are in it. The default machine.

It is what Leeky Raft was written for: the members of Chordish DeFiSh agree on the files that the
system holds; where the contents are is no business of the registry.

    ADD f       registers f; refused when f is there already
    READ f      what is known about f: the index at which it was added; refused when it is not there
    DELETE f    takes f out again; refused when it is not there
    LS          all names, sorted by their bytes, one a line; nothing when there are none

READ and LS are queries too. A name is everything behind the one blank that follows the verb, blanks
at its ends included: real paths have them, and what was added is what LS lists, byte for byte. It
is at least one byte long; any byte but a newline may stand in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import ClassVar, TypeAlias

import msgspec

from node.errors import CommandError
from node.machines import snapshot
from node.machines.protocol import (
    no_argument,
    not_understood,
    shown,
    split_verb,
    submit_instead,
)

_UNDERSTOOD = "ADD f, READ f, DELETE f, LS"
_VERSION = 1

_Command: TypeAlias = Callable[["Files", int, bytes], bytes]
_decoder = msgspec.msgpack.Decoder(list[tuple[bytes, int]])


class Files:
    """Names, and the index at which each was added."""

    def __init__(self) -> None:
        self._added_at: dict[bytes, int] = {}
        self._listing: bytes | None = b""
        """What LS answers, kept until a name comes or goes: sorting them all takes a while."""

    def apply(self, index: int, command: bytes) -> bytes:
        # The common spelling first, and nothing else on its way: this runs for every entry.
        verb, _, name = command.partition(b" ")
        run = self._commands.get(verb)
        if run is None:
            verb, name = split_verb(command)
            run = self._commands.get(verb)
            if run is None:
                raise not_understood("files", command, _UNDERSTOOD)
        return run(self, index, name)

    def query(self, request: bytes) -> bytes:
        verb, name = split_verb(request)
        if verb == b"READ":
            return self._read(0, name)
        if verb == b"LS":
            return self._ls(0, name)
        if verb in self._commands:
            raise submit_instead(verb)
        raise not_understood("files", request, _UNDERSTOOD)

    def snapshot(self) -> Iterator[bytes]:
        return snapshot.write("files", _VERSION, list(self._added_at.items()))

    def restore(self, chunks: Iterable[bytes]) -> None:
        """Raises MachineError, and changes nothing, when the chunks are no snapshot of files."""
        self._added_at = dict(snapshot.read("files", _VERSION, _decoder, chunks))
        self._listing = None

    def _add(self, index: int, name: bytes) -> bytes:
        added_at = self._added_at
        if name in added_at:
            raise CommandError(f"{shown(name)} is there already, added at index {added_at[name]}")
        if not name or b"\n" in name:
            raise _bad_name("ADD", name)
        added_at[name] = index
        self._listing = None
        return b"added"

    def _read(self, _index: int, name: bytes) -> bytes:
        added_at = self._added_at.get(name)
        if added_at is None:
            raise _no_such_file("READ", name)
        return b"added at index %d" % added_at

    def _delete(self, _index: int, name: bytes) -> bytes:
        if self._added_at.pop(name, None) is None:
            raise _no_such_file("DELETE", name)
        self._listing = None
        return b"deleted"

    def _ls(self, _index: int, rest: bytes) -> bytes:
        no_argument("LS", rest)
        if self._listing is None:
            self._listing = b"\n".join(sorted(self._added_at))
        return self._listing

    _commands: ClassVar[dict[bytes, _Command]] = {
        b"ADD": _add,
        b"READ": _read,
        b"DELETE": _delete,
        b"LS": _ls,
    }


def _no_such_file(verb: str, name: bytes) -> CommandError:
    return CommandError(f"no file {shown(name)}") if name else _bad_name(verb, name)


def _bad_name(verb: str, name: bytes) -> CommandError:
    if not name:
        return CommandError(f"{verb} needs the name of a file: write {verb} f")
    return CommandError(f"a name holds no newline: {shown(name)}")
