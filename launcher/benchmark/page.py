"""What watching a cluster costs it: with readers of the page's stream, beside the page without any.

The page runs through all rounds, as its own process. A reader is a connection that takes whatever
the stream brings, as a browser does, and draws nothing.
"""

from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from launcher.benchmark.load import Effort, Shape, running_cluster
from launcher.benchmark.paired import NO_SNAPSHOTS, Paired, measure_pairs
from launcher.benchmark.usage import usage
from launcher.cluster import Cluster
from launcher.errors import LauncherError

GOAL_PERCENT = 5.0
IDLE_GOAL_PERCENT = 10.0
"""Of one core, that the page's own process may use while the cluster idles."""

IDLE_S = 5.0
PATIENCE_S = 60.0
_ADDRESS = re.compile(r"http://(127\.0\.0\.1):([0-9]+)/#token=(\S+)")


class Served(msgspec.Struct, frozen=True):
    """A page that is served: by which process, and where."""

    pid: int
    host: str
    port: int
    token: str


def run(
    shape: Shape, effort: Effort, folder: Path, readers: int, *, done: Callable[[], None]
) -> Paired:
    """Without, with, with, without, ... Raises LauncherError.

    folder: where everything writes; gone again at the end
    done: called after each turn
    """
    with (
        running_cluster(shape.nodes, folder, more=NO_SNAPSHOTS) as cluster,
        served(cluster) as page,
    ):
        idle = used_percent(page.pid, IDLE_S)
        rounds = measure_pairs(cluster, shape, effort, lambda: reading(page, readers), done=done)
        with reading(page, readers):
            watched = used_percent(page.pid, IDLE_S)
    said = f"{idle:.1f} % of a core (below {IDLE_GOAL_PERCENT:g}?); with readers {watched:.1f} %"
    return Paired(
        names=(f"{readers} readers", "none"),
        shape=shape,
        goal_percent=GOAL_PERCENT,
        rounds=rounds,
        remarks=[("page when idle", said)],
    )


def used_percent(pid: int, seconds: float) -> float:
    """How much of one core the process uses meanwhile."""
    before, begun = usage([pid]).cpu_s, time.monotonic()
    time.sleep(seconds)
    return 100 * (usage([pid]).cpu_s - before) / (time.monotonic() - begun)


@contextlib.contextmanager
def served(cluster: Cluster) -> Iterator[Served]:
    """`launcher page` beside the cluster, for a while.

    Raises LauncherError with what it says when it does not start.
    """
    config = cluster.config.data_dir.parent / "cluster.yaml"
    words = [sys.executable, "-m", "launcher", "-c", str(config), "page"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdout is not None
        said = ""
        try:
            for line in process.stdout:
                said += line
                if found := _ADDRESS.search(line):
                    yield Served(process.pid, found[1], int(found[2]), found[3])
                    return
            raise LauncherError(f"the page did not start: {' '.join(said.split())}")
        finally:
            process.terminate()


@contextlib.contextmanager
def reading(page: Served, count: int) -> Iterator[None]:
    """Some readers of the stream, for a while.

    Raises LauncherError when the page refuses one.
    """
    with contextlib.ExitStack() as open_streams:
        for _ in range(count):
            stream = socket.create_connection((page.host, page.port), timeout=PATIENCE_S)
            open_streams.callback(stream.close)
            reader = threading.Thread(target=_drain, args=(stream,), daemon=True)
            _ask(stream, page)
            reader.start()
            open_streams.callback(reader.join)
            open_streams.callback(_shut, stream)
        yield


def _ask(stream: socket.socket, page: Served) -> None:
    stream.sendall(
        f"GET /events HTTP/1.1\r\nHost: {page.host}:{page.port}\r\n"
        f"X-Leeky-Token: {page.token}\r\n\r\n".encode()
    )
    first = stream.recv(1 << 16).decode("utf-8", "replace").partition("\r\n")[0]
    if " 200 " not in first:
        raise LauncherError(f"the page refused a reader: {first or 'it closed the connection'}")


def _drain(stream: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while stream.recv(1 << 16):
            pass


def _shut(stream: socket.socket) -> None:
    with contextlib.suppress(OSError):
        stream.shutdown(socket.SHUT_RDWR)
