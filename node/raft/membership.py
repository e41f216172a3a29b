"""Who votes, and how many make a quorum (§5.2; §6 comes with membership changes).

Any two quorums of a configuration share a server: that is all that Raft's safety asks of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from node.raft.messages import NodeId


class Configuration:
    """A fixed set of voters."""

    def __init__(self, voters: Iterable[NodeId]) -> None:
        self.voters = tuple(sorted(set(voters)))
        assert self.voters, "a cluster has at least one voter"

    @property
    def majority(self) -> int:
        """How many voters make a quorum."""
        return len(self.voters) // 2 + 1

    def peers(self, node_id: NodeId) -> tuple[NodeId, ...]:
        """All voters but `node_id`."""
        return tuple(voter for voter in self.voters if voter != node_id)

    def has_quorum(self, nodes: Iterable[NodeId]) -> bool:
        """Whether the voters among `nodes` are a majority."""
        present = set(nodes)
        return sum(voter in present for voter in self.voters) >= self.majority

    def quorum_value(self, value_of: Callable[[NodeId], float]) -> float:
        """The highest value that a majority has reached: the rule of commits, reads and contact."""
        values = sorted((value_of(voter) for voter in self.voters), reverse=True)
        return values[self.majority - 1]
