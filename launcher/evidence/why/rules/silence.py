"""Why one node heard nothing from another for a while.

This is behind most of what happens in a cluster: an election begins when a leader is not heard, and
a leader steps down when its followers are not. What the records have of a silent link is one of:
the messages were lost (and to what), they are still under way, the sender sent none (and why), or
the receiver did not run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from launcher.evidence.why import faults
from launcher.evidence.why.cause import Cause, counted, node_name, said_of, seconds, stated
from launcher.evidence.why.past import Past
from launcher.evidence.why.things import NEVER, Happening, Message, aimed_at, on

FROM_LEADERS = frozenset({"AppendEntries", "InstallSnapshot"})
"""What only a leader sends; each counts as hearing it."""

_LOST_TO = {
    "cut": "the link {link} was cut",
    "loss": "the link {link} loses some of its messages",
    "drop": "`launcher drop` had asked for it",
    "full": "too many messages waited for {target}",
    "held-full": "the link {link} held as many messages as it can",
    "rate-full": "the link {link} was full: too many bytes waited for its rate",
    "closed": "the link {link} was closed",
    "replaced": "the link {link} was replaced by a new one",
    "invalid": "{target} skipped them: they were invalid",
    "power": "the power of a node failed",
    "dead": "{target} did not run",
}


def silence(
    past: Past,
    listener: int,
    speaker: int,
    since: int,
    until: int,
    where: Callable[[Message], bool] = lambda _: True,
) -> list[Cause]:
    """Why `listener` heard nothing from `speaker` between two places, the decisive causes.

    where: which messages would have counted
    """
    absent = absence(past, speaker, since, until)
    sent = [one for one in past.sent_between(speaker, listener, since, until) if where(one)]
    sent = [one for one in sent if one.arrived == NEVER or one.arrived > until]
    lost = [one for one in sent if one.lost]
    waiting = [one for one in sent if not one.lost]
    if absent is not None and not (lost and _explain_most(past, lost, absent, since, until)):
        return [absent]
    found = list(_lost(past, lost, until))
    deaf = _stopped(past, listener, since, until)
    if deaf is not None and not found and not any(one.slowed for one in waiting):
        return [deaf]
    if waiting and (not lost or waiting[-1].sent > lost[-1].sent):
        found.append(_under_way(past, waiting, until))
    if found:
        return found
    slept = _stopped(past, speaker, since, until)
    return [slept] if slept is not None else _by_faults(past, listener, speaker, until)


def absence(past: Past, node: int, since: int, until: int) -> Cause | None:
    """Why a node sent nothing of its own any more at the end of a time between two places: it was
    gone, or stopped, or led no more; None when nothing says so."""
    ended = past.last(("node.exited",), until, aimed_at(node))
    if ended is not None:
        again = past.last(("node.spawned",), until, aimed_at(node), after=ended.place)
        if again is None or ended.place > since:
            why = ended.text("reason") or said_of(ended)
            return Cause(f"{node_name(node)} did not run any more ({why})", ended)
    if (struck := faults.ending(past, node, until)) is not None:
        return faults.cause(struck)
    stopped = faults.of_node(past, node, frozenset({"pause"}), until)
    if stopped is not None:
        return faults.cause(stopped)
    down = past.last(("leader.stepped_down",), until, on(node), after=since)
    return stated(down) if down is not None else None


def _stopped(past: Past, node: int, since: int, until: int) -> Cause | None:
    """The fault by which a process did not run for a while between two places."""
    fault = faults.hit(past, node, frozenset({"pause", "throttle"}), since, until)
    if fault is not None:
        return faults.cause(fault)
    point = past.last(
        ("point.hit",),
        until,
        lambda one: one.node == node and one.text("action").startswith(("pause", "sleep")),
        after=since,
    )
    return stated(point, is_end=True) if point is not None else None


def _explain_most(past: Past, lost: list[Message], absent: Cause, since: int, until: int) -> bool:
    """Whether losses, and not the sender's absence, make up most of the silence."""
    if absent.thing is None or absent.at < since:
        return False
    before = past.last_any(since + 1)
    began_ns = before.when_ns if before is not None else lost[0].sent_ns
    began_ns = max(began_ns, 0)
    ended = past.last_any(until + 1)
    ended_ns = ended.when_ns if ended is not None else past.end_ns
    gone_ns = absent.at_ns or ended_ns
    first = min(one.sent for one in lost)
    return first < absent.at and gone_ns - began_ns > (ended_ns - began_ns) / 2


