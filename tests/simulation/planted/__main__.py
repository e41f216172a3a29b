"""The table of planted bugs for the docs, in Markdown: `python -m tests.simulation.planted`."""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.planted import PLANTED, Planted, find


def table() -> Iterator[str]:
    """Its lines, each as soon as its bug has been searched for."""
    yield "| bug | pitfall | property that caught it | seeds needed | searched with |"
    yield "|---|---|---|---|---|"
    for bug in PLANTED:
        found = find(bug)
        caught, needed = ("none", f"more than {bug.within}")
        if found is not None:
            seed, failure = found
            caught, needed = failure.broken, str(seed)
        yield f"| {bug.name} | {bug.pitfall} | {caught} | {needed} | {searched_with(bug)} |"


def searched_with(bug: Planted) -> str:
    """What its search has otherwise than by default."""
    nodes, time_s = bug.options.get("nodes"), bug.options.get("time_s")
    parts = [
        *bug.options.get("faults", ()),
        *([f"nodes {nodes}"] if nodes else []),
        *([f"time {time_s:g} s"] if time_s else []),
    ]
    return ", ".join(parts)


if __name__ == "__main__":
    for line in table():
        print(line, flush=True)
