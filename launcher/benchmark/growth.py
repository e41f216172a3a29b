"""What a node costs as things grow: its log, the number of nodes, the number of clients.

*The log*: a cluster of one node, machine `journal`, whose snapshots never come, is filled to 1,000,
10,000, ... entries. At each size: how long an entry takes to append at that size, what the node's
files and its memory have grown to, and how long after a kill it serves again: from when it is told
to start until a client has the answer to a linearizable read, for which every entry must have been
read from the disk and applied.

*The nodes*: clusters of 1 to 9, with the default settings, under a client with 256 unanswered.

*The clients*: five nodes, and 1 to 1,000 connections with one entry unanswered each (`crowd.py`).

Beside each row of numbers stands the law that it follows (`laws.py`).
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from launcher.benchmark import laws
from launcher.benchmark.bed import running, sockets
from launcher.benchmark.figures import Figures
from launcher.benchmark.load import Effort, Shape, measure_ours, running_cluster
from launcher.benchmark.measure import measure
from launcher.benchmark.report import Table, number
from launcher.benchmark.usage import Usage, usage
from launcher.client.client import Client
from launcher.cluster import Cluster
from launcher.errors import LauncherError

SIZE_BYTES = 256
NEVER = 1_000_000_000
"""More entries than will come before a snapshot."""

NEVER_BYTES = 64 << 30
FILL_WINDOW = 4096
RESTART_TIMEOUT_S = 600.0
GOAL_ENTRIES, GOAL_RESTART_S = 1_000_000, 5.0
CLIENTS_NODES = 5
MEBIBYTE = 1 << 20


class Logged(msgspec.Struct, frozen=True, kw_only=True):
    """A node with a log of a certain length.

    append_us: for each entry, while the log grew from the size before to this one
    disk_bytes: what its folder takes up
    memory_bytes, memory_restarted_bytes: of the process that has taken them, and of one that has
        read them from the disk
    restart_s: from the start to the answer to a linearizable read
    restart_cpu_s: how much of a core the node used for that, which other work on the machine does
        not change
    """

    entries: int
    append_us: float
    disk_bytes: int
    memory_bytes: int
    memory_restarted_bytes: int
    restart_s: float
    restart_cpu_s: float


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """What was measured with a number of nodes, or of clients."""

    count: int
    figures: Figures


class GrowthResults(msgspec.Struct, frozen=True, kw_only=True):
    """Each list in rising order; empty where it was not wanted."""

    log: list[Logged]
    nodes: list[Loaded]
    clients: list[Loaded]


class GrowthPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How far each of them grows, in rising order."""

    entries: Sequence[int] = (1000, 10_000, 100_000, 1_000_000)
    nodes: Sequence[int] = (1, 3, 5, 7, 9)
    clients: Sequence[int] = (1, 10, 100, 1000)
    duration_s: float = 3.0

    @property
    def turns(self) -> int:
        """How often `run` says that something is done."""
        return len(self.entries) + len(self.nodes) + len(self.clients)


