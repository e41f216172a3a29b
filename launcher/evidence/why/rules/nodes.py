"""Processes: why one ended, started, or fell silent; and faults, with which explanations end."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.evidence.why import faults
from launcher.evidence.why.cause import Cause, stated
from launcher.evidence.why.past import Past
from launcher.evidence.why.things import Happening, aimed_at, on


def node_exited(past: Past, ended: Happening) -> Iterator[Cause]:
    """The fault that killed it, or what it said itself when it failed."""
    node = ended.number("target")
    if node is None:
        return
    own = past.last(
        ("node.failed", "machine.failed", "node.stopped"),
        ended.place,
        on(node),
        after=_began(past, node, ended.place),
    )
    fault = faults.that_killed(past, node, ended)
    if fault is not None:
        yield stated(fault, is_end=True) if fault.kind == "point.hit" else faults.cause(fault)
    elif own is not None:
        yield stated(own)
    else:
        stopping = past.last(("supervisor.stopping",), ended.place)
        if stopping is not None:
            yield stated(stopping, is_end=True)


def node_began(past: Past, began: Happening) -> Iterator[Cause]:
    """A node starts since somebody started it, or since it is restarted after its end."""
    node = began.number("target") if began.kind == "node.spawned" else began.node
    if began.kind != "node.spawned":
        spawned = past.last(("node.spawned",), began.place, aimed_at(node))
        if spawned is not None:
            yield stated(spawned)
            return
    ended = past.last(("node.exited",), began.place, aimed_at(node))
    if ended is not None:
        yield stated(ended)


def link_closed(past: Past, closed: Happening) -> Iterator[Cause]:
    """The process at its other end has ended."""
    peer = closed.number("peer")
    ended = past.last(("node.exited",), closed.place, aimed_at(peer))
    if ended is None:
        ended = past.first(("node.exited",), closed.place, aimed_at(peer))
        if ended is not None and ended.when_ns - closed.when_ns > 1_000_000_000:
            ended = None
    if ended is not None:
        yield stated(ended)


def injected(past: Past, fault: Happening) -> Iterator[Cause]:
    """Faults come from outside: nothing causes them."""
    return iter(())


def healed(past: Past, healed: Happening) -> Iterator[Cause]:
    """What had begun."""
    ids = healed.numbers("ids")
    for one in ids[:3]:
        fault = faults.by_id(past, one, healed.place)
        if fault is not None:
            yield faults.cause(fault)


def power_lost(past: Past, lost: Happening) -> Iterator[Cause]:
    """The fault."""
    node = lost.number("target")
    fault = past.last(
        faults.INJECTED,
        lost.place,
        lambda one: one.text("fault") == "power" and node in one.numbers("targets"),
    )
    if fault is not None:
        yield faults.cause(fault)


def _began(past: Past, node: int, before: int) -> int:
    spawned = past.last(("node.spawned",), before, aimed_at(node))
    return spawned.place if spawned is not None else -1
