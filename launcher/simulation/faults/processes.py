"""Faults of processes: killed, without power, stopped, or with a clock that is moved."""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from launcher.fault_kinds import THROTTLE
from launcher.simulation.faults.schedule import Fault
from launcher.simulation.faults.target_cluster import Begin, End, TargetCluster
from node.faults.clocks import bumped
from node.faults.slices import PERIOD_S, Slices
from node.raft.lease import CLOCK_DRIFT_BOUND
from node.wire import ClockFault

if TYPE_CHECKING:
    from launcher.simulation.node import SimulatedNode

MOST_STEP_S = 2.0
"""How far a clock steps at most: several election timeouts."""


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
            "clock": self._move_clocks,
            THROTTLE: self._throttle,
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

    def _throttle(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End:
        """The targets are stopped and continued in turn, in the slices of `launcher throttle`; one
        that is started again has the same share."""
        share = 0.01 * 90.0**fault.amount  # from 1 % to 90 %; its logarithm is uniform
        going = True

        def turn(node: SimulatedNode, slices: Slices, lasted_s: float) -> None:
            if self._cluster.over or not going:
                return
            if node.held:
                node.release()
                next_s = slices.run_after(lasted_s)
            else:
                node.hold()
                next_s = slices.stop_after(lasted_s)
            self._cluster.later(next_s, turn, node, slices, next_s)

        for node in targets:
            self._cluster.later(rng.random() * PERIOD_S, turn, node, Slices(share), 0.0)

        def end() -> None:
            nonlocal going
            going = False
            for node in targets:
                node.release()

        return end

    def _move_clocks(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End:
        """The targets' clocks run at another rate, make a step, or jump forth and back: the faults
        of `launcher clock`.

        Where leaders read by leases, clocks only run at other rates: a step breaks any bound.
        """
        cluster = self._cluster
        drifts = [self._drift(fault, len(targets), rng) for _ in targets]
        how = "rate" if cluster.situation.lease else rng.choice(("rate", "rate", "bump", "strobe"))
        for node, (rate, wall_by_s) in zip(targets, drifts, strict=True):
            if how == "rate":
                moved = ClockFault(rate=rate)
            elif how == "bump":
                moved = bumped(node.clock.fault, rng.uniform(-MOST_STEP_S, MOST_STEP_S))
            else:
                moved = ClockFault(
                    strobe_s=rng.choice((-1.0, 1.0)) * rng.uniform(0.01, 1.0),
                    period_s=rng.uniform(0.005, 0.5),
                )
            node.clock.move(moved, cluster.time.now, wall_by_s=wall_by_s)
            node.arm_timer()

        def end() -> None:
            for node in targets:
                node.clock.run_true(cluster.time.now)
                node.arm_timer()

        return end

    def _drift(self, fault: Fault, count: int, rng: random.Random) -> tuple[float, float]:
        """A rate from 1/4 to 4 for one of `count` clocks, and a step for its wall clock.

        Where leaders read by leases, any two rates differ at most by the factor that a lease allows
        for. In half of these cases they differ by exactly that.
        """
        cluster = self._cluster
        most = math.sqrt(CLOCK_DRIFT_BOUND) if cluster.situation.lease else 4.0
        at_the_bound = cluster.situation.lease and fault.amount < 0.5
        spread = 2 * fault.amount - 1
        if count > 1:
            spread = rng.uniform(-1.0, 1.0)
            if at_the_bound:
                spread = math.copysign(1.0, spread)
        return most**spread, rng.uniform(-5.0, 5.0)
