"""The schedule of a seed: the same each time, in bounds, to and from a file."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from launcher.errors import UsageError
from launcher.fault_kinds import FLIP_BIT, TEXTS
from launcher.lab.chaos import schedule
from launcher.lab.chaos.kinds import ALL_GROUPS, IN_REALITY, KINDS, text_of
from launcher.lab.chaos.schedule import Schedule, make, only, parse_kinds, read, write
from launcher.lab.chaos.wording import check_words

ALL = tuple(KINDS)


def test_the_same_seed_gives_the_same_schedule_and_another_seed_another() -> None:
    arguments: dict[str, Any] = {"interval_s": 0.5, "number": 2, "exclude": ["n2"]}
    one = make(7, ALL, 60.0, **arguments)
    assert one == make(7, ALL, 60.0, **arguments)
    assert one.faults != make(8, ALL, 60.0, **arguments).faults


def test_a_seed_that_is_known_gives_what_it_gave() -> None:
    """The draws must not depend on the version of Python, or the order of a set."""
    assert list(map(str, make(7, ALL, 12.0).faults[:3])) == [
        "#1 0.509 s: blackout (all) for 0.935 s: torn",
        "#2 3.072 s: pause (any) for 1.291 s",
        "#3 5.075 s: blackout (all) for 0.758 s: torn",
    ]


def test_a_shorter_run_has_the_first_faults_of_a_longer_one() -> None:
    long, short = make(3, ALL, 60.0).faults, make(3, ALL, 20.0).faults
    assert 0 < len(short) < len(long)
    assert long[: len(short)] == short


def test_faults_begin_within_the_time_in_order_and_are_numbered_from_1() -> None:
    for seed in range(20):
        faults = make(seed, ALL, 30.0, interval_s=0.3).faults
        assert [fault.number for fault in faults] == list(range(1, len(faults) + 1))
        times = [fault.at_s for fault in faults]
        assert times == sorted(times)
        assert times[0] > 0
        assert times[-1] < 30.0
        assert 60 < len(faults) < 160, "one in 0.3 s on average"


def test_every_kind_is_drawn_with_words_that_its_commands_understand() -> None:
    drawn = set()
    for seed in range(60):
        for fault in make(seed, ALL, 60.0, interval_s=0.5).faults:
            drawn.add(fault.kind)
            assert fault.target in KINDS[fault.kind].targets
            least, most = KINDS[fault.kind].lasts_s
            assert least <= fault.duration_s <= most
            check_words(fault.kind, fault.words)
    assert drawn == set(KINDS)


def test_not_every_seed_has_every_kind_but_few_kinds_all_take_part() -> None:
    kinds = {len({f.kind for f in make(seed, ALL, 900.0).faults}) for seed in range(20)}
    assert min(kinds) < 30 < max(kinds)
    for seed in range(20):
        named = {fault.kind for fault in make(seed, ("kill", "pause"), 100.0).faults}
        assert named == {"kill", "pause"}


def test_rounds_and_number_say_how_many_faults_there_are() -> None:
    plan = make(1, ALL, rounds=5, number=3, interval_s=2.0)
    assert len(plan.faults) == 15
    assert len({fault.at_s for fault in plan.faults}) == 5
    assert plan.time_s == 12.0
    assert len(make(1, ALL, 600.0, rounds=5).faults) == 5


def test_the_leader_is_not_a_target_when_it_is_left_out() -> None:
    targets = {fault.target for fault in make(1, ALL, 900.0, exclude=["leader"]).faults}
    assert targets == {"follower", "all", "any"} - ({"any"} if "any" not in targets else set())
    followers = {fault.target for fault in make(1, ALL, 900.0, exclude=["followers"]).faults}
    assert "follower" not in followers


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"interval_s": 0.0}, "--interval takes a duration of at least 10ms"),
        ({"interval_s": -1.0}, "--interval"),
        ({"interval_s": float("nan")}, "--interval"),
        ({"number": 0}, "--number takes a number of faults from 1 to 100, not 0"),
        ({"rounds": 0}, "--rounds takes a number from 1"),
        ({"time_s": 0.0}, "--time takes a duration above 0"),
        ({"time_s": 1e9}, "at most 7 days"),
        ({"seed": -1}, "a seed is a whole number from 0 on"),
        ({"time_s": 86400.0, "interval_s": 0.01}, "at most 100000 faults"),
    ],
)
def test_what_makes_no_sense_is_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        make(**{"seed": 1, "kinds": ALL, **arguments})


# -- kinds ---------------------------------------------------------------------------------------


def test_all_is_every_kind_of_the_simulated_world_but_flipped_bits() -> None:
    assert set(parse_kinds("all")) == set(KINDS)
    assert set(TEXTS) - set(KINDS) == {FLIP_BIT}
    assert all(text_of(kind) for kind in KINDS)
    assert set(KINDS) - set(TEXTS) <= set(IN_REALITY)


def test_kinds_and_groups_are_listed_with_commas() -> None:
    assert parse_kinds("pause, kill") == ("kill", "pause")
    assert set(parse_kinds("disk")) == set(ALL_GROUPS["disk"])
    with pytest.raises(UsageError, match="no fault is called 'kil'; there are all, none, link"):
        parse_kinds("kil")
    with pytest.raises(UsageError, match="no fault is allowed"):
        parse_kinds("none")
    with pytest.raises(UsageError, match="real processes do not have it"):
        parse_kinds("kill,flip-bit")


# -- parts and files -----------------------------------------------------------------------------


def test_a_part_of_a_schedule_keeps_its_numbers_and_times() -> None:
    plan = make(7, ALL, 60.0)
    part = only(plan, [5, 2])
    assert part.faults == (plan.faults[1], plan.faults[4])
    with pytest.raises(UsageError, match=f"no such fault; its faults are 1 to {len(plan.faults)}"):
        only(plan, [999])


def test_a_file_gives_the_same_schedule_back() -> None:
    for seed in range(10):
        plan = make(seed, ALL, 60.0, exclude=["n3"])
        assert read(write(plan), "s") == plan


def test_a_file_is_json_lines_that_people_can_change() -> None:
    lines = write(make(7, ("kill",), 10.0)).splitlines()
    fault = json.loads(lines[1])
    fault |= {"target": "leader", "at_s": 0.5}
    changed = b"\n".join([lines[0], b"", json.dumps(fault).encode()])
    (read_back,) = read(changed, "s").faults
    assert (read_back.target, read_back.at_s) == ("leader", 0.5)


HEAD = msgspec.json.encode(make(1, ("kill",), 5.0).head).decode()


def line(**changes: object) -> str:
    """A fault in a file, with these fields changed."""
    known = {"number": 1, "at_s": 1, "duration_s": 1, "kind": "kill", "target": "any"}
    return json.dumps({**known, **changes})


def head(**changes: object) -> str:
    return json.dumps({**json.loads(HEAD), **changes})


DAMAGE = {
    "is empty": [""],
    "line 1, is no line of a schedule": ["hello"],
    "line 2, is no line of a schedule": [HEAD, "{}"],
    "unknown field `extra`": [HEAD, line(extra=1)],
    "line 2: no fault is called 'kil'": [HEAD, line(kind="kil")],
    "line 2: kill is aimed at any, follower, leader, not 'n2'": [HEAD, line(target="n2")],
    "line 2: a fault begins within 7 days": [HEAD, line(at_s=-1)],
    "line 2: the number of a fault is 1": [HEAD, line(number=0)],
    "line 3: kill takes no words": [HEAD, "", line(words="-9")],
    "line 2: a link cannot do 'dely'": [HEAD, line(kind="slow-link", words="dely 5ms")],
    "two faults have the same number": [HEAD, line(), line()],
    "its format is 2, and this version knows formats to 1": [head(format=2)],
    "--interval": [head(interval_s=0)],
}


@pytest.mark.parametrize(("said", "data"), DAMAGE.items())
def test_a_damaged_file_is_one_line_that_says_where(said: str, data: list[str]) -> None:
    with pytest.raises(UsageError) as refused:
        read("\n".join(data).encode(), "plan.jsonl")
    assert str(refused.value).startswith("plan.jsonl")
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_schedule_prints_one_line_for_each_fault() -> None:
    fault = schedule.Fault(
        number=3, at_s=4.21, duration_s=1.25, kind="slow-link", target="leader", words="delay 57ms"
    )
    assert str(fault) == "#3 4.210 s: slow-link (leader) for 1.250 s: delay 57ms"
    assert Schedule(make(1, ("kill",), 5.0).head, (fault,)).time_s == 5.0
