"""Why something happened, for the page: the tree of `launcher timeline --why`, as JSON.

{"said": ..., "id": "n4:T" or "n1:T>n2", "because": [...], "notes": [...]}
"""

from __future__ import annotations

from launcher.errors import LauncherError
from launcher.evidence.why import explain, to_json
from launcher.page.events import Record
from launcher.page.recorded import Recorded, Source

MOST_LINES = 30
MOST_EXPLAINED = 12
MOST_READ = 400_000
"""Events that are read for the explanations in a file: each takes two readings of the run."""

_EXPLAINED = frozenset({"leader.elected", "leader.stepped_down", "log.truncated"})


def causes(source: Source, what: str) -> Record:
    """The causes of an event. Raises LauncherError when it is not there."""
    found = explain(source, what, most_lines=MOST_LINES)
    return {**to_json(found.tree), "notes": list(found.notes)}


def beforehand(recorded: Recorded) -> dict[str, Record]:
    """The causes of some events, for a file that can ask nobody: of the elections first."""
    if recorded.source is None:
        return {}
    named = [
        f"n{event['node']}:{event['t']}"
        for event in recorded.events
        if event["event"] in _EXPLAINED
    ]
    most = min(MOST_EXPLAINED, MOST_READ // (2 * max(1, len(recorded.events))))
    found = {}
    for name in named[:most]:
        try:
            found[name] = causes(recorded.source, name)
        except LauncherError:  # an event that is named twice, or that a rule cannot place
            continue
    return found
