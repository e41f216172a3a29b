"""Faults of processes: killed, without power, stopped, or with a clock that runs fast or slow."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from launcher.simulation.faults.schedule import Fault
from launcher.simulation.faults.target_cluster import Begin, End, TargetCluster
from node.raft.lease import CLOCK_DRIFT_BOUND
from node.wire import ClockFault

if TYPE_CHECKING:
    from launcher.simulation.node import SimulatedNode


class ProcessFaults:
    """Begins the faults of processes on one cluster: `kinds`, by name."""

    def __init__(self, cluster: TargetCluster) -> None:
        self._cluster = cluster
        self.kinds: dict[str, Begin] = {
            "kill": self._kill,
            "kill-twice": self._kill_twice,
            "kill-all": self._kill,
            "power": self._cut_power,
            "blackout": self._cut_power,
            "pause": self._pause,
            "clock": self._drift,
        }

    def _kill(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End:
        for node in targets:
            node.crash(power=False, reason="killed")
        return self._cluster.start_later(targets, rng)

    def _kill_twice(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End:
        """Kills the targets, and kills them again during their recovery."""
        for node in targets:
            node.crash(power=rng.random() < 0.5, reason="killed")

        def end() -> None:
            for node in targets:
                node.start(interrupted_at=1 + int(fault.amount * 12))

        return end

    def _cut_power(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End:
        for node in targets:
            node.crash(power=True, reason="the power is gone")
        return self._cluster.start_later(targets, rng)

    def _pause(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End:
        for node in targets:
            node.pause()

        def end() -> None:
            for node in targets:
                node.resume()

        return end

    def _drift(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End:
        """The targets' clocks run fast or slow: at a rate from 1/4 to 4.

        Where leaders read by leases, any two rates differ at most by the factor that a lease allows
        for. In half of these cases they differ by exactly that.
        """
        cluster = self._cluster
        most = math.sqrt(CLOCK_DRIFT_BOUND) if cluster.situation.lease else 4.0
        rate = most ** (2 * fault.amount - 1)
        at_the_bound = cluster.situation.lease and fault.amount < 0.5
        for node in targets:
            if len(targets) > 1:
                spread = rng.uniform(-1.0, 1.0)
                rate = most ** (math.copysign(1.0, spread) if at_the_bound else spread)
            wall_by_s = rng.uniform(-5.0, 5.0)
            node.clock.move(ClockFault(rate=rate), cluster.time.now, wall_by_s=wall_by_s)
            node.arm_timer()

        def end() -> None:
            for node in targets:
                node.clock.run_true(cluster.time.now)
                node.arm_timer()

        return end
