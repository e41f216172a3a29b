"""The sweep: which shapes there are, and what is shown of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from launcher.benchmark import sweep
from launcher.benchmark.figures import Figures
from launcher.benchmark.load import GOALS, Comparison, Shape
from launcher.benchmark.report import draw


def figures(throughput: float) -> Figures:
    return Figures(throughput=throughput, p50_ms=1.0, p99_ms=2.0, p999_ms=3.0)


def compared(shapes: list[Shape]) -> list[Comparison]:
    rounds = [(figures(40.0), figures(100.0)), (figures(60.0), figures(100.0))]
    return [
        Comparison(names=("ours", "floor"), shape=one, rounds=rounds, goal=GOALS.get(one))
        for one in shapes
    ]


def test_one_thing_varies_at_a_time() -> None:
    shapes = sweep.one_at_a_time()
    assert shapes[0] == Shape(nodes=5, window=256, size_bytes=256)
    assert len(shapes) == len(set(shapes)) == 9
    for shape in shapes:
        differing = [shape.nodes != 5, shape.window != 256, shape.size_bytes != 256]
        assert sum(differing) <= 1
    assert set(GOALS) <= set(shapes)


def test_all_is_the_full_product() -> None:
    assert len(set(sweep.every())) == 4 * 4 * 3
    assert set(sweep.one_at_a_time()) <= set(sweep.every())


def test_there_is_a_row_for_each_shape_in_each_table() -> None:
    floor, ours, ratios = sweep.tables(compared(sweep.one_at_a_time()))
    assert ratios.title == "ours / floor: the medians of the ratios of 2 rounds"
    assert [len(table.rows) for table in (floor, ours, ratios)] == [9, 9, 9]
    assert floor.rows[0][:4] == ["5", "256", "256", "100"]
    assert ours.rows[0][:4] == ["5", "256", "256", "50.0"]
    assert ratios.rows[0][:4] == ["5", "256", "256", "0.500"]
    verdicts = {row[2]: row[-1] for row in ratios.rows[:4]}
    assert verdicts == {
        "256": "at least 0.5: reached",
        "1": "at most 1.4: reached",
        "16": "",
        "4096": "at least 0.5: reached",
    }
    for table in (floor, ours, ratios):
        assert {len(row) for row in table.rows} == {len(table.headers)}


@pytest.mark.parametrize("shapes", [sweep.one_at_a_time(), sweep.every()])
def test_a_line_is_drawn_through_what_differs_in_one_thing(
    shapes: list[Shape], tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    figure: Any = Figure()
    sweep.plot(compared(shapes), figure)
    points = [list(axis.lines[0].get_xdata()) for axis in figure.axes]
    assert points == [[1, 16, 256, 4096], [1, 16, 256, 4096], [16, 256, 4096], [1, 3, 5, 7]]
    assert [[line.get_label() for line in axis.lines] for axis in figure.axes] == (
        [["ours", "floor"]] * 4
    )
    assert draw(tmp_path, "sweep", lambda empty: sweep.plot(compared(shapes), empty)) is not None
