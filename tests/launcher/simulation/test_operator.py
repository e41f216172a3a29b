"""The simulated operator: nodes are rebuilt as the supervisor does it, and it is seen when not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from launcher.simulation.agenda import Agenda
from launcher.simulation.network import cuts
from launcher.simulation.node import SimulatedNode
from launcher.simulation.operator import Operator, Work
from launcher.simulation.runner import run_seed
from launcher.simulation.schedule import Fault
from launcher.simulation.situation import Options, situation
from launcher.simulation.trace import Trace
from launcher.simulation.watch import PROMISES
from launcher.simulation.world import World
from node.raft.invariants import InvariantBroken
from node.raft.membership import stable
from node.raft.messages import Floor, Membership

ROT = Options(time_s=20.0, faults=("flip-bit", "rebuild", "kill"))


class Rebuilt(World):
    """A world without faults, in which somebody is asked for things."""

    def __init__(self, seed: int, **others: Any) -> None:
        super().__init__(situation(Options(**{"time_s": 3.0, "faults": (), **others}), seed))
        for node in self._nodes.values():
            self.time.at(0.0, node.start)
        for client in self._clients:
            client.work(until_s=30.0)
        assert self.time.run_until(10.0, lambda: self._operator.leader is not None)
        self.time.run_until(self.time.now + 1.0)

    def node(self, *, leads: bool) -> SimulatedNode:
        return next(node for node in self._nodes.values() if node.leads is leads)

    def rebuild(self, node: SimulatedNode, patience_s: float = 10.0) -> bool:
        chance = self.situation.chance("rebuild")
        return self._operator.rebuild(node, patience_s, chance)

    def is_idle(self) -> bool:
        return self._operator.rebuilding is None

    def cut_off(self, node: SimulatedNode) -> None:
        self._network.disturb(f"cut {node.node_id}", cuts(self._nemesis._links_of([node])))


@pytest.mark.parametrize("leads", [False, True])
@pytest.mark.parametrize("nodes", [2, 3, 5])
def test_a_node_is_rebuilt_and_has_all_again(leads: bool, nodes: int) -> None:
    world = Rebuilt(3, nodes=nodes)
    node = world.node(leads=leads)
    before = node.life

    assert world.rebuild(node)
    assert world.time.run_until(world.time.now + 10.0, world.is_idle)
    assert (node.life, node.withheld) == (before + 1, False)
    assert node.renewed is not None
    assert node.renewed >= Floor(1, 1), "it is told what was committed"
    assert world.time.run_until(
        world.time.now + 10.0, lambda: node.server is not None and node.server.state.may_stand
    )
    world._liveness.show()
    assert world._check_history()[0] is None


def test_a_node_that_refuses_to_start_is_rebuilt() -> None:
    world = Rebuilt(5)
    node = world.node(leads=False)
    node.crash(power=False, reason="killed")
    for name in node.disk.names:
        node.disk.flip(name, 8 * 40)
    node.flipped = True
    node.start()
    assert node.lost

    assert world.rebuild(node)
    assert world.time.run_until(world.time.now + 10.0, world.is_idle)
    assert not node.lost
    world._liveness.show()


def test_nobody_is_rebuilt_when_the_others_are_no_quorum_or_while_another_is() -> None:
    world = Rebuilt(7, nodes=3)
    leader, follower = world.node(leads=True), world.node(leads=False)
    other = next(node for node in world._nodes.values() if node not in (leader, follower))
    other.crash(power=False, reason="killed")
    assert not world.rebuild(follower)
    other.start()
    assert world.rebuild(follower)
    assert not world.rebuild(other)


def test_patience_ends_and_the_node_stays_where_it_is() -> None:
    world = Rebuilt(9, nodes=3)
    leader, follower = world.node(leads=True), world.node(leads=False)
    world.cut_off(leader)
    assert world.rebuild(follower, patience_s=0.2)
    world.time.run_until(world.time.now + 0.4)
    assert world.is_idle()
    assert not follower.renewed
    assert follower.server is not None
    world._network.heal()
    world._liveness.make_all_voters()
    world._liveness.show()


def test_the_data_of_a_voter_is_not_forgotten_unseen() -> None:
    """Nobody has set it aside: what it has said still binds it."""
    world = Rebuilt(3)
    node = world.node(leads=False)
    node.crash(power=False, reason="killed")
    node.forget(Floor())
    world._forgot(node)
    with pytest.raises(InvariantBroken, match="its disk says 0") as broken:
        node.start()
    assert broken.value.broken == PROMISES


def test_rotten_nodes_are_rebuilt_under_faults_and_in_the_end() -> None:
    renewed = lost = 0
    for seed in range(1, 5):
        events: list[dict[str, Any]] = []
        outcome = run_seed(ROT, seed, Trace(lambda line: events.append(json.loads(line))))  # noqa: B023
        assert outcome.failure is None, outcome.failure
        renewed += sum(one["event"] == "node.renewed" for one in events)
        lost += sum(
            one["event"] == "fault.injected" and one["fault"] == "flip-bit" for one in events
        )
    assert renewed >= 5
    assert lost >= 5


def test_a_former_leader_is_not_believed() -> None:
    """It is cut off, and still thinks that it leads, when the one after it has died."""
    world = Rebuilt(3)
    former = world.node(leads=True)
    former.pause()
    assert world.time.run_until(world.time.now + 5.0, lambda: world._operator.leader is not None)
    leader = world._operator.leader
    assert leader is not None
    assert leader is not former
    leader.crash(power=False, reason="killed")
    world.cut_off(former)
    former.paused = False
    assert former.leads
    assert world._operator.leader is None


def test_a_change_that_one_log_still_holds_is_settled_before_a_node_is_spared() -> None:
    """A leader that is cut off has logged the first entry of a change, and nobody else has. If that
    node led next it would complete the change, by which the spared node is one of two voters."""
    world = Rebuilt(3, nodes=3)
    nodes = list(world._nodes.values())
    former = world.node(leads=True)
    everybody = stable([node.node_id for node in nodes])

    def newest(node: SimulatedNode) -> Membership:
        assert node.server is not None
        return node.server.state.configurations[-1][1].membership

    world.cut_off(former)
    former.change_membership([node.node_id for node in nodes if node is not former])
    while (leader := world._operator.leader) in (None, former):
        world.time.run_until(world.time.now + 0.0001)  # no message arrives sooner
        assert world.time.now < 20.0
    assert leader is not None
    world.cut_off(leader)  # what it has sent since its election is lost
    world.time.run_until(world.time.now + 0.02)
    assert newest(former) != newest(leader) == everybody

    world._liveness.make_all_voters()
    leader = world._operator.leader
    assert leader is not None
    world._nemesis.stop([leader])
    world._liveness._commit_in_the_end("without the node that led")


def test_a_schedule_with_a_rebuild_is_followed() -> None:
    fault = Fault(1, 1.0, 10.0, "rebuild", "follower", 0.5)
    world = World(situation(Options(time_s=6.0, faults=()), 3))
    world.schedule = [fault]
    world._disturbed()
    assert [node.renewed is not None for node in world._nodes.values()].count(True) == 1


def test_who_is_rebuilt_after_another_has_its_time_too() -> None:
    """Two disks have rotted, and links are so slow that each takes ten seconds: when the first is
    done, the second has it all before it."""
    faults = ("rebuild", "flip-bit", "partition", "slow-link")
    outcome = run_seed(Options(time_s=20.0, faults=faults), 2)
    assert outcome.failure is None, outcome.failure
    assert outcome.simulated_s > 40.0


# -- work in steps -------------------------------------------------------------------------------


def test_work_is_done_step_by_step_one_piece_for_each_lock() -> None:
    time = Agenda()
    operator = Operator([], time, lambda node: None)
    done: list[tuple[str, float]] = []

    def work(name: str) -> Work:
        done.append((name, time.now))
        yield 1.0
        done.append((name, time.now))
        yield 2.0
        done.append((name, time.now))

    assert operator.begin("one", work("a"))
    assert not operator.begin("one", work("refused"))
    assert operator.begin("other", work("b"))
    time.run_until(2.0)
    assert operator.is_at("one")
    operator.leave_off()
    assert not operator.is_at("one")
    assert operator.begin("one", work("c"))
    time.run_until(9.0)

    assert done == [
        *[("a", 0.0), ("b", 0.0), ("a", 1.0), ("b", 1.0)],
        *[("c", 2.0), ("c", 3.0), ("c", 5.0)],
    ]
    assert not operator.is_at("one")
