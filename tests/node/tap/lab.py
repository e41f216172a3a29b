"""A tap whose files are read back."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from launcher.evidence.messages.files import NodeRecord
from launcher.evidence.messages.records import Record
from launcher.timeline.events import Event
from node import wire
from node.events import HybridClock
from node.raft.messages import Message
from node.tap.writer import Tap
from node.wire import SetTap

NOW = 1_800_000_000_000_000_000


class Noted:
    """The events that a tap has written."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, dict[str, object]]] = []

    def __call__(self, level: str, event: str, **fields: object) -> None:
        self.events.append((level, event, fields))


def tap_in(
    folder: Path,
    mode: Literal["off", "ring", "full"] = "full",
    *,
    segment_bytes: int = 64 << 10,
    keep_bytes: int = 1 << 30,
    life: int = 1,
    note: Noted | None = None,
) -> Tap:
    """A tap of node 1 that is on."""
    tap = Tap(folder, 1, life, HybridClock(lambda: NOW), note or Noted())
    tap.obey(SetTap(mode, segment_bytes, keep_bytes))
    return tap


def frame(message: Message, t: int = NOW) -> bytes:
    """The message as it is in a frame."""
    return wire.encode(t, message)


def records_in(folder: Path, node: int = 1) -> list[Record]:
    """All records of a node."""
    reader = NodeRecord(folder, node)
    found = []
    while some := reader.read():
        found += some
    reader.close()
    return found


def term_of(event: Event) -> int:
    """The term in the message that the event is about."""
    message = event.fields["message"]
    assert isinstance(message, dict)
    return int(message["term"])
