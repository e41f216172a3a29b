"""The language of the recipes: a verb and its words, on one line.

A machine states its verbs once, as they are written: `ACQUIRE name owner ttl`. The first word is
the verb, and the line as a whole is what a refusal tells somebody who wrote it wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from node.errors import CommandError
from node.machines.protocol import not_understood, shown, split_verb, submit_instead

MAX_WORD_BYTES = 255

_M = TypeVar("_M")


class Verbs(Generic[_M]):
    """What a machine understands, and which of its methods each verb runs.

    machine: its name, for refusals
    changes, asks: from how a command is written to what it runs; it is handed what follows the
        verb. A verb that only asks may be submitted as well as queried.
    """

    def __init__(
        self,
        machine: str,
        changes: Mapping[str, Callable[[_M, bytes], bytes]],
        asks: Mapping[str, Callable[[_M, bytes], bytes]],
    ) -> None:
        self._machine = machine
        self._understood = ", ".join([*changes, *asks])
        self._asks = {_verb(usage): run for usage, run in asks.items()}
        self._all = {_verb(usage): run for usage, run in changes.items()} | self._asks

    def apply(self, machine: _M, command: bytes) -> bytes:
        """The answer to a command. Raises CommandError."""
        verb, rest = split_verb(command)
        run = self._all.get(verb)
        if run is None:
            raise not_understood(self._machine, command, self._understood)
        return run(machine, rest)

    def query(self, machine: _M, request: bytes) -> bytes:
        """The answer to a question. Raises CommandError, for a command that changes things too."""
        verb, rest = split_verb(request)
        run = self._asks.get(verb)
        if run is not None:
            return run(machine, rest)
        if verb in self._all:
            raise submit_instead(verb)
        raise not_understood(self._machine, request, self._understood)


def words(rest: bytes, usage: str) -> list[bytes]:
    """The words behind a verb: as many as `usage` has, each of 1 to MAX_WORD_BYTES bytes.

    Raises CommandError. Several blanks are as good as one; any byte but these and the newline may
    stand in a word.
    """
    found = list(filter(None, rest.split(b" ")))
    if len(found) != usage.count(" "):
        raise CommandError(f"write {usage}; behind the verb stood {shown(rest) or 'nothing'}")
    for word in found:
        if b"\n" in word:
            raise CommandError(f"a word holds no newline: {shown(word)}")
        if len(word) > MAX_WORD_BYTES:
            raise CommandError(f"a word has at most {MAX_WORD_BYTES} bytes, not {len(word)}")
    return found


def number(word: bytes, what: str) -> int:
    """A whole number that is not negative. Raises CommandError, which calls it `what`."""
    # int() would take "+1", "1_000" and more digits than anyone can count to.
    if not word.isdigit() or len(word) > 18:
        raise CommandError(f"{what} is a number, not {shown(word)}")
    return int(word)


def _verb(usage: str) -> bytes:
    return usage.partition(" ")[0].encode()
