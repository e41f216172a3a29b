"""One order of what happened on all nodes.

Every event log is sorted by `t`. Sorting the events of all nodes by `(t, node)` never puts an
effect before its cause, so that is the order of the timeline. Pure: events in, events out.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from operator import attrgetter

from launcher.timeline.events import Event, Key


def merge(sources: Iterable[Iterable[Event]]) -> Iterator[Event]:
    """Sources that are each sorted by `(t, node)`, in one order, lazily.

    What several sources hold comes once. Two events that only share their place both come.
    """
    last: Key | None = None
    seen: list[bytes] = []
    for event in heapq.merge(*sources, key=attrgetter("t", "node")):
        key = event.key
        if key != last:
            last = key
            seen = [event.raw]
        elif event.raw in seen:
            continue
        else:
            seen.append(event.raw)
        yield event
