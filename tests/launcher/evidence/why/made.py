"""Events made by hand, in the form of `docs/WHY.md`: for what no run brings about reliably."""

from __future__ import annotations

import json
from typing import Any

from launcher.timeline.events import Event, parse_line

SECOND = 1_000_000_000


def line(node: int, t: int, event: str, **fields: Any) -> str:
    """One line of an event log."""
    common = {"life": 1, "term": 1, "role": "follower", "commit": 0, "level": "info"}
    given = {name: fields.pop(name) for name in list(fields) if name in common}
    return json.dumps({"t": t, "node": node, **common, **given, "event": event, **fields})


def event(node: int, t: int, name: str, **fields: Any) -> Event:
    """One event."""
    found = parse_line(line(node, t, name, **fields).encode())
    assert found is not None
    return found


def sent(node: int, t: int, to: int, kind: str = "AppendEntries", **content: Any) -> Event:
    """A message leaves."""
    said = {"term": 1, **content}
    return event(node, t, "message.sent", to=to, type=kind, bytes=20, message=said)


def received(message: Event, at: int) -> Event:
    """It arrives."""
    fields = message.fields
    to = fields["to"]
    assert isinstance(to, int)
    more = {"from": message.node, "sent_t": message.t, "type": fields["type"]}
    return event(to, at, "message.received", message=fields["message"], **more)


def lost(message: Event, at: int, why: str, fault: int | None = None) -> Event:
    """It is lost at its sender."""
    fields = message.fields
    more = {"from": message.node, "to": fields["to"], "sent_t": message.t, "why": why}
    more |= {"fault": fault, "type": fields["type"], "message": fields["message"]}
    return event(message.node, at, "message.lost", **more)
