"""What people would pick instead, beside ours: etcd, and PySyncObj with its journal.

Each has as many nodes, values as long, and as many entries unanswered as ours, sets values of
10,000 keys in turn, and runs with its own default settings; ours is the machine `kv`. In a round
each is started with empty data, loaded, and stopped before the next is started, so that nothing
that idles has a share in what is measured. Each is loaded in more than one way, and the way that
is best for it, by its median throughput, is what ours is compared with:

    etcd        over 1, 8 or 64 connections to the member that leads
    PySyncObj   sending each entry by itself; gathering them for 100 ms, its default; or for 10 ms

An entry that ours or etcd has acknowledged was synced by a majority. PySyncObj never syncs.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from launcher.benchmark.figures import Figures, Goal, median, ratios
from launcher.benchmark.load import (
    HEADERS,
    WARM_UP_S,
    Effort,
    Shape,
    cells,
    measure_ours,
    running_cluster,
    shaped,
    verdict,
)
from launcher.benchmark.measure import measure
from launcher.benchmark.ports import free_ports
from launcher.benchmark.report import Table, number
from launcher.errors import LauncherError

GOAL = Goal(figure="throughput", least=10.0)
UP_S = 30.0
MOST_SIZE_BYTES = 16_000
"""What fits into one frame of HTTP/2."""

OURS = "ours"
ETCD = {f"etcd, {n} connection{'s' * (n > 1)}": n for n in (1, 8, 64)}
PYSYNCOBJ = {
    "PySyncObj, each by itself": 0.0,
    "PySyncObj, every 100 ms": 0.1,
    "PySyncObj, every 10 ms": 0.01,
}

NO_ETCD = "etcd is not installed: apt-get install etcd-server, or put `etcd` on the path"
NO_PYSYNCOBJ = "PySyncObj is not installed: pip install 'leeky-raft[peers]'"


class Versus(msgspec.Struct, frozen=True, kw_only=True):
    """What ours and the others came to.

    versions: of etcd and PySyncObj, as far as they are installed
    rounds: of each way, by its name, what each round measured; "ours" is one of them
    """

    shape: Shape
    versions: dict[str, str]
    rounds: dict[str, list[Figures]]

    def best(self, ways: Sequence[str]) -> str:
        """The way with the highest median throughput."""
        return max(ways, key=lambda way: median(self.rounds[way]).throughput)

    def ratio(self, way: str) -> float | None:
        """Our throughput over that of `way`: the median of the rounds' ratios."""
        pairs = list(zip(self.rounds[OURS], self.rounds[way], strict=True))
        return ratios(pairs)["throughput"]


def missing() -> list[str]:
    """What is not installed, with what to do about it."""
    return [
        *[NO_ETCD for _ in range(shutil.which("etcd") is None)],
        *[NO_PYSYNCOBJ for _ in range(find_spec("pysyncobj") is None)],
    ]


def install_etcd() -> bool:
    """Installs Debian's etcd; whether there was one to install, and the right to do so."""
    if shutil.which("etcd") is not None or shutil.which("apt-get") is None or os.geteuid() != 0:
        return False
    words = ["apt-get", "install", "-y", "--no-install-recommends", "etcd-server", "etcd-client"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["apt-get failed"])[-1]
        raise LauncherError(f"apt-get install etcd-server: {last}")
    return True


def compare(shape: Shape, effort: Effort, folder: Path, *, done: Callable[[], None]) -> Versus:
    """Ours, etcd, PySyncObj, ours, ...: those that are installed. Raises LauncherError.

    done: called after each of `ways()`
    """
    folder.mkdir(parents=True, exist_ok=True)
    rounds: dict[str, list[Figures]] = {way: [] for way in ways()}
    for _ in range(effort.rounds):
        with running_cluster(shape.nodes, folder, "kv") as cluster:
            rounds[OURS].append(measure_ours(cluster, shape, effort, "--keys"))
        done()
        for way, connections in ETCD.items():
            if way in rounds:
                rounds[way].append(_measure_etcd(shape, effort, folder, connections))
                done()
        for way, period_s in PYSYNCOBJ.items():
            if way in rounds:
                rounds[way].append(_measure_pysyncobj(shape, effort, folder, period_s))
                done()
    return Versus(shape=shape, versions=versions(), rounds=rounds)


def ways() -> list[str]:
    """What is measured here: ours first, then the ways of what is installed."""
    lacking = missing()
    found = [OURS]
    found += [] if NO_ETCD in lacking else ETCD
    found += [] if NO_PYSYNCOBJ in lacking else PYSYNCOBJ
    return found


def versions() -> dict[str, str]:
    """Of what is installed, by its name."""
    found = {}
    if shutil.which("etcd") is not None:
        said = subprocess.run(["etcd", "--version"], capture_output=True, text=True, check=True)
        found["etcd"] = said.stdout.splitlines()[0].rpartition(" ")[2]
    with contextlib.suppress(PackageNotFoundError):
        found["PySyncObj"] = version("pysyncobj")
    return found


# -- etcd ----------------------------------------------------------------------------------------


