"""The end of all membership changes: the log and the supervisor's record must agree on the voters.

Once the faults have stopped, the operator finishes or undoes every change that was begun. Then
every node on record must have a vote, and no other node may have one.
"""

from __future__ import annotations

from launcher.simulation.agenda import Agenda
from launcher.simulation.cluster_wait import SETTLE_S, ClusterWait
from launcher.simulation.node import SimulatedNode
from launcher.simulation.operator import Operator, current_leader
from launcher.simulation.properties import RECONCILED
from launcher.simulation.situation import Situation
from launcher.supervisor import changes
from node.raft.invariants import InvariantBroken
from node.raft.membership import stable
from node.raft.messages import Membership


class Reconciliation:
    """Finishes the changes of one cluster, and checks their result."""

    def __init__(
        self, situation: Situation, time: Agenda, operator: Operator, wait: ClusterWait
    ) -> None:
        self._situation = situation
        self._time = time
        self._operator = operator
        self._wait = wait

    def make_all_voters(self) -> None:
        """Finishes all changes and rebuilds lost nodes. Then all nodes on record must vote.

        Where faults have changed the membership without the record (`reconfigure`, `recover`), asks
        the leader to make all nodes voters. Raises InvariantBroken when something is not finished
        in time, or when the log and the record disagree.
        """
        self._finish_changes()
        if self._situation.rebuilds:
            for node in self._wait.nodes:
                if node.data.lost:
                    self._rebuild(node)
        if self._situation.reconfigures or self._situation.recovers:
            self._ask_for_all()
        self._check_record()

    def _finish_changes(self) -> None:
        """Waits until the operator has finished the change on record."""

        def done() -> bool:
            change = self._operator.record.change
            if change is None:
                return True
            learner = self._operator.nodes.get(change.nodes[0])
            if learner is not None and learner.data.lost:  # its disk was damaged meanwhile
                if change.kind == "add":
                    self._operator.remove([learner.node_id])
                elif change.kind == "rebuild":
                    self._operator.rebuild(learner)
            self._keep_a_voter(changes.next_step(change))
            return False

        if not self._wait.until(done, 2 * SETTLE_S):
            change = self._operator.record.change
            self._wait.fail(f"{change} is not finished by {self._time.now:.3f} s")

    def _keep_a_voter(self, step: changes.Step | None) -> None:
        """Keeps a change from waiting for ever.

        If a `reconfigure` was under way when the change began, the only voters may be the nodes
        that the change removes. Then the leader is asked to make all nodes voters first.
        """
        leader = current_leader(self._wait.nodes)
        if isinstance(step, changes.Voters) and leader is not None and leader.server is not None:
            target = leader.server.state.configuration.membership.target
            if not step.among(target):
                leader.change_membership(self._operator.record.members)

    def _rebuild(self, node: SimulatedNode) -> None:
        """Has the operator rebuild a node whose disk is lost, from its peers."""
        rng = self._situation.rng(f"rebuild {node.node_id}")

        def rebuilt() -> bool:
            if self._operator.record.change is None and node.data.lost:
                self._operator.rebuild(node, rng)
            return self._operator.record.change is None and not node.data.lost

        if not self._wait.until(rebuilt, 2 * SETTLE_S):
            self._wait.fail(f"n{node.node_id} is not rebuilt by {self._time.now:.3f} s")

    def _ask_for_all(self) -> None:
        """Asks the leader to make all nodes on record voters, until it has done so."""
        everybody = self._operator.record.members

        def settled() -> bool:
            leader = current_leader(self._wait.nodes)
            if leader is None or leader.server is None:
                return False
            state = leader.server.state
            index, configuration = state.configurations[-1]
            if configuration.membership == stable(everybody):
                return index <= state.commit_index and not self._is_changed_beyond(
                    state.commit_index
                )
            leader.change_membership(everybody)
            return False

        if not self._wait.until(settled, 2 * SETTLE_S):
            self._wait.fail(f"not all are voters by {self._time.now:.3f} s")

    def _is_changed_beyond(self, commit_index: int) -> bool:
        """Whether a log still holds a change of the membership beyond that index, which the leader
        has not replaced yet. If the node with that log leads next, it completes the change, and a
        majority of all nodes may be no quorum any more.
        """
        everybody = stable(self._operator.nodes)
        for node in self._wait.alive:
            if node.server is not None:
                index, configuration = node.server.state.configurations[-1]
                if index > commit_index and configuration.membership != everybody:
                    return True
        return False

    def _check_record(self) -> None:
        """The log and the record must agree, once a leader knows what is committed."""

        def committed() -> Membership | None:
            leader = current_leader(self._wait.nodes)
            if leader is None or leader.server is None:
                return None
            status = leader.server.status()
            certain = status.commit_term == status.term and status.membership_committed
            return status.membership if certain else None

        if not self._wait.until(lambda: committed() is not None, SETTLE_S):
            self._wait.fail(f"no leader knows what is committed by {self._time.now:.3f} s")
        membership, record = committed(), self._operator.record
        if membership != stable(record.members):
            belief = f"on record are {record.members}, and by the log there is {membership}"
            raise InvariantBroken(RECONCILED, belief)
