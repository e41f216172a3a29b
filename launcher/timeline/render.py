"""One line of text for an event.

What an event says may have come over a wire or out of a user's entry: `render` gives one line for
each event, whatever is in it, and nothing in that line can steer a terminal.
"""

from __future__ import annotations

import json
import re
import time
import unicodedata
from collections.abc import Callable, Mapping

from launcher.timeline.events import Event
from launcher.timeline.sentences import sentence
from node.printable import escaped

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

    said, rest = sentence(event, name)
    parts = [
        ((clock or wall_clock)(event.t), _DIM),
        (f"{name(event.node):<4}", _node_colour(event.node)),
        (f"t{event.term:<3}", ""),
        (f"{event.role:<13}", ""),
        (f"c{event.commit:<6}", _DIM),
    ]
    level = _LEVEL_COLOURS.get(event.level, "")
    if event.level != "info":
        parts.append((f"{event.level.upper()}:", level))
    parts.append((said, level if event.level == "error" else ""))
    rest.pop("traceback", None)  # of many lines, and of use only in the event log itself
    if rest:
        parts.append((" ".join(f"{key}={_value(value)}" for key, value in rest.items()), _DIM))
    return _line([(escaped(text), style) for text, style in parts], colour, width)


def legend() -> str:
    """What the columns are, in the width of the columns."""
    return f"{'time':<12} {'node':<4} {'term':<4} {'role':<13} {'commit':<7} what happened"


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


def wall_clock(t: int) -> str:
    """The time of an event as a clock on the wall here shows it."""
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


def _value(value: object) -> str:
    if isinstance(value, str) and _PLAIN_VALUE.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
