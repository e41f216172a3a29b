"""The table of planted bugs in the docs, in Markdown: `python -m tests.simulation.planted_table`.

Every bug is searched for from seed 1 on, as many at a time as there are cores.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from launcher.simulation.planted import PLANTED
from launcher.simulation.planted.form import Planted, find
from launcher.simulation.runner import local_workers

HEAD = (
    "| bug | pitfall | property that caught it | seeds needed | searched with |",
    "|---|---|---|---|---|",
)
_DOCS = Path(__file__).resolve().parents[2] / "docs" / "SIMULATION.md"


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
    needed = {cells[0]: cells[3] for cells in _rows()}
    return {name: int(seed) if seed.isdigit() else 1 for name, seed in needed.items()}


def known_properties() -> dict[str, str]:
    """By the name of a bug: the property that caught it when the docs were written."""
    return {cells[0]: cells[2] for cells in _rows()}


def _rows() -> Iterator[list[str]]:
    lines = _DOCS.read_text().splitlines()
    for line in lines[lines.index(HEAD[1]) + 1 :]:
        if not line.startswith("|"):
            return
        yield [cell.strip() for cell in line.strip("|").split("|")]


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


def main() -> None:
    """Prints each row as soon as it and those before it are known."""
    print(*HEAD, sep="\n", flush=True)
    with local_workers(os.cpu_count() or 1) as executor:
        search = map if executor is None else executor.map
        for line in search(row, range(len(PLANTED))):
            print(line, flush=True)


if __name__ == "__main__":
    main()
