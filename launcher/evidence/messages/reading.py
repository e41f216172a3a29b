"""All nodes' records of messages, as events in one order."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from launcher.evidence.messages.files import NodeRecord
from launcher.evidence.messages.records import Damaged, event_of
from launcher.timeline.events import Event
from node.raft.messages import NodeId
from node.tap.segment import segments

TAP = "tap"
"""The folder of these files, in the folder of the logs."""

_WINDOW = 512
"""Of one node a record may stand behind some that are later by its clock, but not behind more."""


class Messages:
    """What the nodes have recorded by now.

    folder: of the files. Where there is none, or no file, there are no events
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._records: dict[NodeId, NodeRecord] = {}
        self._begins: dict[NodeId, int] = {}
        self._damaged: list[str] = []

    def events(self) -> Iterator[Event]:
        """All events, sorted by `(t, node)`. What is written meanwhile may be among them.

        Raises OSError.
        """
        nodes = sorted({node for node, _, _ in segments(self._folder)})
        self._records = {node: NodeRecord(self._folder, node) for node in nodes}
        streams = [self._sorted(record) for record in self._records.values()]
        yield from heapq.merge(*streams, key=_key)

    @property
    def begins(self) -> dict[NodeId, int]:
        """For each node whose older segments are gone, the time of the first event that is left:
        what was before that is missing. To be asked after the events were read."""
        late = [node for node, record in self._records.items() if record.begins_late]
        return {node: self._begins[node] for node in late if node in self._begins}

    @property
    def problems(self) -> list[str]:
        """What is missing within the events, and what could not be understood; a line each. To be
        asked after the events were read."""
        lines = list(self._damaged)
        for node, record in self._records.items():
            if record.missing:
                lines.append(
                    f"n{node}: {record.missing} segments were removed before they were read"
                )
            lines += record.problems
        return lines

    def _sorted(self, record: NodeRecord) -> Iterator[Event]:
        """The events of one node, sorted."""
        waiting: list[tuple[int, int, Event]] = []
        number = 0
        with closing(record):
            for event in self._events_of(record):
                number += 1
                heapq.heappush(waiting, (event.t, number, event))
                if len(waiting) > _WINDOW:
                    yield heapq.heappop(waiting)[2]
            while waiting:
                yield heapq.heappop(waiting)[2]

    def _events_of(self, record: NodeRecord) -> Iterator[Event]:
        while records := record.read():
            for one in records:
                try:
                    event = event_of(one)
                except Damaged as error:
                    if len(self._damaged) < NodeRecord.MOST_PROBLEMS:
                        self._damaged.append(f"n{record.node}: a record is damaged: {error}")
                    continue
                self._begins.setdefault(record.node, event.t)
                yield event


def _key(event: Event) -> tuple[int, int]:
    return event.key
