"""Our cluster under load beside the floor, and reads beside writes: in turn, in one run.

A cluster of real processes, with the default settings (every acknowledged entry is synced with
fdatasync on a majority), runs the machine `journal`, which keeps every entry, as the floor keeps
it in its files only. It stays up through all rounds of a shape, so its logs have an age and its
snapshots are taken when they are due; while the floor has its turn it idles, which costs the floor
some hundredths of a core.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from launcher.benchmark import baseline
from launcher.benchmark.figures import FIELDS, Figures, Goal, median, ratios
from launcher.benchmark.measure import measure
from launcher.benchmark.report import Table, number
from launcher.cluster import Cluster

WARM_UP_S = 0.5
MACHINE = "journal"

HEADERS = (
    "answers/s", "p50 ms", "p99 ms", "p99.9 ms", "CPU s/1000", "written/byte", "memory MB",
)  # fmt: skip


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What the load is like."""

    nodes: int = 5
    window: int = 256
    size_bytes: int = 256

    def __str__(self) -> str:
        nodes = "1 node" if self.nodes == 1 else f"{self.nodes} nodes"
        return f"{nodes}, entries of {self.size_bytes} B, {self.window} unanswered"


class Effort(msgspec.Struct, frozen=True, kw_only=True):
    """How long to measure: the number of rounds, and the seconds for either side in each."""

    rounds: int = 3
    duration_s: float = 2.0


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What two sides came to, in turn.

    names: of the first, and of the second, which the first is measured by
    rounds: what each round measured of the first and of the second
    """

    names: tuple[str, str]
    shape: Shape
    rounds: list[tuple[Figures, Figures]]
    goal: Goal | None = None

    @property
    def ratios(self) -> dict[str, float | None]:
        """Of each figure, the median of the rounds' ratios."""
        return ratios(self.rounds)

    @property
    def verdict(self) -> str:
        """The goal, and whether it is reached; empty when there is none."""
        return "" if self.goal is None else verdict(self.goal, self.ratios[self.goal.figure])


GOALS = {
    Shape(window=4096): Goal(figure="throughput", least=0.5),
    Shape(window=256): Goal(figure="throughput", least=0.5),
    Shape(window=1): Goal(figure="p50_ms", most=1.4),
}
"""What is to be reached beside the floor."""

READS_GOAL = Goal(figure="throughput", least=2.0)


@contextlib.contextmanager
def running_cluster(
    nodes: int, folder: Path, machine: str = MACHINE, more: str = ""
) -> Iterator[Cluster]:
    """A cluster with default settings and its data in a new folder in `folder`, for a while.

    more: lines of cluster.yaml that change some of them
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="cluster-", dir=folder) as home:
        config = Path(home) / "cluster.yaml"
        config.write_text(f"name: bench\n{more}")
        with Cluster(nodes, machine=machine, config=config) as cluster:
            yield cluster


def against_floor(
    shape: Shape, effort: Effort, folder: Path, *, done: Callable[[], None], machine: str = MACHINE
) -> Comparison:
    """Floor, ours, floor, ours. Raises LauncherError.

    folder: where everything writes; gone again at the end
    done: called after each turn
    """
    rounds = []
    with running_cluster(shape.nodes, folder, machine) as cluster:
        for _ in range(effort.rounds):
            theirs = measure_floor(shape, effort, folder)
            done()
            ours = measure_ours(cluster, shape, effort)
            done()
            rounds.append((ours, theirs))
    return Comparison(names=("ours", "floor"), shape=shape, rounds=rounds, goal=GOALS.get(shape))


def reads_against_writes(
    shape: Shape, effort: Effort, folder: Path, *, done: Callable[[], None]
) -> Comparison:
    """Writes, linearizable reads, writes, reads. Raises LauncherError."""
    rounds = []
    with running_cluster(shape.nodes, folder) as cluster:
        for _ in range(effort.rounds):
            writes = measure_ours(cluster, shape, effort)
            done()
            reads = measure_ours(cluster, shape, effort, "--reads")
            done()
            rounds.append((reads, writes))
    return Comparison(names=("reads", "writes"), shape=shape, rounds=rounds, goal=READS_GOAL)


def measure_floor(shape: Shape, effort: Effort, folder: Path) -> Figures:
    """One round of the floor."""
    with tempfile.TemporaryDirectory(prefix="floor-", dir=folder) as files:
        words = [sys.executable, "-I", baseline.__file__, "--nodes", str(shape.nodes)]
        return measure(
            [*words, *shaped(shape), "--folder", files],
            size_bytes=shape.size_bytes,
            warm_up_s=WARM_UP_S,
            duration_s=effort.duration_s,
        )


def measure_ours(cluster: Cluster, shape: Shape, effort: Effort, *more: str) -> Figures:
    """One round of a cluster that runs."""
    status = cluster.status()
    nodes = [node.pid for node in status.nodes if node.pid is not None]
    words = [sys.executable, "-m", "launcher.benchmark.generator", *shaped(shape)]
    config = cluster.config.data_dir.parent / "cluster.yaml"
    return measure(
        [*words, "--config", str(config), *more],
        size_bytes=shape.size_bytes,
        warm_up_s=WARM_UP_S,
        duration_s=effort.duration_s,
        servers=[*nodes, status.supervisor_pid],
    )


def shaped(shape: Shape) -> list[str]:
    """The arguments of a load generator."""
    return ["--window", str(shape.window), "--size", str(shape.size_bytes)]


# -- what is shown -------------------------------------------------------------------------------


def table(comparison: Comparison) -> Table:
    """A row for either side, their ratio, and the goal where there is one."""
    firsts, seconds = zip(*comparison.rounds, strict=True)
    first, second = comparison.names
    ratio = comparison.ratios
    rows = [
        [second, *cells(median(seconds))],
        [first, *cells(median(firsts))],
        [f"{first} / {second}", *[number(ratio[name]) for name in FIELDS]],
    ]
    if comparison.goal is not None:
        at = comparison.goal.figure
        rows.append(["goal", *[comparison.verdict if name == at else "" for name in FIELDS]])
    count = len(comparison.rounds)
    rounds = "1 round" if count == 1 else f"medians of {count} rounds in turn"
    title = f"{comparison.shape}; {rounds}"
    return Table(title=title, headers=["", *HEADERS], rows=rows)


def verdict(goal: Goal, ratio: float | None) -> str:
    """The goal, and whether it is reached."""
    reached = ratio is not None and goal.reached(ratio)
    return f"{goal}: {'reached' if reached else 'not reached'}"


def cells(figures: Figures) -> list[str | None]:
    """The figures as they stand under `HEADERS`."""
    memory = figures.memory_bytes
    return [
        *[number(getattr(figures, name)) for name in FIELDS[:-1]],
        number(None if memory is None else memory / 1e6),
    ]
