"""Armed points: the grammar of a chain, and what strikes when a point is reached."""

from __future__ import annotations

import random
import re
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.faults.points import ACTIONS, POINTS, ArmedPoints, check, parse, write
from node.wire import ArmedPoint, PointTerm

POINT = "before-sync"


def chain(text: str) -> list[PointTerm]:
    return parse(text)


def armed(text: str, *, seed: int = 1) -> ArmedPoints:
    points = ArmedPoints(random.Random(seed))
    points.arm([ArmedPoint(POINT, 7, chain(text))])
    return points


def struck(points: ArmedPoints, times: int) -> list[str]:
    """What strikes, hit by hit."""
    strikes = [points.reach(POINT) for _ in range(times)]
    return ["-" if one is None else one.term.action for one in strikes]


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("pause", [PointTerm("pause")]),
        ("kill", [PointTerm("kill", count=1)]),
        ("cut", [PointTerm("cut", count=1)]),
        ("2*kill", [PointTerm("kill", count=2)]),
        ("20%kill", [PointTerm("kill", 20.0, 1)]),
        (" 0.5% 3*sleep( 10ms ) ", [PointTerm("sleep", 0.5, 3, 0.01)]),
        ("3*off->kill", [PointTerm("off", count=3), PointTerm("kill", count=1)]),
        ("50%pause -> sleep(1s)", [PointTerm("pause", 50.0), PointTerm("sleep", seconds=1.0)]),
        ("off", []),
    ],
)
def test_a_chain_is_read_as_fail_rs_writes_it(text: str, terms: list[PointTerm]) -> None:
    assert chain(text) == terms


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "an action is missing"),
        ("kill->", "an action is missing"),
        ("explode", "no action is called 'explode': there are kill, power,"),
        ("150%kill", "at most 100, not 150.0"),
        ("0%kill", "above 0 and at most 100"),
        ("-5%kill", "-5% is no percentage"),
        ("nan%kill", "nan% is no percentage"),
        ("0*kill", "a count is from 1 to 1000000, not 0"),
        ("1000001*kill", "a count is from 1 to 1000000"),
        ("99999999999999999999*kill", "a count is from 1 to 1000000"),
        ("-1*kill", "-1* is no count"),
        ("sleep", "sleep takes a duration with a unit"),
        ("sleep()", "sleep takes a duration with a unit"),
        ("sleep(5)", "sleep takes a duration with a unit"),
        ("sleep(0ms)", "from 1ms to 1h"),
        ("sleep(2h)", "sleep takes a duration"),
        ("kill(1)", "kill takes nothing in brackets"),
        ("pause->kill", "kill is never reached behind pause"),
        ("kill kill", "no action is called 'kill kill'"),
        ("(", "( is no action"),
        ("kill->" * 20 + "kill", "at most 20 actions, not 21"),
    ],
)
def test_nonsense_in_a_chain_is_refused_in_one_line(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)) as refused:
        chain(text)
    assert "\n" not in str(refused.value)


@given(
    st.one_of(
        st.text(alphabet="killpausesofcut0123456789%*()->. \n", max_size=30),
        st.from_regex(r"(\d{1,2}(\.\d{1,9})?%)?(\d*\*)?(kill|sleep\(\d+ms\))", fullmatch=True),
    )
)
def test_any_text_is_a_chain_or_refused(text: str) -> None:
    try:
        terms = chain(text)
    except ValueError:
        return
    check(terms)
    assert chain(write(terms) or "off") == terms


def test_what_ends_the_process_strikes_once_unless_a_count_says_otherwise() -> None:
    assert struck(armed("kill"), 3) == ["kill", "-", "-"]
    assert struck(armed("2*power"), 3) == ["power", "power", "-"]
    assert struck(armed("pause"), 3) == ["pause", "pause", "pause"]


def test_the_links_of_a_chain_strike_one_behind_the_other() -> None:
    assert struck(armed("2*off->1*sleep(1s)->kill"), 5) == ["-", "-", "sleep", "kill", "-"]


def test_a_percentage_strikes_that_often_and_the_next_link_otherwise() -> None:
    counted = Counter(struck(armed("30%pause->sleep(1ms)"), 10_000))
    assert set(counted) == {"pause", "sleep"}
    assert 2_800 < counted["pause"] < 3_200
    assert struck(armed("30%pause", seed=5), 50) == struck(armed("30%pause", seed=5), 50)


def test_what_is_certain_draws_nothing() -> None:
    rng = random.Random(3)
    points = ArmedPoints(rng)
    points.arm([ArmedPoint(POINT, 7, chain("pause"))])
    struck(points, 10)
    assert rng.random() == random.Random(3).random()


def test_hits_and_strikes_are_counted_until_the_chain_is_used_up() -> None:
    points = armed("2*off->kill")
    assert points.armed
    struck(points, 2)
    (state,) = points.states()
    assert (state.hits, state.strikes, write(state.terms)) == (2, 0, "1*kill")
    strike = points.reach(POINT)
    assert strike is not None
    assert (strike.state.hits, strike.state.strikes) == (3, 1)
    assert strike.state.is_spent
    assert not points.armed
    assert points.states() == [strike.state]


def test_a_point_that_is_not_armed_counts_nothing() -> None:
    points = armed("pause")
    assert points.reach("after-sync") is None
    assert [state.point for state in points.states()] == [POINT]


def test_an_order_keeps_the_counts_of_what_it_does_not_change() -> None:
    """The supervisor may have sent it before it heard of the last hits."""
    points = armed("3*pause")
    struck(points, 2)
    points.arm([ArmedPoint(POINT, 7, chain("3*pause")), ArmedPoint("after-sync", 8, chain("kill"))])
    assert [(state.id, state.hits) for state in points.states()] == [(7, 2), (8, 0)]
    points.arm([ArmedPoint(POINT, 9, chain("3*pause"))])
    assert [(state.id, state.hits) for state in points.states()] == [(9, 0)]
    points.arm([])
    assert not points.armed


def test_every_point_and_action_is_told() -> None:
    assert len(POINTS) >= 13
    assert all(point.text for point in POINTS.values())
    assert {"kill", "power", "pause", "sleep", "fail-sync", "cut", "off"} == set(ACTIONS)
