"""A fault that a method of `Cluster` has injected, and the way to end it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Self, TypeVar

from launcher.control.status import Chosen, LinkStatus
from launcher.errors import NotRunning
from node.raft.messages import NodeId

_T = TypeVar("_T")


class Injected:
    """A fault in force. As a context manager it ends the fault when the block is left.

    chosen: the nodes that have it, as they were when they were chosen
    unconfirmed: those of them that run and have not confirmed it, such as paused ones; they obey as
        soon as they read it
    links: what the links that were meant do now; empty for a fault of another kind
    """

    def __init__(
        self,
        chosen: Sequence[Chosen],
        unconfirmed: Sequence[NodeId] = (),
        end: Callable[[], object] | None = None,
        links: Sequence[LinkStatus] = (),
    ) -> None:
        """end: ends the fault; None: there is nothing to end"""
        self.chosen = list(chosen)
        self.links = list(links)
        self.unconfirmed = list(unconfirmed)
        self._end = end

    def end(self) -> None:
        """Ends the fault, once; later calls do nothing. Raises LauncherError."""
        end, self._end = self._end, None
        if end is not None:
            end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        with suppress(NotRunning):  # it has ended with the cluster
            self.end()

    def __repr__(self) -> str:
        nodes = ", ".join(f"n{node.id}" for node in self.chosen) or "no node"
        return f"<Injected at {nodes}>"


class InjectedList(list[_T], Injected):
    """A fault in force, which is also a list of what the method returned before there were handles:
    the nodes, or the groups of a partition."""

    def __init__(
        self,
        items: Sequence[_T],
        chosen: Sequence[Chosen],
        unconfirmed: Sequence[NodeId] = (),
        end: Callable[[], object] | None = None,
    ) -> None:
        """items: what is in the list; the others are as in `Injected`"""
        list.__init__(self, items)
        Injected.__init__(self, chosen, unconfirmed, end)
