"""A space-time diagram as a picture: one SVG file that needs nothing else.

Time runs downwards, one row for each thing that happened. A message is a line from where it was
sent to where it arrived; one that was lost ends in a cross, half way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from html import escape

from launcher.evidence.why.spacetime import Diagram, Row
from launcher.evidence.why.things import Message
from node.printable import escaped

_ROW = 22
_LANE = 90
_LEFT = 110
_TOP = 46
_CHARACTER = 7.3
"""Pixels; of a character of the text, about."""
_COLOURS = {
    "event": "#1a1a1a", "fault": "#b3261e", "sent": "#5b5b5b", "arrived": "#1f5fa8",
    "lost": "#b3261e",
}  # fmt: skip


def picture(diagram: Diagram, *, clock: Callable[[int], str], title: str) -> str:
    """The whole file."""
    return "\n".join([*_file(diagram, clock, title), ""])


def _file(diagram: Diagram, clock: Callable[[int], str], title: str) -> Iterator[str]:
    lanes = {node: _LEFT + _LANE * number for number, node in enumerate(diagram.nodes)}
    text_x = _LEFT + _LANE * max(len(lanes) - 1, 0) + 40
    longest = max((len(row.said) for row in diagram.rows), default=20)
    width = int(text_x + _CHARACTER * max(longest, len(title) - 10) + 20)
    foot = 24 if diagram.left_out else 0
    height = _TOP + _ROW * (len(diagram.rows) + 1) + foot
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" role="img" font-family="monospace" font-size="12">'
    )
    yield f"<title>{_text(title)}</title>"
    yield f'<rect width="{width}" height="{height}" fill="#ffffff"/>'
    yield f'<text x="10" y="16" fill="#1a1a1a" font-size="13">{_text(title)}</text>'
    bottom = _TOP + _ROW * (len(diagram.rows) + 0.5)
    for node, x in lanes.items():
        name = f"n{node}" if node else "sup"
        yield f'<text x="{x}" y="36" text-anchor="middle" font-weight="bold">{name}</text>'
        yield f'<line x1="{x}" y1="{_TOP}" x2="{x}" y2="{bottom:.0f}" stroke="#c8c8c8"/>'
    heights = [_TOP + _ROW * (number + 0.5) for number in range(len(diagram.rows))]
    yield from _arrows(diagram, heights, lanes)
    for row, y in zip(diagram.rows, heights, strict=True):
        yield from _row(row, y, lanes, text_x, clock)
    if diagram.left_out:
        yield f'<text x="10" y="{height - 10}" fill="#5b5b5b">{_text(diagram.left_out)}</text>'
    yield "</svg>"


def _row(
    row: Row, y: float, lanes: dict[int, int], text_x: int, clock: Callable[[int], str]
) -> Iterator[str]:
    colour, x = _COLOURS[row.kind], lanes[row.node]
    yield f'<text x="10" y="{y + 4:.0f}" fill="#5b5b5b">{_text(clock(row.when_ns).strip())}</text>'
    if row.kind == "fault":
        yield _cross(x, y, colour)
    elif row.kind != "lost":
        radius = 4 if row.message is None else 2.5
        yield f'<circle cx="{x}" cy="{y:.0f}" r="{radius}" fill="{colour}"/>'
    yield f'<text x="{text_x}" y="{y + 4:.0f}" fill="{colour}">{_text(row.said)}</text>'


def _arrows(diagram: Diagram, heights: list[float], lanes: dict[int, int]) -> Iterator[str]:
    begun: dict[int, float] = {}
    for row, y in zip(diagram.rows, heights, strict=True):
        message = row.message
        if message is None:
            continue
        if row.kind == "sent":
            begun[id(message)] = y
            continue
        yield from _arrow(message, row.kind, begun.get(id(message), y), y, lanes)


def _arrow(
    message: Message, kind: str, from_y: float, to_y: float, lanes: dict[int, int]
) -> Iterator[str]:
    colour = _COLOURS[kind]
    begin, end = lanes[message.source], lanes[message.target]
    step = 1 if end > begin else -1
    if kind == "lost":
        x, y = (begin + end) / 2, (from_y + to_y) / 2
        yield (
            f'<line x1="{begin}" y1="{from_y:.0f}" x2="{x:.0f}" y2="{y:.0f}" stroke="{colour}" '
            'stroke-dasharray="4 3"/>'
        )
        yield _cross(x, y, colour)
        return
    yield (f'<line x1="{begin}" y1="{from_y:.0f}" x2="{end}" y2="{to_y:.0f}" stroke="{colour}"/>')
    tip = f"{end},{to_y:.0f} {end - 8 * step},{to_y - 4:.0f} {end - 8 * step},{to_y + 4:.0f}"
    yield f'<polygon points="{tip}" fill="{colour}"/>'


def _cross(x: float, y: float, colour: str) -> str:
    return (
        f'<path d="M{x - 4:.0f} {y - 4:.0f} l8 8 m0 -8 l-8 8" stroke="{colour}" '
        'stroke-width="2" fill="none"/>'
    )


def _text(said: str) -> str:
    """As the text of an element: nothing in it can be markup."""
    return escape(escaped(said))
