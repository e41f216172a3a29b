"""The committed log, put together from what all nodes wrote. Pure.

A node that knows that an index is committed, and has an entry there, has a committed entry. From
the highest such entry the chain goes back, from each batch to the one before it, whose term every
log told that held the batch. By Log Matching, which `replay.py` checks, there is one such chain. It
holds every committed entry, though no single node need have kept them all.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping

from launcher.lab.verdict.replay import Held, LogModel
from node.raft.messages import Batch, NodeId


class Chain:
    """The committed batches, oldest first.

    first_index: of the first entry that is there; 1 when the chain is whole
    last_index, last_term: of the last one; 0 without any
    """

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches
        self._starts = [batch.first_index for batch in batches]
        self.first_index = batches[0].first_index if batches else 1
        self.last_index = batches[-1].last_index if batches else 0
        self.last_term = batches[-1].term if batches else 0

    @property
    def is_whole(self) -> bool:
        """Whether it begins with the first entry of the log."""
        return self.first_index == 1

    def batch_at(self, index: int) -> Batch | None:
        """The batch that holds the entry; None where the chain has none."""
        at = bisect_right(self._starts, index) - 1
        if at < 0 or self.batches[at].last_index < index:
            return None
        return self.batches[at]

    def term_at(self, index: int) -> int | None:
        """The term of the entry; None where the chain has none, 0 before the first entry."""
        if index == 0:
            return 0
        batch = self.batch_at(index)
        return None if batch is None else batch.term


def committed_chain(
    ends: Mapping[NodeId, LogModel],
    by_end: Mapping[tuple[int, int], Held],
    claims: Mapping[NodeId, int],
    *,
    latest: bool = False,
) -> Chain:
    """The chain back from the highest entry that is known to be committed.

    claims: the last index that each node knew to be committed
    latest: back from the one of the latest term. That is another one only where nodes disagree on
        what is committed; then it is what the last leader went on with
    """
    tops = list(_tops(ends, claims))
    if not tops:
        return Chain([])
    index, term = max(tops, key=lambda top: (top[1], top[0]) if latest else top)
    batches: list[Batch] = []
    while index > 0:
        held = by_end.get((index, term))
        if held is None:
            break
        batches.append(held.batch)
        index = held.batch.first_index - 1
        if held.before is None:
            break
        term = held.before
    return Chain(batches[::-1])


def _tops(
    ends: Mapping[NodeId, LogModel], claims: Mapping[NodeId, int]
) -> Iterator[tuple[int, int]]:
    """For each node the last entry in its log that it knows to be committed: index and term, where
    a batch ends."""
    for node, log in ends.items():
        claimed = min(claims.get(node, 0), log.last_index)
        for batch in reversed(log.batches):
            if batch.last_index <= claimed:
                yield batch.last_index, batch.term
                break
