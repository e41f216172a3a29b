"""An event in the form that the page takes.

It is the JSON of the event logs (`node/events.py`, `launcher/simulation/trace.py`), with three
differences. `at` is the time since the run began, in seconds. Times of hybrid clocks are text,
because a browser's numbers do not hold 19 digits. And a node's `state` has only what has changed
since its last event: `Shortened` leaves out the rest, which the fold remembers.
"""

from __future__ import annotations

from typing import Any

Record = dict[str, Any]

_EXACT = 1 << 53
"""Above this a browser's numbers skip integers."""


def clock_text(value: Any) -> Any:
    """The same value, with integers that a browser cannot hold as text."""
    kind = type(value)
    if kind is int:
        return value if -_EXACT < value < _EXACT else str(value)
    if kind is dict:
        return {key: clock_text(inner) for key, inner in value.items()}
    if kind is list:
        return [clock_text(inner) for inner in value]
    return value


def for_page(record: Record, begun_ns: int = 0) -> Record:
    """begun_ns: when the run began, for events of real processes; a trace has `at_s`"""
    event: Record = clock_text(record)
    at_s = event.pop("at_s", None)
    event["at"] = at_s if at_s is not None else round((record["t"] - begun_ns) / 1e9, 6)
    event["t"] = str(record["t"])
    for name in ("sent_t", "set_by"):
        if isinstance(event.get(name), int):
            event[name] = str(event[name])
    return event


class Shortened:
    """Leaves out of each event's `state` what the node's event before it has said already."""

    def __init__(self) -> None:
        self._said: dict[tuple[int, int], Record] = {}

    def __call__(self, event: Record) -> Record:
        """The event itself, changed."""
        state = event.get("state")
        if state is None:
            return event
        said = self._said.setdefault((event["node"], event["life"]), {})
        changed = {key: value for key, value in state.items() if said.get(key, said) != value}
        said.update(changed)
        if changed:
            event["state"] = changed
        else:
            del event["state"]
        return event
