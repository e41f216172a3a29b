"""Who votes, and how many make a quorum (§5.2, §6).

Any two quorums of a configuration share a server; Raft's safety needs nothing else of it. A change
from one configuration to another passes through both: while the configuration is *joint*, every
decision takes a majority of the old voters and one of the new voters. So at no moment can two
majorities decide without each other, however many servers come or go at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from node.raft.messages import Membership, NodeId

Reached = TypeVar("Reached", int, float)


class Configuration:
    """A membership, and its quorums. Without voters there is none.

    is_stable: no change is under way
    """

    def __init__(self, membership: Membership) -> None:
        self.membership = membership
        self.voters = membership.voters
        self.everybody = membership.members
        self.is_stable = not membership.outgoing and membership.target == membership.voters
        self._halves = [half for half in (membership.voters, membership.outgoing) if half]

    @property
    def is_joint(self) -> bool:
        """A majority of the old voters is needed as well."""
        return bool(self.membership.outgoing)

    @property
    def learners(self) -> tuple[NodeId, ...]:
        """The servers that are to vote and do not vote yet."""
        return tuple(node for node in self.membership.target if not self.may_vote(node))

    def may_vote(self, node_id: NodeId) -> bool:
        """Whether its vote, or its disk, counts."""
        return node_id in self.voters or node_id in self.membership.outgoing

    def has_quorum(self, nodes: Iterable[NodeId]) -> bool:
        """Whether the voters among `nodes` are a majority, of each half when it is joint."""
        present = set(nodes)
        return bool(self._halves) and all(
            sum(voter in present for voter in half) >= majority(half) for half in self._halves
        )

    def quorum_value(self, value_of: Callable[[NodeId], Reached]) -> Reached:
        """The highest value that a majority has reached. Commits, reads and leases, and a leader's
        contact with its voters are all counted by it. There must be a voter.
        """
        return min([_reached(half, value_of) for half in self._halves])


def majority(voters: tuple[NodeId, ...]) -> int:
    """The least number of `voters` that is a majority."""
    return len(voters) // 2 + 1


def _reached(half: tuple[NodeId, ...], value_of: Callable[[NodeId], Reached]) -> Reached:
    values = sorted(map(value_of, half), reverse=True)
    return values[majority(half) - 1]


def stable(voters: Iterable[NodeId]) -> Membership:
    """The membership with these voters and no change under way."""
    ids = tuple(sorted(set(voters)))
    return Membership(ids, ids)


_decoder = msgspec.msgpack.Decoder(Membership)


def encode(membership: Membership) -> bytes:
    """The data of its entry in the log."""
    return msgspec.msgpack.encode(membership)


def decode(data: bytes) -> Membership:
    """The inverse of `encode`. Raises msgspec.DecodeError."""
    return _decoder.decode(data)
