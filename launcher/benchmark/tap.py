"""What the record of messages costs: a cluster with its tap on, beside the same with it off."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from launcher.benchmark.load import Effort, Shape, running_cluster
from launcher.benchmark.paired import NO_SNAPSHOTS, Paired, measure_pairs

GOAL_PERCENT = 3.0
"""A tap that costs less than that is on by default."""


def run(
    shape: Shape, effort: Effort, folder: Path, mode: str, *, done: Callable[[], None]
) -> Paired:
    """Off, on, on, off, ... Raises LauncherError.

    folder: where everything writes; gone again at the end
    mode: `ring` or `full`
    done: called after each turn
    """
    with running_cluster(shape.nodes, folder, more=NO_SNAPSHOTS) as cluster:

        @contextlib.contextmanager
        def recording() -> Iterator[None]:
            cluster.tap(mode)
            try:
                yield
            finally:
                cluster.tap("off")

        rounds = measure_pairs(cluster, shape, effort, recording, done=done)
    return Paired(names=(mode, "off"), shape=shape, goal_percent=GOAL_PERCENT, rounds=rounds)
