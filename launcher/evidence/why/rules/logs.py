"""Logs: why a tail was removed, and why a snapshot was sent in place of entries."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.evidence.why.cause import Cause, entries, node_name, stated
from launcher.evidence.why.past import Past
from launcher.evidence.why.rules.silence import FROM_LEADERS, silence
from launcher.evidence.why.things import Happening, Message, on


def log_truncated(past: Past, truncated: Happening) -> Iterator[Cause]:
    """A leader's AppendEntries had other entries there; and why these had reached no majority."""
    node = truncated.node
    first = truncated.number("first_index") or 0
    last = truncated.number("last_index") or first
    message = _conflicting(past, node, truncated)
    if message is not None:
        elected = past.last(
            ("leader.elected",),
            truncated.place,
            lambda one: one.node == message.source and one.term == message.term,
        )
        said = (
            f"an AppendEntries of {node_name(message.source)}, leader of term {message.term}, has "
            f"other entries after {message.content.index}, and a follower takes the leader's"
        )
        because = (stated(elected, is_end=True),) if elected is not None else ()
        yield Cause(said, message, because, is_end=True)
    yield from _never_spread(past, node, first, last, truncated)


def _conflicting(past: Past, node: int, truncated: Happening) -> Message | None:
    """The message whose entries took the place of those that were removed."""
    first = truncated.number("first_index") or 0
    found: Message | None = None
    for peer in past.peers(node):
        one = past.last_arrival(
            peer,
            node,
            truncated.place,
            lambda one: (
                one.type == "AppendEntries"
                and one.term == truncated.term
                and one.content.first is not None
                and one.content.first <= first <= (one.content.last or 0)
            ),
        )
        if one is not None and (found is None or one.arrived > found.arrived):
            found = one
    return found


def _never_spread(
    past: Past, node: int, first: int, last: int, truncated: Happening
) -> Iterator[Cause]:
    """Where the removed entries came from, and why nobody else, or too few, had them."""
    led = _author(past, node, first, truncated)
    if led is None:
        return
    author = led.node
    next_leader = past.first(("leader.elected",), led.place, lambda one: one.term > led.term)
    until = min(next_leader.place if next_leader is not None else past.end, truncated.place)
    told: list[Cause] = []
    for peer in past.peers(author):
        if peer == node or _received(past, author, peer, first, led, truncated.place):
            continue
        heard = past.last_arrival(
            author, peer, until, lambda one: one.type in FROM_LEADERS and one.term == led.term
        )
        since = heard.arrived if heard is not None else led.place
        told += silence(past, peer, author, since, until, lambda one: one.type in FROM_LEADERS)
    what = entries(first, last)
    said = (
        f"{node_name(node)} had appended {what} itself, as leader of term {led.term}"
        if author == node
        else f"{node_name(node)} had got {what} from {node_name(author)}, leader of term {led.term}"
    )
    said += f"; {'it' if first == last else 'they'} had not reached a majority"
    yield Cause(said, led, tuple(_once(told)), is_end=True)


def _author(past: Past, node: int, first: int, truncated: Happening) -> Happening | None:
    """The leader that had made the entries: the node itself, or who sent them to it."""
    before = past.all(("leader.elected",), truncated.place)
    for elected in reversed(before):
        if elected.term >= truncated.term:
            continue
        had = elected.number("last_index")
        if elected.node == node and (had is None or had < first):
            return elected
        if _received(past, elected.node, node, first, elected, truncated.place):
            return elected
    return None


def _received(past: Past, leader: int, peer: int, first: int, led: Happening, before: int) -> bool:
    """Whether entries from that index on have reached a peer from the leader of that term."""
    found = past.last_arrival(
        leader,
        peer,
        before,
        lambda one: one.term == led.term and (one.content.last or 0) >= first,
    )
    return found is not None


def _once(causes: list[Cause]) -> Iterator[Cause]:
    """Several links that the same fault cut are told once for each, the fault itself once."""
    seen: set[str] = set()
    for one in causes:
        if one.said not in seen:
            seen.add(one.said)
            yield one


def snapshot_sending(past: Past, sending: Happening) -> Iterator[Cause]:
    """The peer lacks entries that are no longer in the log: it had not acknowledged them."""
    peer = sending.number("peer")
    if peer is None:
        return
    taken = past.last(("snapshot.taken",), sending.place, on(sending.node))
    if taken is not None:
        yield stated(taken, is_end=True)
    answer = past.last_arrival(
        peer,
        sending.node,
        sending.place,
        lambda one: one.type == "AppendEntriesReply" and not one.content.reject,
    )
    if answer is not None:
        causes = silence(past, sending.node, peer, answer.arrived, sending.place)
        yield Cause(
            f"{node_name(peer)} had last acknowledged entry {answer.content.match}",
            answer,
            tuple(causes),
            is_end=True,
        )


def snapshot_installed(past: Past, installed: Happening) -> Iterator[Cause]:
    """The leader sent it."""
    sending = past.last(
        ("snapshot.sending",), installed.place, lambda one: one.number("peer") == installed.node
    )
    if sending is not None:
        yield stated(sending)
