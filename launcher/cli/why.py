"""Prints why something happened, what leads from one event to another, and space-time diagrams."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from launcher.cli.output import columns, print_json, wants_colour
from launcher.cli.recorded import Record
from launcher.errors import LauncherError, UsageError
from launcher.evidence.why import collect, explain, find, grow, lines, parse, to_json
from launcher.evidence.why.asked import thing_at
from launcher.evidence.why.between import Path as Way
from launcher.evidence.why.between import path_between
from launcher.evidence.why.diagram import draw
from launcher.evidence.why.explaining import NO_MESSAGES, Explanation
from launcher.evidence.why.operation import Missed, Operation, operation
from launcher.evidence.why.past import Past
from launcher.evidence.why.spacetime import Diagram, of_all, of_things
from launcher.evidence.why.svg import picture
from launcher.evidence.why.tree import MOST_LINES, mentions
from launcher.lab import history
from launcher.timeline.events import Event

LINES = MOST_LINES
ROWS = 40
ROWS_OF_A_PICTURE = 200
MOST_ROWS = 5_000
SETTLED_NS = 1_000_000_000
"""What happens within this time after an operation may still tell of its entry."""
ALL = 10_000
"""How many lines of a tree are all of them."""

_STYLES = {"time": "2", "branch": "2", "id": "2", "root": "1", "end": "36", "fault": "31"}
_STYLES |= {"lost": "31", "sent": "2", "arrived": "34"}
_PLAIN = str.maketrans("├└│─┊▶◀┤●○✗…", "++|-:><+*oX.")
"""For an output that knows only ASCII."""


def show_why(
    record: Record,
    what: str,
    *,
    most: int | None,
    ids: bool,
    as_json: bool,
    diagram: bool,
    svg: Path | None,
) -> None:
    """Prints the causes of an event, or draws what they are about.

    most: lines of the tree; None: all
    """
    found = explain(record.events, what, most_lines=ALL if most is None else most)
    if not diagram and svg is None:
        _show_tree(record, found, ids, as_json)
        return
    chosen = of_things(found.past, mentions(found.tree))
    _show_diagram(record, chosen, svg, f"Why {what}: {record.title}", as_text=diagram)
    _print_remarks([*found.notes, *record.remarks()])


def _show_tree(record: Record, found: Explanation, ids: bool, as_json: bool) -> None:
    remarks = [*found.notes, *record.remarks()]
    if as_json:
        print_json({**to_json(found.tree), "notes": remarks})
        return
    _print(lines(found.tree, clock=record.clock, ids=ids, width=columns(), style=_style()))
    _print_remarks(remarks)


def show_operation(
    record: Record, what: str, *, most: int | None, ids: bool, as_json: bool
) -> None:
    """Prints what became of an operation of a run's history, and what that rests on."""
    asked = _operation(record, what)
    until = _place_after(record.events(), asked.completed_ns)
    past = collect(record.events(), until)
    root = operation(past, asked)
    tree = grow(past, root, most_lines=ALL if most is None else most)
    _show_tree(record, Explanation(past, root, tree, tuple(_missing(past))), ids, as_json)


def _operation(record: Record, what: str) -> Operation:
    """The operation that `op:CLIENT:ID` names. Raises UsageError."""
    assert record.run is not None, "only a run has operations"
    _, *numbers = what.split(":")
    if len(numbers) != 2 or not all(one.isascii() and one.isdigit() for one in numbers):
        raise UsageError(f"{what!r} names no operation: op:3:17 is operation 17 of client 3")
    client, number = map(int, numbers)
    told = history.read(record.run)
    one = told.find(client, number)
    if one is None:
        raise UsageError(
            f"the history of {record.run} has no operation {number} of client {client}"
        )
    return Operation(
        _said_of(one),
        one.outcome,
        one.invoked,
        one.completed if one.completed is not None else one.given_up,
        one.index,
        one.error,
        is_read=one.command is None,
        by=one.by,
        missed=missed_write(one, told.operations),
    )


def _said_of(one: history.Done) -> str:
    return f"client {one.process} asked for {one.f} {json.dumps(one.value)}"


def missed_write(read: history.Done, operations: Iterable[history.Done]) -> Missed | None:
    """The last write that a read had to see, when it did not: its entry is behind the answer's.

    None as well for an operation that is no read, and for a read that may be stale.
    """
    may_be_stale = read.stale or read.f == "stale"  # older histories say it by the name alone
    if read.command is not None or may_be_stale or read.index is None:
        return None
    due = [
        Missed(_said_of(one), one.index, one.completed)
        for one in operations
        if one.command is not None
        and one.index is not None
        and one.completed is not None
        and one.completed < read.invoked
        and one.index > read.index
    ]
    return max(due, key=lambda one: one.index, default=None)


