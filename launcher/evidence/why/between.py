"""What leads from one event to another.

First by the rules: a chain of causes from the later event back to the earlier. If they know none,
by order alone: messages that carry what the earlier one's node knew to the later one's node, the
first that arrived. Then the earlier event may have had an influence, and the text says that it is
no more than that. Without such messages the two had nothing to do with each other.
"""

from __future__ import annotations

from dataclasses import dataclass

from launcher.evidence.why import faults
from launcher.evidence.why.cause import Cause
from launcher.evidence.why.past import Past
from launcher.evidence.why.rules.sending import told
from launcher.evidence.why.rules.table import causes_of, root
from launcher.evidence.why.things import NEVER, Happening, Message, Thing

MOST_ASKED = 5_000
"""How many things' causes are looked at before the rules are given up."""


@dataclass(frozen=True)
class Path:
    """steps: from the earlier to the later, each led to the next; empty if nothing leads there
    by_rules: whether rules name each step as a cause of the next
    """

    steps: tuple[Cause, ...]
    by_rules: bool


def path_between(past: Past, earlier: Thing, later: Thing) -> Path:
    """What leads from one event to another that came after it."""
    chain = _by_rules(past, earlier, root(past, later))
    if chain is not None:
        return Path(tuple(reversed(chain)), by_rules=True)
    carried = _by_order(past, earlier, later)
    if carried is None:
        return Path((), by_rules=False)
    messages = [Cause(told(one), one) for one in carried]
    return Path((root(past, earlier), *messages, root(past, later)), by_rules=False)


def _by_rules(past: Past, goal: Thing, begin: Cause) -> list[Cause] | None:
    """The causes from `begin` down to the goal, by a search in depth; None: no rule leads there."""
    seen: set[int] = set()
    stack: list[tuple[Cause, list[Cause]]] = [(begin, [begin])]
    while stack and len(seen) < MOST_ASKED:
        cause, chain = stack.pop()
        if _same(cause.thing, goal):
            return chain
        below = list(cause.because)
        if not below and cause.thing is not None and not cause.is_order:
            if id(cause.thing) in seen:
                continue
            seen.add(id(cause.thing))
            below = [one for one in causes_of(past, cause.thing) if not one.is_order]
        stack += [(one, [*chain, one]) for one in below]
    return None


def _same(one: Thing | None, other: Thing) -> bool:
    return one is not None and one is other


def _by_order(past: Past, earlier: Thing, later: Thing) -> list[Message] | None:
    """The messages that carry what is known after the one to the node of the other, before it;
    none on one and the same node. None: nothing does."""
    known: dict[int, int] = {}
    by: dict[int, Message] = {}
    for node in _nodes_of(past, earlier):
        known[node] = _end(earlier)
    wanted, until = _nodes_of(past, later), _begin(later)
    if wanted & known.keys():
        return []
    arrived = sorted(
        (one for one in past.messages.values() if known and one.arrived != NEVER),
        key=lambda one: one.arrived,
    )
    for message in arrived:
        if message.arrived > until:
            break
        since = known.get(message.source)
        if since is None or message.sent < since or message.target in known:
            continue
        known[message.target] = message.arrived
        by[message.target] = message
        if message.target in wanted:
            return _chain(by, message)
    return None


def _chain(by: dict[int, Message], last: Message) -> list[Message]:
    chain = [last]
    while (before := by.get(chain[0].source)) is not None:
        chain.insert(0, before)
    return chain


def _nodes_of(past: Past, thing: Thing) -> set[int]:
    """Where something happened; of an event of the supervisor: the nodes that it is about."""
    if isinstance(thing, Message):
        return {thing.target if thing.arrived != NEVER else thing.source}
    if thing.node:
        return {thing.node}
    return faults.concerned(past, thing) | {
        one for one in (thing.number("target"), thing.number("leader")) if one is not None
    }


def _begin(thing: Thing) -> int:
    if isinstance(thing, Happening):
        return thing.place
    return thing.sent if thing.sent != NEVER else thing.arrived


def _end(thing: Thing) -> int:
    return thing.place