def _lost(past: Past, lost: list[Message], until: int) -> Iterator[Cause]:
    reasons = Counter((one.lost, one.fault) for one in lost)
    for why, number in dict(reasons.most_common(2)):
        yield lost_messages(
            past, [one for one in lost if (one.lost, one.fault) == (why, number)], until
        )


def lost_messages(past: Past, lost: list[Message], until: int) -> Cause:
    """That messages of one link were lost, all to the same."""
    last, count = lost[-1], len(lost)
    link = f"n{last.source}>n{last.target}"
    reason = _LOST_TO.get(last.lost, f"lost at {link} ({last.lost})").format(
        link=link, target=node_name(last.target)
    )
    what = _kind_of_all(lost)
    said = f"the last {counted(count, what)} from" if count > 1 else f"{_a(what)} from"
    verb = "were" if count > 1 else "was"
    said = f"{said} {node_name(last.source)} to {node_name(last.target)} {verb} lost: {reason}"
    return Cause(said, last, tuple(why_lost(past, last, until)), is_end=True)


def why_lost(past: Past, message: Message, until: int) -> list[Cause]:
    """The fault, or the end of a process, to which a message was lost."""
    fault = faults.by_id(past, message.fault, until)
    if fault is None and message.lost == "cut":
        fault = faults.of_link(past, message.source, message.target, max(message.lost_at, 0))
    if fault is not None:
        return [faults.cause(fault)]
    if message.lost == "drop":
        asked = past.last(("drop.asked",), until)
        return [stated(asked, is_end=True)] if asked is not None else []
    if message.lost in ("closed", "replaced", "power", "dead"):
        for node in (message.target, message.source):
            ended = past.last(("node.exited",), until, aimed_at(node))
            if ended is not None:
                return [stated(ended)]
    return []


def _under_way(past: Past, waiting: list[Message], until: int) -> Cause:
    last = waiting[-1]
    link = f"n{last.source}>n{last.target}"
    count = counted(len(waiting), _kind_of_all(waiting))
    verb = "were" if len(waiting) > 1 else "was"
    fault = next(
        (found for one in reversed(waiting) if (found := faults.by_id(past, one.fault, until))),
        None,
    )
    held = next((one.slowed for one in reversed(waiting) if one.slowed), "")
    how = f"{verb} {held} on {link}" if held else f"{verb} still under way"
    because = (faults.cause(fault),) if fault is not None else ()
    said = f"{count} from {node_name(last.source)} to {node_name(last.target)} {how}"
    return Cause(said, last, because, is_end=True)


def _by_faults(past: Past, listener: int, speaker: int, until: int) -> list[Cause]:
    """Where no message tells: a cut of the link that was in force."""
    cut = faults.of_link(past, speaker, listener, until)
    return [faults.cause(cut)] if cut is not None else []


def kind_of(message: Message) -> str:
    """heartbeat | AppendEntries | vote | ...: what to call one message of this kind."""
    content = message.content
    match message.type:
        case "AppendEntries":
            return "AppendEntries" if content.entries else "heartbeat"
        case "RequestVote" | "PreVote":
            return "question for a pre-vote" if is_pre_vote(message) else "request for a vote"
        case "RequestVoteReply" | "PreVoteReply":
            return "answer about a pre-vote" if is_pre_vote(message) else "answer about a vote"
        case "AppendEntriesReply":
            return "refusal" if content.reject else "acknowledgement"
    return message.type or "message"


def is_pre_vote(message: Message) -> bool:
    """Whether a message is of a pre-vote, and not of a vote."""
    return message.content.pre_vote is True or message.type.startswith("PreVote")


def _kind_of_all(messages: list[Message]) -> str:
    kinds = {kind_of(one) for one in messages}
    return kinds.pop() if len(kinds) == 1 else "message"


def _a(what: str) -> str:
    return f"an {what}" if what[0] in "aeiouAEIOU" else f"a {what}"


def last_heard(past: Past, listener: int, before: int) -> tuple[int, Message | None] | None:
    """The leader that a node last heard before that place, and its last message that counted.

    None when it had heard none. A message of an earlier term than the node's own does not count.
    """
    found: Message | None = None
    for peer in past.peers(listener):
        last = past.last_arrival(
            peer,
            listener,
            before,
            lambda one: one.type in FROM_LEADERS and one.term >= one.heard_in,
        )
        if last is not None and (found is None or last.arrived > found.arrived):
            found = last
    if found is not None:
        return found.source, found
    heard = past.last(("leader.heard",), before, on(listener))
    leader = heard.number("leader") if heard is not None else None
    return (leader, None) if leader is not None else None


def ago(thing: Message | Happening | None, at: Happening) -> str:
    """how long before"""
    return "" if thing is None else seconds(at.when_ns - thing.when_ns)
