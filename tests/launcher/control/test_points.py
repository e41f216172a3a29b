"""The words for armed points, and what a request may say of them."""

from __future__ import annotations

import pytest

from launcher.control.points import (
    ACTION_WORDS,
    POINT_NAMES,
    check_point,
    describe,
    parse_actions,
)
from launcher.control.requests import Arm, check
from launcher.errors import UsageError
from node.wire import PointTerm


def test_a_point_that_does_not_exist_is_refused_with_those_that_are_like_it() -> None:
    assert check_point("Before-Sync") == "before-sync"
    with pytest.raises(UsageError, match=r"'before-snyc': is it before-sync or .*launcher arm"):
        check_point("before-snyc")
    with pytest.raises(UsageError, match="no point is called 'nope': `launcher arm` lists"):
        check_point("nope")


def test_each_word_that_a_shell_offers_is_an_action() -> None:
    assert {describe(parse_actions(word)) for word in ACTION_WORDS} == {
        "1*kill", "2*kill", "1*power", "pause", "1*pause", "sleep(1s)", "1*fail-sync", "1*cut", "",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("point", "terms", "why"),
    [
        ("nowhere", [PointTerm("kill")], "no point is called 'nowhere'"),
        ("before-sync", [PointTerm("kill", percent=500.0)], "at most 100, not 500.0"),
        ("before-sync", [PointTerm("kill", percent=float("nan"))], "at most 100, not nan"),
        ("before-sync", [PointTerm("kill", count=0)], "a count is from 1 to 1000000, not 0"),
        ("before-sync", [PointTerm("sleep")], "sleep takes a duration from 1ms to 1h"),
        ("before-sync", [PointTerm("sleep", seconds=1e9)], "sleep takes a duration"),
        ("before-sync", [PointTerm("kill", count=1)] * 21, "at most 20 actions, not 21"),
    ],
)
def test_a_request_that_no_command_line_makes_is_refused(
    point: str, terms: list[PointTerm], why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        check(Arm(["leader"], point, terms))
    check(Arm(["leader"], POINT_NAMES[0], [PointTerm("kill", count=1)]))
    check(Arm(["leader"], POINT_NAMES[0], []))
