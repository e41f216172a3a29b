"""Tables, JSON and plots."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from launcher.benchmark import report
from launcher.benchmark.figures import Figures, Goal
from launcher.benchmark.load import HEADERS, Comparison, Shape, table


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, None),
        (0.0, "0"),
        (72_143.0, "72,100"),
        (1234.0, "1,230"),
        (999.6, "1,000"),
        (123.4, "123"),
        (3.14159, "3.14"),
        (0.5, "0.500"),
        (0.01234, "0.0123"),
    ],
)
def test_numbers_have_three_digits(value: float | None, shown: str | None) -> None:
    assert report.number(value) == shown


def comparison(goal: Goal | None) -> Comparison:
    ours = Figures(throughput=40_000.0, p50_ms=6.0, p99_ms=9.0, p999_ms=9.5, memory_bytes=2e8)
    floor = Figures(throughput=80_000.0, p50_ms=3.0, p99_ms=6.0, p999_ms=9.5, memory_bytes=2e7)
    return Comparison(names=("ours", "floor"), shape=Shape(), rounds=[(ours, floor)], goal=goal)


def test_a_comparison_is_a_table_with_ratios_and_the_goal() -> None:
    lines = str(table(comparison(Goal(figure="throughput", least=0.5)))).splitlines()

    assert lines[0] == "5 nodes, entries of 256 B, 256 unanswered; 1 round"
    rows = [re.split("  +", line.strip()) for line in lines[2:]]
    assert rows[0] == list(HEADERS)
    assert rows[2] == ["floor", "80,000", "3.00", "6.00", "9.50", "-", "-", "20.0"]
    assert rows[3] == ["ours", "40,000", "6.00", "9.00", "9.50", "-", "-", "200"]
    assert rows[4] == ["ours / floor", "0.500", "2.00", "1.50", "1.00", "-", "-", "10.0"]
    assert rows[5] == ["goal", "at least 0.5: reached"]


def test_a_goal_that_is_not_reached() -> None:
    assert "at least 0.6: not reached" in str(
        table(comparison(Goal(figure="throughput", least=0.6)))
    )


def test_there_is_no_goal_where_none_is_set() -> None:
    assert "goal" not in str(table(comparison(None)))


def test_results_are_kept_with_the_machine(tmp_path: Path) -> None:
    file = report.keep(tmp_path / "new" / "folder", "load", comparison(None))

    kept = json.loads(file.read_text())
    assert file == tmp_path / "new" / "folder" / "load.json"
    assert kept["benchmark"] == "load"
    assert kept["machine"]["cores"] >= 1
    assert kept["machine"]["memory_bytes"] > 1 << 20
    assert kept["results"]["rounds"][0][0]["throughput"] == 40_000.0


def test_the_machine_is_named_by_cores_and_memory() -> None:
    machine = report.Machine(cores=2, memory_bytes=24 << 30, system="Linux", python="3.11.7")
    assert str(machine) == "2 cores, 24 GiB of memory, Linux, Python 3.11.7"


def test_a_plot_is_a_png(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")

    def onto(figure: Any) -> None:
        figure.subplots().plot([1, 2, 3])

    file = report.draw(tmp_path, "line", onto)
    assert file == tmp_path / "line.png"
    assert file.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_without_matplotlib_nothing_is_drawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert report.draw(tmp_path, "line", lambda figure: None) is None
    assert list(tmp_path.iterdir()) == []
