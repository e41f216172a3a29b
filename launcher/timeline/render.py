"""One order of what happened on all nodes: read it, merge it, choose from it, show it.

Every process writes its events into a log of its own (`node/events.py`), sorted by `t`. Sorting all
of them by `(t, node)` never puts an effect before its cause, so that is *the* order, here and in
`logs/timeline.jsonl`. This module is pure: lines and events in, events and text out. The files are
`launcher/timeline/reading.py`'s concern.

An event keeps the very line that it came from, so what is merged comes out byte for byte as it was
written. Only the eight fields that all events have are decoded at once; an event's own fields are
decoded when they are asked for.

What an event says may have come over a wire or out of a user's entry: `render` gives one line for
each event, whatever is in it, and nothing in that line can steer a terminal.
"""

from __future__ import annotations

import fnmatch
import heapq
import json
import re
import string
import time
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from operator import attrgetter
from typing import Annotated, TypeAlias

import msgspec

from launcher.errors import UsageError
from node.events import LEVELS

Key: TypeAlias = tuple[int, int]
"""An event's place in the order: `(t, node)`."""

_Natural: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]


class Event(msgspec.Struct, frozen=True, gc=False):
    """Something that happened: the fields that every event has.

    t: hybrid logical clock, nanoseconds since the epoch
    node: who says so; 0 is the supervisor
    raw: its line, as it was written, without the newline
    """

    t: _Natural
    node: _Natural
    life: int
    term: int
    role: str
    commit: int
    level: str
    event: str
    raw: bytes = msgspec.field(default=b"", name="=raw")

    @property
    def key(self) -> Key:
        return (self.t, self.node)

    @property
    def fields(self) -> dict[str, object]:
        """The event's own fields, in the order in which they were written; decoded at each call."""
        record = _object(self.raw)
        return {name: value for name, value in record.items() if name not in _COMMON}


_COMMON = frozenset(Event.__struct_fields__) - {"raw"}
_decoder = msgspec.json.Decoder(Event)


def parse_line(line: bytes) -> Event | None:
    """The event of one line without its newline, or None for a line that is broken."""
    try:
        event = _decoder.decode(line)
    except (ValueError, RecursionError):
        # Python writes, and reads, what strict JSON has no words for: half of a surrogate pair
        # (a byte of a file name that is no UTF-8), NaN.
        try:
            event = msgspec.convert(_object(line), Event)
        except (ValueError, RecursionError):
            return None
    return msgspec.structs.replace(event, raw=line)


def rescue(line: bytes) -> Event | None:
    """The whole event at the end of a broken line, if there is one: what was written next after a
    write that a full disk cut short, or after a crash that left zeros."""
    start = line.rfind(b'{"t":')
    return parse_line(line[start:]) if start > 0 else None


def _object(line: bytes) -> dict[str, object]:
    """Raises ValueError, RecursionError."""
    try:
        found = msgspec.json.decode(line)
    except ValueError:
        found = json.loads(line.decode("utf-8", "replace"))
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found


# -- one order -------------------------------------------------------------------------------------


def merge(sources: Iterable[Iterable[Event]]) -> Iterator[Event]:
    """Sources that are each sorted by `(t, node)`, in one order, lazily.

    What several sources hold comes once. Two events that only share their place both come.
    """
    last: Key | None = None
    seen: list[bytes] = []
    for event in heapq.merge(*sources, key=attrgetter("t", "node")):
        key = event.key
        if key != last:
            last = key
            seen = [event.raw]
        elif event.raw in seen:
            continue
        else:
            seen.append(event.raw)
        yield event


class DigestCheck:
    """Watches for two nodes that have applied different entries (State Machine Safety, §5.4.3).

    Every node logs the running hash of what it has applied at the same indexes. Of the last
    `window` such indexes the first digest heard is kept, so memory is bounded; a node that is
    further behind than that is compared again once it has caught up: the hash is cumulative.
    """

    def __init__(self, window: int = 4096) -> None:
        self._window = window
        self._first: dict[int, tuple[int, object]] = {}
        self._told: set[int] = set()

    def see(self, event: Event) -> dict[str, object] | None:
        """The finding that this event completes: `index`, the two `nodes` and their `digests`.

        Each index is told once.
        """
        if event.event != "applied.digest":
            return None
        fields = event.fields
        index, digest = fields.get("index"), fields.get("digest")
        if not isinstance(index, int) or digest is None:
            return None
        if index not in self._first:
            self._first[index] = (event.node, digest)
            if len(self._first) > self._window:
                oldest = next(iter(self._first))
                del self._first[oldest]
                self._told.discard(oldest)
            return None
        node, expected = self._first[index]
        if digest == expected or index in self._told:
            return None
        self._told.add(index)
        return {"index": index, "nodes": [node, event.node], "digests": [expected, digest]}


