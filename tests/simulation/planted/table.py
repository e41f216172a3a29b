"""The table of planted bugs in the docs, in Markdown: what the searches of `__main__` came to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.simulation.planted import PLANTED
from tests.simulation.planted.form import Planted, find

HEAD = (
    "| bug | pitfall | property that caught it | seeds needed | searched with |",
    "|---|---|---|---|---|",
)
_DOCS = Path(__file__).resolve().parents[3] / "docs" / "SIMULATION.md"


def row(position: int) -> str:
    """What a search for the bug there in the list, from seed 1 on, comes to now."""
    bug = PLANTED[position]
    found = find(bug)
    caught, needed = ("none", f"more than {bug.within}")
    if found is not None:
        seed, failure = found
        caught, needed = failure.broken, str(seed)
    return f"| {bug.name} | {bug.pitfall} | {caught} | {needed} | {_searched_with(bug)} |"


def known_seeds() -> dict[str, int]:
    """By the name of a bug: the seed that found it when the docs were written, or the first."""
    lines = _DOCS.read_text().splitlines()
    return dict(_seeds_in(lines[lines.index(HEAD[1]) + 1 :]))


def _seeds_in(rows: Iterable[str]) -> Iterator[tuple[str, int]]:
    for line in rows:
        if not line.startswith("|"):
            return
        _, name, _, _, needed, _, _ = (cell.strip() for cell in line.split("|"))
        yield name, int(needed) if needed.isdigit() else 1


def _searched_with(bug: Planted) -> str:
    """What its search has otherwise than by default."""
    nodes, time_s, rate = (bug.options.get(name) for name in ("nodes", "time_s", "rate"))
    parts = [
        *bug.options.get("faults", ()),
        *([f"nodes {nodes}"] if nodes else []),
        *([f"time {time_s:g} s"] if time_s else []),
        *([f"{rate:g} operations/s"] if rate else []),
    ]
    return ", ".join(parts)
