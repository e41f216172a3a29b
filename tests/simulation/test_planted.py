"""The simulated world finds every bug that is planted in the product, and none in the product."""

from __future__ import annotations

from functools import cache

import pytest

from launcher.simulation.runner import run_seed
from launcher.simulation.situation import Options
from launcher.simulation.world import Failure
from tests.simulation.planted import PLANTED, SLOW, Planted, find
from tests.simulation.planted.form import options_of


@cache
def without_a_bug(options: Options, seed: int) -> Failure | None:
    """What the product as it is comes to."""
    return run_seed(options, seed).failure


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "bug",
    [
        pytest.param(bug, marks=[pytest.mark.soak] if bug.name in SLOW else [], id=bug.name)
        for bug in PLANTED
    ],
)
def test_a_planted_bug_is_found_and_the_product_passes_the_same_seeds(bug: Planted) -> None:
    found = find(bug)

    assert found is not None, f"not within {bug.within} seeds: {bug.story}"
    found_at, failure = found
    assert failure.broken in bug.expected, f"seed {found_at}: {failure.broken}: {failure.belief}"
    for seed in range(1, found_at + 1):
        assert without_a_bug(options_of(bug), seed) is None, f"seed {seed} fails without the bug"
