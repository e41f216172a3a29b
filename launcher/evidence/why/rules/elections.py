"""Elections: who asked for votes, and why; who gave them; why an attempt came to nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from launcher.evidence.why import faults
from launcher.evidence.why.cause import Cause, names, node_name, said_of, seconds, stated
from launcher.evidence.why.past import Past
from launcher.evidence.why.rules.refusals import STARTED, refused_because
from launcher.evidence.why.rules.silence import (
    FROM_LEADERS,
    is_pre_vote,
    last_heard,
    silence,
)
from launcher.evidence.why.things import NEVER, Happening, Message, aimed_at, in_term, on

SOON_NS = 2_000_000_000
"""Within this time the supervisor notices that a process has ended."""


# -- won -----------------------------------------------------------------------------------------


def leader_elected(past: Past, elected: Happening) -> Iterator[Cause]:
    """An election was won by these votes; they were asked for by a campaign."""
    node, term = elected.node, elected.term
    voters = [voter for voter in elected.numbers("votes") if voter != node]
    if voters:
        yield _votes(past, elected, voters)
    campaign = past.last(
        STARTED,
        elected.place,
        lambda one: one.node == node and one.number("for_term") in (term, None),
    )
    if campaign is not None:
        yield stated(campaign)


def _votes(past: Past, elected: Happening, voters: list[int]) -> Cause:
    """The votes that were given: the requests came, and the candidate's log was long enough."""
    node, term = elected.node, elected.term
    answers = [
        past.last_arrival(voter, node, elected.place, lambda one: _grants(one) and one.term == term)
        for voter in voters
    ]
    granted = [
        past.last(
            ("vote.granted",),
            elected.place,
            in_term(voter, term),
        )
        for voter in voters
    ]
    things = [one for one in (*answers, *granted) if one is not None]
    thing = max(things, key=lambda one: one.place, default=None)
    request = past.last_sent(
        node, voters[0], elected.place, lambda one: _asks(one) and one.term == term
    )
    log = ""
    if request is not None and request.content.index is not None:
        log = f" (it ends with entry {request.content.index} of term {request.content.log_term})"
    gave, were, own = ("its vote", "it was", "its own")
    if len(voters) > 1:
        gave, were, own = ("their votes", "they were", "theirs")
    said = (
        f"{names(voters)} gave {gave}: {were} asked, had not voted in term {term}, and the log of "
        f"{node_name(node)} is at least as recent as {own}{log}"
    )
    return Cause(said, thing, is_end=True, place=NEVER if thing else elected.place)


def _grants(message: Message) -> bool:
    return (
        message.type == "RequestVoteReply"
        and message.content.granted is True
        and not is_pre_vote(message)
    )


def _asks(message: Message) -> bool:
    return message.type == "RequestVote" and not is_pre_vote(message)


# -- begun ---------------------------------------------------------------------------------------


def election_started(past: Past, started: Happening) -> Iterator[Cause]:
    """Why a node campaigns: pre-votes, a handover, a command, or a leader that is not heard."""
    if "asked for it" in started.text("reason"):
        told = past.last(("transfer.received",), started.place, on(started.node))
        if told is not None:
            yield stated(told)
        return
    if not started.flag("pre_vote") and started.numbers("promised"):
        yield from _after_pre_votes(past, started)
        return
    if "attempt" in started.fields:
        yield from _again(past, started)
    else:
        yield from unheard_leader(past, started)


def _after_pre_votes(past: Past, started: Happening) -> Iterator[Cause]:
    """A majority would vote for it; before that stands the question."""
    node = started.node
    asked = past.last(STARTED, started.place, lambda one: one.node == node and one.flag("pre_vote"))
    if asked is not None:
        yield stated(asked)
        return
    first = past.last(STARTED, started.place, on(node))  # repeated pre-votes are told at debug only
    yield from unheard_leader(past, started, first)


def _again(past: Past, started: Happening) -> Iterator[Cause]:
    """The attempt before came to nothing; and why there was one at all."""
    yield lost_attempt(past, started)
    first = started
    while "attempt" in first.fields:
        earlier = past.last(STARTED, first.place, on(started.node))
        if earlier is None:
            break
        first = earlier
    if first is not started and not first.numbers("promised"):
        yield stated(first)
    else:
        yield from unheard_leader(past, first)


def lost_attempt(past: Past, again: Happening) -> Cause:
    """The attempt that this one repeats: who refused, and who did not answer."""
    node, pre_vote = again.node, again.flag("lost_pre_vote")
    lost = past.last(
        STARTED,
        again.place,
        lambda one: one.node == node and one.flag("pre_vote") == pre_vote,
    )
    term = lost.number("for_term") if lost is not None else None
    what = "had asked in vain whether it would be elected" if pre_vote else "lost the election"
    refused, silent = again.numbers("no"), again.numbers("silent")
    parts = [f"{names(refused)} refused"] if refused else []
    if silent:
        parts.append(f"{names(silent)} did not answer")
    needs = again.number("needs")
    takes = f"; it takes {needs} of {again.number('of')} votes" if needs else ""
    said = (
        f"{node_name(node)} {what}{f' of term {term}' if term and not pre_vote else ''}: "
        f"{' and '.join(parts) or 'too few had voted for it'}{takes}"
    )
    because: list[Cause] = []
    since = lost.place if lost is not None else NEVER
    denied_kind = "prevote.denied" if pre_vote else "vote.denied"
    for peer in refused:
        denied = past.last(
            (denied_kind, "vote.denied", "prevote.denied"),
            again.place,
            _to(peer, node),
            after=since,
        )
        if denied is not None:
            because.append(
                Cause(said_of(denied), denied, tuple(refused_because(past, denied)), True)
            )
    for peer in silent:
        because += unanswered(past, node, peer, since, again.place)
    return Cause(said, lost, tuple(because), is_end=True)


