"""Messages: why one was sent, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.evidence.why.cause import Cause, entries, node_name, stated
from launcher.evidence.why.past import Past
from launcher.evidence.why.rules.refusals import STARTED
from launcher.evidence.why.rules.silence import is_pre_vote, kind_of, why_lost
from launcher.evidence.why.things import NEVER, Content, Happening, Message, Side

_ANSWERS_TO = {
    "RequestVoteReply": ("RequestVote", "PreVote"),
    "PreVoteReply": ("RequestVote", "PreVote"),
    "AppendEntriesReply": ("AppendEntries",),
    "InstallSnapshotReply": ("InstallSnapshot",),
    "ReadIndexReply": ("ReadIndex",),
}


def told(message: Message) -> str:
    """The message, and what became of it, in a sentence."""
    said = f"{node_name(message.source)} sent {node_name(message.target)} {content_of(message)}"
    if message.lost:
        return f"{said}; it was lost ({message.lost})"
    if message.arrived != NEVER:
        return f"{said}; it arrived"
    return f"{said}; it is not on record that it arrived"


def content_of_side(side: Side) -> str:
    """What the message says whose event this is."""
    content = side.said if isinstance(side.said, Content) else Content()
    return content_of(Message(side.source, side.t, side.to, side.type, content))


def content_of(message: Message) -> str:
    """What a message says, in a few words: its type, and the fields that matter."""
    content, kind = message.content, kind_of(message)
    in_term = f" of term {content.term}" if content.term is not None else ""
    match message.type:
        case "AppendEntries" if content.first is not None and content.last is not None:
            what = entries(content.first, content.last)
            return f"AppendEntries{in_term} with {what} after entry {content.index}"
        case "AppendEntries":
            return f"a heartbeat{in_term} (commit {content.commit})"
        case "RequestVote" | "PreVote":
            log = f"its log ends with entry {content.index} of term {content.log_term}"
            return f"a {kind}{in_term}: {log}"
        case "RequestVoteReply" | "PreVoteReply":
            yes = "granted" if content.granted else "denied"
            return f"{'a pre-vote' if is_pre_vote(message) else 'a vote'}{in_term}: {yes}"
        case "AppendEntriesReply" if content.reject:
            return f"a refusal{in_term}: its log does not have entry {content.index} like that"
        case "AppendEntriesReply":
            return f"an acknowledgement{in_term}: its disk has all entries up to {content.match}"
    article = "an" if message.type[:1] in "AEIOU" else "a"
    return f"{article} {message.type or 'message'}{in_term}"


def message_causes(past: Past, message: Message) -> Iterator[Cause]:
    """Why it was lost, if it was; and why it was sent."""
    if message.lost:
        yield from why_lost(past, message, past.end)
    if message.sent == NEVER:
        return
    yield from why_sent(past, message)


def why_sent(past: Past, message: Message) -> Iterator[Cause]:
    """What made its sender send it."""
    if message.type in _ANSWERS_TO:
        question = past.last_arrival(
            message.target,
            message.source,
            message.sent,
            lambda one: one.type in _ANSWERS_TO[message.type],
        )
        decided = _decision(past, message)
        if decided is not None:
            yield stated(decided)
        elif question is not None:
            yield Cause(told(question), question)
        return
    origin = _origin(past, message)
    if origin is not None:
        yield stated(origin)


def _decision(past: Past, message: Message) -> Happening | None:
    """The event by which a vote was given or refused."""
    if message.type not in ("RequestVoteReply", "PreVoteReply"):
        return None
    kinds = (
        ("vote.granted", "prevote.granted")
        if message.content.granted
        else ("vote.denied", "prevote.denied")
    )
    return past.last(
        kinds,
        message.sent,
        lambda one: one.node == message.source and one.number("candidate") == message.target,
    )


def _origin(past: Past, message: Message) -> Happening | None:
    """The event since which a node sends such messages."""
    kinds: tuple[str, ...]
    match message.type:
        case "RequestVote" | "PreVote":
            kinds = STARTED
        case "AppendEntries":
            kinds = ("leader.elected",)
        case "InstallSnapshot":
            kinds = ("snapshot.sending",)
        case "TimeoutNow":
            kinds = ("transfer.started",)
        case _:
            return None
    return past.last(kinds, message.sent, lambda one: one.node == message.source)
