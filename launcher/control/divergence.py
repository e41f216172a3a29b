"""Which nodes' machines have answered otherwise than the others', and from which entry on. Pure.

Every node says, of the entries up to some indexes, the running hash of what its machine answered to
them, and, of its last snapshot, the checksum of the machine's state. Of nodes that have applied the
same log these are the same, if their machines compute the same from the same. A machine that does
not (it looks at a clock, iterates a set, or has other code than its peers') is a user's mistake
that nothing else shows: each node goes on, with a state of its own.

The odd node is the one that a majority of all nodes is against. Where no majority agrees, nobody
can tell who is right: then all that differ are marked. The two hashes are followed apart: answers
may agree for a long time while the state does not.

A hash is cumulative. So a node that has agreed at an index has answered alike up to there, and one
that differs once differs until its state is replaced by another's. It is marked until then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Literal, TypeAlias

import msgspec

from launcher.control.naming import node_names
from node import wire
from node.raft.membership import majority
from node.raft.messages import NodeId

Kind: TypeAlias = Literal["answers", "state"]

MOST_INDEXES = 256
"""The number of indexes, of each kind, for which the nodes' reports are kept."""


class Divergence(msgspec.Struct, frozen=True, kw_only=True):
    """A node's machine and others' are not in the same state.

    kind: they differ in their `answers` to entries, or in the `state` that they wrote down
    after: up to this entry the node has agreed with others, as far as anybody has compared
    up_to: at this entry it did not
    others: the nodes from which it differs
    odd: a majority of the nodes agrees, and not with this one; otherwise nobody can tell
    """

    kind: Kind
    after: int
    up_to: int
    others: list[NodeId]
    odd: bool

    def __str__(self) -> str:
        """For `ps`, and for whoever waits."""
        others = node_names(self.others)
        what = "its answers differ" if self.kind == "answers" else "its state differs"
        said = f"diverged: {what} from those of {others}"
        if self.kind == "state":
            said = f"diverged: {what} from that of {others}"
        first, last = self.after + 1, self.up_to
        said += f", by entry {first}" if first == last else f", by an entry in {first}..{last}"
        return said if self.odd else said + "; no majority agrees, so nobody can tell who is right"


class Comparison:
    """What all nodes have said, and who differs.

    diverged: the nodes that differ now
    """

    def __init__(self) -> None:
        self.diverged: dict[NodeId, Divergence] = {}
        self._told: dict[NodeId, Divergence] = {}
        self._said: dict[Kind, dict[int, dict[NodeId, int]]] = {"answers": {}, "state": {}}

    def see(self, node: NodeId, status: wire.Status, nodes: Iterable[NodeId]) -> None:
        """A node's word, and all nodes that there are."""
        count = len(set(nodes) | {node})
        said = [(index, answers) for index, answers, _ in status.digests]
        for index, answers in [*said, (status.applied_index, status.answers)]:
            self._note("answers", node, index, answers, count)
        if status.state is not None:
            self._note("state", node, *status.state, count)

    def changes(self) -> list[tuple[NodeId, Divergence | None]]:
        """The nodes whose mark is another than when this was called last, each with its mark. To be
        called when all have spoken: with each word that comes another one may look odd."""
        told, now = self._told, dict(self.diverged)
        self._told = now
        return [
            (one, now.get(one)) for one in sorted({*told, *now}) if told.get(one) != now.get(one)
        ]

    def words(self, kind: Kind, index: int) -> dict[NodeId, int]:
        """What each node has said of this index, as far as that is kept."""
        return dict(self._said[kind].get(index, {}))

    def forget(self, node: NodeId) -> None:
        """The node's data is gone: it learns everything anew, or is not there any more."""
        self.diverged.pop(node, None)
        for by_index in self._said.values():
            for said in by_index.values():
                said.pop(node, None)

    def _note(self, kind: Kind, node: NodeId, index: int, value: int, count: int) -> None:
        by_index = self._said[kind]
        said = by_index.setdefault(index, {})
        if said.get(node) == value:
            return
        said[node] = value
        if len(by_index) > MOST_INDEXES:
            del by_index[min(by_index)]
        if len(said) > 1:
            self._judge(kind, index, said, count)

    def _judge(self, kind: Kind, index: int, said: dict[NodeId, int], count: int) -> None:
        """What these say of one index, where at least two have said something."""
        decided, right = _verdict(said, count)
        for node, value in said.items():
            mark = self.diverged.get(node)
            if mark is not None and mark.kind != kind:
                continue  # it is marked by what the others of its kind show
            if value == right:
                if mark is not None and index >= mark.up_to:
                    del self.diverged[node]  # its state has been replaced by another's
            elif mark is None or index <= mark.up_to or decided > mark.odd:
                self._mark(kind, node, index, said, count, odd=decided)

    def _mark(
        self,
        kind: Kind,
        node: NodeId,
        index: int,
        said: dict[NodeId, int],
        count: int,
        *,
        odd: bool,
    ) -> None:
        agreed = self._agreed(kind, node, count)
        if agreed and agreed[-1] > index:
            return  # an old word: it has agreed since
        mark = self.diverged.get(node)
        up_to = index if mark is None else min(index, mark.up_to)
        after = max((one for one in agreed if one < up_to), default=0)
        others = sorted(other for other, value in said.items() if value != said[node])
        self.diverged[node] = Divergence(
            kind=kind, after=after, up_to=up_to, others=others, odd=odd
        )

    def _agreed(self, kind: Kind, node: NodeId, count: int) -> list[int]:
        """Where this node has said the same as others, and none of them had said otherwise."""
        found = [
            index
            for index, said in self._said[kind].items()
            if node in said and len(said) > 1 and _verdict(said, count)[1] == said[node]
        ]
        return sorted(found)


def _verdict(said: dict[NodeId, int], count: int) -> tuple[bool, int | None]:
    """Whether a majority of `count` nodes says the same; and what is right, as far as anybody can
    tell: what they say, or what all say that have said anything."""
    values = Counter(said.values())
    value, backers = values.most_common(1)[0]
    decided = backers >= majority(tuple(range(count)))
    return decided, value if decided or len(values) == 1 else None


def event_of(node: NodeId, mark: Divergence | None) -> tuple[str, str, dict[str, object]]:
    """The level, name and fields of the event that tells of a change."""
    if mark is None:
        return "info", "divergence.ended", {"target": node}
    fields: dict[str, object] = {
        "target": node,
        "kind": mark.kind,
        "first_index": mark.after + 1,
        "last_index": mark.up_to,
        "others": mark.others,
        "odd": mark.odd,
    }
    return "error", "node.diverged", fields
