"""What something costs that a running cluster can have or not: with it beside without it, in turn.

It is one cluster, for which the thing is switched on and off. Each round measures both, and the
order changes from round to round, so that a machine that gets slower meanwhile favours neither.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import msgspec

from launcher.benchmark.figures import FIELDS, Figures, median, ratios
from launcher.benchmark.load import HEADERS, Effort, Shape, cells, measure_ours
from launcher.benchmark.report import Table, number
from launcher.cluster import Cluster

NO_SNAPSHOTS = "snapshot: {log: 64GiB, entries: 999999999}\n"
"""Of cluster.yaml: a snapshot that falls into a turn would cost more than what is measured."""


class Paired(msgspec.Struct, frozen=True, kw_only=True):
    """What each round measured, with it and without it.

    names: of the turns with it and without it
    goal_percent: how much more time on cores an entry may take
    remarks: more rows of the table: what was measured, and what came of it
    """

    names: tuple[str, str]
    shape: Shape
    goal_percent: float
    rounds: list[tuple[Figures, Figures]]
    remarks: list[tuple[str, str]] = []

    @property
    def extra_percent(self) -> list[float]:
        """Of each round, by how much more time on cores an entry took; from the least on."""
        pairs = [(on.cpu_s_per_1000, off.cpu_s_per_1000) for on, off in self.rounds]
        return sorted(100 * (on / off - 1) for on, off in pairs if on is not None and off)


def measure_pairs(
    cluster: Cluster,
    shape: Shape,
    effort: Effort,
    switched_on: Callable[[], AbstractContextManager[object]],
    *,
    done: Callable[[], None],
) -> list[tuple[Figures, Figures]]:
    """Without, with, with, without, ... Raises LauncherError.

    switched_on: the cluster has it for as long as the context lasts
    done: called after each turn
    """
    measure_ours(cluster, shape, effort)  # the log's first files are made, the caches warm
    rounds = []
    for number_of_round in range(effort.rounds):
        found: dict[bool, Figures] = {}
        for on in (False, True) if number_of_round % 2 == 0 else (True, False):
            if on:
                with switched_on():
                    found[on] = measure_ours(cluster, shape, effort)
            else:
                found[on] = measure_ours(cluster, shape, effort)
            done()
        rounds.append((found[True], found[False]))
    return rounds


def table(paired: Paired) -> Table:
    """A row for either, their ratio, and how far the rounds are apart."""
    on, off = zip(*paired.rounds, strict=True)
    with_it, without_it = paired.names
    ratio = ratios(paired.rounds)
    extra = paired.extra_percent
    rows: list[list[str | None]] = [
        [without_it, *cells(median(off))],
        [with_it, *cells(median(on))],
        [f"{with_it} / {without_it}", *[number(ratio[name]) for name in FIELDS]],
    ]
    if extra:
        middle = (extra[len(extra) // 2] + extra[(len(extra) - 1) // 2]) / 2
        spread = f"{extra[0]:+.1f} to {extra[-1]:+.1f}"
        rows.append(["more CPU", f"{middle:+.1f} % ({spread}; below {paired.goal_percent:g}?)"])
    rows += [list(remark) for remark in paired.remarks]
    title = f"{paired.shape}; {len(paired.rounds)} rounds in pairs"
    return Table(title=title, headers=["", *HEADERS], rows=rows)