# -- choosing --------------------------------------------------------------------------------------

_UNITS_NS = {
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86400 * 10**9,
}
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?)(ms|s|m|h|d)")
_DURATION = re.compile(rf"(?:{_DURATION_PART.pattern})+")
_GLOB = re.compile(r"[A-Za-z0-9_.*?!\[\]-]+")


class Filter:
    """Which events to show; what is None lets all pass.

    node: only this node's; 0 is the supervisor
    since: only what is younger: a duration (`10s`, `1h30m`), an ISO time (local, unless it says),
        or a time of today (`14:05`)
    event: only events whose name matches, as in `election.*`
    level: only of this level or a graver one
    now_ns: what durations are counted back from; nanoseconds since the epoch

    Raises UsageError.
    """

    def __init__(
        self,
        node: int | None = None,
        since: str | None = None,
        event: str | None = None,
        level: str | None = None,
        *,
        now_ns: int | None = None,
    ) -> None:
        if node is not None and node < 0:
            raise UsageError(f"node {node}: a node's number, or 0 for the supervisor")
        if event is not None and not _GLOB.fullmatch(event):
            raise UsageError(f"event {event!r}: a name or a pattern, as in 'election.*'")
        if level is not None and level not in LEVELS:
            raise UsageError(f"level {level!r}: one of {', '.join(LEVELS)}")
        self.node = node
        self.since_t = (
            0 if since is None else _since(since, time.time_ns() if now_ns is None else now_ns)
        )
        self._named = None if event is None else re.compile(fnmatch.translate(event)).match
        self._levels = None if level is None else frozenset(LEVELS[: LEVELS.index(level)])

    def accepts(self, event: Event) -> bool:
        """Whether to show it. A level that nobody knows is never too low."""
        return (
            event.t >= self.since_t
            and (self.node is None or event.node == self.node)
            and (self._levels is None or event.level not in self._levels)
            and (self._named is None or self._named(event.event) is not None)
        )


def _since(text: str, now_ns: int) -> int:
    """Nanoseconds since the epoch. Raises UsageError."""
    if _DURATION.fullmatch(text):
        parts = _DURATION_PART.findall(text)
        return now_ns - sum(int(float(number) * _UNITS_NS[unit]) for number, unit in parts)
    try:
        if re.match(r"\d\d:", text):
            today = datetime.fromtimestamp(now_ns / 1e9).date()
            text = f"{today.isoformat()}T{text}"
        # In two steps, because a float does not hold nanoseconds.
        when = datetime.fromisoformat(text)
        return int(when.replace(microsecond=0).timestamp()) * 10**9 + when.microsecond * 1000
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"since {text!r}: a duration (10s, 5m, 1h30m) or an ISO time (2026-01-31T14:05:00)"
        ) from None


# -- showing ---------------------------------------------------------------------------------------

