"""The simulated operator's rolling restart, and the check that it never takes the quorum away."""

from __future__ import annotations

import re

import pytest

from launcher.simulation.availability import check_take_down
from launcher.simulation.faults.schedule import Fault
from launcher.simulation.network import cuts
from launcher.simulation.node import SimulatedNode
from launcher.simulation.properties import AVAILABILITY
from launcher.simulation.roll import ROLLING, roll
from launcher.simulation.runner import run_seed
from launcher.simulation.situation import Options, situation
from launcher.simulation.world import World
from node.raft.invariants import InvariantBroken
from node.raft.membership import Configuration, stable
from node.raft.messages import NodeId


class Calm(World):
    """A world without faults, with a leader that all follow."""

    def __init__(self, nodes: int, seed: int = 3) -> None:
        super().__init__(situation(Options(nodes=nodes, time_s=3.0, faults=()), seed))
        self.ended: list[NodeId] = []
        for node in self._nodes.values():
            self.time.at(0.0, node.start)
        for client in self._clients:
            client.work(until_s=60.0)
        assert self.time.run_until(10.0, lambda: self._operator.look().settled)

    def died(self, node: SimulatedNode, reason: str) -> None:
        super().died(node, reason)
        self.ended.append(node.node_id)

    @property
    def leader(self) -> SimulatedNode:
        leader = self._operator.leader
        assert leader is not None
        return leader

    @property
    def others(self) -> list[SimulatedNode]:
        return [node for node in self._nodes.values() if node is not self.leader]

    def roll(self, patience_s: float = 10.0) -> bool:
        return self._operator.begin(
            ROLLING, roll(self._operator, patience_s, self.situation.rng("roll"))
        )

    def is_over(self) -> bool:
        return not self._operator.is_at(ROLLING)

    def until_over(self, within_s: float = 30.0) -> None:
        assert self.time.run_until(self.time.now + within_s, self.is_over)

    def down(self) -> list[NodeId]:
        return [node.node_id for node in self._nodes.values() if node.server is None]

    def take_down(self, node: SimulatedNode) -> None:
        check_take_down(node, list(self._nodes.values()))

    def cut_off(self, node: SimulatedNode) -> None:
        self._links.disturb("cut", cuts(self._target.links_of([node])))

    def stay_joint(self) -> tuple[SimulatedNode, SimulatedNode]:
        """Five nodes, of which three are to be left, and stay in the joint configuration: of those
        three one is down, and the disk of another one hangs. These two."""
        leader, (away, hangs, *_) = self.leader, self.others
        away.crash(power=False, reason="killed")
        hangs.disk_hangs_until = float("inf")
        self.time.run_until(self.time.now + 0.2)
        leader.change_membership([leader.node_id, away.node_id, hangs.node_id])
        assert leader.server is not None
        state = leader.server.state
        assert self.time.run_until(self.time.now + 5.0, lambda: state.configuration.is_joint)
        assert leader.leads
        return away, hangs


# -- the restart -----------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [3, 4, 5])
def test_every_node_is_restarted_once_one_at_a_time_the_leader_last(nodes: int) -> None:
    world = Calm(nodes)
    first = world.leader.node_id

    assert world.roll()
    assert not world.roll(), "one at a time"
    while not world.is_over():
        world.time.run_until(world.time.now + 0.01)
        assert len(world.down()) <= 1
    assert world.ended == [*(n for n in world._nodes if n != first), first]
    assert {node.life for node in world._nodes.values()} == {2}
    world._liveness.examine()
    assert world._check_history()[0] is None


def test_a_node_that_is_down_comes_first() -> None:
    world = Calm(3)
    away = world.others[1]
    away.crash(power=False, reason="killed")
    assert world.roll()
    world.until_over()
    assert world.down() == []
    assert world.ended[0] == away.node_id
    assert len(world.ended) == 3


def test_it_ends_when_a_restart_would_lose_the_quorum() -> None:
    world = Calm(3)
    away, other = world.others
    away.data.lost = True
    away.crash(power=False, reason="killed")
    assert world.roll()
    world.until_over()
    assert world.ended == [away.node_id]
    assert other.life == 1


