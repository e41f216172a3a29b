"""Leases that end by cluster time, and how their lengths are written.

A lease ends *at* its end: as soon as cluster time has reached it. Cluster time comes from the log,
so a lease ends on every node at the same index. It stands still while there is no leader: then no
lease ends, and none can be renewed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from heapq import heapify, heappop, heappush
from typing import Generic, TypeVar

from node.errors import CommandError
from node.machines.protocol import shown
from node.quantities import parse_duration_us

SHORTEST_TTL_US = 10_000
LONGEST_TTL_US = 24 * 3600 * 1_000_000

_TTL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})?(ms|s|m|h)")
"""What the machines take of all the durations of `node/quantities.py`.

A log is replayed by newer versions, and each must give the answers that were given at first. So
this stays as it is when more can be written elsewhere.
"""
_STALE_ALLOWED = 64

_K = TypeVar("_K", bytes, tuple[bytes, bytes])


def parse_ttl(word: bytes) -> int:
    """A length of time in microseconds: `500ms`, `1.5s`, `2m`. Raises CommandError."""
    text = word.decode("ascii", "replace")
    if not _TTL.fullmatch(text):
        raise CommandError(f"a ttl is written 500ms, 5s, 2m or 1h, not {shown(word)}")
    ttl_us = parse_duration_us(text)
    if not SHORTEST_TTL_US <= ttl_us <= LONGEST_TTL_US:
        raise CommandError(f"a ttl is from 10ms to 24h, not {shown(word)}")
    return ttl_us


def shown_time(time_us: int) -> str:
    """A length of time in seconds, to the millisecond begun; `parse_ttl` reads it."""
    milliseconds = -(-time_us // 1000)
    text = f"{milliseconds // 1000}.{milliseconds % 1000:03d}"
    return text.rstrip("0").rstrip(".") + "s"


class Leases(Generic[_K]):
    """Which keys are leased, and until when.

    A heap has the ends in order. An end that was put off or called off stays in it until it comes
    to the top, or until such make up more than half of the heap, which is then made anew; so each
    lease granted costs O(log n) in the long run, however often it is renewed.
    """

    def __init__(self, time_us: int = 0, ends: Iterable[tuple[_K, int]] = ()) -> None:
        """time_us: cluster time; ends: the leases that there are, and when they end"""
        self.time_us = time_us
        self._ends: dict[_K, int] = dict(ends)
        self._heap: list[tuple[int, _K]] = [(end, key) for key, end in self._ends.items()]
        heapify(self._heap)

    def grant(self, key: _K, ttl_us: int) -> None:
        """`key` is leased from now on for `ttl_us`, whatever it was before."""
        self._ends[key] = end = self.time_us + ttl_us
        heappush(self._heap, (end, key))
        if len(self._heap) > 2 * len(self._ends) + _STALE_ALLOWED:
            self._heap = [(end, key) for key, end in self._ends.items()]
            heapify(self._heap)

    def drop(self, key: _K) -> None:
        """The lease of `key` is given back."""
        del self._ends[key]

    def end_us(self, key: _K) -> int:
        """When the lease of `key` ends."""
        return self._ends[key]

    def left(self, key: _K) -> str:
        """For how long `key` is still leased, as text."""
        return shown_time(self._ends[key] - self.time_us)

    def advance(self, time_us: int) -> list[_K]:
        """It is `time_us` now. The keys whose leases have ended since, in the order of that."""
        self.time_us = time_us
        ended = []
        while (due := self.deadline_us()) is not None and due <= time_us:
            _, key = heappop(self._heap)
            del self._ends[key]
            ended.append(key)
        return ended

    def deadline_us(self) -> int | None:
        """When the next lease ends; None when there is none."""
        heap, ends = self._heap, self._ends
        while heap and ends.get(heap[0][1]) != heap[0][0]:
            heappop(heap)
        return heap[0][0] if heap else None
