"""Votes: why one was given, why one was refused, and why a log was behind when it counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from launcher.evidence.why import faults
from launcher.evidence.why.cause import Cause, entries, node_name, seconds, stated
from launcher.evidence.why.past import Past
from launcher.evidence.why.rules.silence import FROM_LEADERS, last_heard, silence
from launcher.evidence.why.things import NEVER, Happening, Message, aimed_at, on

STARTED = ("election.started",)


def vote_granted(past: Past, granted: Happening) -> Iterator[Cause]:
    """It was asked, and the candidate's log was long enough."""
    candidate = granted.number("candidate")
    if candidate is not None:
        yield from _campaign(past, granted, candidate)


def vote_denied(past: Past, denied: Happening) -> Iterator[Cause]:
    """What the refusal rests on; and, aside, who asked."""
    yield from refused_because(past, denied)
    candidate = denied.number("candidate")
    if candidate is not None and denied.number("voted_for") != denied.node:
        for asked in _campaign(past, denied, candidate):
            yield replace(asked, is_aside=True)


def refused_because(past: Past, denied: Happening) -> Iterator[Cause]:
    """A log that was behind, another vote of the term, a leader that is heard, or a term that is
    over."""
    candidate = denied.number("candidate")
    if candidate is None:
        return
    if denied.number("candidate_index") is not None:
        yield from _log_behind(past, denied, candidate)
    elif denied.number("voted_for") is not None:
        yield from _voted_already(past, denied)
    elif denied.number("leader") is not None:
        yield from _hears_a_leader(past, denied)
    else:
        entered = past.last(("term.advanced",), denied.place, on(denied.node))
        if entered is not None:
            yield stated(entered)


def _campaign(past: Past, answer: Happening, candidate: int) -> Iterator[Cause]:
    wanted = answer.number("for_term")
    asked = past.last(
        STARTED,
        answer.place,
        lambda one: (
            one.node == candidate and (wanted is None or one.number("for_term") in (wanted, None))
        ),
    )
    if asked is not None:
        yield stated(asked)


def _voted_already(past: Past, denied: Happening) -> Iterator[Cause]:
    rival = denied.number("voted_for")
    assert rival is not None, "the caller has seen it"
    if rival == denied.node:
        own = past.last(
            STARTED,
            denied.place,
            lambda one: one.node == rival and not one.flag("pre_vote") and one.term == denied.term,
        )
        if own is not None:
            yield _own_candidacy(past, denied, own)
        return
    given = past.last(
        ("vote.granted",),
        denied.place,
        lambda one: one.node == denied.node and one.term == denied.term,
    )
    if given is not None:
        yield stated(given)


def _own_candidacy(past: Past, denied: Happening, own: Happening) -> Cause:
    """It had voted for itself: two candidates in one term, before either heard of the other."""
    candidate = denied.number("candidate") or 0
    request = past.last_arrival(
        candidate, denied.node, denied.place, lambda one: one.type == "RequestVote"
    )
    rival = past.last(
        STARTED,
        denied.place,
        lambda one: one.node == candidate and not one.flag("pre_vote") and one.term == denied.term,
    )
    if rival is None:
        return stated(own)
    apart = seconds(abs(rival.when_ns - own.when_ns))
    heard = (
        f", and the request took {seconds(request.arrived_ns - rival.when_ns)} to reach it"
        if request is not None
        else ""
    )
    said = (
        f"{node_name(own.node)} and {node_name(candidate)} both became candidates of term "
        f"{denied.term}, {apart} apart{heard}: each voted for itself"
    )
    return Cause(said, own, (stated(rival), stated(own)), is_end=True)


def _hears_a_leader(past: Past, denied: Happening) -> Iterator[Cause]:
    leader = denied.number("leader")
    assert leader is not None, "the caller has seen it"
    if leader == denied.node:
        elected = past.last(("leader.elected",), denied.place, on(leader))
        if elected is not None:
            yield stated(elected, is_end=True)
        return
    heard = past.last_arrival(
        leader, denied.node, denied.place, lambda one: one.type in FROM_LEADERS
    )
    if heard is not None:
        ago = seconds(denied.when_ns - heard.arrived_ns)
        yield Cause(
            f"{node_name(denied.node)} had heard the leader {node_name(leader)} {ago} before",
            heard,
            is_end=True,
        )


# -- a log that is behind ------------------------------------------------------------------------


def _log_behind(past: Past, denied: Happening, candidate: int) -> Iterator[Cause]:
    index, last = denied.number("candidate_index") or 0, denied.number("last_index") or 0
    last_term = denied.number("last_term") or 0
    yield from lacks(past, candidate, index, last, last_term, denied)


def lacks(
    past: Past, node: int, has: int, last: int, last_term: int, at: Happening
) -> Iterator[Cause]:
    """Why a node does not hold the entries that another one holds.

    has: how far its own log reaches
    last, last_term: how far that of the other, and the term of its last entry
    """
    leader = _leader_of(past, last_term, at.place)
    if leader is None or leader == node:
        known = last_heard(past, at.node, at.place)
        leader = known[0] if known is not None else None
    if leader is None or leader == node:
        return
    first = has + 1 if has < last else last
    lacking = _first_with(past, leader, node, first, at.place)
    holder = at.node if at.node != leader else None
    got = _first_with(past, leader, holder, last, at.place, arrived=True) if holder else None
    until = _led_until(past, leader, got.arrived if got is not None else NEVER, at.place)
    since = _last_good(past, leader, node, until, lacking)
    causes = silence(past, node, leader, since, until, lambda one: one.type in FROM_LEADERS)
    if causes:
        holds = f"; {node_name(at.node)} has them" if got is not None else ""
        what = entries(first, last) if first <= last else f"what term {last_term} began with"
        known_by = lacking or got
        yield Cause(
            f"{node_name(node)} did not get {what} of the leader {node_name(leader)}{holds}",
            known_by,
            tuple(causes),
            is_end=True,
            place=at.place - 1 if known_by is None else known_by.place,
        )


def _led_until(past: Past, leader: int, since: int, until: int) -> int:
    """Until when the leader could have sent what the node lacks: not after its own end, which came
    when others had it already."""
    struck = past.last(
        faults.INJECTED,
        until,
        lambda one: one.text("fault") in faults.KILLS and leader in one.numbers("targets"),
        after=since,
    )
    ended = past.last(("node.exited",), until, aimed_at(leader), after=since)
    down = past.last(("leader.stepped_down",), until, on(leader), after=since)
    return min((one.place for one in (struck, ended, down) if one is not None), default=until)


def _leader_of(past: Past, term: int, before: int) -> int | None:
    elected = past.last(("leader.elected",), before, lambda one: one.term == term)
    if elected is not None:
        return elected.node
    for (source, _), on_link in past.sent.items():
        if any(one.type in FROM_LEADERS and one.term == term for one in on_link[-50:]):
            return source
    return None


def _first_with(
    past: Past, leader: int, node: int, index: int, before: int, *, arrived: bool = False
) -> Message | None:
    """The first message of the leader to the node that has that entry."""
    for one in past.sent_between(leader, node, NEVER, before):
        first, last = one.content.first or 0, one.content.last or 0
        if first <= index <= last and (one.arrived != NEVER or not arrived):
            return one
    return None


def _last_good(past: Past, leader: int, node: int, before: int, lacking: Message | None) -> int:
    """Until where the node heard the leader well."""
    heard = past.last_arrival(leader, node, before, lambda one: one.type in FROM_LEADERS)
    since = heard.arrived if heard is not None else NEVER
    return min(since, lacking.sent - 1) if lacking is not None else since
