"""Leadership: why a leader stepped down, why a term began, and what became of a handover."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from launcher.evidence.why import faults
from launcher.evidence.why.cause import Cause, names, node_name, said_of, seconds, stated
from launcher.evidence.why.past import Past
from launcher.evidence.why.rules.elections import lost_attempt, unanswered
from launcher.evidence.why.rules.refusals import STARTED
from launcher.evidence.why.rules.silence import silence
from launcher.evidence.why.things import NEVER, Happening, Message, aimed_at, on

ANSWERS = frozenset({"AppendEntriesReply", "InstallSnapshotReply"})
"""By which a leader knows that it is heard."""


# -- stepping down, and later terms --------------------------------------------------------------


def leader_stepped_down(past: Past, down: Happening) -> Iterator[Cause]:
    """A later term, or no quorum, or a disk that hangs."""
    reason = down.text("reason")
    if down.number("by") is not None:
        yield from _told(past, down, down.number("by") or 0)
    elif "heard" in down.fields or "quorum" in reason:
        yield from _no_quorum(past, down)
    elif "disk" in reason:
        yield from _disk(past, down)
        failed = past.last(("transfer.aborted",), down.place, on(down.node))
        if failed is not None:
            yield stated(failed)
    elif "no member" in reason:
        yield from _configuration(past, down)
    else:
        yield from _told(past, down, None)


def term_advanced(past: Past, advanced: Happening) -> Iterator[Cause]:
    """A message of that term came, or the node began it itself."""
    by = advanced.number("by")
    if by is not None:
        yield from _told(past, advanced, by)
        return
    own = past.first(
        STARTED,
        advanced.place,
        lambda one: one.node == advanced.node and one.number("for_term") == advanced.term,
    )
    if own is not None:
        yield Cause(said_of(own), own)


def leader_heard(past: Past, heard: Happening) -> Iterator[Cause]:
    """The leader of the term was elected, and its message came."""
    leader = heard.number("leader")
    elected = past.last(
        ("leader.elected",),
        heard.place,
        lambda one: one.node == leader and one.term == heard.term,
    )
    if elected is not None:
        yield stated(elected)


def _told(past: Past, happening: Happening, by: int | None) -> Iterator[Cause]:
    """The message that showed a later term, and how its sender had come to that term."""
    node = happening.node
    senders = past.peers(node) if by is None else [by]
    found: Message | None = None
    for sender in senders:
        last = past.last_arrival(sender, node, happening.place)
        if last is not None and (found is None or last.arrived > found.arrived):
            found = last
    if found is not None:
        by = found.source
    if by is None:
        return
    term = max(found.term if found is not None else 0, _entered(happening))
    origin = _origin(past, by, term, happening.place)
    because = (stated(origin),) if origin is not None else ()
    if found is not None:
        what = found.type or "a message"
        article = "an" if what[0] in "AEIOU" else "a"
        told = f"{article} {what} of term {term} from {node_name(by)} arrived"
        yield Cause(told, found, because, is_end=True)
    else:
        yield from because


def _entered(happening: Happening) -> int:
    """The term that the event says has begun."""
    if happening.kind == "term.advanced":
        return happening.term
    words = happening.text("reason").split()
    return next((int(word) for word in words if word.isdigit()), happening.term + 1)


def _origin(past: Past, node: int, term: int, before: int) -> Happening | None:
    """How a node came to a term: it became its leader, campaigned for it, or was told of it."""
    return past.last(
        ("leader.elected", *STARTED, "term.advanced"),
        before,
        lambda one: (
            one.node == node
            and one.term == term
            and not one.flag("pre_vote")
            and (one.kind != "term.advanced" or one.number("by") is not None)
        ),
    )


def _no_quorum(past: Past, down: Happening) -> Iterator[Cause]:
    """For each voter that was not heard: why. Those with one cause are told together."""
    heard = set(down.numbers("heard"))
    groups: dict[object, list[tuple[int, Message | None, list[Cause]]]] = {}
    for peer in past.peers(down.node):
        if peer in heard:
            continue
        last = past.last_arrival(peer, down.node, down.place)
        since = last.arrived if last is not None else NEVER
        causes = unheard_peer(past, down.node, peer, since, down.place)
        groups.setdefault(_deepest(causes) or peer, []).append((peer, last, causes))
    for group in groups.values():
        peers = [peer for peer, _, _ in group]
        known = [last for _, last, _ in group if last is not None]
        said = f"{node_name(down.node)} did not hear {names(peers)}"
        thing = max(known, key=lambda one: one.arrived, default=None)
        if thing is not None:
            said += f" for {seconds(down.when_ns - thing.arrived_ns)}"
        yield Cause(
            said,
            thing,
            _together(group[-1][2], len(peers)),
            is_end=True,
            place=thing.place if thing is not None else down.place - 1,
        )


def _deepest(causes: list[Cause]) -> object:
    """The thing with which the explanation ends; None: there is none."""
    if not causes:
        return None
    last = causes[-1]
    below = _deepest(list(last.because))
    return below if below is not None else id(last.thing) if last.thing is not None else None


def _together(causes: list[Cause], peers: int) -> tuple[Cause, ...]:
    """The causes of the last peer of a group, which stand for those of all."""
    if peers == 1:
        return tuple(causes)
    return tuple(
        replace(one, said=f"{one.said}; likewise for the others") if one.because else one
        for one in causes
    )


def unheard_peer(past: Past, leader: int, peer: int, since: int, until: int) -> list[Cause]:
    """Why a leader heard no answer of a peer: the answers were lost, or what they answer was, or
    the peer did not run."""
    answers = silence(past, leader, peer, since, until)
    if answers:
        return answers
    return silence(past, peer, leader, _last_arrived(past, leader, peer, until), until)


def _last_arrived(past: Past, source: int, target: int, until: int) -> int:
    last = past.last_arrival(source, target, until)
    return last.arrived if last is not None else NEVER


def _disk(past: Past, happening: Happening) -> Iterator[Cause]:
    stalled = past.last(("disk.stalled",), happening.place, on(happening.node))
    if stalled is not None:
        yield stated(stalled)


def _configuration(past: Past, happening: Happening) -> Iterator[Cause]:
    adopted = past.last(("configuration.adopted",), happening.place, on(happening.node))
    if adopted is not None:
        yield stated(adopted)


def disk_stalled(past: Past, stalled: Happening) -> Iterator[Cause]:
    """The fault of the disk."""
    fault = faults.of_node(past, stalled.node, faults.DISKS, stalled.place)
    if fault is not None:
        yield faults.cause(fault)


# -- handing over --------------------------------------------------------------------------------


def transfer_received(past: Past, received: Happening) -> Iterator[Cause]:
    """The leader told it to campaign (TimeoutNow)."""
    leader = received.number("leader")
    begun = past.last(("transfer.started",), received.place, on(leader))
    if begun is not None:
        yield stated(begun)


def transfer_started(past: Past, started: Happening) -> Iterator[Cause]:
    """An operator asked for it, or the leader's disk hangs, or it is no member any more."""
    asked = past.last(
        ("command.received",),
        started.place,
        lambda one: one.node == started.node and one.text("what").lower().startswith("transfer"),
    )
    if asked is not None and started.when_ns - asked.when_ns < 1_000_000_000:
        yield Cause(
            f"{node_name(started.node)} was asked to hand over by a command", asked, is_end=True
        )
        return
    stalled = past.last(("disk.stalled", "disk.recovered"), started.place, on(started.node))
    if stalled is not None and stalled.kind == "disk.stalled":
        yield stated(stalled)
        return
    yield Cause(f"{node_name(started.node)} was asked to hand over by a command", is_end=True)


