"""Faults at a point in the code, which is armed when the fault begins, and disarmed at its end."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from launcher.fault_kinds import POINT
from launcher.simulation.faults.schedule import Fault
from launcher.simulation.faults.target_cluster import Begin, End, TargetCluster
from node.faults.points import POINTS
from node.wire import ArmedPoint, PointAction, PointTerm

if TYPE_CHECKING:
    from launcher.simulation.node import SimulatedNode

ACTIONS: tuple[PointAction, ...] = ("kill", "kill", "power", "power", "pause", "sleep", "fail-sync")
"""What may strike, each equally likely. Faults of links have no use for a point of their own."""


class PointFaults:
    """Begins the faults at points on one cluster: `kinds`, by name."""

    def __init__(self, cluster: TargetCluster) -> None:
        self._cluster = cluster
        self.kinds: dict[str, Begin] = {POINT: self._arm}

    def _arm(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End:
        point = rng.choice([*POINTS])
        chain = _chain(rng)
        for node in targets:
            node.points.arm(ArmedPoint(point, fault.number, chain))

        def end() -> None:
            for node in targets:
                node.points.disarm(fault.number)

        return end


def _chain(rng: random.Random) -> list[PointTerm]:
    """Perhaps some hits that pass, then an action, perhaps several times, perhaps by chance."""
    terms: list[PointTerm] = []
    passing = rng.choice([0, 0, 1, 3, 10, 50])
    if passing:
        terms.append(PointTerm("off", count=rng.randint(1, passing)))
    action = rng.choice(ACTIONS)
    percent = rng.choice([100.0, 100.0, 50.0, 10.0])
    seconds = 0.001 * 2000.0 ** rng.random() if action == "sleep" else 0.0  # up to 2 s
    return [*terms, PointTerm(action, percent, rng.choice([1, 1, 2, 3]), seconds)]
