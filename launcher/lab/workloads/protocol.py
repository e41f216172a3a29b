"""What a workload is: what clients do to a cluster, and what must hold of what they have seen.

    class Counting:
        machine = "counter:Counter"

        def next(self, client, number, rng, last):
            return Operation(f="add", command="ADD 1")

        def check(self, history):
            ...
            return invalid("a number came twice", window=[one, other])

A workload is pure: no clock, no files, no network, and no randomness but `rng`. So the same seed
gives every client the same random choices, and a simulated world can run it as well as real
clients do. It may keep a state; every client process has an object of its own, and asks it only
about its own client. The check is done by one more object, which has seen nothing but the history.

A client does one operation at a time. `last` is its operation before, with its outcome, so that the
next one can depend on it.

A workload may have two more methods. `opening` and `closing` are asked for the operations before
all others and after them, which one client (number 0) does alone, while nobody breaks anything. In
`closing`, reads can tell what was lost.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import msgspec

from launcher.checking.checker import Validity
from launcher.lab.history import Done

How: TypeAlias = Literal["submit", "read", "stale"]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """What a client does next.

    f: its name in the history and in the summary, such as `write`
    command: what the machine is handed; text, or bytes
    how: `submit` appends it to the log; `read` is a linearizable query; `stale` is a query that any
        node answers from its own state, however old
    value: anything that JSON can hold; `check` finds it in the history
    """

    f: str
    command: str | bytes
    how: How = "submit"
    value: Any = None


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """What a check comes to.

    validity: valid, invalid or unknown
    reason: one line; what is wrong, or why it cannot be told
    window: of an invalid history, the operations that show it, few of them
    """

    validity: Validity
    reason: str = ""
    window: tuple[Done, ...] = ()


def valid(reason: str = "") -> Judgement:
    """All that the workload promises holds."""
    return Judgement(validity=Validity.VALID, reason=reason)


def invalid(reason: str, window: Iterable[Done] = ()) -> Judgement:
    """A promise is broken, and these operations show it."""
    return Judgement(validity=Validity.INVALID, reason=reason, window=tuple(window))


def unknown(reason: str) -> Judgement:
    """It cannot be told."""
    return Judgement(validity=Validity.UNKNOWN, reason=reason)


@runtime_checkable
class Workload(Protocol):
    """What clients do, and the check.

    machine: which one it needs: `kv`, or `package.module:Class`
    """

    machine: str

    def next(self, client: int, number: int, rng: random.Random, last: Done | None) -> Operation:
        """The next operation of a client.

        client: its number, from 1 on
        number: how many operations it has done before
        rng: the only source of chance
        last: its operation before this one; None at first
        """
        ...

    def check(self, history: Sequence[Done]) -> Judgement:
        """Whether what all clients have seen is right.

        history: every operation, by when it began

        Makes no assumption about the order in which operations of different clients took effect,
        but what their times say: one that completed before another was invoked came before it. An
        operation with the outcome `info` may have taken effect at any time since, or never.
        """
        ...


@runtime_checkable
class Framed(Protocol):
    """What a `Workload` offers besides, when one client is to begin and to end a run."""

    def opening(self, number: int, last: Done | None) -> Operation | None:
        """The next operation before all clients begin; None when there are no more.

        An operation whose outcome is `info` is done again.
        """
        ...

    def closing(self, number: int, last: Done | None) -> Operation | None:
        """The next operation when all clients have ended; None when there are no more. The same."""
        ...
