"""Seeds 1 to 20 of `launcher test`, a minute each: all valid, and together all twelve situations.

It can be resumed: what a seed came to is kept in the cache of pytest, for as long as the source of
the product is the same. `pytest --cache-clear` begins anew.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from launcher.lab.verdict.situations import SITUATIONS
from tests.cluster.lab import ROOT, Lab

pytestmark = [pytest.mark.soak, pytest.mark.cluster]

SEEDS = range(1, 21)
LEAST_SITUATIONS = 4
ENDS_S = 600.0


@pytest.fixture
def lab(tmp_path: Path) -> Any:
    lab = Lab(tmp_path)
    yield lab
    lab.close()


def source() -> str:
    """A hash of all that is tested."""
    digest = hashlib.sha256()
    for wing in ("node", "launcher"):
        for path in sorted((ROOT / wing).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def kept(config: pytest.Config, seed: int) -> str:
    return f"trials/{source()}/{seed}"


@pytest.mark.timeout(ENDS_S + 60)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_is_valid_and_reaches_four_situations(
    lab: Lab, seed: int, pytestconfig: pytest.Config
) -> None:
    assert pytestconfig.cache is not None
    if pytestconfig.cache.get(kept(pytestconfig, seed), None) is not None:
        pytest.skip("this seed was valid before, with the same source")

    done = lab.launcher(
        "test", "--seed", str(seed), "--time", "60s", "--faults", "all", "--json", timeout_s=ENDS_S
    )

    assert done.status == 0, f"{done.err}\n{done.out}"
    reached = [name for name, count in done.json["situations"].items() if count]
    assert len(reached) >= LEAST_SITUATIONS, reached
    pytestconfig.cache.set(kept(pytestconfig, seed), reached)


def test_together_the_seeds_reach_every_situation(pytestconfig: pytest.Config) -> None:
    assert pytestconfig.cache is not None
    by_seed = {seed: pytestconfig.cache.get(kept(pytestconfig, seed), None) for seed in SEEDS}
    if None in by_seed.values():
        pytest.skip("not every seed was valid")

    assert {name for reached in by_seed.values() for name in reached} == set(SITUATIONS)
