"""What is ordered of a node's clocks: a change touches only what it names."""

from __future__ import annotations

import pytest

from launcher.control.clocks import ClockChange, parse_change
from launcher.errors import UsageError
from launcher.supervisor.clocks import TRUE_CLOCKS, OrderedClocks
from node.wire import ClockFault, SetClock


def after(*changes: str | ClockChange) -> OrderedClocks:
    """Changes one after the other, with ids from 1; `wall ...` means the wall clock."""
    clocks = TRUE_CLOCKS
    for number, change in enumerate(changes, 1):
        if isinstance(change, str):
            words = change.removeprefix("wall ")
            change = parse_change(words, wall=words != change)
        clocks = clocks.changed(change, number)
    return clocks


def test_steps_add_up_and_a_rate_replaces_the_one_before() -> None:
    clocks = after("bump 200ms", "rate 2", "bump 100ms", "rate 1.05", "wall bump 5s")
    assert str(clocks) == "bump 300ms, rate 1.05; wall: bump 5s"
    step_s = 0.2 + 0.1
    assert clocks.order == SetClock(
        ClockFault(bump_s=step_s, rate=1.05), ClockFault(bump_s=5.0), [3, 4, 5]
    )


def test_ok_ends_all_and_with_wall_only_the_wall_clock_s() -> None:
    assert after("bump 200ms", "strobe 1s 1s", "wall rate 2", "ok") == TRUE_CLOCKS
    clocks = after("rate 2", "wall rate 2", "wall ok")
    assert (str(clocks), clocks.order.ids) == ("rate 2", [1])


@pytest.mark.parametrize(
    ("end", "left"),
    [
        (ClockChange(word="ok", only="bump"), "rate 2, strobe 1s 1s"),
        (ClockChange(word="ok", only="rate"), "bump 1s, strobe 1s 1s"),
        (ClockChange(word="ok", only="strobe"), "bump 1s, rate 2"),
    ],
)
def test_a_handle_ends_what_it_has_begun_and_nothing_else(end: ClockChange, left: str) -> None:
    clocks = after("bump 1s", "rate 2", "strobe 1s 1s", end)
    assert str(clocks) == left
    assert len(clocks.order.ids) == 2


def test_a_rate_of_one_is_no_fault() -> None:
    assert after("rate 2", "rate 1") == TRUE_CLOCKS
    assert after("wall rate 2", "wall rate 1") == TRUE_CLOCKS


def test_steps_that_come_to_nothing_are_no_fault() -> None:
    clocks = after("bump 100ms", "bump 200ms", "wall bump 5s", "bump -300ms", "wall bump -5s")
    assert (str(clocks), clocks.order.ids) == ("", [])
    assert clocks.order.monotonic.bump_s == 0.0, "the node still has to make the step back"
    assert str(after("bump 1s", "rate 2", "bump -1s")) == "rate 2"
    assert str(after("bump 1s", "bump -1s", "bump 5ms")) == "bump 5ms"


def test_steps_that_come_to_too_much_are_refused() -> None:
    with pytest.raises(UsageError, match="come to more than 24h: `ok` ends them"):
        after("bump 20h", "bump 5h")
    assert str(after("bump 20h", "bump -5h")) == "bump 15h"
