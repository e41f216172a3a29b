"""Waiting for a cluster to recover, in simulated time: how long, and what counts as too long.

The cluster has a fixed time for each step of the examination (`liveness.py`, `reconciliation.py`).
Where nodes are far behind and links are slow, catching up can take longer. So the time is extended
as long as the cluster makes progress.
"""

from __future__ import annotations

from collections.abc import Callable

from launcher.simulation.agenda import Agenda
from launcher.simulation.node import SimulatedNode
from launcher.simulation.operator import Operator
from launcher.simulation.properties import LIVENESS
from launcher.simulation.situation import ELECTION_TIMEOUT_S, Situation
from node.raft.invariants import InvariantBroken

LIVENESS_TIMEOUTS = 10
"""How many of the longest election timeouts the cluster has for each step of its recovery."""

SETTLE_S = LIVENESS_TIMEOUTS * ELECTION_TIMEOUT_S


class ClusterWait:
    """Waits for one cluster, and raises InvariantBroken when it does not recover."""

    def __init__(self, situation: Situation, time: Agenda, operator: Operator) -> None:
        self._situation = situation
        self._time = time
        self._operator = operator

    @property
    def nodes(self) -> list[SimulatedNode]:
        """The nodes on record."""
        return list(self._operator.nodes.values())

    @property
    def alive(self) -> list[SimulatedNode]:
        """The nodes on record whose disks are not lost."""
        return [node for node in self.nodes if not node.data.lost]

    def until(self, holds: Callable[[], bool], patience_s: float) -> bool:
        """Lets time pass until the condition holds. Returns whether it does.

        Waits for `patience_s`, and then as long as the cluster makes progress (`_missing_entries`),
        but at most ten times `SETTLE_S` in all.
        """
        give_up = self._time.now + 10 * SETTLE_S
        if self._time.run_until(self._time.now + patience_s / 2, holds):
            return True
        # Not sooner: while all nodes have only just started, none has applied anything, so none
        # seems to be behind.
        missing = self._missing_entries()
        patience_s /= 2
        while not self._time.run_until(self._time.now + patience_s, holds):
            before, missing = missing, self._missing_entries()
            if missing >= before or self._time.now >= give_up:
                return False
            patience_s = SETTLE_S
        return True

    def _missing_entries(self) -> int:
        """How many entries all nodes together have yet to apply to be as far as the furthest one.

        A node that waits to be rebuilt counts as one that has applied nothing: the operator
        rebuilds one node after another.
        """
        applied = [node.server.applied[0] for node in self.alive if node.server is not None]
        if self._situation.recorded_changes:
            applied += [0 for node in self.nodes if node.data.lost or node.withheld]
        return sum(max(applied) - index for index in applied) if applied else 0

    def fail(self, what: str) -> None:
        """Raises InvariantBroken: says what has not happened, and the state of all nodes."""
        found = ", ".join(map(_describe, self.nodes))
        raise InvariantBroken(LIVENESS, f"{what}: {found}")


def _describe(node: SimulatedNode) -> str:
    if node.server is None:
        return f"n{node.node_id} {'lost' if node.data.lost else 'down'}"
    state = node.server.state
    return (
        f"n{node.node_id} {state.role.value} of term {state.current_term} at "
        f"{state.commit_index}/{state.log.last_index}"
    )