def tenths(most: int, least: int) -> list[int]:
    """`most`, a tenth of it, and so on, but none below `least` save `most` itself; rising. Nothing
    for none."""
    sizes = [most] if most else []
    while sizes and sizes[0] >= 10 * least:
        sizes.insert(0, sizes[0] // 10)
    return sizes


def odd(most: int) -> list[int]:
    """1, 3, ... and `most`."""
    return sorted({*range(1, most + 1, 2), most} - {0})


def run(plan: GrowthPlan, folder: Path, *, done: Callable[[], None]) -> GrowthResults:
    """Lets everything grow. Raises LauncherError.

    folder: where clusters write; what they have written is gone at the end
    done: called `plan.turns` times
    """
    return GrowthResults(
        log=list(_told(grow_log(plan.entries, folder), done)),
        nodes=list(_told(grow_nodes(plan, folder), done)),
        clients=list(_told(grow_clients(plan, folder), done)),
    )


def _told(results: Iterator[Any], done: Callable[[], None]) -> Iterator[Any]:
    for result in results:
        done()
        yield result


# -- the log -------------------------------------------------------------------------------------


def grow_log(sizes: Sequence[int], folder: Path) -> Iterator[Logged]:
    """One node whose log grows to each of the sizes."""
    if not sizes:
        return
    with running(
        folder, 1, machine="journal", snapshot_log_bytes=NEVER_BYTES, snapshot_entries=NEVER
    ) as cluster:
        before = 0
        for entries in sizes:
            took_s = _fill(cluster, entries - before)
            memory_bytes = _node_usage(cluster).memory_bytes
            restart_s = _restart(cluster, entries)
            restarted = _node_usage(cluster)
            yield Logged(
                entries=entries,
                append_us=1e6 * took_s / (entries - before),
                disk_bytes=_disk_bytes(cluster.config.node_data_dir(1)),
                memory_bytes=memory_bytes,
                memory_restarted_bytes=restarted.memory_bytes,
                restart_s=restart_s,
                restart_cpu_s=restarted.cpu_s,
            )
            before = entries


def _fill(cluster: Cluster, count: int) -> float:
    entry = bytes(SIZE_BYTES)
    begun = time.perf_counter()
    with Client(sockets(cluster), window=FILL_WINDOW) as client:
        for _ in client.submit_many(entry for _ in range(count)):
            pass
    return time.perf_counter() - begun


def _restart(cluster: Cluster, entries: int) -> float:
    """Kills the node, starts it, and asks it how many entries it has."""
    cluster.kill(1)
    begun = time.perf_counter()
    with contextlib.suppress(LauncherError):  # a long log: it comes all the same
        cluster.start(1)
    with Client(sockets(cluster), timeout_s=RESTART_TIMEOUT_S) as client:
        (answer,) = client.read([b"COUNT"])
    took_s = time.perf_counter() - begun
    if answer.text != str(entries):
        raise LauncherError(f"of {entries} entries {answer.text} are there after a restart")
    return took_s


def _node_usage(cluster: Cluster) -> Usage:
    pid = cluster.status().node(1).pid
    if pid is None:
        raise LauncherError("the node is down")
    return usage([pid])


def _disk_bytes(folder: Path) -> int:
    return sum(512 * path.stat().st_blocks for path in folder.rglob("*") if path.is_file())


# -- the nodes, and the clients ------------------------------------------------------------------


def grow_nodes(plan: GrowthPlan, folder: Path) -> Iterator[Loaded]:
    """Clusters of each size, under the same load."""
    for count in plan.nodes:
        with running_cluster(count, folder) as cluster:
            shape = Shape(nodes=count, window=256, size_bytes=SIZE_BYTES)
            effort = Effort(rounds=1, duration_s=plan.duration_s)
            yield Loaded(count=count, figures=measure_ours(cluster, shape, effort))


def grow_clients(plan: GrowthPlan, folder: Path) -> Iterator[Loaded]:
    """One cluster under each number of clients."""
    if not plan.clients:
        return
    most = max(plan.clients) + 16
    with running(folder, CLIENTS_NODES, machine="journal", most_clients=most) as cluster:
        for count in plan.clients:
            status = cluster.wait(leader=True)
            assert status.leader is not None, "it was waited for"
            leader = sockets(cluster)[status.leader]
            words = [sys.executable, "-m", "launcher.benchmark.crowd", "--socket", str(leader)]
            figures = measure(
                [*words, "--clients", str(count), "--size", str(SIZE_BYTES)],
                size_bytes=SIZE_BYTES,
                warm_up_s=1.0,
                duration_s=plan.duration_s,
                servers=[
                    *(node.pid for node in status.nodes if node.pid is not None),
                    status.supervisor_pid,
                ],
            )
            yield Loaded(count=count, figures=figures)


# -- what is shown -------------------------------------------------------------------------------


def tables(results: GrowthResults) -> list[Table]:
    """A table for each that has grown: a column for each size, the last the law."""
    shown = []
    if results.log:
        shown += [_log_table(results.log), *_goal_table(results.log)]
    if results.nodes:
        shown.append(_load_table("nodes", "256 unanswered", results.nodes))
    if results.clients:
        shown.append(_load_table("clients", "5 nodes, one unanswered each", results.clients))
    return shown


def _log_table(log: Sequence[Logged]) -> Table:
    sizes = [float(one.entries) for one in log]
    rows = [
        _row("append, us an entry", sizes, [one.append_us for one in log]),
        _row(
            "restart to serving, s",
            sizes,
            [one.restart_s for one in log],
            lambda line: f"{line.fixed:.2f} s + {line.each * 1e6:.2f} us an entry",
        ),
        _row(
            "restart, s of a core",
            sizes,
            [one.restart_cpu_s for one in log],
            lambda line: f"{line.fixed:.2f} s + {line.each * 1e6:.2f} us an entry",
        ),
        _row("files, MB", sizes, [one.disk_bytes / MEBIBYTE for one in log], _bytes_each),
        _row("memory, MB", sizes, [one.memory_bytes / MEBIBYTE for one in log], _bytes_each),
        _row(
            "memory after a restart, MB",
            sizes,
            [one.memory_restarted_bytes / MEBIBYTE for one in log],
            _bytes_each,
        ),
    ]
    return Table(
        title=f"The log: one node, entries of {SIZE_BYTES} B, no snapshot (x: entries)",
        headers=["entries", *(f"{one.entries:,}" for one in log), "law", "of which"],
        rows=rows,
    )


def _goal_table(log: Sequence[Logged]) -> list[Table]:
    """What the goal says of the restart, if it has come so far."""
    there = [one for one in log if one.entries == GOAL_ENTRIES]
    rows = []
    for one in there:
        rate = number(one.entries / one.restart_s)
        ratio = f"{one.restart_s / GOAL_RESTART_S:.2f}"
        rows.append(["seconds", f"{one.restart_s:.2f}", ratio, rate])
    if not rows:
        return []
    return [
        Table(
            title=f"Restart after {GOAL_ENTRIES:,} entries (goal: at most {GOAL_RESTART_S:g} s to "
            "serving)",
            headers=["", "took", "of the goal", "entries/s"],
            rows=rows,
        )
    ]


def _load_table(what: str, load: str, loaded: Sequence[Loaded]) -> Table:
    counts = [float(one.count) for one in loaded]
    figures = [one.figures for one in loaded]
    rows = [
        _row("answers/s", counts, [one.throughput for one in figures]),
        _row("median, ms", counts, [one.p50_ms for one in figures]),
        _row("p99, ms", counts, [one.p99_ms for one in figures]),
    ]
    cpu = [one.cpu_s_per_1000 for one in figures if one.cpu_s_per_1000]
    if len(cpu) == len(figures):
        rows.append(_row("CPU s for 1000", counts, cpu))
    memory = [one.memory_bytes / MEBIBYTE for one in figures if one.memory_bytes]
    if len(memory) == len(figures):
        rows.append(
            _row("memory of all, MB", counts, memory, lambda line: f"{line.each:.3g} MB each")
        )
    return Table(
        title=f"The {what}: {load}, entries of {SIZE_BYTES} B (x: {what})",
        headers=[what, *(f"{one.count:,}" for one in loaded), "law", "of which"],
        rows=rows,
    )


def _row(
    what: str,
    xs: Sequence[float],
    ys: Sequence[float],
    said: Callable[[laws.Line], str] | None = None,
) -> list[str | None]:
    """A name, the numbers, the law, and what one more costs by the line that fits."""
    cells: list[str | None] = [what, *(number(y) for y in ys)]
    if len(xs) < 2:
        return [*cells, None, None]
    line = laws.line(xs, ys)
    return [*cells, laws.called(xs, ys), said(line) if said is not None else None]


def _bytes_each(line: laws.Line) -> str:
    return f"{line.fixed:.0f} MB + {line.each * MEBIBYTE:.0f} B an entry"


def plots(results: GrowthResults) -> dict[str, Callable[[Any], None]]:
    """What draws, onto a matplotlib Figure, the restart and the memory by the log, and the
    throughput by nodes and by clients; nothing unless all of them have grown."""
    if not (results.log and results.nodes and results.clients):
        return {}

    def onto(figure: Any) -> None:
        figure.set_size_inches(10, 8)
        panels = figure.subplots(2, 2)
        sizes = [one.entries for one in results.log]
        _draw(panels[0][0], "entries", "restart to serving (s)", sizes,
              [one.restart_s for one in results.log])  # fmt: skip
        _draw(panels[0][1], "entries", "memory (MB)", sizes,
              [one.memory_bytes / MEBIBYTE for one in results.log])  # fmt: skip
        for axes, what, loaded in (
            (panels[1][0], "nodes", results.nodes),
            (panels[1][1], "clients", results.clients),
        ):
            counts = [one.count for one in loaded]
            _draw(axes, what, "answers/s", counts, [one.figures.throughput for one in loaded])

    return {"growth": onto}


def _draw(axes: Any, x: str, y: str, xs: Sequence[float], ys: Sequence[float]) -> None:
    axes.plot(xs, ys, "o-")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    if xs and max(xs) >= 100 * min(xs):
        axes.set_xscale("log")
        axes.set_yscale("log")
    axes.grid(alpha=0.3, which="both")
