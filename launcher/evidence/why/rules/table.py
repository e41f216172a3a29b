"""The table of rules: for each kind of event what names its causes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeAlias

from launcher.evidence.why.cause import Cause, node_name, said_of, stated
from launcher.evidence.why.past import Past
from launcher.evidence.why.rules import (
    elections,
    leadership,
    logs,
    nodes,
    refusals,
    violations,
)
from launcher.evidence.why.rules.sending import message_causes, told
from launcher.evidence.why.things import Happening, Message, Thing

Rule: TypeAlias = Callable[[Past, Happening], Iterator[Cause]]

RULES: dict[str, Rule] = {
    "leader.elected": elections.leader_elected,
    "election.started": elections.election_started,
    "vote.granted": refusals.vote_granted,
    "prevote.granted": refusals.vote_granted,
    "vote.denied": refusals.vote_denied,
    "prevote.denied": refusals.vote_denied,
    "leader.stepped_down": leadership.leader_stepped_down,
    "term.advanced": leadership.term_advanced,
    "leader.heard": leadership.leader_heard,
    "transfer.started": leadership.transfer_started,
    "transfer.received": leadership.transfer_received,
    "transfer.done": leadership.transfer_done,
    "transfer.aborted": leadership.transfer_aborted,
    "disk.stalled": leadership.disk_stalled,
    "log.truncated": logs.log_truncated,
    "snapshot.sending": logs.snapshot_sending,
    "snapshot.installed": logs.snapshot_installed,
    "node.exited": nodes.node_exited,
    "node.spawned": nodes.node_began,
    "node.started": nodes.node_began,
    "node.recovered": nodes.node_began,
    "link.closed": nodes.link_closed,
    "fault.injected": nodes.injected,
    "fault.healed": nodes.healed,
    "power.lost": nodes.power_lost,
    "safety.violated": violations.safety_violated,
    "property.broken": violations.property_broken,
}
"""The rule of each kind of event. A kind that is not here falls back to the order of events."""


def causes_of(past: Past, thing: Thing) -> list[Cause]:
    """What caused it, by its rule. A kind without one falls back to order, and says so."""
    if isinstance(thing, Message):
        return list(message_causes(past, thing))
    rule = RULES.get(thing.kind)
    return list(rule(past, thing)) if rule is not None else list(_by_order(past, thing))


def _by_order(past: Past, thing: Happening) -> Iterator[Cause]:
    """What came before on that node: the last event, and the last message that it received."""
    if not thing.node:
        return
    before = past.last_of_node(thing.node, thing.place)
    found: Message | None = None
    for peer in past.peers(thing.node):
        last = past.last_arrival(peer, thing.node, thing.place)
        if last is not None and (found is None or last.arrived > found.arrived):
            found = last
    if found is not None and (before is None or found.arrived > before.place):
        yield Cause(f"before it, {told(found)}", found, is_end=True, is_order=True)
    if before is not None:
        yield Cause(f"before it: {said_of(before)}", before, is_end=True, is_order=True)


def root(past: Past, thing: Thing) -> Cause:
    """The event itself, at the top of its tree."""
    if isinstance(thing, Message):
        return Cause(told(thing), thing)
    return stated(thing)


def without_rule(thing: Thing) -> str:
    """A line that says that this kind has no rule; empty when it has one."""
    if isinstance(thing, Message) or thing.kind in RULES:
        return ""
    return (
        f"no rule names the causes of {thing.kind}: what follows only came before it on "
        f"{node_name(thing.node)}"
    )
