"""What the record of messages costs: a cluster with its tap on, beside the same with it off.

The cluster takes no snapshots: one that falls into a turn would cost more than any record.

It is one cluster, whose nodes are told to record or not to, in turn. Each round measures both, and
the order changes from round to round, so that a machine that gets slower meanwhile favours neither.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from launcher.benchmark.figures import FIELDS, Figures, median, ratios
from launcher.benchmark.load import HEADERS, Effort, Shape, cells, measure_ours, running_cluster
from launcher.benchmark.report import Table, number

MODES = ("ring", "full")
GOAL_PERCENT = 3.0
"""A tap that costs less than that is on by default."""


NO_SNAPSHOTS = "snapshot: {log: 64GiB, entries: 999999999}\n"


class TapCost(msgspec.Struct, frozen=True, kw_only=True):
    """What each round measured, with the tap on and with it off."""

    mode: str
    shape: Shape
    rounds: list[tuple[Figures, Figures]]

    @property
    def extra_percent(self) -> list[float]:
        """Of each round, by how much more time on cores an entry took; from the least on."""
        pairs = [(on.cpu_s_per_1000, off.cpu_s_per_1000) for on, off in self.rounds]
        return sorted(100 * (on / off - 1) for on, off in pairs if on is not None and off)


def run(
    shape: Shape, effort: Effort, folder: Path, mode: str, *, done: Callable[[], None]
) -> TapCost:
    """Off, on, on, off, ... Raises LauncherError.

    folder: where everything writes; gone again at the end
    done: called after each turn
    """
    rounds = []
    with running_cluster(shape.nodes, folder, more=NO_SNAPSHOTS) as cluster:
        measure_ours(cluster, shape, effort)  # the log's first files are made, the caches warm
        for number_of_round in range(effort.rounds):
            found: dict[str, Figures] = {}
            for one in ("off", mode) if number_of_round % 2 == 0 else (mode, "off"):
                cluster.tap(one)
                found[one] = measure_ours(cluster, shape, effort)
                done()
            rounds.append((found[mode], found["off"]))
    return TapCost(mode=mode, shape=shape, rounds=rounds)


def table(cost: TapCost) -> Table:
    """A row for either, their ratio, and how far the rounds are apart."""
    on, off = zip(*cost.rounds, strict=True)
    ratio = ratios(cost.rounds)
    extra = cost.extra_percent
    rows = [
        ["off", *cells(median(off))],
        [cost.mode, *cells(median(on))],
        [f"{cost.mode} / off", *[number(ratio[name]) for name in FIELDS]],
    ]
    if extra:
        middle = (extra[len(extra) // 2] + extra[(len(extra) - 1) // 2]) / 2
        rows.append(
            [
                "more CPU",
                f"{middle:+.1f} % ({extra[0]:+.1f} to {extra[-1]:+.1f}; below {GOAL_PERCENT:g}?)",
            ]
        )
    title = f"{cost.shape}; {len(cost.rounds)} rounds in pairs"
    return Table(title=title, headers=["", *HEADERS], rows=rows)
