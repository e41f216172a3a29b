"""How long writes stand still when the leader dies, and how long a cluster takes to come up.

Five nodes with the default settings and the machine `kv`, and a client that always has `window`
entries unanswered, which set a thousand keys in turn. So the nodes' memory stays bounded; and it
counts, for a system frees the memory of a process that was killed before it closes its pipes. The
leader's process is killed (SIGKILL), with and without the hint that a process has died, and two
times are taken from just before the kill:

    to a leader         until a node has noted that it leads (`leader.elected`)
    to the next commit  until the client has the first answer from a later term than the dead
                        leader's: that entry was committed by another leader, and what the dead one
                        had said and was still on its way does not count

Beside them stands how long the client waited at the most between two answers while nothing was
done to the cluster: on a busy machine, writes stand still for a while by themselves.

Then the dead node is started; once it has all that was committed when it came back, and a little
later, at no fixed beat, the next leader dies.
"""

from __future__ import annotations

import itertools
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import msgspec

from launcher.benchmark.bed import UP_TIMEOUT_S, Sightings, running, sockets
from launcher.benchmark.figures import percentile
from launcher.benchmark.report import Table
from launcher.benchmark.usage import usage
from launcher.client.client import Client
from launcher.cluster import Cluster
from launcher.errors import LauncherError

NODES = 5
KEYS = 1000
LEAST_SIZE_BYTES = 10
"""A command to set a key to one byte."""

RECOVERY_S = 60.0
GOAL_MEDIAN_MS, GOAL_P99_MS = 30.0, 150.0
GOAL_UP_S = 1.0
_POLL_S = 0.02


class Kill(msgspec.Struct, frozen=True, kw_only=True):
    """One kill, in seconds from just before it; and the longest pause in the moment before."""

    to_leader_s: float
    to_commit_s: float
    pause_before_s: float


class Up(msgspec.Struct, frozen=True, kw_only=True):
    """One `launcher up N -d`, the whole command, beginning with empty data.

    took_s: until it had ended: there was a leader
    cpu_s: how much of a core it, the supervisor and the nodes used for that
    """

    took_s: float
    cpu_s: float


