"""The table beside the paper's numbers, and the figure."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from launcher.benchmark.crashes import Downtimes
from launcher.benchmark.elections import GIVE_UP_S, Delays, Timeouts
from launcher.benchmark.figure16 import (
    BRAVE,
    PANELS,
    PAPER,
    RANGES,
    Figure16Plan,
    Figure16Results,
    FigureLine,
    cumulative,
    draw,
    run,
    tables,
)
from launcher.benchmark.report import draw as keep_drawing


def results(line: FigureLine) -> Figure16Results:
    return Figure16Results(delays=Delays(), lines=[line], shares=[])


def test_the_ranges_are_those_of_the_paper() -> None:
    assert len(PANELS["randomness"]) == 6
    assert len(PANELS["scale"]) == 5
    assert len(RANGES) == 10, "150-300 is a line of both"
    assert set(PAPER) <= set(RANGES)
    assert set(BRAVE) <= set(RANGES)


def test_a_range_without_much_randomness_has_a_tenth_of_the_trials() -> None:
    plan = Figure16Plan(trials=40)
    assert [plan.real_trials(timeouts) for timeouts in (*BRAVE, Timeouts(150, 300))] == [4, 4, 40]
    assert Figure16Plan(trials=1).real_trials(BRAVE[0]) == 1
    assert Figure16Plan(trials=0).real_trials(BRAVE[0]) == 0


def test_heartbeats_are_half_of_the_shortest_timeout_and_equal_timeouts_nearly_so() -> None:
    timeouts = Timeouts(150, 150)
    assert timeouts.heartbeat_s == 0.075
    assert timeouts.min_s < timeouts.max_s < timeouts.min_s + 1e-5
    assert str(timeouts) == "150-150 ms"


def test_every_turn_is_told(tmp_path: Path) -> None:
    told: list[None] = []
    plan = Figure16Plan(trials=0, simulated=10, ranges=(Timeouts(150, 300), Timeouts(12, 24)))
    found = run(plan, tmp_path, Random(1), done=lambda: told.append(None))
    assert len(told) == plan.turns
    assert [str(line.timeouts) for line in found.lines] == ["150-300 ms", "12-24 ms"]
    assert all(line.real is None and len(line.simulated) == 10 for line in found.lines)
    text = "\n".join(map(str, tables(found)))
    assert "12-24 ms mean" in text
    assert "7.5 + 7.5 ms" in text


@pytest.mark.parametrize(
    ("median_s", "verdict"), [(0.287, "+0%"), (0.3444, "+20%"), (0.1435, "-50%")]
)
def test_the_distance_from_the_paper_is_shown(median_s: float, verdict: str) -> None:
    real = Downtimes(slower=4, downtimes_s=[median_s] * 3, broadcast_s=[0.015], disturbed=1)
    line = FigureLine(
        timeouts=Timeouts(150, 155), real=real, simulated=[0.287], with_pre_votes=[0.14]
    )
    _, beside, _ = tables(results(line))
    assert list(beside.rows[0]) == [
        "150-155 ms median",
        "287",
        f"{1000 * median_s:,.0f} ({verdict})",
        "287 (+0%)",
    ]
    first = tables(results(line))[0]
    assert list(first.rows[0])[:4] == ["150-155 ms", "3 (1)", "4", "15.0"]


def test_what_was_given_up_is_more_than_ten_seconds() -> None:
    line = FigureLine(
        timeouts=Timeouts(150, 150), real=None, simulated=[GIVE_UP_S] * 2, with_pre_votes=[0.1]
    )
    shown, beside, _ = tables(results(line))
    assert "> 10,000" in shown.rows[0]
    assert list(beside.rows[0]) == ["150-150 ms at least", "10,000", "-", "> 10,000 (yes)"]
    assert "no" in str(tables(results(FigureLine(
        timeouts=Timeouts(150, 150), real=None, simulated=[1.0], with_pre_votes=[0.1]
    )))[1].rows[0][3])  # fmt: skip


def test_a_curve_ends_below_one_where_trials_were_given_up() -> None:
    assert cumulative([0.2, GIVE_UP_S, 0.1, 0.3]) == ([100, 200, 300], [0.25, 0.5, 0.75])


def test_the_figure_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    real = Downtimes(slower=4, downtimes_s=[0.1, 0.2], broadcast_s=[0.015], disturbed=0)
    line = FigureLine(
        timeouts=Timeouts(150, 300), real=real, simulated=[0.1, 0.3], with_pre_votes=[0.1]
    )
    drawn = keep_drawing(tmp_path, "figure16", draw(results(line)))
    assert drawn is not None
    assert drawn.read_bytes().startswith(b"\x89PNG")
