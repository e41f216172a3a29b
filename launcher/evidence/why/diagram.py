"""A space-time diagram as text: lanes for the nodes, and beside them what each row says.

      2.7174  ┊    ●    ┊    n2 asks whether it would be elected in term 2
      2.7188  ◀────┤    ┊    n2 > n1: a question for a pre-vote of term 2 arrives
      2.7190  ┊    ├───✗┊    n2 > n3: ... is lost (cut)

The arrow of a message stands where it arrives, or is lost.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator

from launcher.evidence.why.spacetime import Diagram, Row
from launcher.evidence.why.things import Message
from node.printable import escaped

LANE = 6
"""Columns of the terminal from one lane to the next."""


def draw(
    diagram: Diagram,
    *,
    clock: Callable[[int], str],
    width: int | None = None,
    style: Callable[[str, str], str] = lambda text, _: text,
) -> Iterator[str]:
    """The diagram, line by line. width: columns; None: lines are not broken."""
    blank = " " * len(clock(0))
    names = [f"n{node}" if node else "sup" for node in diagram.nodes]
    yield style(f"{blank}  {''.join(f'{name:<{LANE}}' for name in names)}".rstrip(), "time")
    lanes = {node: number for number, node in enumerate(diagram.nodes)}
    empty = _lanes(len(lanes))
    rows = [row for row in diagram.rows if row.kind != "sent" or not _drawn_later(row, diagram)]
    for row in rows:
        picture = _picture(row, lanes)
        said = escaped(row.said)
        room = None if width is None else max(width - len(blank) - len(picture) - 3, 20)
        parts = [said] if room is None else textwrap.wrap(said, room) or [""]
        for number, part in enumerate(parts):
            when = clock(row.when_ns) if number == 0 else blank
            shown = picture if number == 0 else empty
            yield f"{style(when, 'time')}  {style(shown, row.kind)} {style(part, row.kind)}"


def _drawn_later(row: Row, diagram: Diagram) -> bool:
    """Whether the arrow of a message that is sent comes in a later row of the diagram."""
    message = row.message
    return message is not None and any(
        other.message is message and other.kind != "sent" for other in diagram.rows
    )


def _lanes(count: int) -> str:
    return f"{'┊':<{LANE}}" * count


def _picture(row: Row, lanes: dict[int, int]) -> str:
    drawn = list(_lanes(len(lanes)))
    if row.message is None or row.kind == "sent":
        mark = {"fault": "✗", "sent": "○"}.get(row.kind, "●")
        drawn[lanes[row.node] * LANE] = mark
        return "".join(drawn)
    _arrow(drawn, row.message, row.kind, lanes)
    return "".join(drawn)


def _arrow(drawn: list[str], message: Message, kind: str, lanes: dict[int, int]) -> None:
    begin, end = lanes[message.source] * LANE, lanes[message.target] * LANE
    step = 1 if end > begin else -1
    for place in range(begin + step, end, step):
        drawn[place] = "─"
    drawn[begin] = "├" if step > 0 else "┤"
    if kind == "arrived":
        drawn[end] = "▶" if step > 0 else "◀"
    else:
        drawn[end - step] = "✗"
