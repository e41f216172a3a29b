"""Simulated processes in slices, and simulated disks that stall and work in turn."""

from __future__ import annotations

from random import Random

import pytest

from launcher.simulation.faults.schedule import Fault
from launcher.simulation.situation import Options, situation
from launcher.simulation.world import World
from node.wire import DiskFault


def quiet_world(time_s: float = 6.0) -> World:
    """Nothing goes wrong in it but what a test does."""
    return World(situation(Options(nodes=3, faults=(), time_s=time_s), 1))


def seen(world: World, what: object, from_s: float, to_s: float) -> list[bool]:
    """Whether `what()` holds, at each millisecond."""
    found: list[bool] = []
    assert callable(what)
    for number in range(int((to_s - from_s) * 1000)):
        world.time.at(from_s + number / 1000, lambda: found.append(what()))
    return found


@pytest.mark.parametrize("amount", [0.0, 0.5, 1.0])
def test_a_throttled_node_runs_for_its_share_of_the_time(amount: float) -> None:
    world = quiet_world()
    node = world._nodes[1]
    fault = Fault(1, 1.0, 3.0, "throttle", "any", amount)
    begin = world._nemesis.begins["throttle"]

    def start() -> None:
        end = begin(fault, [node], Random(1))
        assert end is not None
        world.time.at(4.0, end)

    world.time.at(1.0, start)
    held = seen(world, lambda: node.held, 1.2, 4.0)
    after = seen(world, lambda: node.held, 4.01, 6.0)
    outcome = world.run()
    assert outcome.failure is None, outcome.failure
    assert 1 - sum(held) / len(held) == pytest.approx(0.01 * 90**amount, abs=0.02)
    assert not any(after)


def test_a_slice_that_begins_does_not_resume_a_paused_node() -> None:
    world = quiet_world(3.0)
    node = world._nodes[1]
    arrived: list[str] = []

    def stop() -> None:
        node.hold()
        node.pause()
        node._tell(lambda server: arrived.append("it"))
        node.release()
        assert (node.paused, arrived) == (True, [])
        node.hold()
        node.resume()
        assert (node.paused, arrived) == (False, [])
        node.release()
        assert arrived == ["it"]

    world.time.at(1.0, stop)
    outcome = world.run()
    assert outcome.failure is None, outcome.failure


def test_a_cycling_disk_finishes_nothing_while_it_stalls_and_everything_in_between() -> None:
    world = quiet_world()
    node = world._nodes[1]
    finished: list[float] = []

    def work() -> None:
        node._background.run(lambda: None, lambda _: finished.append(world.time.now))

    def begin() -> None:
        node.disk_cycle = (DiskFault("cycle-disk", 0.5, 0.5), world.time.now)

    world.time.at(1.0, begin)
    for number in range(400):
        world.time.at(1.0 + number / 100, work)
    outcome = world.run()
    assert outcome.failure is None, outcome.failure
    during = [at_s for at_s in finished if 1.0 < at_s < 5.0]
    assert not [at_s for at_s in during if at_s % 1.0 < 0.499]
    assert {int(at_s) for at_s in during} == {1, 2, 3, 4}
