"""The simulated world finds every bug that is planted in the product, and none in the product.

The first test looks at the seed that found a bug when the table in docs/SIMULATION.md was made, and
searches only if it does not any more, for any change of the world can do that. For the bugs whose
runs take longest it is a slow test. The soak test searches for every bug from seed 1 on.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import pytest

from launcher.simulation.planted import PLANTED, Planted, find
from launcher.simulation.planted.form import options_of
from launcher.simulation.runner import run_seed
from launcher.simulation.situation import Options
from launcher.simulation.world import Failure
from tests.simulation.planted_table import known_properties, known_seeds

KNOWN = known_seeds()

LONG = (
    "a change begins before the last one is committed",
    "a chunk is taken wherever it belongs",
    "a client never acknowledges an answer",
    "a client that waits for a batch is answered for another",
    "a follower that receives a snapshot gets no heartbeats",
    "a gap in a session's numbers is not noticed",
    "a leader answers reads without asking whether it still leads",
    "a lease in place of a round",
    "a node has left as soon as the leader uses a configuration without it",
    "a pre-vote counts as a vote",
    "a snapshot older than what was applied is installed",
    "of two writes that are joined the later term and vote are lost",
    "the log is removed before the snapshot's name is durable",
    "the mark is written before the sync",
    "the term of the entry before is not compared",
)
"""Those whose runs take more than four seconds."""


def marks_of(bug: Planted) -> list[pytest.MarkDecorator]:
    """Those of one seed go to one process: there the product without a bug runs it only once."""
    group = pytest.mark.xdist_group(f"{options_of(bug)} {KNOWN.get(bug.name)}")
    return [group, *([pytest.mark.slow] if bug.name in LONG else [])]


each_bug = pytest.mark.parametrize(
    "bug", [pytest.param(bug, marks=marks_of(bug), id=bug.name) for bug in PLANTED]
)


@cache
def without_a_bug(options: Options, seed: int) -> Failure | None:
    """What the product as it is comes to."""
    return run_seed(options, seed).failure


@pytest.mark.timeout(300)
@each_bug
def test_a_planted_bug_is_found_and_the_product_passes_the_same_seed(bug: Planted) -> None:
    found_at = found_as_expected(bug, find(bug, KNOWN[bug.name]))
    assert_none_without(bug, [found_at])


@pytest.mark.soak
@each_bug
def test_a_planted_bug_is_found_in_so_many_seeds(bug: Planted) -> None:
    found_at = found_as_expected(bug, find(bug))
    assert_none_without(bug, range(1, found_at + 1))


def test_the_docs_name_the_bugs_that_there_are() -> None:
    assert KNOWN.keys() == {bug.name for bug in PLANTED} > set(LONG)
    shown = known_properties()
    assert [bug.key for bug in PLANTED if shown[bug.name] != bug.shows] == []


def found_as_expected(bug: Planted, found: tuple[int, Failure] | None) -> int:
    """The seed."""
    assert found is not None, f"not within {bug.within} seeds: {bug.story}"
    found_at, failure = found
    assert failure.broken in bug.expected, f"seed {found_at}: {failure.broken}: {failure.belief}"
    assert found_at <= bug.within, "the docs name a seed that no search comes to"
    return found_at


def assert_none_without(bug: Planted, seeds: Iterable[int]) -> None:
    for seed in seeds:
        assert without_a_bug(options_of(bug), seed) is None, f"seed {seed} fails without the bug"
