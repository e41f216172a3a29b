"""Faults that wait for a moment: a node is struck just after something has happened to it.

`hunt` strikes each new leader. `ambush` waits for one kind of event, and strikes the node that it
happened to, or the leader. A strike kills the node, cuts it off, stops it, or splits the cluster.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from launcher.simulation.faults.schedule import Fault
from launcher.simulation.faults.target_cluster import Begin, End, TargetCluster
from launcher.simulation.network import cuts
from node.faults.links import partition

if TYPE_CHECKING:
    from launcher.simulation.node import SimulatedNode

AMBUSHED = (
    "configuration.adopted",
    "election.started",
    "leader.elected",
    "leader.stepped_down",
    "log.truncated",
    "snapshot.installed",
    "snapshot.sending",
    "snapshot.taken",
    "term.advanced",
    "transfer.received",
    "transfer.started",
    "vote.granted",
)
"""The events after which a crash is most likely to show a bug."""


class Strikes:
    """Begins these faults on one cluster: `kinds`, by name."""

    def __init__(self, cluster: TargetCluster) -> None:
        self._cluster = cluster
        self._hunts: dict[Fault, random.Random] = {}
        self._ambushes: dict[Fault, tuple[str, random.Random]] = {}
        self.kinds: dict[str, Begin] = {"hunt": self._hunt, "ambush": self._ambush}

    def elected(self, leader: SimulatedNode) -> None:
        """There is a new leader: each hunt under way strikes it a moment later."""
        for fault, rng in self._hunts.items():
            delay_s = 0.002 * 150.0 ** rng.random()  # 2 to 300 ms; its logarithm is uniform
            self._cluster.later(delay_s, self._strike, fault, leader, rng)

    def happened(self, node: SimulatedNode, event: str) -> None:
        """A node has emitted an event: an ambush that waits for it may strike a moment later."""
        for fault, (awaited, rng) in self._ambushes.items():
            if event == awaited and rng.random() < 0.3:
                leader = self._cluster.leader
                struck = node if leader is None or rng.random() < 0.7 else leader
                delay_s = 0.0001 * 3000.0 ** rng.random()  # 0.1 to 300 ms; its log is uniform
                self._cluster.later(delay_s, self._surprise, fault, struck, rng)

    def _hunt(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End:
        self._hunts[fault] = rng
        leader = self._cluster.leader
        if leader is not None:
            self._strike(fault, leader, rng)

        def end() -> None:
            del self._hunts[fault]

        return end

    def _ambush(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End:
        self._ambushes[fault] = (rng.choice(AMBUSHED), rng)

        def end() -> None:
            del self._ambushes[fault]

        return end

    def _strike(self, fault: Fault, node: SimulatedNode, rng: random.Random) -> None:
        """Kills the node, or cuts it off from all others or from all but one."""
        cluster = self._cluster
        if cluster.over or node.server is None:
            return
        rest_s = _rest_s(rng)
        if rng.random() < 0.5:
            node.crash(power=rng.random() < 0.5, reason="killed: it led")
            cluster.later(rest_s, node.start)
        else:
            friend = rng.choice([one.node_id for one in cluster.nodes])
            alone = rng.random() < 0.5
            lost = [link for link in cluster.links_of([node]) if alone or friend not in link]
            mend = cluster.disturb((fault.number, node.node_id), cuts(lost))
            cluster.later(rest_s, mend)

    def _surprise(self, fault: Fault, node: SimulatedNode, rng: random.Random) -> None:
        """Strikes the node, stops it, or splits the cluster into two groups."""
        cluster = self._cluster
        how = rng.random()
        if cluster.over or node.server is None:
            return
        if how < 0.6:
            self._strike(fault, node, rng)
            return
        rest_s = _rest_s(rng)
        if how < 0.8:
            node.pause()
            cluster.later(rest_s, cluster.unless_over, node.resume)
        else:
            near = [one for one in cluster.nodes if one is node or rng.random() < 0.5]
            far = [one for one in cluster.nodes if one not in near]
            groups = [[one.node_id for one in group] for group in (near, far)]
            mend = cluster.disturb((fault.number, "split"), partition(groups))
            cluster.later(rest_s, mend)


def _rest_s(rng: random.Random) -> float:
    """How long a strike lasts: from 20 ms to 4 s; the logarithm is uniform."""
    rest_s: float = 0.02 * 200.0 ** rng.random()
    return rest_s