_SENTENCES: dict[str, tuple[str, ...]] = {
    "node.started": ("{node:node} started, life {life}",),
    "node.recovered": (
        "{node:node} recovered its log up to entry {last_index} of term {last_term}",
        "{node:node} recovered its log",
    ),
    "snapshot.begun": ("{node:node} begins a snapshot of entry {index}",),
    "snapshot.taken": ("{node:node} has a snapshot of entry {index}, {bytes} bytes",),
    "log.not_prepared": ("{node:node} could not make its next segment ahead: {reason}",),
    "snapshot.failed": ("{node:node} could not take a snapshot: {reason}",),
    "snapshot.sending": (
        "{node:node} sends {peer:node} its snapshot of entry {index}, {bytes} bytes",
    ),
    "snapshot.sent": ("{node:node} sent {peer:node} its snapshot of entry {index}",),
    "snapshot.installed": ("{node:node} goes on from a snapshot of entry {index}, {bytes} bytes",),
    "snapshot.rejected": ("{node:node} rejects a snapshot of {peer:node}: {reason}",),
    "snapshot.damaged": ("{node:node} passes over its damaged snapshot {file}: {reason}",),
    "snapshot.not_canonical": (
        "{machine}'s snapshot of entry {index}, restored, gives other bytes: not to be compared",
    ),
    "machine.failed": ("{node:node} cannot go on: {reason}",),
    "machine.slow": ("the machine of {node:node} is slow ({count}): {reason}",),
    "machine.other_code": (
        "{target:node} runs other code of the machine {machine} than the other nodes",
    ),
    "query.failed": ("{count} queries failed at {node:node}; the last: {reason}",),
    "node.diverged": (
        "{odd:true}{target:node} DIVERGED from {others:nodes}, {first_index}-{last_index}: {kind}",
        "{odd:false}{target:node}, {others:nodes} DISAGREE, {first_index}-{last_index}: {kind}",
    ),
    "divergence.ended": ("{target:node} does not differ from the others any more",),
    "node.ready": ("{node:node} is ready and runs the machine {machine}", "{node:node} is ready"),
    "node.stopped": ("{node:node} stopped: {reason}", "{node:node} stopped"),
    "node.failed": ("{target:node} failed: {reason}", "{node:node} failed: {reason}"),
    "log.torn_tail_dropped": (
        "{node:node} dropped the torn tail of its log: {reason}",
        "{node:node} dropped the torn tail of its log",
    ),
    "log.truncated": (
        "{node:node} removed its entries {first_index} to {last_index}: the leader has others",
        "{node:node} removed entries that the leader does not have",
    ),
    "log.lost": (
        "{file}: {lines} broken lines were skipped",
        "{node:node} could not write {lines} lines of its event log",
    ),
    "election.started": (
        "{pre_vote:true}{node:node} asks who would vote for it in term {for_term}",
        "{pre_vote:true}{node:node} asks who would vote for it",
        "{pre_vote:false}{node:node} stands for election in term {for_term}",
        "{node:node} stands for election in term {term}",
    ),
    "prevote.granted": ("{node:node} would vote for {candidate:node}",),
    "prevote.denied": ("{node:node} would not vote for {candidate:node}",),
    "vote.granted": ("{node:node} voted for {candidate:node} in term {term}",),
    "vote.denied": (
        "{node:node} denied its vote to {candidate:node}: {reason}",
        "{node:node} denied its vote to {candidate:node}",
    ),
    "configuration.adopted": (
        "{node:node} goes by majorities of {voters:nodes} and of {outgoing:nodes}{learners:none}",
        "{node:node} goes by {voters:nodes}, with {learners:nodes} learning{outgoing:none}",
        "{node:node} goes by {voters:nodes}{outgoing:none}{learners:none}",
    ),
    "node.renewed": ("{target:node} has forgotten everything, and learns it from its peers",),
    "change.begun": ("the change `{kind}` of {targets:nodes} begins",),
    "change.resumed": ("the change `{kind}` of {targets:nodes}, which was broken off, goes on",),
    "change.given_up": ("the change `{kind}` of {targets:nodes} is given up",),
    "change.undone": ("the change `{kind}` of {targets:nodes} is undone: {reason}",),
    "change.done": ("the change `{kind}` of {targets:nodes} is done",),
    "leader.elected": (
        "{node:node} became leader of term {term} with votes from {votes:others}",
        "{node:node} became leader of term {term}",
    ),
    "leader.stepped_down": ("{node:node} stepped down: {reason}", "{node:node} stepped down"),
    "transfer.started": ("{node:node} hands over to {target:node}",),
    "transfer.received": ("{leader:node} has asked {node:node} to lead",),
    "transfer.done": ("{node:node} has handed over to {target:node}",),
    "transfer.aborted": (
        "{node:node} gives up handing over to {target:node}: {reason}",
        "{node:node} gives up handing over",
    ),
    "disk.stalled": (
        "{node:node} has waited for its disk for {for_s} s",
        "{node:node} waits for its disk",
    ),
    "disk.recovered": ("the disk of {node:node} goes on",),
    "leader.heard": ("{node:node} follows {leader:node} in term {term}",),
    "term.advanced": (
        "{node:node} moved from term {previous} to term {term}",
        "{node:node} moved to term {term}",
    ),
    "commit.advanced": ("{node:node} knows all up to entry {commit} to be committed",),
    "frame.skipped": (
        "{node:node} skipped {count} messages that make no sense, the last {reason}",
        "{node:node} skipped messages that make no sense",
    ),
    "sockets.renewed": ("the supervisor has made its sockets anew in {folder}",),
    "sockets.missing": ("the supervisor cannot make its sockets anew: {reason}",),
    "socket.failed": ("{node:node} cannot make its socket anew: {reason}",),
    "link.renewed": ("{targets:nodes} are linked anew",),
    "link.opened": ("{node:node} is linked to {peer:node}",),
    "link.closed": (
        "{node:node} lost its link to {peer:node}: {reason}",
        "{node:node} lost its link to {peer:node}",
    ),
    "applied.digest": ("{node:node} has applied all up to entry {index}: digest {digest}",),
    "client.dropped": ("{node:node} hung up on a client: {reason}",),
    "entries.skipped": (
        "{node:node} SKIPPED the entries {first_index} to {last_index}: no requests: {reason}",
    ),
    "client.refused": (
        "{node:node} refused {count} requests of clients, the last: {reason}",
        "{node:node} refused a client: {reason}",
        "{node:node} refused a client",
    ),
    "supervisor.started": ("the supervisor of {nodes} nodes started", "the supervisor started"),
    "supervisor.stopping": ("the cluster is being taken down: {reason}",),
    "supervisor.stopped": ("the cluster is down: {reason}",),
    "cluster.up": ("the cluster is up",),
    "cluster.down": ("the cluster is down",),
    "cluster.leader": ("{leader:node} leads the cluster",),
    "record.damaged": ("{what}",),
    "record.failed": ("what is known of the nodes could not be written down: {reason}",),
    "cluster.healed": ("cleaned up after an earlier run: {what}",),
    "node.spawned": ("{target:node} was started, as process {pid}", "{target:node} was started"),
    "node.exited": (
        "{target:node} exited with status {status}: {reason}",
        "{target:node} exited with status {status}",
        "{target:node} ended: {reason}",
    ),
    "node.restarting": ("{target:node} will be started again in {in_s} s",),
    "restart.scheduled": ("{target:node} will be started again in {in_s} s",),
    "node.gave_up": ("{target:node} will not be started again: {reason}",),
    "faults.stopped": ("no more faults from here on",),
    "transfer.asked": ("{leader:node} is asked to hand over to {target:node}",),
    "leader.deafened": ("{leader:node} leads, and hears nobody from here on",),
    "follower.deafened": ("{follower:node} does not hear the leader from here on",),
    "fault.injected": (
        "injected: {fault} {groups:groups}",
        "injected: {fault} {targets:nodes}",
        "injected: {fault} {nodes:nodes}",
        "injected: {fault}",
    ),
    "fault.healed": (
        "healed: {fault} {targets:nodes}",
        "healed: {targets:nodes}",
        "healed: every link is whole again",
    ),
    "safety.violated": (
        "STATE MACHINE SAFETY IS BROKEN: {nodes:nodes} applied different entries up to {index}",
        "STATE MACHINE SAFETY IS BROKEN at entry {index}",
    ),
}
"""What happened, in words; of several the first whose fields the event has. After the colon stands
how a field is said; `true` and `false` say nothing and only choose."""

