"""What long runs put on a cluster, and what it takes of the disk."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from launcher import Cluster
from tests.cluster.lab import Lab

KEYS = 20_000
VALUE = "v" * 256


class Writer(threading.Thread):
    """Submits entries of 256 bytes without end; notes the longest time between two answers.

    pause_s: after every twenty entries
    """

    def __init__(self, lab: Lab, pause_s: float = 0.0) -> None:
        super().__init__(daemon=True)
        self._pause_s = pause_s
        self._cluster = Cluster.attach(lab.folder / "cluster.yaml")
        self._ends = threading.Event()
        self.count = 0
        self.longest_gap_s = 0.0
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            last = time.monotonic()
            for done in self._cluster.submit_many(self._entries(), timeout_s=60.0):
                assert done.ok, done
                now = time.monotonic()
                self.longest_gap_s = max(self.longest_gap_s, now - last)
                last = now
                self.count += 1
        except BaseException as error:
            self.failure = error

    def _entries(self) -> Iterator[str]:
        number = 0
        while not self._ends.is_set():
            number += 1
            if self._pause_s and number % 20 == 0:
                time.sleep(self._pause_s)
            yield f"SET k{number % KEYS} {number}-{VALUE}"

    def stop(self) -> None:
        self._ends.set()
        self.join(90)
        assert not self.is_alive()
        if self.failure is not None:
            raise self.failure


def disk_of(lab: Lab, node_id: int) -> int:
    total = 0
    for file in (lab.folder / "data" / f"node-{node_id}").iterdir():
        try:
            total += file.stat().st_size
        except FileNotFoundError:
            continue  # recycled meanwhile
    return total
