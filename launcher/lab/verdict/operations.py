"""An operation of a client as one line of a window."""

from __future__ import annotations

import msgspec

from launcher.lab.history import Done
from node.printable import printable_line

MOST_CHARACTERS = 300


def told(one: Done, begun: int) -> str:
    """When it was, who asked for what, and what came of it: which node was asked, where it was a
    certain one, else which one answered, where that is known.

    begun: when the run began, in nanoseconds: times are told from there, in seconds
    """
    start = (one.invoked - begun) / 1e9
    end = "" if one.completed is None else f" {(one.completed - begun) / 1e9:.6f} s"
    asked = "" if one.value is None else f" {msgspec.json.encode(one.value).decode()}"
    came = one.result if one.outcome == "ok" else one.error
    index = "" if one.index is None else f" (entry {one.index})"
    said = (
        f"client {one.process}, operation {one.id}{_where(one)}: {one.f}{asked}: "
        f"{one.outcome}{f': {came}' if came else ''}{index}"
    )
    return f"{start:.6f} s ..{end}  {printable_line(said, MOST_CHARACTERS)}"


def _where(one: Done) -> str:
    if one.node is not None:
        return f" at n{one.node}"
    return "" if one.by is None else f", answered by n{one.by}"
