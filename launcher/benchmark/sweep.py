"""The sweep: our cluster beside the floor for windows, entry sizes and numbers of nodes.

By default one of the three varies at a time, around five nodes, entries of 256 B and 256
unanswered; `every` is their full product.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from launcher.benchmark.figures import FIELDS, Figures, median
from launcher.benchmark.load import (
    HEADERS,
    Comparison,
    Effort,
    Shape,
    against_floor,
    cells,
)
from launcher.benchmark.report import Table, number

WINDOWS = (1, 16, 256, 4096)
SIZES_BYTES = (16, 256, 4096)
NODES = (1, 3, 5, 7)

SHAPE = ("nodes", "size B", "window")
"""The headers of what a row is of."""


def one_at_a_time() -> list[Shape]:
    """The shapes that differ in one thing at most from the middle one, which is the first."""
    middle = Shape()
    shapes = [middle]
    shapes += [msgspec.structs.replace(middle, window=window) for window in WINDOWS]
    shapes += [msgspec.structs.replace(middle, size_bytes=size) for size in SIZES_BYTES]
    shapes += [msgspec.structs.replace(middle, nodes=nodes) for nodes in NODES]
    return list(dict.fromkeys(shapes))


def every() -> list[Shape]:
    """All of them."""
    return [
        Shape(nodes=nodes, size_bytes=size, window=window)
        for nodes, size, window in itertools.product(NODES, SIZES_BYTES, WINDOWS)
    ]


def sweep(
    shapes: Sequence[Shape], effort: Effort, folder: Path, *, done: Callable[[], None]
) -> list[Comparison]:
    """Each shape after the other. Raises LauncherError. See `against_floor`."""
    return [against_floor(shape, effort, folder, done=done) for shape in shapes]


# -- what is shown -------------------------------------------------------------------------------


def tables(comparisons: Sequence[Comparison]) -> list[Table]:
    """What the floor came to, what we came to, and the ratios with the goals beside them."""
    floors = [(one.shape, median([floor for _, floor in one.rounds])) for one in comparisons]
    ours = [(one.shape, median([ours for ours, _ in one.rounds])) for one in comparisons]
    headers = [*SHAPE, *HEADERS]
    count = len(comparisons[0].rounds)
    rounds = "one round" if count == 1 else f"the medians of the ratios of {count} rounds"
    return [
        Table(title="floor", headers=headers, rows=[_row(*one) for one in floors]),
        Table(title="ours", headers=headers, rows=[_row(*one) for one in ours]),
        Table(
            title=f"ours / floor: {rounds}",
            headers=[*headers, "goal"],
            rows=[_ratio_row(one) for one in comparisons],
        ),
    ]


def _row(shape: Shape, figures: Figures) -> list[str | None]:
    return [*_shape(shape), *cells(figures)]


def _ratio_row(comparison: Comparison) -> list[str | None]:
    ratios = comparison.ratios
    return [
        *_shape(comparison.shape),
        *[number(ratios[name]) for name in FIELDS],
        comparison.verdict,
    ]


def _shape(shape: Shape) -> list[str]:
    return [str(shape.nodes), str(shape.size_bytes), str(shape.window)]


def plot(comparisons: Sequence[Comparison], figure: Any) -> None:
    """Throughput by each of the three, and the median latency by window, ours and the floor's.

    figure: an empty matplotlib Figure
    """
    middle = Shape()
    axes = figure.subplots(2, 2).flat
    for axis, (field, label, figures_field, what) in zip(
        axes,
        [
            ("window", "unanswered", "throughput", "answers/s"),
            ("window", "unanswered", "p50_ms", "median latency, ms"),
            ("size_bytes", "bytes of an entry", "throughput", "answers/s"),
            ("nodes", "nodes", "throughput", "answers/s"),
        ],
        strict=True,
    ):
        line = sorted(
            [one for one in comparisons if _differs_only_in(field, one.shape, middle)],
            key=lambda one: int(getattr(one.shape, field)),
        )
        at = [getattr(one.shape, field) for one in line]
        for side, name in enumerate(("ours", "floor")):
            middles = [median([pair[side] for pair in one.rounds]) for one in line]
            axis.plot(at, [getattr(one, figures_field) for one in middles], "o-", label=name)
        axis.set(xlabel=label, ylabel=what, yscale="log")
        if field != "nodes":
            axis.set_xscale("log")
        axis.set_xticks(at, [str(value) for value in at])
        axis.tick_params(axis="x", which="minor", bottom=False)
        axis.legend()
    figure.suptitle(f"Around {middle}")


def _differs_only_in(field: str, shape: Shape, middle: Shape) -> bool:
    return msgspec.structs.replace(shape, **{field: getattr(middle, field)}) == middle
