"""The hostile client of the simulated world: it is there in some seeds, and is refused."""

from __future__ import annotations

from launcher.simulation.situation import Options, situation
from launcher.simulation.world import World

OPTIONS = Options(time_s=10.0)
HOSTILE = [seed for seed in range(1, 60) if situation(OPTIONS, seed).hostile]


def test_some_seeds_have_one_and_most_do_not() -> None:
    assert 2 <= len(HOSTILE) <= 20


def test_it_is_refused_and_the_cluster_is_none_the_worse_for_it() -> None:
    world = World(situation(OPTIONS, HOSTILE[0]))
    outcome = world.run()
    assert outcome.failure is None
    assert world._hostile.refused > 3
