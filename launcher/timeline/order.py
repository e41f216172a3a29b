"""One order of what happened on all nodes, and whether they have applied the same entries.

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


class DigestCheck:
    """Watches for two nodes that have applied different entries (State Machine Safety, §5.4.3).

    Every node logs the running hash of what it has applied at the same indexes. Of the last
    `window` such indexes the first digest heard is kept, so memory is bounded; a node that is
    further behind than that is compared again once it has caught up: the hash is cumulative.
    """

    def __init__(self, window: int = 4096) -> None:
        self._window = window
        self._first: dict[int, tuple[int, object]] = {}
        self._told: set[int] = set()

    def see(self, event: Event) -> dict[str, object] | None:
        """The finding that this event completes: `index`, the two `nodes` and their `digests`.

        Each index is told once.
        """
        if event.event != "applied.digest":
            return None
        fields = event.fields
        index, digest = fields.get("index"), fields.get("digest")
        if not isinstance(index, int) or digest is None:
            return None
        if index not in self._first:
            self._first[index] = (event.node, digest)
            if len(self._first) > self._window:
                oldest = next(iter(self._first))
                del self._first[oldest]
                self._told.discard(oldest)
            return None
        node, expected = self._first[index]
        if digest == expected or index in self._told:
            return None
        self._told.add(index)
        return {"index": index, "nodes": [node, event.node], "digests": [expected, digest]}
