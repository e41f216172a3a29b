"""A key-value store: the machine to study linearizability with.

    SET k v         k is v from now on; answers "ok"
    GET k           the value of k, exactly; refused when there is no k
    CAS k old new   k is `new` if it was `old`; answers "ok"; otherwise refused with k's value
    DEL k           there is no k any more; answers "ok"; refused when there was none
    KEYS            all keys, sorted by their bytes, one a line

GET and KEYS are queries too. A key is at least one byte long and holds neither blank nor newline.
A value is the rest of the command, blanks included, and any bytes: `SET k ` sets the empty value.
`old` ends at the next blank, so a value with a blank in it cannot be compared.

A refused CAS reads `CAS failed: k is VALUE`, the value to its last byte, and on a missing key the
same `no key k` as GET. So a history of answers says at every point what the register held.
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

_UNDERSTOOD = "SET k v, GET k, CAS k old new, DEL k, KEYS"
_VERSION = 1

_Command: TypeAlias = Callable[["KeyValue", bytes], bytes]
_decoder = msgspec.msgpack.Decoder(list[tuple[bytes, bytes]])


class KeyValue:
    """Keys and their values, both bytes."""

    def __init__(self) -> None:
        self._values: dict[bytes, bytes] = {}

    def apply(self, index: int, command: bytes) -> bytes:
        # The common spelling first, and nothing else on its way: this runs for every entry.
        verb, _, rest = command.partition(b" ")
        run = self._commands.get(verb)
        if run is None:
            verb, rest = split_verb(command)
            run = self._commands.get(verb)
            if run is None:
                raise not_understood("kv", command, _UNDERSTOOD)
        return run(self, rest)

    def query(self, request: bytes) -> bytes:
        verb, rest = split_verb(request)
        if verb == b"GET":
            return self._get(rest)
        if verb == b"KEYS":
            return self._keys(rest)
        if verb in self._commands:
            raise submit_instead(verb)
        raise not_understood("kv", request, _UNDERSTOOD)

    def snapshot(self) -> Iterator[bytes]:
        return snapshot.write("kv", _VERSION, list(self._values.items()))

    def restore(self, chunks: Iterable[bytes]) -> None:
        """Raises MachineError, and changes nothing, when the chunks are no snapshot of kv."""
        self._values = dict(snapshot.read("kv", _VERSION, _decoder, chunks))

    def _set(self, rest: bytes) -> bytes:
        key, blank, value = rest.partition(b" ")
        if not key or not blank or b"\n" in key:
            raise _refused(key, "SET k v")
        self._values[key] = value
        return b"ok"

    def _get(self, rest: bytes) -> bytes:
        key = _only_key(rest, "GET k")
        value = self._values.get(key)
        if value is None:
            raise _no_key(key)
        return value

    def _cas(self, rest: bytes) -> bytes:
        key, _, values = rest.partition(b" ")
        old, blank, new = values.partition(b" ")
        if not key or not blank or b"\n" in key:
            raise _refused(key, "CAS k old new")
        value = self._values.get(key)
        if value is None:
            raise _no_key(key)
        if value != old:
            # Not abridged: whoever lost the race goes on from the value that won it.
            current = value.decode("utf-8", "surrogateescape")
            raise CommandError(f"CAS failed: {shown(key)} is {current}")
        self._values[key] = new
        return b"ok"

    def _del(self, rest: bytes) -> bytes:
        key = _only_key(rest, "DEL k")
        if self._values.pop(key, None) is None:
            raise _no_key(key)
        return b"ok"

    def _keys(self, rest: bytes) -> bytes:
        no_argument("KEYS", rest)
        return b"\n".join(sorted(self._values))

    _commands: ClassVar[dict[bytes, _Command]] = {
        b"SET": _set,
        b"GET": _get,
        b"CAS": _cas,
        b"DEL": _del,
        b"KEYS": _keys,
    }


def _only_key(rest: bytes, usage: str) -> bytes:
    key = rest.strip(b" ")
    if not key or b" " in key or b"\n" in key:
        raise _refused(key, usage)
    return key


def _no_key(key: bytes) -> CommandError:
    return CommandError(f"no key {shown(key)}")


def _refused(key: bytes, usage: str) -> CommandError:
    if b"\n" in key:
        return CommandError(f"a key holds no newline: {shown(key)}")
    return CommandError(f"write {usage}; a key holds no blank")