class FailoverResults(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the kills, and of the starts.

    kills: by whether the hint was `on` or `off`; empty where none were wanted
    """

    window: int
    size_bytes: int
    kills: dict[str, list[Kill]]
    ups: list[Up]


class FailoverPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured.

    kills: of the leader with the failure hint; the same number again without it
    ups: starts of a cluster
    """

    kills: int = 100
    ups: int = 10
    window: int = 64
    size_bytes: int = 256

    @property
    def turns(self) -> int:
        """How often `run` says that something is done."""
        return 2 * self.kills + self.ups


class Load(threading.Thread):
    """A client that keeps its window full until `stop`, and notices the first answer of a term."""

    def __init__(self, client: Client, size_bytes: int) -> None:
        super().__init__(daemon=True)
        self._client = client
        self._commands = [b"SET k%03d " % key for key in range(KEYS)]
        self._commands = [command.ljust(size_bytes, b"x") for command in self._commands]
        self._ended = False
        self._failure: BaseException | None = None
        self._answer = threading.Condition()
        self._term = 0
        self._answered_at = 0.0
        self._last_at = 0.0
        self._longest_pause_s = 0.0

    def run(self) -> None:
        """The thread's body."""
        try:
            for done in self._client.submit_many(self._entries()):
                now = time.perf_counter()
                self._longest_pause_s = max(self._longest_pause_s, now - self._last_at)
                self._last_at = now
                if done.term > self._term:
                    with self._answer:
                        self._term, self._answered_at = done.term, now
                        self._answer.notify_all()
        except BaseException as error:
            with self._answer:
                self._failure = error
                self._answer.notify_all()

    def _entries(self) -> Iterator[bytes]:
        for command in itertools.cycle(self._commands):
            if self._ended:
                return
            yield command

    def answered_in_later_term(self, term: int) -> float:
        """When the first answer from a later term came, by time.perf_counter; waits for it.

        Raises LauncherError when there is none in a minute, or when the load has failed.
        """

        def is_over() -> bool:
            return self._term > term or self._failure is not None

        with self._answer:
            if not self._answer.wait_for(is_over, RECOVERY_S):
                raise LauncherError(f"nothing was committed for {RECOVERY_S:g} s after a kill")
            if self._failure is not None:
                raise LauncherError(f"the load ended: {self._failure}")
            return self._answered_at

    def longest_pause_s(self, duration_s: float) -> float:
        """The longest time between two answers from now on, for so long."""
        self._longest_pause_s = 0.0
        time.sleep(duration_s)
        return max(self._longest_pause_s, time.perf_counter() - self._last_at)

    def stop(self) -> None:
        """Lets what is under way be answered."""
        self._ended = True
        self.join(RECOVERY_S)


def run(
    plan: FailoverPlan, folder: Path, random: Random, *, done: Callable[[], None]
) -> FailoverResults:
    """Kills leaders and starts clusters. Raises LauncherError.

    folder: where clusters write; what they have written is gone at the end
    done: called `plan.turns` times
    """
    kills = {}
    for hint in ("on", "off") if plan.kills else ():
        kills[hint] = kill_leaders(plan, hint == "on", folder, random, done=done)
    return FailoverResults(
        window=plan.window,
        size_bytes=plan.size_bytes,
        kills=kills,
        ups=[_told(done, bring_up(folder)) for _ in range(plan.ups)],
    )


def kill_leaders(
    plan: FailoverPlan, hint: bool, folder: Path, random: Random, *, done: Callable[[], None]
) -> list[Kill]:
    """Kills the leader of one cluster as often as the plan says, under load."""
    with running(folder, NODES, machine="kv", failure_hint=hint) as cluster:
        client = Client(sockets(cluster), timeout_s=RECOVERY_S, window=plan.window)
        load = Load(client, plan.size_bytes)
        load.start()
        load.answered_in_later_term(0)
        sightings = Sightings(cluster.config, "leader.elected")
        kills = []
        for _ in range(plan.kills):
            pause_s = load.longest_pause_s(random.uniform(0.1, 0.3))
            kills.append(_kill_leader(cluster, load, sightings, pause_s))
            done()
        load.stop()
        client.close()
    return kills


def _kill_leader(cluster: Cluster, load: Load, sightings: Sightings, pause_s: float) -> Kill:
    status = cluster.wait(leader=True, timeout_s=RECOVERY_S)
    leader = status.leader
    assert leader is not None, "it was waited for"
    pid = status.node(leader).pid
    assert pid is not None, "it leads"
    sightings.new()
    killed_at_ns, killed_at = time.time_ns(), time.perf_counter()
    os.kill(pid, signal.SIGKILL)
    to_commit_s = load.answered_in_later_term(status.term) - killed_at
    elected = [event for event in sightings.new() if event.t > killed_at_ns]
    assert elected, "there is no answer without a leader"
    _bring_back(cluster, leader)
    return Kill(
        to_leader_s=(elected[0].t - killed_at_ns) / 1e9,
        to_commit_s=to_commit_s,
        pause_before_s=pause_s,
    )


def _bring_back(cluster: Cluster, node_id: int) -> None:
    cluster.start(node_id)
    goal = cluster.status().commit_index
    give_up = time.monotonic() + RECOVERY_S
    while True:
        status = cluster.status()
        if status.settled and status.node(node_id).applied_index >= goal:
            return
        if time.monotonic() > give_up:
            raise LauncherError(f"n{node_id} has not caught up in {RECOVERY_S:g} s")
        time.sleep(_POLL_S)


def bring_up(folder: Path, nodes: int = NODES) -> Up:
    """Has `launcher up N -d` start a cluster, and takes that down again.

    Raises LauncherError with what it said when it fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="up-", dir=folder) as home:
        config = Path(home) / "cluster.yaml"
        config.write_text("name: bench\n")
        words = [sys.executable, "-m", "launcher", "-c", str(config.resolve())]
        words += ["up", str(nodes), "-d", "--timeout", f"{UP_TIMEOUT_S:g}"]
        begun, before = time.perf_counter(), os.times()
        ended = subprocess.run(words, capture_output=True, text=True, check=False)
        took_s, after = time.perf_counter() - begun, os.times()
        if ended.returncode:
            raise LauncherError(f"no cluster came up: {ended.stderr.strip()}")
        cluster = Cluster.attach(config)
        cpu_s = usage(_processes(cluster)).cpu_s
        cluster.down()
    cpu_s += after.children_user - before.children_user
    cpu_s += after.children_system - before.children_system
    return Up(took_s=took_s, cpu_s=cpu_s)


def _processes(cluster: Cluster) -> list[int]:
    status = cluster.status()
    nodes = [node.pid for node in status.nodes if node.pid is not None]
    return [status.supervisor_pid, *nodes]


def _told(done: Callable[[], None], up: Up) -> Up:
    done()
    return up


# -- what is shown -------------------------------------------------------------------------------


def tables(results: FailoverResults) -> list[Table]:
    """Percentiles of the kills, with and without the hint, and of the starts, beside the goals."""
    shown = []
    if results.kills:
        shown.append(_kill_table(results))
    if results.ups:
        ups_s = sorted(up.took_s for up in results.ups)
        figures = [statistics.median(ups_s), ups_s[0], ups_s[-1]]
        cells = [f"{one:.2f}" for one in figures] + [_beside(figures[0], GOAL_UP_S)]
        cells.append(f"{statistics.median(up.cpu_s for up in results.ups):.2f}")
        shown.append(
            Table(
                title=f"launcher up {NODES} -d, {len(ups_s)} times, in s "
                f"(goal: median at most {GOAL_UP_S:g})",
                headers=["", "median", "best", "worst", "of the goal", "s of a core"],
                rows=[["the whole command", *cells]],
            )
        )
    return shown


def _kill_table(results: FailoverResults) -> Table:
    rows = []
    for hint, kills in results.kills.items():
        said = f"hint {hint}"
        pauses = [1000 * kill.pause_before_s for kill in kills]
        leaders = [1000 * kill.to_leader_s for kill in kills]
        commits = [1000 * kill.to_commit_s for kill in kills]
        rows.append([f"{said}: longest pause before", *_cells(pauses), "", ""])
        rows.append([f"{said}: to a leader", *_cells(leaders), "", ""])
        goals = ["", ""]
        if hint == "on":
            median, p99 = statistics.median(commits), percentile(sorted(commits), 0.99)
            goals = [_beside(median, GOAL_MEDIAN_MS), _beside(p99, GOAL_P99_MS)]
        rows.append([f"{said}: to the next commit", *_cells(commits), *goals])
    count = len(next(iter(results.kills.values())))
    return Table(
        title=f"{count} leaders of {NODES} nodes killed, {results.window} entries of "
        f"{results.size_bytes} B unanswered, in ms\n(goal with the hint: median at most "
        f"{GOAL_MEDIAN_MS:g}, p99 at most {GOAL_P99_MS:g}, to the next commit)",
        headers=["", "median", "p90", "p99", "worst", "median / goal", "p99 / goal"],
        rows=rows,
    )


def _cells(values_ms: Sequence[float]) -> list[str]:
    ordered = sorted(values_ms)
    figures = [statistics.median(ordered), *(percentile(ordered, share) for share in (0.9, 0.99))]
    return [f"{one:,.1f}" for one in (*figures, ordered[-1])]


def _beside(value: float, goal: float) -> str:
    return f"{value / goal:.2f}"


def draw(results: FailoverResults) -> Callable[[Any], None]:
    """What draws, onto a matplotlib Figure, which share of the kills was over by when."""

    def onto(figure: Any) -> None:
        axes = figure.subplots()
        for hint, kills in results.kills.items():
            for name, field, style in (
                ("to a leader", "to_leader_s", "--"),
                ("to the next commit", "to_commit_s", "-"),
            ):
                over = sorted(1000 * getattr(kill, field) for kill in kills)
                shares = [(place + 1) / len(over) for place in range(len(over))]
                colour = "tab:blue" if hint == "on" else "tab:orange"
                label = f"hint {hint}, {name}"
                axes.plot(over, shares, style, color=colour, label=label)
        axes.set_xscale("log")
        axes.set_xlabel("time since the kill (ms)")
        axes.set_ylabel("share of the kills")
        axes.grid(alpha=0.3, which="both")
        axes.legend(loc="lower right")

    return onto
