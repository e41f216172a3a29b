"""A space-time diagram: a column for each node, time downwards, arrows for messages.

Here it is chosen what a diagram shows, and in which rows; `diagram.py` and `svg.py` draw it. A row
is something that happened on one node: an event, the sending or the arrival of a message, or its
loss. Rows are in the order of the events, at equal distances: a second without events takes no
room.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from launcher.evidence.why.cause import said_of
from launcher.evidence.why.past import FREQUENT, Past
from launcher.evidence.why.rules.sending import content_of
from launcher.evidence.why.rules.silence import kind_of
from launcher.evidence.why.things import NEVER, Happening, Message, Thing

ROUTINE = frozenset({"heartbeat", "acknowledgement"})
"""Messages of which there are too many to show; a diagram says how many it left out."""
_QUIET = FREQUENT | {"link.opened", "command.received", "node.ready"}


@dataclass(frozen=True)
class Row:
    """Something on one node at one moment.

    node: the column; 0 is the supervisor, or the simulated world
    said: what it is, in a sentence
    kind: event, fault, sent, arrived, lost
    level: of an event
    message: the one that is sent, arrives or is lost
    """

    place: int
    when_ns: int
    node: int
    said: str
    kind: str
    level: str = "info"
    message: Message | None = None


@dataclass(frozen=True)
class Diagram:
    """nodes: the columns, in order; rows: from the oldest to the newest; left_out: a sentence on
    what is not shown, or nothing"""

    nodes: tuple[int, ...]
    rows: tuple[Row, ...]
    left_out: str


def of_things(past: Past, things: Iterable[Thing]) -> Diagram:
    """Just these, each once: what an explanation rests on."""
    chosen = {id(one): one for one in things}.values()
    rows = sorted((row for one in chosen for row in _rows(one)), key=lambda row: row.place)
    return Diagram(_columns(past, rows), tuple(rows), "")


def of_all(past: Past, most: int, since_ns: int = 0, node: int | None = None) -> Diagram:
    """The last rows of all that happened, without what is routine.

    since_ns: only what is younger; node: only what concerns this node
    """
    rows: list[Row] = []
    routine = 0
    for happening in past.happenings:
        if happening.kind not in _QUIET and happening.when_ns >= since_ns:
            rows += _rows(happening)
    for message in past.messages.values():
        if message.when_ns < since_ns:
            continue
        if kind_of(message) in ROUTINE and not message.lost:
            routine += 1
        else:
            rows += _rows(message)
    if node is not None:
        rows = [row for row in rows if node in _concerned(row)]
    rows.sort(key=lambda row: row.place)
    parts = []
    if len(rows) > most:
        parts.append(f"the {len(rows) - most} rows before these are not shown; -n shows more")
    if routine:
        parts.append(f"{routine} heartbeats and acknowledgements that arrived are not shown")
    kept = rows[-most:]
    return Diagram(_columns(past, kept), tuple(kept), "; ".join(parts))


def _rows(thing: Thing) -> list[Row]:
    if isinstance(thing, Message):
        return _rows_of_message(thing)
    if isinstance(thing, Happening):
        kind = "fault" if thing.kind == "fault.injected" else "event"
        said, level = said_of(thing), thing.event.level
        return [Row(thing.place, thing.when_ns, thing.node, said, kind, level)]
    return []


def _rows_of_message(message: Message) -> list[Row]:
    rows = []
    what = content_of(message)
    path = f"n{message.source} > n{message.target}"
    if message.sent != NEVER:
        said = f"{path}: {what}"
        row = Row(message.sent, message.sent_ns, message.source, said, "sent", message=message)
        rows.append(row)
    if message.arrived != NEVER:
        said = f"{path}: {what} arrives"
        row = Row(
            message.arrived, message.arrived_ns, message.target, said, "arrived", message=message
        )
        rows.append(row)
    elif message.lost:
        said = f"{path}: {what} is lost ({message.lost})"
        row = Row(message.lost_at, message.when_ns, message.source, said, "lost", "warn", message)
        rows.append(row)
    return rows


def _concerned(row: Row) -> set[int]:
    message = row.message
    return {row.node} if message is None else {message.source, message.target}


def _columns(past: Past, rows: Iterable[Row]) -> tuple[int, ...]:
    shown = {node for row in rows for node in _concerned(row)}
    return tuple(sorted((past.nodes | shown) - ({0} - shown)))
