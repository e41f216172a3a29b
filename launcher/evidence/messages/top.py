"""What `launcher top` shows: the rates of a cluster, from what its nodes record.

Only files are read. They also say which nodes record nothing: who ends a record gives back what its
file has not used, so the file of a record that goes on has its full length.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from launcher.evidence.messages.files import NodeRecord
from launcher.evidence.messages.rates import Counting, Rates
from node.raft.messages import NodeId
from node.tap.format import HEAD, parse_head
from node.tap.segment import segments


class Top:
    """Follows the records of all nodes of a cluster from now on.

    folder: of the records
    """

    MOST_READ = 200
    """How many pieces of one node are read at a time; a reader that lags behind skips nothing, but
    its numbers come late."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._records: dict[NodeId, NodeRecord] = {}
        self._counting = Counting(time.monotonic())
        self._find(at_end=True)

    def close(self) -> None:
        """Lets go of the files."""
        for record in self._records.values():
            record.close()

    def read(self) -> None:
        """Counts what was recorded since the last call. Raises OSError."""
        self._find(at_end=False)
        for record in self._records.values():
            for _ in range(self.MOST_READ):
                found = record.read()
                if not found:
                    break
                self._counting.add(found, time.monotonic())
        self._counting.add((), time.monotonic())

    def rates(self) -> Rates:
        """Of the last seconds."""
        return self._counting.rates(time.monotonic())

    def off(self, nodes: Iterable[NodeId]) -> list[NodeId]:
        """Those of the nodes that record nothing. Raises OSError."""
        newest = {node: path for node, _, path in segments(self._folder)}
        return [node for node in nodes if node not in newest or not _goes_on(newest[node])]

    def missed(self) -> dict[NodeId, int]:
        """How many files of each node were overwritten before they were read; only those nodes of
        which there are any. What was in them is not counted."""
        return {node: one.missing for node, one in self._records.items() if one.missing}

    def _find(self, *, at_end: bool) -> None:
        """at_end: what is there already is not counted"""
        for node in {node for node, _, _ in segments(self._folder)} - self._records.keys():
            self._records[node] = NodeRecord(self._folder, node, at_end=at_end)


def _goes_on(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = parse_head(file.read(HEAD.size))
            return head is not None and file.seek(0, os.SEEK_END) == head.capacity
    except (FileNotFoundError, ValueError):
        return False
