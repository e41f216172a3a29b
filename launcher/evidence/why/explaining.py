"""All of an explanation in one call: find, collect, grow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from launcher.errors import LauncherError
from launcher.evidence.why.asked import cause_of, find, parse
from launcher.evidence.why.cause import Cause
from launcher.evidence.why.past import MOST_EVENTS, MOST_MESSAGES, Past, collect
from launcher.evidence.why.tree import MOST_LINES, Branch, grow, lines, notes
from launcher.timeline.events import Event
from launcher.timeline.render import wall_clock

FIRST_LINES = 10

NO_MESSAGES = (
    "no messages of that time are recorded, so this rests on the event logs alone: `launcher tap "
    "ring` records them from now on"
)


@dataclass(frozen=True)
class Explanation:
    """root: what was asked about; tree: its causes; notes: what is missing in what they rest on"""

    past: Past
    root: Cause
    tree: Branch
    notes: tuple[str, ...]


def explain(
    source: Callable[[], Iterable[Event]],
    what: str,
    *,
    most_lines: int = MOST_LINES,
    most_messages: int = MOST_MESSAGES,
    most_events: int = MOST_EVENTS,
) -> Explanation:
    """Why `what` happened. Raises UsageError when it names nothing, LauncherError when it is not
    among the events.

    source: gives all events in their order, each time that it is called; it is called twice
    """
    found = find(source(), parse(what))
    past = collect(source(), found.place, most_messages=most_messages, most_events=most_events)
    root = cause_of(past, found)
    tree = grow(past, root, most_lines=most_lines)
    said = notes(past, root, tree)
    if not past.has_messages:
        said.append(NO_MESSAGES)
    return Explanation(past, root, tree, tuple(said))


def explain_first_lines(
    events: Sequence[Event] | Callable[[], Iterable[Event]],
    what: str,
    *,
    clock: Callable[[int], str] = wall_clock,
    most: int = FIRST_LINES,
) -> list[str]:
    """The first lines of why `what` happened, for the end of a report on a failure; what cannot be
    explained is said in one line. Raises nothing for what it is given.

    events: in their order; or what gives them, each time that it is called
    what: as for `timeline --why`
    """
    try:
        found = explain(events if callable(events) else lambda: events, what)
    except LauncherError as error:
        return [f"why {what}: {error}"]
    return [*lines(found.tree, clock=clock)][:most]
