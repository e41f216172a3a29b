"""Who votes, and how many make a quorum (§5.2, §6).

Any two quorums of a configuration share a server: that is all that Raft's safety asks of it. From
one configuration to the next the way leads through both: in a *joint* one every decision takes a
majority of the old voters and one of the new, so at no moment could two majorities decide without
each other, however many servers come or go at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from node.raft.messages import Membership, NodeId

Reached = TypeVar("Reached", int, float)


class Configuration:
    """A membership, and what follows from it. Without voters nothing is ever a quorum."""

    def __init__(self, membership: Membership) -> None:
        self.membership = membership
        self.voters = membership.voters
        self.everybody = membership.members
        self.is_stable = not membership.outgoing and membership.target == membership.voters
        """no change is under way"""
        self._halves = [half for half in (membership.voters, membership.outgoing) if half]

    @property
    def is_joint(self) -> bool:
        """A majority of the old voters is needed as well."""
        return bool(self.membership.outgoing)

    @property
    def learners(self) -> tuple[NodeId, ...]:
        """Who is to vote and does not yet."""
        return tuple(node for node in self.membership.target if not self.may_vote(node))

    def may_vote(self, node_id: NodeId) -> bool:
        """Whether its vote, or its disk, counts."""
        return node_id in self.voters or node_id in self.membership.outgoing

    def has_quorum(self, nodes: Iterable[NodeId]) -> bool:
        """Whether those among `nodes` that may vote are a majority, of each half."""
        present = set(nodes)
        return bool(self._halves) and all(
            sum(voter in present for voter in half) >= majority(half) for half in self._halves
        )

    def quorum_value(self, value_of: Callable[[NodeId], Reached]) -> Reached:
        """The highest value that a majority has reached: the rule of commits, reads and contact.

        There must be a voter.
        """
        return min([_reached(half, value_of) for half in self._halves])


def majority(voters: tuple[NodeId, ...]) -> int:
    """How many of them make a majority."""
    return len(voters) // 2 + 1


def _reached(half: tuple[NodeId, ...], value_of: Callable[[NodeId], Reached]) -> Reached:
    values = sorted(map(value_of, half), reverse=True)
    return values[majority(half) - 1]


def stable(voters: Iterable[NodeId]) -> Membership:
    """The membership of these voters, with no change under way."""
    ids = tuple(sorted(set(voters)))
    return Membership(ids, ids)


_decoder = msgspec.msgpack.Decoder(Membership)


def encode(membership: Membership) -> bytes:
    """The data of its entry in the log."""
    return msgspec.msgpack.encode(membership)


def decode(data: bytes) -> Membership:
    """The inverse of `encode`. Raises msgspec.DecodeError."""
    return _decoder.decode(data)