def _place_after(events: Iterable[Event], t: int | None) -> int | None:
    """The place of the last event that may count for something that ended then."""
    if t is None:
        return None
    return next((place for place, one in enumerate(events) if one.t > t + SETTLED_NS), None)


def show_between(record: Record, one: str, other: str, *, ids: bool, as_json: bool) -> None:
    """Prints what leads from one event to the other, the oldest first."""
    places = []
    for what in (one, other):
        asked = parse(what)
        if asked.index is not None or asked.node is not None:
            raise UsageError(f"--between takes two events, and {what} is none: n4:T, for example")
        places.append(find(record.events(), asked))
    ends = [place.place for place in places]
    until = None if None in ends else max(end for end in ends if end is not None)
    past = collect(record.events(), until)
    things = [thing_at(past, place) for place in places]
    for what, thing in zip((one, other), things, strict=True):
        if thing is None:
            raise LauncherError(f"{what} is no longer among the events that were kept")
    earlier, later = (thing for thing in things if thing is not None)
    if earlier.place > later.place:
        earlier, later = later, earlier
        one, other = other, one
    way = path_between(past, earlier, later)
    notes = [*_missing(past), *record.remarks()]
    if as_json:
        print_json(_way_json(way, notes))
        return
    if not way.steps:
        click.echo(f"nothing leads from {one} to {other}: no message carries anything of it there")
    else:
        click.echo(
            "each caused the next:" if way.by_rules else
            "no rule leads from one to the other; it may have had an influence by these messages:"
        )  # fmt: skip
        _print(_steps(record, way, ids))
    _print_remarks(notes)


def _steps(record: Record, way: Way, ids: bool) -> Iterator[str]:
    style = _style()
    blank = " " * len(record.clock(0))
    for step in way.steps:
        when = record.clock(step.at_ns) if step.at_ns is not None else blank
        name = f"  {style(step.thing.name, 'id')}" if ids and step.thing is not None else ""
        yield f"{style(when, 'time')}  {step.said}{name}"


def _way_json(way: Way, notes: list[str]) -> dict[str, object]:
    steps = [
        {"said": step.said, "t_ns": step.at_ns, "id": step.thing.name if step.thing else None}
        for step in way.steps
    ]
    return {"steps": steps, "by_rules": way.by_rules, "notes": notes}


def show_diagram(
    record: Record,
    *,
    count: int | None,
    since_ns: int,
    node: int | None,
    svg: Path | None,
    as_text: bool,
) -> None:
    """Draws the last rows of all that happened. count: rows; None: as many as are bearable"""
    past = collect(record.events())
    shown = of_all(past, min(count or MOST_ROWS, MOST_ROWS), since_ns, node)
    if not shown.rows:
        raise LauncherError("there is nothing to draw: no event is younger than that")
    _show_diagram(record, shown, svg, record.title, as_text=as_text)
    _print_remarks([*_missing(past), *record.remarks()])


def _show_diagram(
    record: Record, diagram: Diagram, svg: Path | None, title: str, *, as_text: bool
) -> None:
    if as_text:
        _print(draw(diagram, clock=record.clock, width=columns(), style=_style()))
        if diagram.left_out:
            click.echo(diagram.left_out, err=True)
    if svg is not None:
        text = picture(diagram, clock=record.clock, title=title)
        try:
            svg.write_text(text, encoding="utf-8")
        except OSError as error:
            raise LauncherError(f"{svg} cannot be written: {error.strerror}") from error
        rows = "1 row" if len(diagram.rows) == 1 else f"{len(diagram.rows)} rows"
        click.echo(f"{svg}: a diagram of {rows}", err=True)


def _missing(past: Past) -> list[str]:
    said = []
    if not past.has_messages:
        said.append(NO_MESSAGES)
    if past.left_out:
        said.append(f"{past.left_out} older events and messages were left out to bound the memory")
    if past.damaged:
        said.append(f"{past.damaged} messages could not be read and were left out")
    return said


def _print_remarks(remarks: Iterable[str]) -> None:
    for remark in remarks:
        click.echo(f"note: {remark}", err=True)


class _Coloured:
    def __call__(self, text: str, kind: str) -> str:
        code = _STYLES.get(kind, "")
        return f"\x1b[{code}m{text}\x1b[0m" if code and text.strip() else text


class _Uncoloured:
    def __call__(self, text: str, kind: str) -> str:
        return text


def _style() -> _Coloured | _Uncoloured:
    return _Coloured() if wants_colour() else _Uncoloured()


def _print(said: Iterable[str]) -> None:
    plain = not _knows("└▶✗┊")
    for line in said:
        click.echo(line.translate(_PLAIN) if plain else line)


def _knows(characters: str) -> bool:
    try:
        characters.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
