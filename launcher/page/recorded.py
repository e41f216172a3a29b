"""All events of something recorded, in the form that the page takes, and bounded in number.

What may be recorded: a trace of the simulated world (`simulate --trace`), an event log or a
timeline (any file of such lines), or the folder of a cluster's logs, with its nodes' messages where
there are any (`launcher tap`).

A browser holds MOST_EVENTS with ease. Of a longer run the page leaves out what tells the least, and
says so: first heartbeats and what answers them, then all messages, then the oldest events.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from pathlib import Path

import msgspec

from launcher.errors import UsageError
from launcher.evidence.messages.reading import TAP, Messages
from launcher.page.events import Record, Shortened, for_page
from launcher.timeline.events import Event, parse_line
from launcher.timeline.files import TIMELINE, event_logs
from launcher.timeline.reading import read_timeline
from launcher.timeline.sentences import sentence
from launcher.timeline.trace_file import BEGUN, TRACE_FORMAT

MOST_EVENTS = 150_000
MOST_TEXT = 2_000
"""characters of one text in an event; a longer one is cut, and says so"""

Source = Callable[[], Iterator[Event]]


class Recorded(msgspec.Struct, frozen=True):
    """Something recorded.

    events: as `for_page` makes them
    left_out: what is missing, or empty
    source: all events, as they were recorded, each time that it is called
    """

    title: str
    events: list[Record]
    left_out: str = ""
    source: Source | None = None


def read(path: Path, most: int = MOST_EVENTS) -> Recorded:
    """What was recorded in a file or a folder. Raises UsageError when there is nothing to show."""
    broken: list[int] = []
    if path.is_dir():
        folder = _logs_of(path)
        source: Source = lambda: events_of(folder)  # noqa: E731
    elif path.is_file():
        source = lambda: _events_in(path, broken)  # noqa: E731
    else:
        raise UsageError(f"{path}: no such file or folder")
    try:
        found = collect(source, most, title=path.stem if path.is_file() else path.resolve().name)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    if not found.events:
        raise UsageError(
            f"{path} has no events: give a trace (`launcher simulate --seed 5 --trace FILE`), "
            "or the folder of a cluster's logs"
        )
    if not broken:
        return found
    lines = f"{len(set(broken))} broken lines were left out (the first is line {min(broken)})"
    return msgspec.structs.replace(
        found, left_out=f"{found.left_out} {lines}." if found.left_out else f"{lines}."
    )


def collect(source: Source, most: int, title: str) -> Recorded:
    """The events of a source, which is read twice: once to count, once to take."""
    counts = Counter(map(_rank, source()))
    total = sum(counts.values())
    least, kept = 0, total
    said = []
    for rank, what in ((0, "heartbeats and their answers"), (1, "all messages")):
        if kept > most:
            least, kept = rank + 1, kept - counts[rank]
            if counts[rank]:
                said = [f"{counts[0] + (counts[1] if rank else 0)} events: {what}"]
    skipped = max(0, kept - most)
    if skipped:
        said.append(f"the first {skipped} of the other events")
    taken = _taken(source(), least, skipped)
    left_out = f"Of {total} events this shows {min(kept, most)}; left out: {', and '.join(said)}."
    return Recorded(title, list(taken), left_out if said else "", source)


def page_events(events: Iterable[Event], begun_ns: int) -> Iterator[Record]:
    """Events as the page takes them, each with a sentence if it is no message."""
    shorten = Shortened()
    for event in events:
        yield shorten(_bounded(page_event(event, begun_ns)))


def page_event(event: Event, begun_ns: int) -> Record:
    """One event with its sentence, and its whole state."""
    record = json.loads(event.raw.decode("utf-8", "replace"))
    made = for_page(record, begun_ns)
    if event.event.startswith("message."):
        made.pop("said", None)  # the page says it by itself, from the message's fields
    else:
        made.setdefault("text", sentence(event, _name)[0])
    return made


# -- reading -------------------------------------------------------------------------------------


def _logs_of(path: Path) -> Path:
    """The folder of logs: this one, or `logs` in it."""
    for folder in (path, path / "logs"):
        if (folder / TIMELINE).exists() or event_logs(folder):
            return folder
    raise UsageError(f"{path} has no event logs, and no folder `logs` that has some")


def events_of(folder: Path) -> Iterator[Event]:
    """All events and messages in a folder of logs, in their order, as of now. Raises OSError."""
    messages = Messages(folder / TAP)
    return merge(read_timeline(folder), messages.events(), key=lambda event: event.key)


def _events_in(path: Path, broken: list[int]) -> Iterator[Event]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            event = parse_line(line.rstrip(b"\r\n"))
            if event is not None:
                if event.event == BEGUN:
                    _check_format(path, event)
                yield event
            elif line.strip():
                broken.append(number)


def _check_format(path: Path, begun: Event) -> None:
    number = begun.fields.get("format")
    if not isinstance(number, int) or number > TRACE_FORMAT:
        raise UsageError(
            f"{path} has format {number}, and this version reads formats up to {TRACE_FORMAT}: use "
            "the version that wrote it, or write it again"
        )


def _taken(events: Iterator[Event], least: int, skipped: int) -> Iterator[Record]:
    begun_ns = -1
    shorten = Shortened()
    for event in events:
        if begun_ns < 0:
            begun_ns = event.t
        if _rank(event) < least:
            continue
        if skipped:
            skipped -= 1
            shorten(for_page(json.loads(event.raw.decode("utf-8", "replace")), begun_ns))
            continue
        yield shorten(_bounded(page_event(event, begun_ns)))


_QUIET = (b'"type":"AppendEntries"', b'"type":"AppendEntriesReply"', b'"type":"Heartbeat"')


def _rank(event: Event) -> int:
    """What is left out first: 0 heartbeats and their answers, 1 messages, 2 other events."""
    if not event.event.startswith("message."):
        return 2
    if any(kind in event.raw for kind in _QUIET) and b'"first":' not in event.raw:
        return 0
    return 1


def _bounded(event: Record) -> Record:
    for name, value in event.items():
        if isinstance(value, str) and len(value) > MOST_TEXT:
            event[name] = value[:MOST_TEXT] + f"… ({len(value)} characters)"
    return event


def _name(node: int) -> str:
    return f"n{node}" if node else "the supervisor"
