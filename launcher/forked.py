"""What must not cross a fork: connections, sessions, pipes, locks, and generators half-way.

A forked child has copies of its parent's objects, and shares what lies behind them. Two processes
that write to one socket mix up their requests; two that number entries in one session give two
entries the same number, and the cluster applies one of them; a child that holds the end of a pipe
hides its parent's death; a lock that another thread held is never released in the child.

So an object that has any of this says so with `tell_children`, and in each child its `after_fork`
lets go, before anything else runs there. It closes descriptors and nothing more: nothing is sent,
and nothing is taken out of a selector that the parent may share. The object then works as if it
were new. What was under way at the fork belongs to the parent, and raises UsageError in the child.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Generic, Protocol, TypeVar
from weakref import WeakSet

from launcher.errors import UsageError

_T = TypeVar("_T")


class Forkable(Protocol):
    """Something that shares more with a forked child than its memory."""

    def after_fork(self) -> None:
        """This is a child: let go of everything that is the parent's. Must not raise."""
        ...


_told: WeakSet[Forkable] = WeakSet()


def tell_children(thing: Forkable) -> None:
    """In a forked child, `thing` is told before anything else runs, as long as it lives."""
    _told.add(thing)


def _after_fork() -> None:
    for thing in list(_told):
        thing.after_fork()


os.register_at_fork(after_in_child=_after_fork)


def begun_elsewhere(what: str) -> UsageError:
    """The error of a child that goes on with something of its parent's."""
    return UsageError(
        f"this {what} was begun before the process was forked, and belongs to the parent: "
        f"begin another {what} here"
    )


class Own(Iterator[_T], Generic[_T]):
    """An iterator that only the process that began it may go on with. Others get UsageError."""

    def __init__(self, items: Iterator[_T], what: str) -> None:
        self._items = items
        self._what = what
        self._process = os.getpid()

    def __next__(self) -> _T:
        if os.getpid() != self._process:
            raise begun_elsewhere(self._what)
        return next(self._items)
