"""Faults of disks: slow, hanging, full or failing; and damage of what they hold.

What a fault does to an operation is the verdict of `node/faults/disks.py`, as for a real disk. In
one thing the simulated disk is worse: it may be slow, hang and fail at once.

Damage can make a disk useless, for good unless its node is rebuilt. So a damaging fault happens
only while enough other disks are left (`DiskFaults._may_damage`).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TYPE_CHECKING

from launcher.fault_kinds import CYCLE_DISK, FLIP_BIT, SET_BACK, WIPE
from launcher.simulation.faults.schedule import Fault
from launcher.simulation.faults.target_cluster import Begin, End, TargetCluster
from launcher.simulation.memberships import is_quorum
from launcher.supervisor import changes
from node.raft.membership import stable
from node.raft.messages import NodeId
from node.storage.mark import MARK_FILE
from node.wire import DiskFault, DiskFaultKind

if TYPE_CHECKING:
    from launcher.simulation.node import SimulatedNode

RECORD_BITS = 8 * 150
"""About the size of the last record of a log."""


class DiskFaults:
    """Begins the faults of disks on one cluster: `kinds`, by name."""

    def __init__(self, cluster: TargetCluster) -> None:
        self._cluster = cluster
        # A cluster that has lost all but a majority of its disks can suffer little else. So most
        # runs damage fewer.
        situation = cluster.situation
        lost = situation.rng("rot").choice([0, 1, 1, 2])
        self._most_damaged = min((len(cluster.nodes) - 1) // 2, lost)
        if situation.reconfigures or situation.recovers:
            self._most_damaged = 0  # the disk may be that of the only voter
        self.kinds: dict[str, Begin] = {
            "slow-disk": self._slow_down,
            "hang-disk": self._hang,
            CYCLE_DISK: self._cycle,
            "full-disk": self._fill,
            "fail-write": self._fail_write,
            "fail-sync": self._fail_sync,
            FLIP_BIT: self._flip_bit,
            WIPE: self._wipe,
            SET_BACK: self._set_back,
        }

    # -- for a while -----------------------------------------------------------------------------

    def _slow_down(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End:
        for node in targets:
            node.slow_disk = DiskFault("slow-disk", fault.amount**3)

        def end() -> None:
            for node in targets:
                node.slow_disk = None

        return end

    def _hang(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> None:
        for node in targets:
            node.disk_hangs_until = self._cluster.time.now + fault.duration_s

    def _cycle(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End:
        """Each node has the fault from a moment of its own on: they do not all stall at once."""
        stalls_s, works_s = (0.01 * 200.0 ** rng.random() for _ in range(2))  # 10 ms to 2 s
        for node in targets:
            began = self._cluster.time.now - rng.random() * (stalls_s + works_s)
            node.disk_cycle = (DiskFault("cycle-disk", stalls_s, works_s), began)

        def end() -> None:
            for node in targets:
                node.disk_cycle = None

        return end

    def _fill(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End:
        return self._fail(targets, "full-disk")

    def _fail_write(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End:
        return self._fail(targets, "fail-write")

    def _fail_sync(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End:
        return self._fail(targets, "fail-sync")

    def _fail(self, targets: list[SimulatedNode], kind: DiskFaultKind) -> End:
        for node in targets:
            node.disk.fault = DiskFault(kind)

        def end() -> None:
            for node in targets:
                node.disk.fault = None

        return end

    # -- damage ----------------------------------------------------------------------------------

    def _flip_bit(
        self, fault: Fault, targets: list[SimulatedNode], rng: random.Random
    ) -> End | None:
        (node,) = targets
        if node.server is None or not self._may_damage(node):
            return None
        node.crash(power=False, reason="killed; a bit of its disk flips")
        names = sorted(node.disk.names)
        name = rng.choice([name for name in names if name != MARK_FILE] or names)
        # Only written bytes matter: behind them, a segment is full of zeros.
        content = bytes(node.disk.names[name].cached).rstrip(b"\0")
        # In half of the cases the bit is near the end: damage of the last record is the hardest to
        # recognise.
        bits = 8 * len(content)
        tail = min(bits, RECORD_BITS)
        place = 2 * fault.amount
        node.disk.flip(name, int(place * bits) if place < 1 else bits - 1 - int((place - 1) * tail))
        node.data_at_rest.flipped = True
        return self._cluster.start_later(targets, rng)

    def _wipe(self, fault: Fault, targets: list[SimulatedNode], rng: random.Random) -> End | None:
        (node,) = targets
        if node.server is None or not self._may_damage(node):
            return None
        node.crash(power=False, reason="killed; its folder is emptied")
        node.data_at_rest.wipe()
        return self._cluster.start_later(targets, rng)

    def _set_back(
        self, fault: Fault, targets: list[SimulatedNode], rng: random.Random
    ) -> End | None:
        """Copies the folder when the fault begins, and puts the copy back when it ends."""
        (node,) = targets
        if node.server is None:
            return None
        copy = node.disk.copy()

        def end() -> None:
            if node.server is None or not self._may_damage(node):
                return
            node.crash(power=False, reason="killed; an older copy of its folder is put back")
            node.data_at_rest.set_back(copy)
            self._cluster.later(rng.random(), node.start)

        return end

    def _may_damage(self, node: SimulatedNode) -> bool:
        """Whether the other disks are enough, for every configuration that may come to count."""
        cluster = self._cluster
        damaged = {node.node_id, *(one.node_id for one in cluster.nodes if one.data.is_doubtful)}
        if len(damaged) > self._most_damaged:
            return False
        if not cluster.situation.recorded_changes:
            return True
        leader = cluster.leader
        if leader is None or leader.server is None:
            return False
        stages: list[Sequence[NodeId]] = []
        for _, configuration in leader.server.state.configurations:
            membership = configuration.membership
            stages += [membership.voters, membership.target]
            stages += [membership.outgoing] if membership.outgoing else []
        change = cluster.operator.record.change
        if change is not None:
            target = leader.server.state.configuration.membership.target
            stages += changes.all_voters(change, target)
        return all(is_quorum(stable(stage), set(stage) - damaged) for stage in stages)
