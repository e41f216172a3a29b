"""The simulated operator: it changes the membership as the supervisor does it, and it is killed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from launcher.folders.records import Change
from launcher.simulation.faults.schedule import Fault
from launcher.simulation.network import cuts
from launcher.simulation.node import SimulatedNode
from launcher.simulation.operator import Work
from launcher.simulation.properties import PROMISES, RECONCILED
from launcher.simulation.runner import run_seed
from launcher.simulation.situation import Options, situation
from launcher.simulation.trace import Trace
from launcher.simulation.world import World, link
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

    def rebuild(self, node: SimulatedNode) -> bool:
        return self._operator.rebuild(node, self.situation.rng("rebuild"))

    def is_idle(self) -> bool:
        return self._operator.record.change is None

    def until_idle(self, within_s: float = 20.0) -> None:
        assert self.time.run_until(self.time.now + within_s, self.is_idle)

    def until(self, holds: Callable[[], bool], within_s: float = 20.0) -> None:
        assert self.time.run_until(self.time.now + within_s, holds)

    @property
    def change(self) -> Change:
        change = self._operator.record.change
        assert change is not None
        return change

    def voters(self) -> list[int]:
        self.until(lambda: self._operator.leader is not None)
        leader = self._operator.leader
        assert leader is not None
        assert leader.server is not None
        return list(leader.server.status().membership.voters)

    def killed_when(self, holds: Callable[[], bool], within_s: float = 20.0) -> None:
        """The supervisor is killed at the first step after which this holds, and comes back."""
        dead: list[float] = []

        def stepped() -> None:
            if not dead and holds():
                dead.append(self.time.now)
                self.time.at(self.time.now, self._operator.die)

        self._operator.on_step = stepped
        self.until(lambda: self._operator.is_down, within_s)
        self._operator.on_step = lambda: None
        assert all(node.server is None for node in self._operator.nodes.values())
        self.time.run_until(self.time.now + 0.5)
        assert all(node.server is None for node in self._operator.nodes.values())
        self._operator.come_back()

    def cut_off(self, *nodes: SimulatedNode) -> None:
        self._links.disturb("cut", cuts(self._target.links_of(list(nodes))))


@pytest.mark.parametrize("leads", [False, True])
@pytest.mark.parametrize("nodes", [2, 3, 5])
def test_a_node_is_rebuilt_and_has_all_again(leads: bool, nodes: int) -> None:
    world = Rebuilt(3, nodes=nodes)
    node = world.node(leads=leads)
    before = node.life

    assert world.rebuild(node)
    world.until_idle()
    assert (node.life, node.withheld) == (before + 1, False)
    assert node.data.renewed is not None
    assert node.data.renewed >= Floor(1, 1), "it is told what was committed"
    assert world.time.run_until(
        world.time.now + 10.0, lambda: node.server is not None and node.server.state.may_campaign
    )
    world._liveness.examine()
    assert world._check_history()[0] is None


def test_a_node_that_refuses_to_start_is_rebuilt() -> None:
    world = Rebuilt(5)
    node = world.node(leads=False)
    node.crash(power=False, reason="killed")
    for name in node.disk.names:
        node.disk.flip(name, 8 * 40)
    node.data.flipped = True
    node.start()
    assert node.data.lost

    assert world.rebuild(node)
    world.until_idle()
    assert not node.data.lost
    world._liveness.examine()


def test_nobody_is_rebuilt_when_the_others_are_no_quorum_or_while_another_is() -> None:
    world = Rebuilt(7, nodes=3)
    leader, follower = world.node(leads=True), world.node(leads=False)
    other = next(node for node in world._nodes.values() if node not in (leader, follower))
    other.crash(power=False, reason="killed")
    assert not world.rebuild(follower)
    other.start()
    assert world.rebuild(follower)
    assert not world.rebuild(other)


def test_a_change_waits_for_as_long_as_its_leader_is_cut_off() -> None:
    world = Rebuilt(9, nodes=3)
    leader, follower = world.node(leads=True), world.node(leads=False)
    world.cut_off(leader, follower)
    assert world.rebuild(follower)
    world.time.run_until(world.time.now + 20.0)
    assert world.change.done == 0
    assert not follower.data.renewed
    world._links.heal()
    world.until_idle()
    world._liveness.examine()


def test_the_data_of_a_voter_is_not_forgotten_unseen() -> None:
    """Nobody has set it aside: what it has said still binds it."""
    world = Rebuilt(3)
    node = world.node(leads=False)
    node.crash(power=False, reason="killed")
    node.data_at_rest.forget(Floor())
    world.forgot(node)
    with pytest.raises(InvariantBroken, match="its disk says 0") as broken:
        node.start()
    assert broken.value.broken == PROMISES


@pytest.mark.slow
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
    world._run_with_faults()
    assert [node.data.renewed is not None for node in world._nodes.values()].count(True) == 1


def test_who_is_rebuilt_after_another_has_its_time_too() -> None:
    """Two disks have rotted, and links are so slow that each takes ten seconds: when the first is
    done, the second has it all before it."""
    faults = ("rebuild", "flip-bit", "partition", "slow-link")
    outcome = run_seed(Options(time_s=20.0, faults=faults), 2)
    assert outcome.failure is None, outcome.failure
    assert outcome.simulated_s > 40.0


# -- nodes come and go ---------------------------------------------------------------------------


class Growing(Rebuilt):
    """A world with nodes that may be added."""

    def __init__(self, seed: int, **others: Any) -> None:
        super().__init__(seed, **others)
        for node_id in range(len(self._nodes) + 1, len(self._nodes) + 5):
            self._nodes[node_id] = SimulatedNode(node_id, self.situation, self.time, self)
            self._nodes[node_id].withheld = True
        link(self._nodes.values(), self._links)
        self._watch.begin(self._nodes.values())


def test_nodes_are_added_learn_and_vote_and_others_are_removed() -> None:
    world = Growing(3, nodes=3)
    assert world._operator.add(2)
    assert not world._operator.add(1), "one change is made at a time"
    world.until_idle()
    assert world.voters() == [1, 2, 3, 4, 5]
    leader = world.node(leads=True).node_id
    assert world._operator.remove([leader, 4])
    world.until_idle()
    left = [node for node in (1, 2, 3, 5) if node != leader]
    assert world.voters() == left
    assert list(world._operator.nodes) == left
    assert [node.node_id for node in world._nodes.values() if node.server is not None] == left
    assert world._operator.add(1)
    world.until_idle()
    assert world.voters() == [*left, 6], "no id is given twice"
    world._liveness.make_all_voters()
    world._liveness.examine()
    assert world._check_history()[0] is None


def test_to_remove_what_is_being_added_gives_that_up() -> None:
    world = Growing(5, nodes=3)
    world._links.disturb("cut", cuts((a, b) for a in (1, 2, 3) for b in (4, 5)))
    assert world._operator.add(2)
    world.time.run_until(world.time.now + 3.0)
    assert world.change.kind == "add"
    assert world._operator.remove([5])
    world.until(lambda: world.change.kind == "add")
    world._links.heal()
    world.until_idle()
    assert world.voters() == list(world._operator.nodes) == [1, 2, 3, 4]


# -- the supervisor is killed --------------------------------------------------------------------


def test_an_add_that_no_log_has_heard_of_is_undone() -> None:
    world = Growing(3, nodes=3)
    assert world._operator.add(1)
    world.killed_when(lambda: True)
    world.until_idle()
    assert world.voters() == list(world._operator.nodes) == [1, 2, 3]
    assert world._nodes[4].server is None
    assert not world._nodes[4].disk.names
    world._liveness.make_all_voters()


def test_an_add_that_the_log_has_heard_of_is_finished() -> None:
    world = Growing(3, nodes=3)
    world._links.disturb("cut", cuts((a, 4) for a in (1, 2, 3)))
    assert world._operator.add(1)
    world.time.run_until(world.time.now + 2.0)
    world._operator.die()
    world._links.heal()
    world._operator.come_back()
    world.until_idle()
    assert world.voters() == list(world._operator.nodes) == [1, 2, 3, 4]


@pytest.mark.parametrize("step", range(1, 12))
def test_a_rebuild_is_finished_wherever_it_was_broken_off(step: int) -> None:
    """Every step, and every record of one; a node that has forgotten does not forget again."""
    world = Rebuilt(3, nodes=3)
    node = world.node(leads=False)
    before = node.data.record.started
    assert world.rebuild(node)
    steps = iter(range(1, 100))
    world.killed_when(lambda: next(steps) == step)
    world.until_idle()
    assert node.data.renewed is not None
    assert node.data.record.started - before in (1, 2, 3)
    assert world.voters() == [1, 2, 3]
    world._liveness.make_all_voters()
    world._liveness.examine()
    assert world._check_history()[0] is None


@pytest.mark.parametrize("step", range(1, 8))
def test_a_remove_is_finished_wherever_it_was_broken_off(step: int) -> None:
    world = Rebuilt(5, nodes=4)
    node = world.node(leads=False)
    assert world._operator.remove([node.node_id])
    steps = iter(range(1, 100))
    world.killed_when(lambda: next(steps) == step)
    world.until_idle()
    world.until(lambda: world._operator.leader is not None)
    left = [other for other in (1, 2, 3, 4) if other != node.node_id]
    assert world.voters() == list(world._operator.nodes) == left
    assert node.server is None
    assert not node.disk.names
    world._liveness.make_all_voters()
    world._liveness.examine()


def test_what_is_on_record_and_what_the_log_says_are_compared_in_the_end() -> None:
    world = Rebuilt(3, nodes=4)
    leader = world._operator.leader
    assert leader is not None
    gone = next(node for node in world._operator.nodes if node != leader.node_id)
    leader.change_membership([node for node in world._operator.nodes if node != gone])
    world.until(lambda: gone not in world.voters())
    with pytest.raises(InvariantBroken, match=r"on record are \[1, 2, 3, 4\]") as broken:
        world._liveness.make_all_voters()
    assert broken.value.broken == RECONCILED


def test_a_voter_is_not_taken_off_the_record_unseen() -> None:
    world = Rebuilt(3, nodes=4)
    with pytest.raises(InvariantBroken, match="n2 is taken off the record") as broken:
        world.dismissed(world._nodes[2])
    assert broken.value.broken == RECONCILED


@pytest.mark.slow
def test_changes_are_broken_off_and_taken_up_under_faults() -> None:
    events: Counter[str] = Counter()
    options = Options(nodes=3, time_s=20.0, faults=("add", "remove", "supervisor"))
    for seed in range(1, 11):
        lines: list[str] = []
        outcome = run_seed(options, seed, Trace(lines.append, messages=False))
        assert outcome.failure is None, outcome.failure
        events.update(json.loads(line)["event"] for line in lines)
    for event in ("begun", "resumed", "undone", "done"):
        assert events[f"change.{event}"] >= 3, events


# -- work in steps -------------------------------------------------------------------------------


def test_work_is_done_step_by_step_one_piece_for_each_lock() -> None:
    world = World(situation(Options(faults=()), 1))
    time, operator = world.time, world._operator
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
    operator.stop_work()
    assert not operator.is_at("one")
    assert operator.begin("one", work("c"))
    time.run_until(9.0)

    assert done == [
        *[("a", 0.0), ("b", 0.0), ("a", 1.0), ("b", 1.0)],
        *[("c", 2.0), ("c", 3.0), ("c", 5.0)],
    ]
    assert not operator.is_at("one")
