"""Faults of links: messages are lost, late, doubled, or overtake each other."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from launcher.simulation.faults.schedule import Fault
from launcher.simulation.faults.target_cluster import Begin, End, TargetCluster
from launcher.simulation.network import cuts
from node.faults.links import partition
from node.wire import LinkFault

if TYPE_CHECKING:
    from launcher.simulation.node import SimulatedNode


class LinkFaults:
    """Begins the faults of links on one cluster: `kinds`, by name."""

    def __init__(self, cluster: TargetCluster) -> None:
        self._cluster = cluster
        self.kinds: dict[str, Begin] = {
            "partition": self._partition,
            "isolate": self._isolate,
            "deafen": self._deafen,
            "mute": self._mute,
            "cut": self._cut,
            "flaky": self._flaky,
            "reorder": self._reorder,
            "slow-link": self._slow_down,
            "rate": self._narrow,
            "hold": self._hold,
        }

    def _partition(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End:
        """Splits the nodes into two or three groups."""
        ids = [node.node_id for node in self._cluster.nodes]
        rng.shuffle(ids)
        walls = sorted(rng.sample(range(1, len(ids)), min(len(ids) - 1, rng.choice([1, 1, 2]))))
        groups = [ids[a:b] for a, b in zip([0, *walls], [*walls, len(ids)], strict=True)]
        return self._cluster.disturb(fault.number, partition(groups))

    def _isolate(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End:
        return self._cluster.disturb(fault.number, cuts(self._cluster.links_of(targets)))

    def _deafen(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End:
        return self._cluster.disturb(fault.number, cuts(self._cluster.links_to(targets)))

    def _mute(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End:
        return self._cluster.disturb(fault.number, cuts(self._cluster.links_from(targets)))

    def _cut(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End:
        """Cuts some directed links, chosen at random."""
        share = 0.1 + 0.5 * fault.amount
        chosen = [link for link in self._cluster.all_links() if rng.random() < share]
        return self._cluster.disturb(fault.number, cuts(chosen))

    def _flaky(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End:
        """All links lose and duplicate messages."""
        loss, duplicate = 0.4 * fault.amount, 0.3 * rng.random()
        return self._cluster.disturb(
            fault.number,
            [
                LinkFault(source=a, target=b, loss=loss, duplicate=duplicate, jitter_s=0.01)
                for a, b in self._cluster.all_links()
            ],
        )

    def _reorder(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End:
        """On all links messages overtake each other."""
        jitter_s = rng.choice([0.005, 0.05, 0.5]) * fault.amount
        return self._cluster.disturb(
            fault.number,
            [
                LinkFault(source=a, target=b, reorder=0.3, duplicate=0.1, jitter_s=jitter_s)
                for a, b in self._cluster.all_links()
            ],
        )

    def _slow_down(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End:
        """The links of the targets delay every message."""
        delay_s = 0.5 * fault.amount**2
        links = self._cluster.links_of(targets)
        return self._cluster.disturb(
            fault.number, [LinkFault(source=a, target=b, delay_s=delay_s) for a, b in links]
        )

    def _narrow(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End:
        """Few bits per second cross each link of the targets."""
        rate = 10 ** (4.0 + 3.0 * fault.amount)
        links = self._cluster.links_of(targets)
        return self._cluster.disturb(
            fault.number, [LinkFault(source=a, target=b, rate=rate) for a, b in links]
        )

    def _hold(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End:
        """Some links of the targets hold all messages, and let them go at the end."""
        share = 0.3 + 0.7 * fault.amount
        links = [link for link in self._cluster.links_of(targets) if rng.random() < share]
        return self._cluster.disturb(
            fault.number, [LinkFault(source=a, target=b, hold=True) for a, b in links]
        )