EVENT_NAMES = tuple(sorted(_SENTENCES))
"""The names of all events that are told in words."""

_PLAIN_VALUE = re.compile(r"[^\s\"'={}\[\],]+")
_RESET = "\x1b[0m"
_DIM = "2"
_NODE_COLOURS = ("1", "36", "33", "35", "32", "34", "96", "93", "95", "92", "94")
"""The supervisor's, then the nodes' in turn; red is for what is wrong."""
_LEVEL_COLOURS = {"debug": _DIM, "warn": "33", "error": "1;31"}


def render(
    event: Event,
    *,
    colour: bool = False,
    width: int | None = None,
    names: Mapping[int, str] | None = None,
    clock: Callable[[int], str] | None = None,
) -> str:
    """One line that says when, who, in which term, role and commit index, and what happened.

    colour: with ANSI colours, one for each node
    width: columns; what is longer is cut
    names: what to call nodes; by default `n1`, `n2`, ... and `sup` for the supervisor
    clock: how to say a time; by default as the wall clock here shows it
    """

    def name(node: int) -> str:
        given = names.get(node) if names else None
        return given if given is not None else f"n{node}" if node else "sup"

    said, rest = _sentence(event, name)
    parts = [
        ((clock or _clock)(event.t), _DIM),
        (f"{name(event.node):<4}", _node_colour(event.node)),
        (f"t{event.term:<3}", ""),
        (f"{event.role:<10}", ""),
        (f"c{event.commit:<6}", _DIM),
    ]
    level = _LEVEL_COLOURS.get(event.level, "")
    if event.level != "info":
        parts.append((f"{event.level.upper()}:", level))
    parts.append((said, level if event.level == "error" else ""))
    rest.pop("traceback", None)  # of many lines, and of use only in the event log itself
    if rest:
        parts.append((" ".join(f"{key}={_value(value)}" for key, value in rest.items()), _DIM))
    return _line([(_printable(text), style) for text, style in parts], colour, width)