def test_it_waits_for_a_node_that_follows_nobody_and_then_goes_on() -> None:
    world = Calm(3)
    cut_off = world.others[1]
    world.cut_off(cut_off)
    assert world.time.run_until(
        world.time.now + 5.0, lambda: cut_off.node_id not in world._operator.look().followers
    )
    assert world.roll()
    world.time.run_until(world.time.now + 2.0)
    assert not world.is_over()
    assert world.ended == []
    world._links.mend("cut")
    world.until_over()
    assert len(world.ended) == 3


def test_it_ends_when_a_node_does_not_catch_up() -> None:
    world = Calm(5)
    assert world.roll(patience_s=1.0)
    (stopped,) = world.ended
    world.cut_off(world._nodes[stopped])
    world.until_over(5.0)
    assert world.ended == [stopped]
    assert world.down() == []


def test_no_node_is_taken_down_that_half_of_a_joint_configuration_needs() -> None:
    world = Calm(5)
    away, hangs = world.stay_joint()
    away.data.lost = True
    world.ended.clear()
    assert world.roll()
    world.until_over()
    assert hangs.node_id not in world.ended


def test_a_schedule_with_a_roll_is_followed() -> None:
    world = World(situation(Options(time_s=10.0, faults=()), 3))
    world.schedule = [Fault(100_001, 2.0, 5.0, "roll", "all", 0.5)]
    world._run_with_faults()
    assert {node.life for node in world._nodes.values()} == {2}


def test_it_ends_with_the_faults_and_leaves_nobody_down() -> None:
    world = Calm(3)
    assert world.roll()
    assert world.down()
    world._nemesis.stop()
    world.time.run_until(world.time.now + 3.0)
    assert world.down() == []
    assert world.is_over()


def test_restarts_and_changes_of_the_membership_together() -> None:
    for seed in range(1, 5):
        outcome = run_seed(Options(time_s=20.0, faults=("roll", "reconfigure", "kill")), seed)
        assert outcome.failure is None, outcome.failure


# -- the check -------------------------------------------------------------------------------------


def refused(world: Calm, node: SimulatedNode) -> str:
    with pytest.raises(InvariantBroken) as broken:
        world.take_down(node)
    assert broken.value.broken == AVAILABILITY
    return broken.value.belief


def test_each_of_three_may_be_taken_down_when_all_follow() -> None:
    world = Calm(3)
    for node in world._nodes.values():
        world.take_down(node)


def test_not_a_second_one() -> None:
    world = Calm(3)
    leader, (away, other) = world.leader, world.others
    away.crash(power=False, reason="killed")
    assert f"stops n{other.node_id} when [{leader.node_id}] are left" in refused(world, other)
    world.take_down(away)


def test_not_beside_one_that_is_paused_or_follows_nobody() -> None:
    world = Calm(3)
    other, odd = world.others
    odd.pause()
    refused(world, other)
    odd.resume()
    world.take_down(other)
    assert odd.server is not None
    odd.server.state.leader_id = None
    refused(world, other)


def test_not_while_nobody_leads() -> None:
    world = Calm(3)
    other = world.others[0]
    world.leader.crash(power=False, reason="killed")
    assert "while nobody leads" in refused(world, other)


def test_not_when_one_half_of_a_joint_configuration_would_lose_its_majority() -> None:
    world = Calm(5)
    _, hangs = world.stay_joint()
    belief = refused(world, hangs)
    assert re.search(r"outgoing=\(1, 2, 3, 4, 5\)", belief)
    for node in world.others:
        if node.server is not None and node is not hangs:
            world.take_down(node)


def test_not_the_leader_when_a_configuration_that_may_still_count_would_have_no_quorum() -> None:
    """Two of the three new voters are left without it, but only two of the five old ones."""
    world = Calm(5)
    leader, (one, other, *gone) = world.leader, world.others
    for node in gone:
        node.crash(power=False, reason="killed")
    assert leader.server is not None
    state = leader.server.state
    index, old = state.configurations[-1]
    new = Configuration(stable([leader.node_id, one.node_id, other.node_id]))
    state.configurations = [(index, old), (index + 1, new)]
    assert "no quorum of Membership(voters=(1, 2, 3, 4, 5)" in refused(world, leader)
    world.take_down(one)
    state.configurations = [(index + 1, new)]
    world.take_down(leader)
