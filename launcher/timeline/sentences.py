"""Says an event in words: fills in its sentence of the table in `templates.py`."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence

from launcher.timeline.events import Event
from launcher.timeline.templates import SENTENCES

_SILENT = frozenset({"true", "false", "none", "unsaid", "only", "times", "attempts"})
_ANSWERS = frozenset({"yes", "no", "silent"})
"""Ways to say a field that say nothing by themselves, or add to a list."""

EVENT_NAMES = tuple(sorted(SENTENCES))
"""The names of all events that are told in words."""


def sentence(event: Event, name: Callable[[int], str]) -> tuple[str, dict[str, object]]:
    """What happened, in words, and the fields that the words do not tell."""
    fields = event.fields
    for template in SENTENCES.get(event.event, ()):
        rest = dict(fields)
        try:
            return _fill(template, event, rest, name), rest
        except (LookupError, TypeError):
            continue
    return event.event, fields


def pattern(template: str) -> str:
    """A sentence with the names of its fields in capitals, for one who asks what an event says."""
    said = ""
    for literal, field, how, _ in string.Formatter().parse(template):
        said += literal
        if field is not None and how not in _SILENT:
            said += {"last": "Last time"}.get(how or "", "") or (
                ", " * (how in _ANSWERS) + field.upper()
            )
    return said


def _fill(template: str, event: Event, rest: dict[str, object], name: Callable[[int], str]) -> str:
    """Takes what it tells out of `rest`. Raises LookupError, TypeError when that will not do."""
    fields = dict(rest)
    said = ""
    for literal, field, how, _ in string.Formatter().parse(template):
        said += literal
        if field is not None:
            value = fields[field] if field in fields else getattr(event, field, None)
            rest.pop(field, None)
            said += _say(value, how or "", event.node, name)
    return said


def _say(value: object, how: str, speaker: int, name: Callable[[int], str]) -> str:
    match how, value:
        case ("true", True) | ("false", False) | ("none", []) | ("unsaid", _):
            return ""
        case "only", list():
            return ""
        case ("times", None | 1) | ("attempts", None | 0 | 1) | ("yes" | "no" | "silent", []):
            return ""
        case "times", int():
            return f" ({value} times so far)"
        case "attempts", int():
            return f", after it had asked {value} times whether it would be elected"
        case "last", bool():
            return "Last time" if value else "In the last election"
        case "yes", list():
            return f", yes from {_names(value, name)}"
        case "no", list():
            return f", no from {_names(value, name)}"
        case "silent", list():
            return f", no answer from {_names(value, name)}"
        case "heard", int():
            its_own = value == speaker
            return "it is the leader itself" if its_own else f"it hears the leader {name(value)}"
        case "self", int():
            return "itself" if value == speaker else name(value)
        case "node", int():
            return name(value)
        case "nodes", list() if value:
            return _names(value, name)
        case "others", list() if any(node != speaker for node in value):
            return _names([node for node in value if node != speaker], name)
        case "words", list() if value:
            return ", ".join(map(str, value))
        case "links", list() if value:
            return ", ".join(f"{name(a)}>{name(b)}" for a, b in value)
        case "groups", list() if value and all(isinstance(group, list) for group in value):
            return " | ".join(",".join(map(str, group)) for group in value)
        case "", str():
            return value
        case "", int() | float():
            return str(value)
        case _:
            raise TypeError(f"{value!r} cannot be said as {how or 'text'}")


def _names(nodes: Sequence[int], name: Callable[[int], str]) -> str:
    return ", ".join(map(name, nodes))
