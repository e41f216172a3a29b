"""What `ps --links` prints: who reaches whom, and how; and the same in lines, alike ones joined."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from tabulate import tabulate

from launcher.control.naming import Link, link_names
from launcher.control.status import ClusterStatus, LinkStatus

_OK = "ok"


def links_table(status: ClusterStatus, width: int | None) -> str:
    """A row for each node that sends, a column for each that receives; a list of the links that do
    anything where that is too wide. width: columns of the terminal; None where there is none"""
    ids = [node.id for node in status.nodes]
    does = {(one.source, one.target): _short(one.does) for one in status.links}
    rows = [["from \\ to", *(f"n{node}" for node in ids)]]
    for source in ids:
        cells = ["-" if source == to else does.get((source, to), _OK) for to in ids]
        rows.append([f"n{source}", *cells])
    table = tabulate(rows, tablefmt="plain", disable_numparse=True, stralign="left")
    if width is None or max(map(len, table.splitlines())) <= width:
        return table
    said = said_of(status.links) or ["every link is ok"]
    if len(status.links) < len(ids) * (len(ids) - 1) and status.links:
        said.append("all others: ok")
    lines = (textwrap.wrap(line, width, subsequent_indent="    ") for line in said)
    return "\n".join(line for wrapped in lines for line in wrapped)


def said_of(links: Sequence[LinkStatus]) -> list[str]:
    """`n1>n2, n2>n1: delay 50ms`, a line for all links that do the same."""
    alike: dict[str, list[Link]] = {}
    for one in links:
        alike.setdefault(one.does, []).append((one.source, one.target))
    return [f"{link_names(found)}: {does}" for does, found in alike.items()]


def slowed(links: Iterable[LinkStatus]) -> list[str]:
    """The same without links that are only cut: `ps` says in other lines who is cut off."""
    return said_of([one for one in links if one.does != "cut"])


def _short(does: str) -> str:
    """In a cell: `50ms` for `delay 50ms`; and what is cut does nothing else."""
    return "cut" if does.startswith("cut") else does.replace("delay ", "")
