"""What a state machine is, and the few words that all of ours share.

A machine is handed every committed command, in the order of the log, on every node. Nodes agree
because each of them computes the same from the same, so `apply` is *deterministic*: no clock, no
randomness, no file, nothing that depends on the order of a set or on the node's own identity.

A machine refuses a command by raising `CommandError`. The refusal is an answer: the entry stays in
its place in the log, the state must be what it was before, and every node refuses alike. Any other
exception out of `apply` means that the machine is broken, and stops the node.

Time, too, comes from the log: each entry bears *cluster time*, for how long the cluster has had a
leader. A machine whose state changes as time goes by (a lease ends) is `Timed`: it is told of the
time before it is handed the entries of that time, and says when something is due; then the leader
sees to it that an entry comes. A machine may also be `Batched`, to be faster.

The shipped machines read a command as a line: a verb, one blank, the rest. Verbs are
case-insensitive and blanks in front of them are ignored; what a blank in the rest means, each says
for itself. A query that would change the state is refused: state changes only through the log.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Protocol, runtime_checkable

from node.errors import CommandError
from node.machines.failures import what
from node.printable import escaped

_SHOWN_BYTES = 200


@runtime_checkable
class Machine(Protocol):
    """A deterministic state machine; constructed without arguments, in its initial state."""

    def apply(self, index: int, command: bytes) -> bytes:
        """The answer to `command`, which is the entry at `index` of the log.

        Indexes rise but have gaps: not every entry is a command. The answer is exactly `bytes`.
        Raises CommandError to refuse; the state is then unchanged.
        """
        ...

    def query(self, request: bytes) -> bytes:
        """The answer to a question that changes nothing. Raises CommandError to refuse."""
        ...

    def snapshot(self) -> Iterable[bytes]:
        """The whole state, in pieces of a bounded size. Consumed before the next `apply`."""
        ...

    def restore(self, chunks: Iterable[bytes]) -> None:
        """Replaces the state by the one that `snapshot` gave, piece by piece as it gave it."""
        ...


@runtime_checkable
class Timed(Protocol):
    """What a `Machine` offers besides, when its state also changes by the passing of time."""

    def advance(self, time_us: int) -> None:
        """Cluster time is `time_us` microseconds now; it never goes back. Deterministic."""
        ...

    def deadline_us(self) -> int | None:
        """The cluster time at which something is due next; None when nothing is."""
        ...


@runtime_checkable
class Batched(Protocol):
    """What a `Machine` offers besides, when it can take many commands with less work for each."""

    def apply_many(self, first_index: int, commands: list[bytes]) -> tuple[list[bytes], list[int]]:
        """As if `apply` had been called for each, at indexes from `first_index` on without a gap.

        The answers, and at which positions they are refusals (`error_answer`). Deterministic.
        """
        ...


@cache
def is_batched(kind: type) -> bool:
    """Whether machines of this class are to be handed many commands at once.

    Not where a class inherits `apply_many` and has an `apply` of its own, which that knows nothing
    of.
    """
    for one in map(vars, kind.__mro__):
        if "apply" in one or "apply_many" in one:
            return "apply_many" in one
    return False


def error_answer(error: CommandError) -> bytes:
    """A refusal as a client gets it: its text, in UTF-8.

    Bytes that a machine took from a command and put into its text (decoded with
    `surrogateescape`) come out as they were. No text whatever makes this fail.
    """
    text = str(error)
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a lone surrogate that stands for no byte
        return text.encode("utf-8", "backslashreplace")


def answer_query(
    machine: Machine, query: bytes, failed: Callable[[bytes, BaseException], None]
) -> tuple[bytes, bool]:
    """The answer, and whether it is an error.

    failed: is told of a query that raised what is no refusal, SystemExit and its like too. It
        changes nothing, so it endangers nobody, and ends nothing
    """
    try:
        result = machine.query(query)
        if not isinstance(result, bytes | bytearray | memoryview):
            raise TypeError(f"query must answer with bytes, and answered with {_kind(result)}")
        return bytes(result), False
    except CommandError as error:
        return error_answer(error), True
    except BaseException as error:
        failed(query, error)
        return f"the machine failed: {what(error)}".encode("utf-8", "backslashreplace"), True


def _kind(value: object) -> str:
    return type(value).__name__


def split_verb(line: bytes) -> tuple[bytes, bytes]:
    """The verb, in capitals, and what follows the one blank behind it."""
    verb, _, rest = line.lstrip(b" ").partition(b" ")
    return verb.upper(), rest


def no_argument(verb: str, rest: bytes) -> None:
    """Raises CommandError unless nothing but blanks follows a verb that stands alone."""
    if rest.strip(b" "):
        raise CommandError(f"{verb} stands alone; it was followed by {shown(rest)}")


def shown(text: bytes) -> str:
    """What a user typed, on one line and of bounded length, for the text of a refusal."""
    head = text[:_SHOWN_BYTES].decode("utf-8", "backslashreplace")
    line = escaped(head)
    return line if len(text) <= _SHOWN_BYTES else line + "..."


def not_understood(machine: str, line: bytes, understood: str) -> CommandError:
    """The refusal of a command that a machine does not understand."""
    return CommandError(f"not understood: {shown(line)} (the {machine} machine has {understood})")


def submit_instead(verb: bytes) -> CommandError:
    """The refusal of a query that would change the state."""
    return CommandError(
        f"{verb.decode('ascii')} changes the state, and a read may not: submit it as an entry"
    )
