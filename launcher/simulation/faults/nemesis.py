"""The nemesis (Jepsen's word): makes a schedule's faults happen, and takes them back.

Each kind of `schedule.py` has one function here that begins it and answers what ends it. The
choices that a fault still has to make (who leads now, which groups) are drawn from randomness of
its own, so that they do not depend on which other faults there are.
"""

from __future__ import annotations

import errno
import math
import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from launcher import changes
from launcher.simulation.faults.schedule import (
    ADD,
    ALL,
    FOLLOWER,
    LEADER,
    REBUILD,
    RECONFIGURE,
    RECOVER,
    REMOVE,
    ROLL,
    SET_BACK,
    SUPERVISOR,
    WIPE,
    Fault,
)
from launcher.simulation.memberships import is_quorum
from launcher.simulation.network import Network, Time, cuts
from launcher.simulation.operator import Operator, current_leader
from launcher.simulation.roll import ROLLING, roll
from launcher.simulation.salvage import Salvage
from launcher.simulation.situation import Situation
from node.faults import partition
from node.raft.lease import CLOCK_DRIFT_BOUND
from node.raft.membership import majority, stable
from node.raft.messages import NodeId
from node.storage.mark import MARK_FILE
from node.wire import LinkFault

if TYPE_CHECKING:
    from launcher.simulation.node import SimulatedNode

End: TypeAlias = Callable[[], None]

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
"""Moments in which a node is easily hurt, by the events that tell of them."""

Link: TypeAlias = tuple[NodeId, NodeId]
"""From whom, to whom."""


