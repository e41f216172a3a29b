"""Armed points of simulated nodes: they strike as the verdict says, and the cluster survives it."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from launcher.simulation.node import SimulatedNode
from launcher.simulation.point_port import SimulatedPoints
from launcher.simulation.runner import run_seed
from launcher.simulation.situation import Options, situation
from launcher.simulation.trace import Trace
from launcher.simulation.world import World
from node.faults.points import POINTS
from node.wire import ArmedPoint, PointAction, PointTerm
from tests.launcher.simulation.test_roll import Calm


def arm(
    node: SimulatedNode, point: str, action: PointAction, seconds: float = 0.0, count: int = 1
) -> None:
    node.points.arm(ArmedPoint(point, 7, [PointTerm(action, count=count, seconds=seconds)]))


@pytest.mark.parametrize(
    "point", ["before-leader-send", "before-sync", "after-sync", "before-apply", "before-reply"]
)
@pytest.mark.parametrize("action", ["kill", "power"])
def test_a_leader_that_is_struck_ends_and_is_started_again(point: str, action: PointAction) -> None:
    world = Calm(3)
    leader, life = world.leader, world.leader.life
    arm(leader, point, action)
    assert world.time.run_until(world.time.now + 5.0, lambda: world.ended == [leader.node_id])
    assert not leader.points.armed, "it is used up"
    assert world.time.run_until(world.time.now + 30.0, lambda: leader.life == life + 1)
    assert world.time.run_until(world.time.now + 30.0, lambda: world._operator.look().settled)


def test_a_count_lets_it_strike_in_the_next_life_too_once_that_has_recovered() -> None:
    world = Calm(3)
    node = world.others[0]
    arm(node, "before-sync", "kill", count=2)
    assert world.time.run_until(world.time.now + 20.0, lambda: len(world.ended) == 2)
    assert set(world.ended) == {node.node_id}
    assert world.time.run_until(world.time.now + 30.0, lambda: world._operator.look().settled)


def test_a_node_that_stops_at_a_point_says_nothing_until_it_continues() -> None:
    world = Calm(3)
    node = world.others[0]
    assert node.server is not None
    arm(node, "before-follower-send", "sleep", seconds=2.0)
    assert world.time.run_until(world.time.now + 5.0, lambda: node.paused)
    stopped_at, commit = world.time.now, node.server.state.commit_index
    assert node._outbox, "what it was about to send waits"
    assert world.time.run_until(world.time.now + 5.0, lambda: not node.paused)
    assert world.time.now - stopped_at == pytest.approx(2.0, abs=0.1)
    server = node.server
    assert world.time.run_until(
        world.time.now + 5.0, lambda: server.state.commit_index > commit + 10
    )


def test_a_node_that_sleeps_in_its_disk_work_goes_on_and_its_disk_is_late() -> None:
    world = Calm(3)
    node = world.others[0]
    assert node.server is not None
    arm(node, "after-sync", "sleep", seconds=2.0)
    assert world.time.run_until(world.time.now + 5.0, lambda: not node.points.armed)
    state, began = node.server.state, world.time.now
    persisted = state.persisted_index
    assert world.time.run_until(world.time.now + 5.0, lambda: state.persisted_index > persisted)
    assert world.time.now - began == pytest.approx(2.0, abs=0.2)
    assert not node.paused


def test_a_sync_that_fails_at_a_point_ends_the_node_for_a_while() -> None:
    world = Calm(3)
    node = world.others[0]
    arm(node, "before-sync", "fail-sync")
    assert world.time.run_until(world.time.now + 5.0, lambda: world.ended == [node.node_id])
    assert world.time.run_until(world.time.now + 30.0, lambda: world._operator.look().settled)


def test_a_node_that_stops_again_while_it_continues_handles_everything_in_the_end() -> None:
    """What has arrived meanwhile is handled one by one, and any of it may lead to a point."""
    world = Calm(3)
    node = world.others[0]
    assert world.time.run_until(world.time.now + 5.0, lambda: bool(node._log_work._work))
    node.pause()
    world.time.run_until(world.time.now + 0.5)
    assert len(node._waiting) > 1, "the write is done, and others have said something since"
    arm(node, "before-follower-send", "sleep", seconds=0.05)
    node.resume()
    assert node.paused, "at the point"
    assert world.time.run_until(world.time.now + 30.0, lambda: not node.paused)
    assert world.time.run_until(world.time.now + 30.0, lambda: world._operator.look().settled)
    assert not node._waiting


def test_every_point_is_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    reached: set[str] = set()

    def reach(points: SimulatedPoints, point: str) -> None:
        reached.add(point)

    monkeypatch.setattr(SimulatedPoints, "reach", reach)
    for seed in range(1, 40):
        faults = ("snapshot", "reconfigure", "kill", "isolate")
        world = World(situation(Options(nodes=3, time_s=10.0, faults=faults), seed))
        for node in world._nodes.values():
            node.points.arm(ArmedPoint("before-sync", 7, [PointTerm("off")]))
        assert world.run().failure is None
        if reached == {*POINTS}:
            return
    raise AssertionError(f"never: {POINTS.keys() - reached}")


def test_the_fault_arms_points_that_strike_and_the_cluster_survives() -> None:
    struck: Counter[str] = Counter()
    for seed in range(1, 9):
        lines: list[str] = []
        options = Options(nodes=3, time_s=10.0, faults=("point",))
        outcome = run_seed(options, seed, Trace(lines.append, messages=False))
        assert outcome.failure is None, outcome.failure
        for event in map(json.loads, "".join(lines).splitlines()):
            if event["event"] == "point.hit":
                struck[event["action"]] += 1
    assert len(struck) >= 4
    assert struck.total() >= 10
