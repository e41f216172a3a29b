"""The nemesis (Jepsen's word): injects the faults of a schedule, and ends them.

For each kind in `schedule.py`, a method in one of the modules beside this one begins the fault and
returns what ends it. A fault may have choices left when it begins, such as the groups of a
partition. It draws them from a random stream of its own, so that they do not depend on which other
faults there are.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from launcher.fault_kinds import ALL, FOLLOWER, LEADER
from launcher.simulation.faults.disks import DiskFaults
from launcher.simulation.faults.links import LinkFaults
from launcher.simulation.faults.operators import OperatorFaults
from launcher.simulation.faults.points import PointFaults
from launcher.simulation.faults.processes import ProcessFaults
from launcher.simulation.faults.schedule import Fault
from launcher.simulation.faults.strikes import Strikes
from launcher.simulation.faults.target_cluster import Begin, TargetCluster
from launcher.simulation.operator import current_leader
from node.raft.messages import NodeId

if TYPE_CHECKING:
    from launcher.simulation.node import SimulatedNode


class Nemesis:
    """Injects faults into one cluster, by schedule.

    begins: what begins each kind of fault, by its name
    on_fault: called with each fault that begins, and with the nodes it is aimed at
    on_recovered: as in `OperatorFaults`
    """

    def __init__(
        self,
        cluster: TargetCluster,
        on_fault: Callable[[Fault, list[NodeId]], None],
        on_recovered: Callable[[SimulatedNode, int], None],
    ) -> None:
        self._cluster = cluster
        self._on_fault = on_fault
        self._strikes = Strikes(cluster)
        self.begins: dict[str, Begin] = {
            **LinkFaults(cluster).kinds,
            **ProcessFaults(cluster).kinds,
            **PointFaults(cluster).kinds,
            **self._strikes.kinds,
            **DiskFaults(cluster).kinds,
            **OperatorFaults(cluster, on_recovered).kinds,
        }

    def follow(self, schedule: Sequence[Fault]) -> None:
        """Plans the faults of a schedule."""
        for fault in schedule:
            self._cluster.time.at(fault.at_s, self._begin, fault)

    def stop(self, down: Sequence[SimulatedNode] = ()) -> None:
        """Ends all faults: links, clocks and disks work again, and all nodes are up but these."""
        cluster = self._cluster
        cluster.over = True
        cluster.operator.stop_work()
        for node in down:
            node.crash(power=False, reason="killed")
        cluster.links.heal()
        for node in cluster.nodes:
            node.clock.run_true(cluster.time.now)
            node.arm_timer()
            node.points.disarm_all()
            node.slow_disk = None
            node.disk.fault = None
            node.resume_disk()
            node.release()
            node.resume()
            if node not in down:
                node.start()

    def elected(self, leader: SimulatedNode) -> None:
        """There is a new leader."""
        self._strikes.elected(leader)

    def happened(self, node: SimulatedNode, event: str) -> None:
        """A node has emitted an event."""
        self._strikes.happened(node, event)

    def _begin(self, fault: Fault) -> None:
        cluster = self._cluster
        if cluster.over:
            return
        rng = cluster.situation.rng(f"fault {fault.number}")
        targets = self._targets(fault.target, rng)
        self._on_fault(fault, [node.node_id for node in targets])
        end = self.begins[fault.kind](fault, targets, rng)
        if end is not None:
            cluster.later(fault.duration_s, cluster.unless_over, end)

    def _targets(self, target: str, rng: random.Random) -> list[SimulatedNode]:
        nodes = self._cluster.nodes
        if target == ALL:
            return nodes
        alive = [node for node in nodes if node.server is not None]
        leader = current_leader(alive)
        if target == LEADER and leader is not None:
            return [leader]
        if target == FOLLOWER:
            alive = [node for node in alive if node is not leader]
        return [rng.choice(alive or nodes)]
