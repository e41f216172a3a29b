"""Schedules: made by seed, cut to pieces, shrunk."""

from __future__ import annotations

from random import Random

import pytest

from launcher.errors import UsageError
from launcher.simulation.nemesis import _BEGIN
from launcher.simulation.schedule import FAULTS, Fault, make_schedule, only, parse_faults, shrink


def made(seed: int, time_s: float = 60.0, kinds: tuple[str, ...] = tuple(FAULTS)) -> list[Fault]:
    return make_schedule(kinds, time_s, Random(seed))


def test_every_kind_of_fault_can_be_begun() -> None:
    assert set(_BEGIN) == set(FAULTS)


def test_the_same_seed_makes_the_same_schedule() -> None:
    assert made(7) == made(7)
    assert made(7) != made(8)


def test_a_shorter_run_has_the_beginning_of_the_schedule() -> None:
    """So a failure is found again in a run that is no longer than it needs to be."""
    long = made(7)
    short = made(7, 10.0)
    assert short == [fault for fault in long if fault.at_s < 10.0]
    assert 0 < len(short) < len(long)


def test_faults_are_in_order_and_within_the_run() -> None:
    for seed in range(30):
        schedule = made(seed)
        assert [fault.number for fault in schedule] == list(range(1, len(schedule) + 1))
        assert [fault.at_s for fault in schedule] == sorted(fault.at_s for fault in schedule)
        assert all(0 < fault.at_s < 60.0 and 0 <= fault.amount <= 1 for fault in schedule)
        assert all(fault.target in FAULTS[fault.kind].targets for fault in schedule)


def test_all_seeds_together_use_every_kind_at_every_target() -> None:
    seen = {(fault.kind, fault.target) for seed in range(60) for fault in made(seed)}
    assert seen == {(kind, target) for kind, traits in FAULTS.items() for target in traits.targets}


def test_a_seed_uses_a_part_of_what_is_allowed() -> None:
    sizes = {len({fault.kind for fault in made(seed, 300.0)}) for seed in range(40)}
    assert min(sizes) < 10 < max(sizes)


def test_only_what_is_allowed_happens() -> None:
    assert {fault.kind for s in range(20) for fault in made(s, kinds=("kill",))} == {"kill"}
    assert made(1, kinds=()) == []


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("all", tuple(FAULTS)),
        ("none", ()),
        ("kill", ("kill",)),
        (" power , kill ", ("kill", "power")),
    ],
)
def test_faults_are_named_with_commas(text: str, kinds: tuple[str, ...]) -> None:
    assert parse_faults(text) == kinds


def test_an_unknown_fault_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no fault is called 'fire'.*partition.*flip-bit"):
        parse_faults("kill,fire")


def test_only_some_of_a_schedule() -> None:
    schedule = made(3)
    assert only(schedule, [2, 1]) == schedule[:2]
    with pytest.raises(UsageError, match=r"--only 999: this seed's schedule has \d+ faults"):
        only(schedule, [999])


# -- shrinking -----------------------------------------------------------------------------------


@pytest.mark.parametrize("needed", [{5}, {1, 40}, {3, 4, 5}, {7, 20, 33, 39}, set()])
def test_shrinking_finds_exactly_what_is_needed(needed: set[int]) -> None:
    schedule = made(3, 600.0)[:40]

    def fails(part: list[Fault]) -> bool:
        return needed <= {fault.number for fault in part}

    assert {fault.number for fault in shrink(schedule, fails)} == needed


def test_shrinking_asks_no_more_often_than_it_may() -> None:
    asked = 0

    def fails(part: list[Fault]) -> bool:
        nonlocal asked
        asked += 1
        return {1, 9, 17, 25, 33} <= {fault.number for fault in part}

    smaller = shrink(made(3, 600.0)[:40], fails, most_runs=12)
    assert asked <= 12
    assert {1, 9, 17, 25, 33} <= {fault.number for fault in smaller}, "what it answers still fails"


def test_each_part_that_shrinking_asks_for_is_in_order() -> None:
    def fails(part: list[Fault]) -> bool:
        assert [fault.number for fault in part] == sorted(fault.number for fault in part)
        return len(part) >= 3

    assert len(shrink(made(3, 600.0)[:40], fails)) == 3
