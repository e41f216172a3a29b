"""An event: one line that a process wrote into its event log, and what it says.

Every process writes its events into a log of its own (`node/events.py`). An event keeps the very
line that it came from, so what is merged comes out byte for byte as it was written. Only the eight
fields that all events have are decoded at once; an event's own fields are decoded when they are
asked for.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, TypeAlias

import msgspec

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


def with_fields(event: Event, fields: Mapping[str, object]) -> Event:
    """The event with these fields of its own, and the line that a log would have of it.

    Raises TypeError, ValueError for a value that JSON cannot hold.
    """
    common = {
        "t": event.t,
        "node": event.node,
        "life": event.life,
        "term": event.term,
        "role": event.role,
        "commit": event.commit,
        "level": event.level,
        "event": event.event,
    }
    return msgspec.structs.replace(event, raw=msgspec.json.encode({**common, **fields}))


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