def _to(voter: int, candidate: int) -> Callable[[Happening], bool]:
    """Whether an event is about a vote of this node for that one."""
    return lambda one: one.node == voter and one.number("candidate") == candidate


def unanswered(past: Past, node: int, peer: int, since: int, until: int) -> list[Cause]:
    """Why a peer did not answer a node's question between two places."""
    question = past.last_sent(
        node, peer, until, lambda one: one.type in ("RequestVote", "PreVote") and one.sent > since
    )
    if question is None or question.arrived == NEVER or question.arrived > until:
        reached = silence(
            past, peer, node, since, until, lambda one: one.type in ("RequestVote", "PreVote")
        )
        if reached:
            return reached
    else:
        ignored = past.last(
            ("vote.denied", "prevote.denied"),
            until,
            lambda one: one.node == peer and one.number("candidate") == node,
            after=since,
        )
        if ignored is not None:
            return [stated(ignored)]
        since = question.arrived
    return silence(past, node, peer, since, until)


def unheard_leader(
    past: Past, started: Happening, first: Happening | None = None
) -> Iterator[Cause]:
    """The deadline of an election had passed: since when, and why no leader was heard.

    first: the first attempt of a series, where that is another event
    """
    first = first or started
    node, reason = first.node, first.text("reason")
    forced = past.last(("election.timed_out",), first.place, on(node), after=first.place - 3)
    if forced is not None:
        yield stated(forced)
        return
    if "just started" in reason:
        begun = past.last(
            ("node.recovered", "node.started", "node.spawned"),
            first.place,
            lambda one: node in (one.node, one.number("target")),
        )
        if begun is not None:
            yield stated(begun)
            return
    known = last_heard(past, node, first.place)
    if known is None:
        yield Cause(f"{node_name(node)} had heard no leader before", is_end=True)
        return
    leader, message = known
    since = message.arrived if message is not None else _heard_since(past, node, first)
    if "process has ended" in reason:
        yield from _death(past, leader, first)
        return
    causes = silence(past, node, leader, since, first.place, lambda one: one.type in FROM_LEADERS)
    causes = causes or list(_retired(past, leader, node, since, first.place))
    if message is None:
        yield from causes or [_unknown(leader, node)]
        return
    said = (
        f"{node_name(node)} last heard the leader {node_name(leader)} "
        f"{seconds(first.when_ns - message.arrived_ns)} before, and its deadline passed"
    )
    yield Cause(said, message, tuple(causes or [_unknown(leader, node)]), is_end=True)


def _death(past: Past, leader: int, at: Happening) -> Iterator[Cause]:
    """The leader's process has ended. A peer may see that before the supervisor does."""
    struck = faults.ending(past, leader, at.place)
    if struck is not None:
        yield faults.cause(struck)
        return
    gone = past.last(("node.exited",), at.place, aimed_at(leader))
    later = past.first(("node.exited",), at.place, aimed_at(leader))
    if later is not None and later.when_ns - at.when_ns < SOON_NS:
        gone = later
    closed = past.last(
        ("link.closed",), at.place, lambda one: one.node == at.node and one.number("peer") == leader
    )
    if gone is not None:
        yield stated(gone)
    elif closed is not None:
        yield stated(closed)
    else:
        yield _unknown(leader, at.node)


def _heard_since(past: Past, node: int, first: Happening) -> int:
    heard = past.last(("leader.heard",), first.place, on(node))
    return heard.place if heard is not None else NEVER


def _retired(past: Past, leader: int, node: int, since: int, until: int) -> Iterator[Cause]:
    """The leader ran, and sent nothing that counts: it did not lead, or the node had a later term
    than it."""
    down = past.last(("leader.stepped_down",), until, on(leader))
    elected = past.last(("leader.elected",), until, on(leader))
    if down is not None and (elected is None or elected.place < down.place):
        yield stated(down)
        return
    stale = past.arrivals_between(leader, node, since, until)
    if stale and stale[-1].term < stale[-1].heard_in:
        entered = past.last(
            ("term.advanced",), until, lambda one: one.node == node and one.term > stale[-1].term
        )
        if entered is not None:
            yield stated(entered)
            return
    slow = faults.of_node(past, leader, frozenset({"throttle", "clock"}), until)
    slow = slow or faults.of_node(past, node, frozenset({"clock", "throttle"}), until)
    if slow is not None:
        yield faults.cause(slow)


def _unknown(leader: int, node: int) -> Cause:
    return Cause(
        f"nothing that is recorded says why {node_name(leader)} was not heard by {node_name(node)}",
        is_end=True,
        is_order=True,
    )
