"""What an operator does in the middle of faults, and the death of the supervisor.

These are no faults by themselves. Snapshots, handovers, changes of the membership, rolling restarts
and recoveries must all work while nodes crash and links fail, and while the supervisor is killed.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING

from launcher.fault_kinds import ADD, REBUILD, RECONFIGURE, RECOVER, REMOVE, ROLL, SUPERVISOR
from launcher.simulation.faults.schedule import Fault
from launcher.simulation.faults.target_cluster import Begin, End, TargetCluster
from launcher.simulation.roll import ROLLING, roll
from launcher.simulation.salvage import Salvage
from node.raft.membership import majority

if TYPE_CHECKING:
    from launcher.simulation.node import SimulatedNode


class OperatorFaults:
    """Begins these on one cluster: `kinds`, by name.

    on_recovered: called with the survivor and its last index when the cluster has been recovered
        from the survivor's data
    """

    def __init__(
        self, cluster: TargetCluster, on_recovered: Callable[[SimulatedNode, int], None]
    ) -> None:
        self._cluster = cluster
        self._operator = cluster.operator
        self._on_recovered = on_recovered
        self._lurking: dict[Fault, random.Random] = {}
        """faults that kill the supervisor at some step of a change"""
        self._operator.on_step = self._stepped
        self.kinds: dict[str, Begin] = {
            "snapshot": self._take_snapshots,
            "transfer": self._transfer,
            RECONFIGURE: self._reconfigure,
            REBUILD: self._rebuild,
            ADD: self._add,
            REMOVE: self._remove,
            SUPERVISOR: self._strike_supervisor,
            ROLL: self._roll,
            RECOVER: self._recover,
        }

    def _take_snapshots(
        self, fault: Fault, targets: list[SimulatedNode], rng: random.Random
    ) -> None:
        for node in targets:
            node.take_snapshot()

    def _transfer(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End:
        """Asks the leader to hand over to the target; in half of the cases again and again, to any
        node."""
        cluster = self._cluster
        asking = fault.amount < 0.5

        def ask(target: SimulatedNode) -> None:
            leader = cluster.leader
            if leader is not None:
                leader.transfer(target.node_id)
            if asking and not cluster.over:
                pause_s = 0.01 * 100.0 ** rng.random()  # from 10 ms to 1 s
                cluster.later(pause_s, ask, rng.choice(cluster.nodes))

        def end() -> None:
            nonlocal asking
            asking = False

        ask(targets[0])
        return end

    # -- the membership --------------------------------------------------------------------------

    def _reconfigure(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> None:
        """Asks for voters chosen at random, without the supervisor's record."""
        share = 0.2 + 0.7 * fault.amount
        self._operator.reconfigure(
            [node.node_id for node in self._cluster.nodes if rng.random() < share]
        )

    def _rebuild(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> None:
        """Rebuilds the target, or, mostly, a node whose disk is lost, if there is one."""
        (node,) = targets
        lost = [other for other in self._cluster.nodes if other.data.lost]
        if lost and rng.random() < 0.8:
            node = rng.choice(lost)
        self._operator.rebuild(node, rng)

    def _add(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> None:
        self._operator.add(1 if fault.amount < 0.7 else 2)

    def _remove(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> None:
        """Removes the target; or, in half of the cases, nodes that are being added or rebuilt.

        Enough nodes stay for the other faults.
        """
        ids = [node.node_id for node in targets]
        under_way = self._operator.record.change
        if under_way is not None and rng.random() < 0.5:
            ids = [node for node in under_way.nodes if rng.random() < 0.7]
        left = len(self._cluster.nodes) - len(ids)
        if ids and left >= max(2, majority(tuple(self._cluster.situation.nodes))):
            self._operator.remove(ids)

    # -- the supervisor --------------------------------------------------------------------------

    def _strike_supervisor(
        self, fault: Fault, targets: list[SimulatedNode], rng: random.Random
    ) -> End | None:
        """Kills the supervisor at once, or at steps of a change until the fault ends."""
        if fault.amount < 0.4:
            self._kill_supervisor(rng)
            return None
        self._lurking[fault] = rng

        def end() -> None:
            del self._lurking[fault]

        return end

    def _stepped(self) -> None:
        """The operator has done or recorded a step of a change: its supervisor may be killed."""
        for rng in list(self._lurking.values()):
            if rng.random() < 0.3:
                self._cluster.later(0.0, self._kill_supervisor, rng)

    def _kill_supervisor(self, rng: random.Random) -> None:
        if self._cluster.over or self._operator.is_down:
            return
        self._operator.die()
        rest_s = 0.02 * 100.0 ** rng.random()  # from 20 ms to 2 s
        self._cluster.later(rest_s, self._operator.come_back)

    # -- the whole cluster -----------------------------------------------------------------------

    def _roll(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> None:
        self._operator.begin(ROLLING, roll(self._operator, fault.duration_s, rng))

    def _recover(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> None:
        Salvage(self._cluster.nodes, self._operator, rng, self._on_recovered).begin()
