"""Reads whose moment has come: each is answered from one state, however many turns that takes.

A read may hold thousands of queries, and a query's answer may be long. So they are asked of the
machine as far as a `Stretch` goes. While a read is half answered (`is_half_way`) nothing may be
applied: all of its answers are of one point of the log.

The answers to one read have a budget. A query whose answer does not fit is answered with an error.
"""

from __future__ import annotations

from collections import deque

from node import wire
from node.machines.protocol import Machine, answer_query
from node.ports import ClientConnection
from node.server.machine_watch import MachineWatch
from node.server.settings import read_bytes
from node.server.stretch import Stretch
from node.wire import Read, ReadResult

MOST_ANSWER_BYTES = 32 << 20
"""The answers to one read come to no more, but for the errors."""


class Answering:
    """The reads of one server that can be answered now, in the order in which they are."""

    def __init__(self, watch: MachineWatch) -> None:
        self._watch = watch
        self._due: deque[tuple[ClientConnection, Read]] = deque()
        self._results: list[bytes] = []
        """the answers to the first of them, so far; which are errors; and how long they are"""
        self._errors: list[int] = []
        self._size = 0

    @property
    def has_more(self) -> bool:
        return bool(self._due)

    @property
    def is_half_way(self) -> bool:
        """Whether some of a read's answers are given, so that the state must stay as it is."""
        return bool(self._results)

    def take(self, client: ClientConnection, read: Read) -> None:
        """The state may answer this read from now on."""
        self._due.append((client, read))

    def gone(self, client: ClientConnection) -> int:
        """Nobody waits for this client's answers; how many bytes its reads were counted with."""
        if not any(one is client for one, _ in self._due):
            return 0
        if self._due[0][0] is client:
            self.begin_again()
        freed = sum(read_bytes(read) for one, read in self._due if one is client)
        self._due = deque(item for item in self._due if item[0] is not client)
        return freed

    def begin_again(self) -> None:
        """The machine is another one now, or nobody wants the rest: no read is half answered."""
        self._results, self._errors, self._size = [], [], 0

    def go_on(self, machine: Machine, index: int, term: int, stretch: Stretch) -> int:
        """Answers the reads that are due, as far as the stretch goes.

        index, term: of the last entry that the machine has applied
        returns: how many bytes the reads that were answered were counted with
        """
        freed = 0
        while self._due and not stretch.is_over:
            client, read = self._due[0]
            while len(self._results) < len(read.queries) and not stretch.is_over:
                self._ask(machine, read.queries[len(self._results)], stretch)
            if len(self._results) < len(read.queries):
                break
            self._due.popleft()
            result = ReadResult(read.read_id, index, term, self._results, self._errors)
            self.begin_again()
            stretch.spend(1, 0)
            client.send(wire.encode_client(result))
            freed += read_bytes(read)
        return freed

    def _ask(self, machine: Machine, query: bytes, stretch: Stretch) -> None:
        room = MOST_ANSWER_BYTES - self._size
        result, failed = self._answer(machine, query) if room > 0 else (b"", True)
        stretch.spend(1, len(result))
        self._size += len(result)
        if room <= 0 or len(result) > room:
            self._size = max(self._size, MOST_ANSWER_BYTES)  # nothing more is asked
            failed = True
            result = b"the answers to this read are over the bound of %d bytes; ask in several" % (
                MOST_ANSWER_BYTES
            )
        if failed:
            self._errors.append(len(self._results))
        self._results.append(result)

    def _answer(self, machine: Machine, query: bytes) -> tuple[bytes, bool]:
        watch = self._watch
        began = watch.stopwatch()
        answered = answer_query(machine, query, watch.query_failed)
        took_s = watch.stopwatch() - began
        if took_s >= watch.slow_s or took_s > watch.slowest_query_s:
            watch.queried(query, took_s)
        return answered
