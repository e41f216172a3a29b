"""A read that was answered with an old value: who answered it, and why it could not know better."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from launcher.evidence.why.cause import Cause, node_name, said_of, seconds, stated
from launcher.evidence.why.past import Past
from launcher.evidence.why.rules.elections import leader_elected
from launcher.evidence.why.rules.leadership import ANSWERS
from launcher.evidence.why.rules.silence import silence
from launcher.evidence.why.things import Happening, on
from node.raft.membership import majority


@dataclass(frozen=True)
class Answer:
    """The answer to a read.

    index: up to which entry the answering node had applied the log
    asked_ns: when the client asked, on the clock of the events; None: nobody knows
    place, when_ns: where the answer stands among all events, and when
    """

    node: int
    index: int | None
    asked_ns: int | None
    place: int
    when_ns: int


def stale_read(past: Past, answer: Answer, until: int) -> Iterator[Cause]:
    """Who answered, as leader of which term; who led a later one; why the two had not met.

    until: the place up to which it matters what happened
    """
    node = answer.node
    own = past.last(("leader.elected",), until, on(node))
    newer = past.last(
        ("leader.elected",),
        until,
        lambda one: one.node != node and (own is None or one.term > own.term),
    )
    leads = own is not None and _leads_still(past, own, until)
    if newer is not None and own is not None and leads:
        yield from still_led(past, own, newer, until)
    elif newer is not None:
        yield from _no_leader(past, answer, newer, until)
    elif own is not None:
        yield stated(own, is_end=True)
    heard = _asked_a_majority(past, answer) if leads else None
    if heard is not None:
        yield heard


def _no_leader(past: Past, answer: Answer, leader: Happening, until: int) -> Iterator[Cause]:
    """The one that answered did not lead, so it cannot know by itself what is committed."""
    node, index, of = answer.node, answer.index, node_name(answer.node)
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


def _asked_a_majority(past: Past, answer: Answer) -> Cause | None:
    """Whether the one that answered a read had heard a majority since the read was asked."""
    if answer.asked_ns is None or not past.has_messages:
        return None
    node = answer.node
    heard = [
        peer
        for peer in past.peers(node)
        if (
            last := past.last_arrival(
                peer, node, answer.place, lambda one: one.type in ANSWERS and not one.content.reject
            )
        )
        is not None
        and last.arrived_ns > answer.asked_ns
    ]
    voters = len(past.nodes)
    if len(heard) + 1 >= majority(tuple(past.nodes)):
        return None
    return Cause(
        f"{node_name(node)} answered the read, and had heard only {len(heard)} of its "
        f"{voters - 1} peers since it was asked: it could not know that it still led",
        is_end=True,
        place=answer.place - 1,
        when_ns=answer.when_ns,
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


def older_leader(past: Past, newer: Happening, until: int) -> Happening | None:
    """A leader of an earlier term that still believed to lead."""
    for one in reversed(past.all(("leader.elected",), until)):
        if one.node != newer.node and one.term < newer.term and _leads_still(past, one, until):
            return one
    return None


def still_led(past: Past, older: Happening, newer: Happening, until: int) -> Iterator[Cause]:
    """A leader that had not heard of the next one, and how long."""
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
