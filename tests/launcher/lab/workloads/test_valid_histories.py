"""What a correct cluster does is valid, whatever overlaps, is lost, or is read late."""

from __future__ import annotations

import collections
import itertools

import pytest

from launcher.checking.checker import Validity
from launcher.lab.workloads.loading import names
from tests.launcher.lab.workloads.played import Play

SEEDS = range(12)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", names())
def test_a_history_of_a_correct_cluster_is_valid(name: str, seed: int) -> None:
    play = Play(name, seed)

    judgement = play.check()

    assert judgement.validity is Validity.VALID, judgement
    assert judgement.window == ()


@pytest.mark.parametrize("bug", ["lost", "doubled", "stale"])
@pytest.mark.parametrize("name", names())
def test_a_bug_of_the_cluster_is_found(name: str, bug: str) -> None:
    """Not in every history: what nobody sees nobody can judge."""
    found = [Play(name, seed, bug=bug, operations=600).check() for seed in range(6)]

    invalid = [one for one in found if one.validity is Validity.INVALID]
    assert invalid
    assert all(1 <= len(one.window) <= 12 and one.reason for one in invalid)


@pytest.mark.parametrize("name", names())
def test_the_histories_are_not_trivial(name: str) -> None:
    """A check that saw nothing would find nothing."""
    history = Play(name, 1).history

    outcomes = collections.Counter(one.outcome for one in history)
    overlaps = sum(
        after.invoked < before.completed
        for before, after in itertools.pairwise(history)
        if before.completed is not None
    )
    assert outcomes["ok"] > 100
    assert outcomes["info"] > 3
    assert overlaps > 50
    assert len({one.f for one in history}) >= 4


@pytest.mark.parametrize("name", names())
def test_the_same_seed_gives_the_same_operations(name: str) -> None:
    first, second = ([one.value for one in Play(name, 7).history] for _ in range(2))

    assert first == second