def _line(parts: list[tuple[str, str]], colour: bool, width: int | None) -> str:
    line = ""
    left = width
    for number, (text, style) in enumerate(parts):
        shown = " " + text if number else text
        if left is not None:
            shown, left = _clip(shown, left)
        line += f"\x1b[{style}m{shown}{_RESET}" if colour and style and shown else shown
        if left is not None and left < 0:
            break
    return line.rstrip(" ")


def _clip(text: str, columns: int) -> tuple[str, int]:
    """As much of the text as fits, and the columns left: -1 when it did not fit.

    One column is kept for the mark that says so.
    """
    used = 0
    kept = 0  # characters that leave room for the mark
    for position, character in enumerate(text):
        used += _columns(character)
        if used > columns:
            return text[:kept] + ("…" if columns > 0 else ""), -1
        if used < columns:
            kept = position + 1
    return text, columns - used


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _clock(t: int) -> str:
    seconds, nanoseconds = divmod(t, 10**9)
    try:
        wall = time.strftime("%H:%M:%S", time.localtime(seconds))
    except (OverflowError, OSError, ValueError):
        return str(t)
    return f"{wall}.{nanoseconds // 10**6:03d}"


def _node_colour(node: int) -> str:
    if node == 0:
        return _NODE_COLOURS[0]
    return _NODE_COLOURS[1 + (node - 1) % (len(_NODE_COLOURS) - 1)]


def _sentence(event: Event, name: Callable[[int], str]) -> tuple[str, dict[str, object]]:
    """What happened, in words, and the fields that the words do not tell."""
    fields = event.fields
    for template in _SENTENCES.get(event.event, ()):
        rest = dict(fields)
        try:
            return _fill(template, event, rest, name), rest
        except (LookupError, TypeError):
            continue
    return event.event, fields


def _fill(template: str, event: Event, rest: dict[str, object], name: Callable[[int], str]) -> str:
    """Takes what it tells out of `rest`. Raises LookupError, TypeError when that will not do."""
    said = ""
    for literal, field, how, _ in string.Formatter().parse(template):
        said += literal
        if field is not None:
            value = rest.pop(field) if field in rest else getattr(event, field, None)
            said += _say(value, how or "", event.node, name)
    return said


def _say(value: object, how: str, speaker: int, name: Callable[[int], str]) -> str:
    match how, value:
        case ("true", True) | ("false", False) | ("none", []):
            return ""
        case "node", int():
            return name(value)
        case "nodes", list() if value:
            return ", ".join(name(node) for node in value)
        case "others", list() if any(node != speaker for node in value):
            return ", ".join(name(node) for node in value if node != speaker)
        case "groups", list() if value and all(isinstance(group, list) for group in value):
            return " | ".join(",".join(map(str, group)) for group in value)
        case "", str():
            return value
        case "", int() | float():
            return str(value)
        case _:
            raise TypeError(f"{value!r} cannot be said as {how or 'text'}")


def _value(value: object) -> str:
    if isinstance(value, str) and _PLAIN_VALUE.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _printable(text: str) -> str:
    """Without anything that steers a terminal, ends the line, or turns the text's direction."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
