"""Schedules: made by seed, cut to pieces, shrunk."""

from __future__ import annotations

from random import Random

import pytest

from launcher.errors import UsageError
from launcher.fault_kinds import parse_faults
from launcher.simulation.faults.schedule import (
    APART_NUMBERS,
    FAULTS,
    Fault,
    FaultKind,
    make_schedule,
    only,
    shrink,
)
from launcher.simulation.situation import Options, situation
from launcher.simulation.world import World


def made(seed: int, time_s: float = 60.0, kinds: tuple[str, ...] | None = None) -> list[Fault]:
    """kinds: all that there are by default"""
    kinds = tuple(FAULTS) if kinds is None else kinds
    return make_schedule(kinds, time_s, lambda purpose: Random(f"{seed}/{purpose}"))


TOGETHER = tuple(kind for kind, traits in FAULTS.items() if not traits.apart)
FORTY = made(3, 600.0, TOGETHER)[:40]
"""Faults 1 to 40."""


def test_every_kind_of_fault_can_be_begun() -> None:
    world = World(situation(Options(), seed=1))
    assert set(world._nemesis.begins) == set(FAULTS)


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
        for apart in {traits.apart for traits in FAULTS.values()}:
            numbers = [one.number for one in schedule if FAULTS[one.kind].apart == apart]
            first = apart * APART_NUMBERS + 1
            assert numbers == list(range(first, first + len(numbers)))
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


# -- kinds that are apart ------------------------------------------------------------------------


@pytest.fixture
def two_new_kinds(monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    """Somebody adds two kinds of fault. All kinds that there are then."""
    first_free = 1 + max(traits.apart for traits in FAULTS.values())
    for number, kind in enumerate(("flood", "quake"), first_free):
        traits = FaultKind(f"a {kind}", ("any",), 1.0, (1.0, 2.0), apart=number)
        monkeypatch.setitem(FAULTS, kind, traits)
    return tuple(FAULTS)


def without(schedule: list[Fault], *kinds: str) -> list[Fault]:
    return [fault for fault in schedule if fault.kind not in kinds]


@pytest.mark.parametrize("seed", range(20))
def test_a_new_kind_leaves_the_faults_of_all_others_as_they_were(
    seed: int, two_new_kinds: tuple[str, ...]
) -> None:
    before = made(seed, kinds=tuple(kind for kind in FAULTS if kind not in ("flood", "quake")))
    assert without(made(seed), "flood", "quake") == before
    assert without(made(seed), "quake") == made(seed, kinds=two_new_kinds[:-1])


def test_half_of_the_seeds_have_no_fault_of_a_kind_that_is_apart(
    two_new_kinds: tuple[str, ...],
) -> None:
    apart = [kind for kind in two_new_kinds if FAULTS[kind].apart]
    untouched = sum(without(made(seed), *apart) == made(seed) for seed in range(200))
    assert 80 < untouched < 140
    alone = [made(seed, kinds=("flood",)) for seed in range(20)]
    assert all(alone), "where nothing else is allowed, every seed has some"


def test_each_kind_that_is_apart_has_a_number_of_its_own() -> None:
    numbers = [traits.apart for traits in FAULTS.values() if traits.apart]
    assert len(set(numbers)) == len(numbers)


# -- words ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("all", tuple(FAULTS)),
        ("link", ("cut", "flaky", "reorder", "slow-link", "rate", "hold")),
        ("membership,kill", ("kill", "reconfigure")),
        ("disk", ("slow-disk", "hang-disk", "full-disk", "fail-write", "fail-sync")),
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
    first, second = schedule[0].number, schedule[1].number
    assert only(schedule, [second, first]) == schedule[:2]
    with pytest.raises(UsageError, match=r"--only 999: this seed's schedule has \d+ faults"):
        only(schedule, [999])


# -- shrinking -----------------------------------------------------------------------------------


@pytest.mark.parametrize("needed", [{5}, {1, 40}, {3, 4, 5}, {7, 20, 33, 39}, set()])
def test_shrinking_finds_exactly_what_is_needed(needed: set[int]) -> None:
    def fails(part: list[Fault]) -> bool:
        return needed <= {fault.number for fault in part}

    assert {fault.number for fault in shrink(FORTY, fails)} == needed


def test_shrinking_asks_no_more_often_than_it_may() -> None:
    asked = 0

    def fails(part: list[Fault]) -> bool:
        nonlocal asked
        asked += 1
        return {1, 9, 17, 25, 33} <= {fault.number for fault in part}

    smaller = shrink(FORTY, fails, most_runs=12)
    assert asked <= 12
    assert {1, 9, 17, 25, 33} <= {fault.number for fault in smaller}, "what it answers still fails"


def test_each_part_that_shrinking_asks_for_is_in_order() -> None:
    def fails(part: list[Fault]) -> bool:
        assert [fault.at_s for fault in part] == sorted(fault.at_s for fault in part)
        return len(part) >= 3

    assert len(shrink(made(3, 600.0)[:40], fails)) == 3