def _measure_etcd(shape: Shape, effort: Effort, folder: Path, connections: int) -> Figures:
    with _etcd(shape.nodes, folder) as (pids, port):
        words = [sys.executable, "-m", "launcher.benchmark.etcd", "--port", str(port)]
        return measure(
            [*words, "--connections", str(connections), *shaped(shape)],
            size_bytes=shape.size_bytes,
            warm_up_s=WARM_UP_S,
            duration_s=effort.duration_s,
            servers=pids,
        )


@contextlib.contextmanager
def _etcd(nodes: int, folder: Path) -> Iterator[tuple[list[int], int]]:
    """Members of a cluster with a leader: their processes, and the port of the one that leads."""
    ports = free_ports(2 * nodes)
    clients, peers = ports[:nodes], ports[nodes:]
    with contextlib.ExitStack() as stack:
        home = stack.enter_context(tempfile.TemporaryDirectory(prefix="etcd-", dir=folder))
        members = []
        for member in range(nodes):
            members.append(_start_member(Path(home), member, clients, peers))
            stack.callback(_stop, members[-1])
        yield [member.pid for member in members], _leader(members, clients)


def _start_member(
    home: Path, member: int, clients: Sequence[int], peers: Sequence[int]
) -> subprocess.Popen[bytes]:
    client, peer = (f"http://127.0.0.1:{ports[member]}" for ports in (clients, peers))
    cluster = ",".join(f"m{n}=http://127.0.0.1:{port}" for n, port in enumerate(peers))
    options = {
        "--name": f"m{member}",
        "--data-dir": str(home / f"m{member}"),
        "--listen-client-urls": client,
        "--advertise-client-urls": client,
        "--listen-peer-urls": peer,
        "--initial-advertise-peer-urls": peer,
        "--initial-cluster": cluster,
        "--logger": "zap",
        "--log-level": "error",
    }
    with (home / f"m{member}.log").open("wb") as log:
        return subprocess.Popen(
            ["etcd", *[word for pair in options.items() for word in pair]],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _leader(members: Sequence[subprocess.Popen[bytes]], clients: Sequence[int]) -> int:
    """Waits until all members follow one leader; the port on which it serves clients."""
    give_up = time.monotonic() + UP_S
    while time.monotonic() < give_up:
        ended = [member for member in members if member.poll() is not None]
        if ended:
            raise LauncherError(f"etcd did not start (exit status {ended[0].returncode})")
        with contextlib.suppress(OSError):
            said = [_ask_status(port) for port in clients]
            leaders = {status.get("leader") for status in said}
            for status, port in zip(said, clients, strict=True):
                header = status["header"]
                assert isinstance(header, dict)
                if leaders == {header.get("member_id")}:
                    return port
        time.sleep(0.05)
    raise LauncherError(f"etcd has no leader after {UP_S:g} s")


def _ask_status(port: int) -> Mapping[str, object]:
    """Over etcd's JSON gateway. Raises OSError."""
    url = f"http://127.0.0.1:{port}/v3/maintenance/status"
    with urllib.request.urlopen(url, data=b"{}", timeout=5) as answer:
        status: Mapping[str, object] = json.load(answer)
        return status


def _stop(member: subprocess.Popen[bytes]) -> None:
    """At once: what it holds is thrown away, and one that leads would wait to hand over."""
    member.kill()
    member.wait()


# -- PySyncObj -----------------------------------------------------------------------------------


def _measure_pysyncobj(shape: Shape, effort: Effort, folder: Path, period_s: float) -> Figures:
    with tempfile.TemporaryDirectory(prefix="syncobj-", dir=folder) as home:
        words = [sys.executable, "-m", "launcher.benchmark.syncobj", "--nodes", str(shape.nodes)]
        return measure(
            [*words, "--period", f"{period_s:g}", *shaped(shape), "--folder", home],
            size_bytes=shape.size_bytes,
            warm_up_s=WARM_UP_S,
            duration_s=effort.duration_s,
        )


# -- what is shown -------------------------------------------------------------------------------


def table(versus: Versus) -> Table:
    """A row for each way, with our throughput over its; the goal beside the best ways."""
    best = [
        versus.best(found)
        for peer in (ETCD, PYSYNCOBJ)
        if (found := [way for way in peer if way in versus.rounds])
    ]
    rows = []
    for way, rounds in versus.rounds.items():
        ratio = None if way == OURS else versus.ratio(way)
        rows.append(
            [
                way,
                *cells(median(rounds)),
                "" if ratio is None else number(ratio),
                f"{verdict(GOAL, ratio)} (its best)" if way in best else "",
            ]
        )
    count = len(versus.rounds[OURS])
    others = ", ".join(f"{name} {which}" for name, which in versus.versions.items())
    return Table(
        title=f"{versus.shape}; {count} round{'s' * (count > 1)} in turn; {others}",
        headers=["", *HEADERS, "ours / it", "goal"],
        rows=rows,
    )


def plot(versus: Versus, figure: Any) -> None:
    """A bar for the throughput of each way, and a mark for each round.

    figure: an empty matplotlib Figure
    """
    axis = figure.subplots()
    names = list(versus.rounds)[::-1]
    throughputs = [[one.throughput for one in versus.rounds[name]] for name in names]
    axis.barh(names, [median(versus.rounds[name]).throughput for name in names], color="tab:blue")
    for place, values in enumerate(throughputs):
        axis.plot(values, [place] * len(values), "k|")
    axis.set(xlabel="answers/s", title=str(versus.shape))
