"""What a cluster costs that has nothing to do: five nodes, and what runs them.

Of every process, over some seconds: time on a core, memory, and how often a second it woke up. A
wake-up is a voluntary context switch: a thread has waited for something, and it came. Linux counts
them for each thread; elsewhere only what psutil knows of the process is shown.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil

from launcher.benchmark.bed import running
from launcher.benchmark.report import Table, number
from launcher.benchmark.usage import usage
from launcher.cluster import Cluster

NODES = 5
SETTLE_S = 2.0
"""What a start leaves to be done is done by then."""

GOAL_PERCENT = 3.0
MEBIBYTE = 1 << 20


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """What one process did in each second, on average.

    name: `n1 (leader)`, `supervisor`, ...
    cpu_percent: of one core
    """

    name: str
    cpu_percent: float
    wakeups: float
    memory_bytes: int


class IdleResults(msgspec.Struct, frozen=True, kw_only=True):
    """The use of every process of the cluster, over a number of seconds."""

    seconds: float
    processes: list[Process]

    @property
    def cpu_percent(self) -> float:
        """Of one core, all together."""
        return sum(one.cpu_percent for one in self.processes)


def run(folder: Path, seconds: float, nodes: int = NODES) -> IdleResults:
    """Starts a cluster and watches it do nothing. Raises LauncherError.

    folder: where it writes; what it has written is gone at the end
    """
    with running(folder, nodes) as cluster:
        time.sleep(SETTLE_S)
        named = _processes(cluster)
        before = [_counted(pid) for pid in named]
        begun = time.monotonic()
        time.sleep(seconds)
        took_s = time.monotonic() - begun
        after = [_counted(pid) for pid in named]
        return IdleResults(
            seconds=took_s,
            processes=[
                Process(
                    name=name,
                    cpu_percent=100 * (now[0] - then[0]) / took_s,
                    wakeups=(now[1] - then[1]) / took_s,
                    memory_bytes=usage([pid]).memory_bytes,
                )
                for (pid, name), then, now in zip(named.items(), before, after, strict=True)
            ],
        )


def _processes(cluster: Cluster) -> dict[int, str]:
    """The supervisor, all that it has started, and what to call them."""
    status = cluster.status()
    named = {status.supervisor_pid: "supervisor"}
    for node in status.nodes:
        if node.pid is not None:
            named[node.pid] = f"n{node.id}" + " (leader)" * (node.id == status.leader)
    for child in psutil.Process(status.supervisor_pid).children(recursive=True):
        named.setdefault(child.pid, "fork server and its helper")
    return named


def _counted(pid: int) -> tuple[float, int]:
    """Seconds on a core, and voluntary context switches, since the process began."""
    process = psutil.Process(pid)
    times = process.cpu_times()
    switches = 0
    for status in Path(f"/proc/{pid}/task").glob("*/status"):
        for line in status.read_text().splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                switches += int(line.split()[1])
    return times.user + times.system, switches or process.num_ctx_switches().voluntary


def table(results: IdleResults) -> Table:
    """A row for each process, and one for all of them beside the goal."""
    together: Sequence[Process] = results.processes
    rows = [
        [one.name, f"{one.cpu_percent:.2f}", number(one.wakeups), _megabytes(one.memory_bytes)]
        for one in sorted(together, key=lambda one: one.name)
    ]
    rows.append(
        [
            "all together",
            f"{results.cpu_percent:.2f}",
            number(sum(one.wakeups for one in together)),
            _megabytes(sum(one.memory_bytes for one in together)),
        ]
    )
    rows.append(["of the goal", f"{results.cpu_percent / GOAL_PERCENT:.2f}", "", ""])
    return Table(
        title=f"Doing nothing for {results.seconds:.0f} s (goal: all together at most "
        f"{GOAL_PERCENT:g} % of one core)",
        headers=["", "% of one core", "wake-ups/s", "memory MB"],
        rows=rows,
    )


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / MEBIBYTE:.1f}"
