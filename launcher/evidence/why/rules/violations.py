"""What must never happen: a property that is broken, nodes that applied different entries.

A violation is a bug of the program, so no message is its whole cause. These rules name the part
that the run had in it: which leaders there were, who voted for them, who had not heard of the newer
one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from launcher.evidence.why.cause import Cause, node_name, said_of, seconds, stated
from launcher.evidence.why.past import Past
from launcher.evidence.why.rules.elections import leader_elected
from launcher.evidence.why.rules.leadership import ANSWERS
from launcher.evidence.why.rules.sending import told
from launcher.evidence.why.rules.silence import silence
from launcher.evidence.why.things import NEVER, Happening, Message, in_term, on
from node.raft.membership import majority

_ENTRY = re.compile(r"entr(?:y|ies)[^0-9]{1,20}([0-9]{1,15})")
_NODE = re.compile(r"\bn([0-9]{1,9})\b")


def property_broken(past: Past, broken: Happening) -> Iterator[Cause]:
    """A property of a simulated run does not hold."""
    answered_by = broken.number("answered_by")
    if answered_by is not None:
        yield from _stale_read(past, broken, answered_by)
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
        older = _older_leader(past, elected, until)
        if older is not None:
            yield from _still_led(past, older, elected, until)
            return
    yield from _last_of_those_named(past, broken)


def _until(past: Past, broken: Happening) -> int:
    """Up to where it matters what happened: a history is judged after its end, so the event that
    says that it is wrong comes late."""
    until_s = broken.fields.get("until_s")
    if not isinstance(until_s, int | float):
        return broken.place
    return next((one.place for one in past.happenings if one.when_ns > until_s * 1e9), broken.place)


# -- a stale read --------------------------------------------------------------------------------


def _stale_read(past: Past, broken: Happening, node: int) -> Iterator[Cause]:
    """Who answered, as leader of which term; who led a later one; why the two had not met."""
    until = _until(past, broken)
    own = past.last(("leader.elected",), until, on(node))
    newer = past.last(
        ("leader.elected",),
        until,
        lambda one: one.node != node and (own is None or one.term > own.term),
    )
    leads = own is not None and _leads_still(past, own, until)
    if newer is not None and own is not None and leads:
        yield from _still_led(past, own, newer, until)
    elif newer is not None:
        yield from _no_leader(past, broken, node, newer, until)
    elif own is not None:
        yield stated(own, is_end=True)
    heard = _asked_a_majority(past, node, broken) if leads else None
    if heard is not None:
        yield heard


def _no_leader(
    past: Past, broken: Happening, node: int, leader: Happening, until: int
) -> Iterator[Cause]:
    """The one that answered did not lead, so it cannot know by itself what is committed."""
    index, of = broken.number("index"), node_name(node)
    state = f" from its state after entry {index}" if index is not None else ""
    asked = past.last_sent(node, leader.node, until, lambda one: one.type == "ReadIndex")
    told = f"had asked {node_name(leader.node)} how far it must have applied the log"
    said = f"{of} answered{state} and did not lead"
    if past.has_messages:
        said += (
            f"; it {told}" if asked is not None else f"; it {told.replace('had', 'had never', 1)}"
        )
    yield Cause(
        said, asked, tuple(_unheard_by(past, node, leader, until)), is_end=True, place=until - 1
    )
    yield stated(leader, is_end=True)


def _asked_a_majority(past: Past, node: int, broken: Happening) -> Cause | None:
    """Whether the one that answered a read had heard a majority since the read was asked."""
    asked_s = broken.fields.get("asked_s")
    if not isinstance(asked_s, int | float):
        return None
    asked_ns = int(asked_s * 1e9)
    heard = [
        peer
        for peer in past.peers(node)
        if (
            last := past.last_arrival(
                peer, node, broken.place, lambda one: one.type in ANSWERS and not one.content.reject
            )
        )
        is not None
        and last.arrived_ns > asked_ns
    ]
    voters = len(past.nodes)
    if len(heard) + 1 >= majority(tuple(past.nodes)):
        return None
    return Cause(
        f"{node_name(node)} answered the read, and had heard only {len(heard)} of its "
        f"{voters - 1} peers since it was asked: it could not know that it still led",
        is_end=True,
        place=broken.place - 1,
        when_ns=broken.when_ns,
    )


def _leads_still(past: Past, elected: Happening, until: int) -> bool:
    """Whether that leader believed until then that it leads."""
    ended = past.last(("leader.stepped_down",), until, on(elected.node), after=elected.place)
    gone = past.last(
        ("node.exited",),
        until,
        lambda one: one.number("target") == elected.node,
        after=elected.place,
    )
    return ended is None and gone is None


def _older_leader(past: Past, newer: Happening, until: int) -> Happening | None:
    """A leader of an earlier term that still believed to lead."""
    for one in reversed(past.all(("leader.elected",), until)):
        if one.node != newer.node and one.term < newer.term and _leads_still(past, one, until):
            return one
    return None


def _still_led(past: Past, older: Happening, newer: Happening, until: int) -> Iterator[Cause]:
    because = (
        *_unheard_by(past, older.node, newer, until),
        Cause(said_of(newer), newer, tuple(leader_elected(past, newer)), is_end=True),
    )
    yield Cause(
        f"{node_name(older.node)} still believed that it leads term {older.term}, though "
        f"{node_name(newer.node)} had been elected in term {newer.term} "
        f"{seconds(_at(past, until) - newer.when_ns)} before",
        newer,
        because,
        is_end=True,
    )


def _unheard_by(past: Past, node: int, newer: Happening, until: int) -> list[Cause]:
    return silence(past, node, newer.node, newer.place, until)


def _at(past: Past, place: int) -> int:
    last = past.last_any(place + 1)
    return last.when_ns if last is not None else past.end_ns


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