def transfer_done(past: Past, done: Happening) -> Iterator[Cause]:
    """The target was elected."""
    elected = past.last(
        ("leader.elected",), done.place, lambda one: one.node == done.number("target")
    )
    if elected is not None:
        yield stated(elected)


def transfer_aborted(past: Past, aborted: Happening) -> Iterator[Cause]:
    """Why a handover failed: the target did not get the log, or was not told, or was not elected,
    or its process ended."""
    leader, target = aborted.node, aborted.number("target")
    reason = aborted.text("reason")
    if target is None:
        return
    started = past.last(("transfer.started",), aborted.place, on(leader))
    since = started.place if started is not None else NEVER
    if "process" in reason:
        ended = past.last(("node.exited",), aborted.place, aimed_at(target))
        if ended is not None:
            yield stated(ended)
    elif "lacked" in reason:
        yield from _behind(past, leader, target, since, aborted.place)
    elif "was elected" in reason and "not elected" not in reason:
        elected = past.last(("leader.elected",), aborted.place)
        if elected is not None:
            yield stated(elected)
    else:
        yield from _not_elected(past, leader, target, since, aborted)
    if started is not None:
        yield stated(started)


def _behind(past: Past, leader: int, target: int, since: int, until: int) -> Iterator[Cause]:
    """The target did not acknowledge all of the log in time."""
    last = past.last_arrival(
        target, leader, until, lambda one: one.type in ANSWERS and not one.content.reject
    )
    held = last.content.match if last is not None else None
    said = f"{node_name(target)} did not get all of the log in time"
    if held is not None:
        said += f": it had last acknowledged entry {held}"
    heard = past.last_arrival(leader, target, until)
    begin = heard.arrived if heard is not None else since
    causes = silence(past, target, leader, begin, until)
    if not causes:
        causes = silence(past, leader, target, last.arrived if last else since, until)
    stalled = past.last(("disk.stalled", "disk.recovered"), until, on(target))
    if stalled is not None and stalled.kind == "disk.stalled":
        causes = [stated(stalled)]
    if not causes:
        disk = faults.of_node(past, target, faults.DISKS, until)
        causes = [faults.cause(disk)] if disk is not None else []
    yield Cause(said, last, tuple(causes), is_end=True)


