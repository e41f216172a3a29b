"""Messages, bytes, entries and elections a second, counted from records. Pure.

What a node has sent is counted: whether it arrived is another question. A message is of the second
in which it was recorded, by the clock of whoever reads: so nothing depends on the nodes' clocks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import msgspec

from launcher.evidence.messages.records import Damaged, Record, message_of
from node.raft.messages import AppendEntries, NodeId, RequestVote
from node.tap.format import LOST, SENT

WINDOW_S = 3.0
"""Over how long the rates are averaged."""

_LINK = tuple[NodeId, NodeId]


class LinkRate(msgspec.Struct, frozen=True):
    """One directed link, each number a second.

    entries: those that AppendEntries carried; one that is sent again counts again
    lost: messages that were lost, wherever that was
    """

    source: NodeId
    target: NodeId
    messages: float
    bytes: float
    entries: float
    lost: float


class Rates(msgspec.Struct, frozen=True):
    """All links on which anything was recorded, and how many elections began a second.

    elections: of candidates that asked for votes in a term of their own, each once
    seconds: over how long this was counted
    """

    links: list[LinkRate]
    elections: float
    seconds: float


class _Counted(msgspec.Struct):
    messages: int = 0
    bytes: int = 0
    entries: int = 0
    lost: int = 0

    def add(self, other: _Counted) -> None:
        self.messages += other.messages
        self.bytes += other.bytes
        self.entries += other.entries
        self.lost += other.lost


class Counting:
    """Counts records over the last seconds. now: seconds, on any clock that runs true"""

    def __init__(self, now: float) -> None:
        self._began = now
        self._links: set[_LINK] = set()
        self._pieces: deque[tuple[float, dict[_LINK, _Counted], int]] = deque()
        self._campaigns: dict[NodeId, int] = {}

    def add(self, records: Iterable[Record], now: float) -> None:
        """These were recorded since the last call."""
        counted: dict[_LINK, _Counted] = {}
        elections = 0
        for record in records:
            if record.kind == LOST:
                link = _link_of(record)
                counted.setdefault(link, _Counted()).lost += 1
            elif record.kind == SENT:
                link = (record.head.node, record.peer)
                of_link = counted.setdefault(link, _Counted())
                of_link.messages += 1
                of_link.bytes += record.size
                entries, campaign = _carried(record)
                of_link.entries += entries
                elections += self._begins(record.head.node, campaign)
        self._links |= counted.keys()
        self._pieces.append((now, counted, elections))
        while self._pieces and self._pieces[0][0] <= now - WINDOW_S:
            self._began = self._pieces.popleft()[0]

    def rates(self, now: float) -> Rates:
        """What came in the last seconds."""
        seconds = max(now - self._began, 1e-9)
        sums = {link: _Counted() for link in self._links}
        for _, counted, _ in self._pieces:
            for link, piece in counted.items():
                sums[link].add(piece)
        links = [
            LinkRate(
                *link,
                messages=one.messages / seconds,
                bytes=one.bytes / seconds,
                entries=one.entries / seconds,
                lost=one.lost / seconds,
            )
            for link, one in sorted(sums.items())
        ]
        elections = sum(begun for _, _, begun in self._pieces)
        return Rates(links, elections / seconds, seconds)

    def _begins(self, node: NodeId, campaign: int) -> bool:
        """Whether a node asks for votes in a term for the first time. campaign: 0: it does not"""
        begins = campaign > self._campaigns.get(node, 0)
        if begins:
            self._campaigns[node] = campaign
        return begins


def _link_of(record: Record) -> _LINK:
    here, there = record.head.node, record.peer
    return (there, here) if record.detail else (here, there)


def _carried(record: Record) -> tuple[int, int]:
    """How many entries a message carries, and the term in which it asks for a vote; each 0 if
    not."""
    try:
        _, message = message_of(record)
    except Damaged:
        return 0, 0
    if isinstance(message, AppendEntries):
        return sum(batch.count for batch in message.batches), 0
    if isinstance(message, RequestVote) and not message.pre_vote:
        return 0, message.term
    return 0, 0
