"""For how long a cluster had no leader though it could have had one, by its timeline. Pure.

A *stretch* is a time without pause in which nobody led, while a quorum of the configuration in
force was alive and connected. What counts:

- A node is alive from `node.ready` (who recovers cannot vote) until it has stopped, failed or been
  seen to be dead; not while it is paused.
- It leads from `leader.elected` until it steps down or is not alive; and only as long as it has a
  quorum on its side of a partition. A leader without one leads nobody.
- The configuration in force while nobody leads is the one by which the next leader wins; after the
  last leader, that leader's. A node goes by the last that it has adopted (§6), over all its lives.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from launcher.timeline.events import Event
from node.raft.membership import Configuration, stable
from node.raft.messages import Membership, NodeId

Sides: TypeAlias = tuple[frozenset[NodeId], ...]
"""Who is alive, by the sides of a partition; one side when there is none."""

NOBODY = Configuration(Membership((), ()))


@dataclass(frozen=True)
class Stretch:
    """began_ns, ended_ns: since the epoch, as the timeline has it"""

    began_ns: int
    ended_ns: int

    @property
    def seconds(self) -> float:
        """How long it was."""
        return (self.ended_ns - self.began_ns) / 1e9


def stretches(events: Iterable[Event], voters: Sequence[NodeId]) -> list[Stretch]:
    """All stretches, in their order. voters: with whom the cluster began"""
    world = _World(voters)
    found: list[Stretch] = []
    leaderless: list[tuple[int, int, Sides]] = []
    before_ns: int | None = None
    for event in events:
        if before_ns is not None and world.leader is None:
            leaderless.append((before_ns, event.t, world.sides))
        before_ns = event.t
        world.see(event)
        if world.leader is not None:
            found += _with_quorum(leaderless, world.last)
            leaderless.clear()
    return found + _with_quorum(leaderless, world.last)


def _with_quorum(
    pieces: Iterable[tuple[int, int, Sides]], configuration: Configuration
) -> list[Stretch]:
    """Pieces that follow each other, those with a quorum joined."""
    joined: list[Stretch] = []
    for began_ns, ended_ns, sides in pieces:
        if began_ns == ended_ns or not any(configuration.has_quorum(side) for side in sides):
            continue
        if joined and joined[-1].ended_ns == began_ns:
            joined[-1] = Stretch(joined[-1].began_ns, ended_ns)
        else:
            joined.append(Stretch(began_ns, ended_ns))
    return joined


class _World:
    """The nodes, as the events so far tell of them. last: the last leader's configuration"""

    def __init__(self, voters: Sequence[NodeId]) -> None:
        self.last = Configuration(stable(tuple(voters)))
        self._configurations = dict.fromkeys(voters, self.last)
        self._alive: set[NodeId] = set()
        self._paused: set[NodeId] = set()
        self._leading: dict[NodeId, int] = {}
        self._groups: list[list[NodeId]] = []

    @property
    def sides(self) -> Sides:
        """Who is alive on each side."""
        here = frozenset(self._alive - self._paused)
        return tuple(here & set(group) for group in self._groups) or (here,)

    @property
    def leader(self) -> NodeId | None:
        """Who leads, in the highest term in which anybody does."""
        leading = [
            (term, node)
            for node, term in self._leading.items()
            if any(node in side and self._of(node).has_quorum(side) for side in self.sides)
        ]
        return max(leading)[1] if leading else None

    def see(self, event: Event) -> None:
        """What happens next."""
        match event.event:
            case "node.ready":
                self._alive.add(event.node)
                self._paused.discard(event.node)
            case "node.stopped" | "node.failed" if event.node:
                self._end(event.node)
            case "node.exited":
                self._end(_field(event, "target"))
            case "leader.elected":
                self._leading[event.node] = event.term
                self.last = self._of(event.node)
            case "leader.stepped_down":
                self._leading.pop(event.node, None)
            case "configuration.adopted":
                fields = event.fields
                voters, outgoing = (tuple(_list(fields[k])) for k in ("voters", "outgoing"))
                adopted = Configuration(Membership(voters, voters, outgoing))
                self._configurations[event.node] = adopted
                if event.node in self._leading:
                    self.last = adopted
            case "fault.injected" | "fault.healed":
                self._see_fault(event)

    def _see_fault(self, event: Event) -> None:
        match event.event, event.fields:
            case "fault.injected", {"fault": "pause", "targets": list(targets)}:
                self._paused.update(targets)
            case "fault.injected", {"fault": "partition", "groups": list(groups)}:
                self._groups = groups
            case "fault.injected", {"fault": "partition"}:
                self._groups = []  # a ring: everybody hears a majority
            case "fault.healed", {"fault": _}:
                pass  # of disks, clocks, points, or what `link` has done
            case "fault.healed", {"targets": list(targets)}:
                self._paused.difference_update(targets)
            case "fault.healed", _:
                self._groups = []

    def _end(self, node: NodeId) -> None:
        self._alive.discard(node)
        self._leading.pop(node, None)

    def _of(self, node: NodeId) -> Configuration:
        return self._configurations.get(node, NOBODY)


def _field(event: Event, name: str) -> Any:
    return event.fields[name]


def _list(value: object) -> list[NodeId]:
    assert isinstance(value, list)
    return value
