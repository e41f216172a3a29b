"""Whether a node's log still holds what its leader says that it has acknowledged. Pure.

What a node has acknowledged is on its disk, and in the same term nothing of it is ever truncated
(§5.3): the leader has it too. So a log that ends before that has lost it.

A node whose data was removed on purpose counts again from the next term on: until then its leader
may still tell of what the former data held.

Two nodes report over two pipes, and a report may have been on its way for long. So only a report
counts that answers a question which was asked when the leader's word had already come.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from launcher.folders.violations import Report, Violation
from launcher.supervisor.commit_rule import Speaker
from node import wire
from node.raft.messages import NodeId


@dataclass(slots=True)
class _Word:
    """What a leader has said of one peer.

    term, index: in which term, and up to where the peer has acknowledged the log
    asked: the number of the last question that had been put to the nodes by then
    """

    term: int
    index: int
    asked: int
    report: Report


class Acknowledged:
    """The last word of each leader on each peer."""

    def __init__(self) -> None:
        self._of: dict[NodeId, _Word] = {}
        self._newest_term = 0
        self._counts_from: dict[NodeId, int] = {}

    def see(self, saying: Speaker, status: wire.Status, asked: int) -> Iterator[Violation]:
        """A node's report. asked: the number of the last question that was put to the nodes"""
        self._newest_term = max(self._newest_term, status.term)
        word = self._of.get(saying.node)
        if (
            word is not None
            and status.term == word.term
            and status.request > word.asked
            and status.last_index < word.index
        ):
            yield Violation(
                promise="what was acknowledged is kept",
                subject=f"acknowledgements of n{saying.node}",
                found=f"n{saying.node} has acknowledged {word.index} entries in term {word.term}, "
                f"and its log ends at {status.last_index}",
                reports=[
                    word.report,
                    saying(f"term {status.term}, its log ends at {status.last_index}"),
                ],
            )
        if status.role == "leader":
            for peer in status.peers:
                self._hear(saying, status.term, peer, asked)

    def forget(self, node: NodeId) -> None:
        """Its data is gone on purpose."""
        self._of.pop(node, None)
        self._counts_from[node] = self._newest_term + 1

    def _hear(self, saying: Speaker, term: int, peer: wire.Peer, asked: int) -> None:
        if term < self._counts_from.get(peer.id, 0):
            return
        known = self._of.get(peer.id)
        if known is not None and (known.term, known.index) >= (term, peer.match_index):
            return
        said = f"it leads term {term}; n{peer.id} has acknowledged {peer.match_index}"
        self._of[peer.id] = _Word(term, peer.match_index, asked, saying(said))
