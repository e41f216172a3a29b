"""The words for clocks: what they mean, what is refused, and what `ps` says."""

from __future__ import annotations

import math

import pytest

from launcher.control.clocks import (
    ClockChange,
    check_change,
    describe,
    describe_change,
    parse_change,
    split_words,
)
from launcher.errors import UsageError
from node.wire import ClockFault


@pytest.mark.parametrize(
    ("text", "change"),
    [
        ("bump 200ms", ClockChange(word="bump", by_s=0.2)),
        ("BUMP -200ms", ClockChange(word="bump", by_s=-0.2)),
        ("bump \N{MINUS SIGN}1h", ClockChange(word="bump", by_s=-3600.0)),
        ("strobe 200ms 100ms", ClockChange(word="strobe", by_s=0.2, period_s=0.1)),
        ("strobe -2s 1s", ClockChange(word="strobe", by_s=-2.0, period_s=1.0)),
        ("rate 1.05", ClockChange(word="rate", rate=1.05)),
        ("ok", ClockChange(word="ok")),
    ],
)
def test_what_the_words_mean(text: str, change: ClockChange) -> None:
    assert parse_change(text) == change
    assert parse_change(describe_change(change)) == change


def test_the_wall_clock_is_named() -> None:
    change = parse_change("bump 5s", wall=True)
    assert change == ClockChange(word="bump", by_s=5.0, wall=True)
    assert describe_change(change) == "bump 5s of the wall clock"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "write bump 200ms, bump -200ms, strobe 200ms 100ms, rate 1.05, or ok"),
        ("drift 2", "write bump"),
        ("bump", "write bump"),
        ("bump 200", "bump takes a duration with a unit, such as 200ms or -200ms, at most 24h"),
        ("bump 0s", "bump takes a duration"),
        ("bump nan", "bump takes a duration"),
        ("bump --5s", "bump takes a duration"),
        ("bump 25h", "at most 24h, forward or back"),
        ("strobe 200ms", "write bump"),
        ("strobe 200ms 0s", "the second duration of strobe is from 1ms to 1h"),
        ("strobe 200ms -1s", "the second duration"),
        ("strobe 0s 100ms", "strobe takes two durations with units"),
        ("strobe 200 100", "strobe takes two durations with units"),
        ("rate", "write bump"),
        ("rate 0", "rate takes a number, such as 1.05, from 0.01 to 100"),
        ("rate -1", "rate takes a number"),
        ("rate nan", "rate takes a number"),
        ("rate inf", "rate takes a number"),
        ("rate fast", "rate takes a number"),
        ("ok now", "write bump"),
    ],
)
def test_what_no_clock_can_do_is_one_line_that_says_what_to_write(text: str, why: str) -> None:
    with pytest.raises(UsageError) as said:
        parse_change(text)
    assert str(said.value).startswith(f"a clock cannot do {text!r}: ")
    assert why in str(said.value)
    assert "\n" not in str(said.value)


@pytest.mark.parametrize(
    "change",
    [
        ClockChange(word="bump"),
        ClockChange(word="bump", by_s=math.nan),
        ClockChange(word="strobe", by_s=1.0),
        ClockChange(word="rate", rate=0.0),
        ClockChange(word="ok", by_s=1e308),
        ClockChange(word="bump", by_s=1.0, period_s=1e308),
        ClockChange(word="bump", by_s=1.0, rate=1e308),
    ],
)
def test_a_change_that_comes_over_the_socket_is_checked_too(change: ClockChange) -> None:
    with pytest.raises(UsageError):
        check_change(change)


def test_targets_come_before_the_first_word_for_a_clock() -> None:
    assert split_words(["1", "leader", "bump", "-2s"]) == (["1", "leader"], ["bump", "-2s"])
    assert split_words(["1", "2"]) == (["1", "2"], [])
    assert split_words(["ok"]) == ([], ["ok"])


def test_what_ps_says() -> None:
    assert describe(ClockFault(), ClockFault()) == ""
    assert describe(ClockFault(bump_s=-0.4, rate=1.05), ClockFault()) == "bump -400ms, rate 1.05"
    wall = ClockFault(bump_s=5.0)
    strobe = ClockFault(strobe_s=0.2, period_s=0.1)
    assert describe(strobe, wall) == "strobe 200ms 100ms; wall: bump 5s"
    assert describe(ClockFault(), wall) == "wall: bump 5s"