class Nemesis:
    """Breaks one cluster, by schedule.

    on_fault: told of each fault that begins: the fault, and the nodes it was aimed at
    on_recovered: told of the survivor when the cluster has begun anew from its data, and of the
        last index of that
    """

    def __init__(
        self,
        network: Network,
        time: Time,
        situation: Situation,
        operator: Operator,
        on_fault: Callable[[Fault, list[NodeId]], None],
        on_recovered: Callable[[SimulatedNode, int], None],
    ) -> None:
        self._network = network
        self._time = time
        self._situation = situation
        self._operator = operator
        self._on_fault = on_fault
        self._on_recovered = on_recovered
        # A disk that rots is lost, for good unless the node is rebuilt; where all but a majority
        # are, nothing else can happen.
        lost = situation.chance("rot").choice([0, 1, 1, 2])
        self._most_lost = min((len(self._nodes) - 1) // 2, lost)
        if situation.reconfigures or situation.recovers:
            self._most_lost = 0  # it may be the only voter's
        self._over = False
        self._hunts: dict[Fault, random.Random] = {}
        self._ambushes: dict[Fault, tuple[str, random.Random]] = {}
        self._lurks: dict[Fault, random.Random] = {}
        operator.on_step = self._stepped

    @property
    def _nodes(self) -> list[SimulatedNode]:
        """Those that are on record now."""
        return list(self._operator.nodes.values())

    def follow(self, schedule: Sequence[Fault]) -> None:
        """From now on these happen."""
        for fault in schedule:
            self._time.at(fault.at_s, self._begin, fault)

    def stop(self, down: Sequence[SimulatedNode] = ()) -> None:
        """Every fault is over: links are whole, clocks right, disks well, nodes up, but these."""
        self._over = True
        self._operator.leave_off()
        for node in down:
            node.crash(power=False, reason="killed")
        self._network.heal()
        for node in self._nodes:
            node.clock.run_at(1.0, self._time.now)
            node.arm_timer()
            node.slow_disk_s = 0.0
            node.disk.failing = {}
            node.go_on_with_disk()
            node.resume()
            if node not in down:
                node.start()

    def elected(self, leader: SimulatedNode) -> None:
        """There is a new leader: it is struck a moment later, if leaders are hunted."""
        for fault, chance in self._hunts.items():
            delay_s = 0.002 * 150.0 ** chance.random()  # from 2 to 300 ms, the short ones as often
            self._time.at(self._time.now + delay_s, self._strike, fault, leader, chance)

    def happened(self, node: SimulatedNode, event: str) -> None:
        """Something has happened to a node: in an ambush it, or whoever leads, is struck."""
        for fault, (awaited, chance) in self._ambushes.items():
            if event == awaited and chance.random() < 0.3:
                leader = current_leader(self._nodes)
                struck = node if leader is None or chance.random() < 0.7 else leader
                delay_s = 0.0001 * 3000.0 ** chance.random()  # up to 300 ms, mostly short
                self._time.at(self._time.now + delay_s, self._surprise, fault, struck, chance)

    def _stepped(self) -> None:
        """The operator has done a step of a change, or recorded one: it may be killed then."""
        for chance in list(self._lurks.values()):
            if chance.random() < 0.3:
                self._time.at(self._time.now, self._kill_supervisor, chance)

    def _begin(self, fault: Fault) -> None:
        if self._over:
            return
        chance = self._situation.chance(f"fault {fault.number}")
        targets = self._targets(fault.target, chance)
        self._on_fault(fault, [node.node_id for node in targets])
        end = _BEGIN[fault.kind](self, fault, targets, chance)
        if end is not None:
            self._time.at(self._time.now + fault.duration_s, self._end, end)

    def _end(self, end: End) -> None:
        if not self._over:
            end()

    def _targets(self, target: str, chance: random.Random) -> list[SimulatedNode]:
        if target == ALL:
            return self._nodes
        alive = [node for node in self._nodes if node.server is not None]
        leader = current_leader(alive)
        if target == LEADER and leader is not None:
            return [leader]
        if target == FOLLOWER:
            alive = [node for node in alive if node is not leader]
        return [chance.choice(alive or self._nodes)]

    # -- links -----------------------------------------------------------------------------------

    def _partition(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> End:
        ids = [node.node_id for node in self._nodes]
        chance.shuffle(ids)
        walls = sorted(
            chance.sample(range(1, len(ids)), min(len(ids) - 1, chance.choice([1, 1, 2])))
        )
        groups = [ids[a:b] for a, b in zip([0, *walls], [*walls, len(ids)], strict=True)]
        return self._disturb(fault, partition(groups))

    def _isolate(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> End:
        return self._disturb(fault, cuts(self._links_of(targets)))

    def _deafen(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> End:
        return self._disturb(fault, cuts(self._to(targets)))

    def _mute(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> End:
        return self._disturb(fault, cuts(self._from(targets)))

    def _cut(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> End:
        share = 0.1 + 0.5 * fault.amount
        chosen = [link for link in self._every_link() if chance.random() < share]
        return self._disturb(fault, cuts(chosen))

    def _flaky(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> End:
        loss, double = 0.4 * fault.amount, 0.3 * chance.random()
        return self._disturb(
            fault,
            [
                LinkFault(source=a, target=b, loss=loss, duplicate=double, jitter_s=0.01)
                for a, b in self._every_link()
            ],
        )

    def _reorder(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> End:
        jitter_s = chance.choice([0.005, 0.05, 0.5]) * fault.amount
        return self._disturb(
            fault,
            [
                LinkFault(source=a, target=b, reorder=0.3, duplicate=0.1, jitter_s=jitter_s)
                for a, b in self._every_link()
            ],
        )

    def _slow_link(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> End:
        delay_s = 0.5 * fault.amount**2
        links = self._links_of(targets)
        return self._disturb(
            fault, [LinkFault(source=a, target=b, delay_s=delay_s) for a, b in links]
        )

    def _disturb(self, fault: Fault, faults: Sequence[LinkFault]) -> End:
        self._network.disturb(fault.number, faults)
        return lambda: self._network.mend(fault.number)

    def _every_link(self) -> list[Link]:
        ids = [node.node_id for node in self._nodes]
        return [(a, b) for a in ids for b in ids if a != b]

    def _links_of(self, targets: list[SimulatedNode]) -> list[Link]:
        return [*self._from(targets), *self._to(targets)]

    def _from(self, targets: list[SimulatedNode]) -> list[Link]:
        chosen = {node.node_id for node in targets}
        return [link for link in self._every_link() if link[0] in chosen]

    def _to(self, targets: list[SimulatedNode]) -> list[Link]:
        chosen = {node.node_id for node in targets}
        return [link for link in self._every_link() if link[1] in chosen]

    # -- processes -------------------------------------------------------------------------------

    def _kill(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> End:
        for node in targets:
            node.crash(power=False, reason="killed")
        return self._start(targets, chance)

    def _kill_twice(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> End:
        for node in targets:
            node.crash(power=chance.random() < 0.5, reason="killed")

        def end() -> None:
            for node in targets:
                node.start(interrupted_at=1 + int(fault.amount * 12))

        return end

    def _power(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> End:
        for node in targets:
            node.crash(power=True, reason="the power is gone")
        return self._start(targets, chance)

    def _start(self, targets: list[SimulatedNode], chance: random.Random) -> End:
        later = [chance.random() * 0.3 for _ in targets]

        def end() -> None:
            for node, delay_s in zip(targets, later, strict=True):
                self._time.at(self._time.now + delay_s, node.start)

        return end

    def _hunt(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> End:
        self._hunts[fault] = chance
        leader = current_leader(self._nodes)
        if leader is not None:
            self._strike(fault, leader, chance)

        def end() -> None:
            del self._hunts[fault]

        return end

    def _strike(self, fault: Fault, leader: SimulatedNode, chance: random.Random) -> None:
        if self._over or leader.server is None:
            return
        rest_s = 0.02 * 200.0 ** chance.random()  # from 20 ms to 4 s
        if chance.random() < 0.5:
            leader.crash(power=chance.random() < 0.5, reason="killed: it led")
            self._time.at(self._time.now + rest_s, leader.start)
        else:
            key = (fault.number, leader.node_id)
            friend = chance.choice([node.node_id for node in self._nodes])
            alone = chance.random() < 0.5
            lost = [link for link in self._links_of([leader]) if alone or friend not in link]
            self._network.disturb(key, cuts(lost))
            self._time.at(self._time.now + rest_s, self._network.mend, key)

    def _ambush(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> End:
        self._ambushes[fault] = (chance.choice(AMBUSHED), chance)

        def end() -> None:
            del self._ambushes[fault]

        return end

    def _surprise(self, fault: Fault, node: SimulatedNode, chance: random.Random) -> None:
        how = chance.random()
        if self._over or node.server is None:
            return
        if how < 0.6:
            self._strike(fault, node, chance)
            return
        rest_s = 0.02 * 200.0 ** chance.random()  # from 20 ms to 4 s
        if how < 0.8:
            node.pause()
            self._time.at(self._time.now + rest_s, self._end, node.resume)
        else:
            key = (fault.number, "split")
            near = {one.node_id for one in self._nodes if one is node or chance.random() < 0.5}
            walls = [link for link in self._every_link() if (link[0] in near) != (link[1] in near)]
            self._network.disturb(key, cuts(walls))
            self._time.at(self._time.now + rest_s, self._network.mend, key)

    def _pause(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> End:
        for node in targets:
            node.pause()

        def end() -> None:
            for node in targets:
                node.resume()

        return end

    def _clock(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> End:
        # From 1/4 to 4; of two that are within a lease's bound, one is the bound times the other.
        most = math.sqrt(CLOCK_DRIFT_BOUND) if self._situation.lease else 4.0
        rate = most ** (2 * fault.amount - 1)
        at_the_bound = self._situation.lease and fault.amount < 0.5
        for node in targets:
            if len(targets) > 1:
                spread = chance.uniform(-1.0, 1.0)
                rate = most ** (math.copysign(1.0, spread) if at_the_bound else spread)
            node.clock.run_at(rate, self._time.now)
            node.clock.wall_offset_s += chance.uniform(-5.0, 5.0)
            node.arm_timer()

        def end() -> None:
            for node in targets:
                node.clock.run_at(1.0, self._time.now)
                node.arm_timer()

        return end

    def _transfer(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> End:
        """Whoever leads is asked at once, and then each now and then: first for the target."""
        asking = fault.amount < 0.5  # else it is asked once

        def ask(target: SimulatedNode) -> None:
            leader = current_leader(self._nodes)
            if leader is not None:
                leader.transfer(target.node_id)
            if asking and not self._over:
                pause_s = 0.01 * 100.0 ** chance.random()  # from 10 ms to 1 s
                self._time.at(self._time.now + pause_s, ask, chance.choice(self._nodes))

        def end() -> None:
            nonlocal asking
            asking = False

        ask(targets[0])
        return end

    # -- disks -----------------------------------------------------------------------------------

    def _slow_disk(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> End:
        for node in targets:
            node.slow_disk_s = 1.0 * fault.amount**3

        def end() -> None:
            for node in targets:
                node.slow_disk_s = 0.0

        return end

    def _hang_disk(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> None:
        for node in targets:
            node.disk_hangs_until = self._time.now + fault.duration_s

    def _full_disk(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> End:
        return self._fail(targets, {"write": errno.ENOSPC, "create": errno.ENOSPC}, once=False)

    def _fail_write(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> End:
        return self._fail(targets, {"write": errno.EIO}, once=True)

    def _fail_sync(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> End:
        return self._fail(targets, {"sync": errno.EIO}, once=True)

    def _fail(self, targets: list[SimulatedNode], errors: dict[str, int], *, once: bool) -> End:
        for node in targets:
            node.disk.failing, node.disk.fails_once = dict(errors), once

        def end() -> None:
            for node in targets:
                node.disk.failing = {}

        return end

    def _snapshot(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> None:
        for node in targets:
            node.take_snapshot()

    def _reconfigure(
        self, fault: Fault, targets: list[SimulatedNode], chance: random.Random
    ) -> None:
        self._operator.reconfigure(
            [node.node_id for node in self._nodes if chance.random() < 0.2 + 0.7 * fault.amount]
        )

    def _rebuild(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> None:
        """Mostly a node that does not start any more, if there is one; but healthy ones as well."""
        (node,) = targets
        lost = [other for other in self._nodes if other.lost]
        if lost and chance.random() < 0.8:
            node = chance.choice(lost)
        self._operator.rebuild(node, chance)

    def _add(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> None:
        self._operator.add(1 if fault.amount < 0.7 else 2)

    def _remove(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> None:
        """Sometimes it is what is being added or rebuilt. Enough are left to break something."""
        ids = [node.node_id for node in targets]
        under_way = self._operator.record.change
        if under_way is not None and chance.random() < 0.5:
            ids = [node for node in under_way.nodes if chance.random() < 0.7]
        left = len(self._nodes) - len(ids)
        if ids and left >= max(2, majority(tuple(self._situation.nodes))):
            self._operator.remove(ids)

    def _supervisor(
        self, fault: Fault, targets: list[SimulatedNode], chance: random.Random
    ) -> End | None:
        """At once; or when the operator has done a step, or recorded one, as often as may be."""
        if fault.amount < 0.4:
            self._kill_supervisor(chance)
            return None
        self._lurks[fault] = chance

        def end() -> None:
            del self._lurks[fault]

        return end

    def _kill_supervisor(self, chance: random.Random) -> None:
        if self._over or self._operator.is_down:
            return
        self._operator.die()
        rest_s = 0.02 * 100.0 ** chance.random()  # from 20 ms to 2 s
        self._time.at(self._time.now + rest_s, self._operator.come_back)

    def _roll(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> None:
        self._operator.begin(ROLLING, roll(self._operator, fault.duration_s, chance))

    def _flip_bit(
        self, fault: Fault, targets: list[SimulatedNode], chance: random.Random
    ) -> End | None:
        (node,) = targets
        if node.server is None or not self._may_rot(node):
            return None
        node.crash(power=False, reason="killed; a bit of its disk flips")
        names = sorted(node.disk.names)
        # What is written is what matters: behind it a segment is full of zeros.
        name = chance.choice([name for name in names if name != MARK_FILE] or names)
        content = bytes(node.disk.names[name].cached).rstrip(b"\0")
        # As often near the end as anywhere: the last record is what is hardest to judge.
        bits = 8 * len(content)
        tail = min(bits, 8 * 150)
        place = 2 * fault.amount
        node.disk.flip(name, int(place * bits) if place < 1 else bits - 1 - int((place - 1) * tail))
        node.flipped = True
        return self._start(targets, chance)

    def _wipe(
        self, fault: Fault, targets: list[SimulatedNode], chance: random.Random
    ) -> End | None:
        (node,) = targets
        if node.server is None or not self._may_rot(node):
            return None
        node.crash(power=False, reason="killed; its folder is emptied")
        node.wipe()
        return self._start(targets, chance)

    def _set_back(
        self, fault: Fault, targets: list[SimulatedNode], chance: random.Random
    ) -> End | None:
        (node,) = targets
        if node.server is None:
            return None
        copy = node.disk.copy()

        def end() -> None:
            if node.server is None or not self._may_rot(node):
                return
            node.crash(power=False, reason="killed; an older copy of its folder is put back")
            node.set_back(copy)
            self._time.at(self._time.now + chance.random(), node.start)

        return end

    def _recover(self, fault: Fault, targets: list[SimulatedNode], chance: random.Random) -> None:
        Salvage(self._nodes, self._operator, chance, self._on_recovered).begin()

    def _may_rot(self, node: SimulatedNode) -> bool:
        """Whether enough disks are left without this one, whoever votes from now on."""
        rotten = {node.node_id, *(one.node_id for one in self._nodes if one.is_doubtful)}
        if len(rotten) > self._most_lost:
            return False
        if not self._situation.recorded_changes:
            return True
        leader = current_leader(self._nodes)
        if leader is None or leader.server is None:
            return False
        stages: list[Sequence[NodeId]] = []
        for _, configuration in leader.server.state.configurations:
            membership = configuration.membership
            stages += [membership.voters, membership.target]
            stages += [membership.outgoing] if membership.outgoing else []
        change = self._operator.record.change
        if change is not None:
            target = leader.server.state.configuration.membership.target
            stages += changes.all_voters(change, target)
        return all(is_quorum(stable(stage), set(stage) - rotten) for stage in stages)


_Begin: TypeAlias = Callable[[Nemesis, Fault, list["SimulatedNode"], random.Random], End | None]

_BEGIN: dict[str, _Begin] = {
    "partition": Nemesis._partition,
    "isolate": Nemesis._isolate,
    "deafen": Nemesis._deafen,
    "mute": Nemesis._mute,
    "cut": Nemesis._cut,
    "flaky": Nemesis._flaky,
    "reorder": Nemesis._reorder,
    "slow-link": Nemesis._slow_link,
    "kill": Nemesis._kill,
    "kill-twice": Nemesis._kill_twice,
    "kill-all": Nemesis._kill,
    "power": Nemesis._power,
    "blackout": Nemesis._power,
    "hunt": Nemesis._hunt,
    "ambush": Nemesis._ambush,
    "pause": Nemesis._pause,
    "clock": Nemesis._clock,
    "slow-disk": Nemesis._slow_disk,
    "hang-disk": Nemesis._hang_disk,
    "full-disk": Nemesis._full_disk,
    "fail-write": Nemesis._fail_write,
    "fail-sync": Nemesis._fail_sync,
    "snapshot": Nemesis._snapshot,
    RECONFIGURE: Nemesis._reconfigure,
    REBUILD: Nemesis._rebuild,
    "flip-bit": Nemesis._flip_bit,
    "transfer": Nemesis._transfer,
    WIPE: Nemesis._wipe,
    SET_BACK: Nemesis._set_back,
    RECOVER: Nemesis._recover,
    ADD: Nemesis._add,
    REMOVE: Nemesis._remove,
    SUPERVISOR: Nemesis._supervisor,
    ROLL: Nemesis._roll,
}