def _not_elected(
    past: Past, leader: int, target: int, since: int, aborted: Happening
) -> Iterator[Cause]:
    """The target was told to campaign: did that arrive, did it campaign, who refused?"""
    until = aborted.place
    told = past.last_sent(leader, target, until, lambda one: one.type == "TimeoutNow")
    received = past.last(("transfer.received",), until, on(target), after=since)
    if received is None:
        causes = silence(past, target, leader, since, until, lambda one: one.type == "TimeoutNow")
        yield Cause(
            f"{node_name(target)} was never told: what told it to campaign (TimeoutNow) did not "
            "reach it",
            told,
            tuple(causes),
            is_end=True,
            place=told.place if told is not None else until - 1,
        )
        return
    campaign = past.last(STARTED, until, on(target), after=received.place - 1)
    begun = campaign or received
    again = past.first(STARTED, begun.place, on(target))
    if again is not None and again.place < until and "attempt" in again.fields:
        yield lost_attempt(past, again)
        return
    voters = [
        one for one in past.peers(target) if _has_not_granted(past, one, target, begun, until)
    ]
    causes = [
        one for peer in voters for one in unanswered(past, target, peer, begun.place - 1, until)
    ]
    said = f"{node_name(target)} campaigned"
    if voters:
        said += f", and got no vote of {names(voters)} in time"
    yield Cause(said, campaign or received, tuple(causes), is_end=True)


def _has_not_granted(past: Past, voter: int, target: int, begun: Happening, until: int) -> bool:
    answer = past.last_arrival(
        voter,
        target,
        until,
        lambda one: one.type == "RequestVoteReply" and one.content.granted is True,
    )
    return answer is None or answer.arrived < begun.place
