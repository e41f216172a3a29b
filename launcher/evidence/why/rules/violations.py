"""What must never happen: a property that is broken, nodes that applied different entries.

A violation is a bug of the program, so no message is its whole cause. These rules name the part
that the run had in it: which leaders there were, who voted for them, who had not heard of the newer
one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from launcher.evidence.why.cause import Cause, node_name, said_of, stated
from launcher.evidence.why.past import Past
from launcher.evidence.why.rules.reads import Answer, older_leader, stale_read, still_led
from launcher.evidence.why.rules.sending import told
from launcher.evidence.why.things import NEVER, Happening, Message, in_term, on

_ENTRY = re.compile(r"entr(?:y|ies)[^0-9]{1,20}([0-9]{1,15})")
_NODE = re.compile(r"\bn([0-9]{1,9})\b")


def property_broken(past: Past, broken: Happening) -> Iterator[Cause]:
    """A property of a simulated run does not hold."""
    answered_by = broken.number("answered_by")
    if answered_by is not None:
        asked_s = broken.fields.get("asked_s")
        answer = Answer(
            node=answered_by,
            index=broken.number("index"),
            asked_ns=int(asked_s * 1e9) if isinstance(asked_s, int | float) else None,
            place=broken.place,
            when_ns=broken.when_ns,
        )
        yield from stale_read(past, answer, _until(past, broken))
        return
    until = _until(past, broken)
    elected = past.last(("leader.elected",), until)
    if elected is not None:
        rival = past.last(
            ("leader.elected",),
            elected.place,
            lambda one: one.term == elected.term and one.node != elected.node,
        )
        if rival is not None:
            yield from _two_of_a_term(past, rival, elected)
            return
        older = older_leader(past, elected, until)
        if older is not None:
            yield from still_led(past, older, elected, until)
            return
    yield from _last_of_those_named(past, broken)


def _until(past: Past, broken: Happening) -> int:
    """Up to where it matters what happened: a history is judged after its end, so the event that
    says that it is wrong comes late."""
    until_s = broken.fields.get("until_s")
    if not isinstance(until_s, int | float):
        return broken.place
    return min(past.place_of(int(until_s * 1e9)), broken.place)


# -- two leaders of one term ---------------------------------------------------------------------


def _two_of_a_term(past: Past, one: Happening, other: Happening) -> Iterator[Cause]:
    twice = sorted(set(one.numbers("votes")) & set(other.numbers("votes")))
    for voter in twice:
        yield Cause(
            f"{node_name(voter)} voted in term {one.term} for {node_name(one.node)} and for "
            f"{node_name(other.node)}",
            other,
            is_end=True,
        )
    yield stated(other)
    yield stated(one)


# -- different entries at one index --------------------------------------------------------------


def safety_violated(past: Past, violated: Happening) -> Iterator[Cause]:
    """What the supervisor found by comparing nodes: two leaders of one term, or nodes that applied
    different entries."""
    elected = past.last(("leader.elected",), violated.place)
    rival = elected and past.last(
        ("leader.elected",),
        elected.place,
        lambda one: one.term == elected.term and one.node != elected.node,
    )
    if elected is not None and rival is not None:
        yield from _two_of_a_term(past, rival, elected)
        return
    index = violated.number("index")
    if index is None and (match := _ENTRY.search(violated.text("found"))) is not None:
        index = int(match[1])
    nodes = violated.numbers("nodes") or violated.numbers("targets")
    told = [one for node in nodes for one in _made_or_got(past, node, index, violated.place)]
    yield from told or _last_of_those_named(past, violated)


def _made_or_got(past: Past, node: int, index: int | None, before: int) -> Iterator[Cause]:
    """From which leader a node got an entry, or that it made entries itself."""
    message = _brought(past, node, index, before) if index is not None else None
    if message is not None:
        elected = past.last(
            ("leader.elected",),
            message.sent if message.sent != NEVER else message.arrived,
            in_term(message.source, message.term),
        )
        yield Cause(
            f"{node_name(node)} got entry {index} from {node_name(message.source)}, leader of "
            f"term {message.term}",
            message,
            (stated(elected),) if elected is not None else (),
            is_end=True,
        )
        return
    led = past.last(("leader.elected",), before, on(node))
    if led is not None:
        yield Cause(f"{node_name(node)} made entries as leader of term {led.term}", led)


def _brought(past: Past, node: int, index: int, before: int) -> Message | None:
    found: Message | None = None
    for peer in past.peers(node):
        one = past.last_arrival(
            peer,
            node,
            before,
            lambda one: (
                one.content.first is not None
                and one.content.first <= index <= (one.content.last or 0)
            ),
        )
        if one is not None and (found is None or one.arrived > found.arrived):
            found = one
    return found


def _last_arrival(past: Past, broken: Happening) -> Iterator[Cause]:
    links = past.arrivals
    last = [past.last_arrival(*link, broken.place) for link in links]
    message = max(
        (one for one in last if one is not None), key=lambda one: one.arrived, default=None
    )
    before = past.last_any(broken.place)
    if before is not None and before.node and (message is None or before.place > message.arrived):
        yield Cause(f"just before it: {said_of(before)}", before, is_order=True)
    if message is not None:
        yield Cause(f"just before it, {told(message)}", message, is_order=True)


def _last_of_those_named(past: Past, broken: Happening) -> Iterator[Cause]:
    """Where no rule knows more: what happened last on the nodes that the report names; if it names
    none, the message after whose arrival the property was found broken."""
    words = broken.text("belief") + broken.text("found")
    named = {int(found) for found in _NODE.findall(words)} & past.nodes
    if not named:
        yield from _last_arrival(past, broken)
    for node in sorted(named):
        last = past.last_of_node(node, broken.place, unless=("commit.advanced", "entries.proposed"))
        if last is not None:
            yield Cause(
                f"no rule knows more of this property; before it: {said_of(last)}", last,
                is_order=True,
            )  # fmt: skip
