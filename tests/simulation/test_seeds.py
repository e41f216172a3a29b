"""Seeds that have to pass: many short runs, and each seed that once failed, as a case of its own.

A seed means something only for the world that it failed in: when the world changes, so does what a
seed does. The cases stay all the same, with the story of what they found; what they found is held
for good by the directed test that each names.
"""

from __future__ import annotations

import os

import pytest

from launcher.simulation.report import command
from launcher.simulation.runner import Tally, local_workers, search
from launcher.simulation.situation import Options

PLAIN = Options(time_s=3.0)
THREE = Options(time_s=3.0, nodes=3)
HUNTED = Options(time_s=5.0, faults=("hunt", "slow-disk", "power"))

RUNS = [
    (PLAIN, 1, 50),
    (THREE, 1001, 1030),
    (HUNTED, 2001, 2020),
    pytest.param(PLAIN, 51, 110, marks=pytest.mark.slow),
    pytest.param(THREE, 1031, 1060, marks=pytest.mark.slow),
    pytest.param(HUNTED, 2021, 2040, marks=pytest.mark.slow),
]
"""Options, first seed, last seed: a hundred runs, and as many more as slow tests."""


CASES = {
    "one node led a term that its disk did not know, and led it again": (
        Options(time_s=8.0, nodes=1),
        15,  # tests/node/raft/test_paper_elections.py: test_a_majority_of_one_leads_only_once...
    ),
    "the power goes where a bit has flipped: nobody can tell a rotten end from a torn one": (
        Options(time_s=10.0),
        395,  # the world asks for what node/storage/mark.py promises, and no more
    ),
    "two disks rot at once, and a majority is all that is left": (Options(time_s=10.0), 117),
    "what is unanswered at the end of a run may still have been seen": (Options(time_s=10.0), 758),
    "over slow links, piece by piece, the last node takes longer than ten seconds to catch up": (
        Options(time_s=60.0),
        1345,
    ),
    "a node dies of its disk in the moment in which it is resumed": (Options(time_s=5.0), 4010),
    "a leader that hands over dies of its full disk as it is resumed, with more done than that": (
        Options(time_s=60.0, nodes=3),
        930_121,  # test_world.py: test_nothing_is_done_for_a_process_that_has_died_as_it_was_...
    ),
    "learners with two thousand entries to catch up, one by one, take longer than twenty seconds": (
        Options(time_s=60.0),
        863,
    ),
    "the last of a bare majority needs two snapshots one after the other, in pieces of 300 bytes": (
        Options(time_s=60.0),
        1132,
    ),
    "the last of a bare majority needs three": (Options(time_s=60.0), 1275),
    "an acknowledgement of its former life comes when a node that was rebuilt learns again": (
        Options(time_s=60.0),
        1460,  # tests/node/raft/test_membership.py: test_what_was_acknowledged_before_a_removal...
    ),
    "who stands for election is no voter any more by a snapshot that was at its disk": (
        Options(time_s=60.0),
        478,  # tests/node/raft/test_snapshot.py: test_who_stands_and_is_left_out_by_a_snapshot...
    ),
    "who has just started lacks nothing by what it knows, and then has far to go": (
        Options(time_s=60.0, nodes=3),
        10_033,
    ),
    "a disk hangs on when the faults have stopped, and its node is to take the lead": (
        Options(time_s=60.0),
        1951,
    ),
    "a change that only one log holds goes on when that node leads, and then a majority of all is "
    "no quorum": (
        Options(time_s=20.0, nodes=3),
        2_000_238,  # test_operator.py: test_a_change_that_one_log_still_holds_is_settled_before_...
    ),
}
"""What long searches have found, by the story of it. Most were the world's mistakes."""


def case(story: str) -> object:
    """A minute is a long simulation: each case also has its directed test."""
    options, _ = CASES[story]
    return pytest.param(story, marks=[pytest.mark.slow] if options.time_s >= 60.0 else [])


@pytest.mark.parametrize("story", [case(story) for story in CASES])
def test_what_was_found_once_holds(story: str) -> None:
    options, seed = CASES[story]
    assert_holds(search(options, seed, seed), options)


@pytest.mark.parametrize(("options", "first", "last"), RUNS)
def test_every_property_holds(options: Options, first: int, last: int) -> None:
    assert_holds(search(options, first, last), options)


@pytest.mark.soak
@pytest.mark.parametrize("nodes", [1, 2, 3, 4, 5, 7])
def test_every_property_holds_in_a_long_search(nodes: int) -> None:
    """SIMULATE_SEEDS says how many seeds (default 400); each of a minute."""
    seeds = int(os.environ.get("SIMULATE_SEEDS", "400"))
    options = Options(time_s=60.0, nodes=nodes)
    workers = os.cpu_count() or 1
    with local_workers(workers) as executor:
        tally = search(options, 10_001, 10_000 + seeds, executor=executor, workers=workers)
    assert_holds(tally, options)
    print(f"{nodes} nodes: {tally.seeds} seeds, {tally.simulated_s:.0f} s simulated")


def assert_holds(tally: Tally, options: Options) -> None:
    failed = tally.failed
    again = "" if failed is None else f"{failed.failure}: {command(options, failed.seed)}"
    assert failed is None, again
    assert not tally.undecided
    assert tally.acknowledged > 0
