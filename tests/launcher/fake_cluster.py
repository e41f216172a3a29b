"""A real supervisor over nodes of `fake_node.py`: what the tests of real processes share."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil

import launcher
from launcher.cluster import Cluster
from launcher.config import ClusterConfig, load
from launcher.errors import NotRunning
from launcher.folders import lock, runtime_files
from launcher.folders.ownership import Running
from launcher.folders.process_identity import ProcessRecord
from launcher.folders.runtime import RuntimeFolder

ROOT = Path(launcher.__file__).parent.parent


class FakeCluster(Cluster):
    """A cluster whose nodes only speak the control protocol."""

    _entry = "tests.launcher.fake_node:main"
    _start_patience_s = 0.0  # they never apply anything

    def behave(self, node: int, **what: object) -> None:
        """From its next start the node behaves like this; nothing: like any other."""
        folder = self.config.node_data_dir(node)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "behave").write_text(json.dumps(what))

    def record(self) -> Running:
        found = lock.running(self.config)
        assert found is not None
        return found

    def processes(self) -> dict[int, ProcessRecord]:
        """The supervisor, 0, and every node that runs."""
        alive = {n: p for n, p in self.listed().items() if p.find() is not None}
        return {0: self.record().process, **alive}

    def listed(self) -> dict[int, ProcessRecord]:
        """The nodes' processes as the supervisor has written them down."""
        seen = runtime_files.look(self.record().runtime_dir)
        assert seen is not None
        return runtime_files.listed_in(seen)

    def events(self, name: str) -> list[dict[str, Any]]:
        """What the supervisor has logged under this name."""
        lines = self.config.event_log(0).read_text().splitlines()
        return [event for event in map(json.loads, lines) if event["event"] == name]


def config_in(folder: Path, **settings: object) -> ClusterConfig:
    config = load(directory=folder)
    fakes: dict[str, object] = {"restart_backoff_s": 0.02}
    return msgspec.structs.replace(config, **{**fakes, **settings})


@contextmanager
def fake_cluster(
    folder: Path, nodes: int = 3, *, start: bool = True, **settings: object
) -> Iterator[FakeCluster]:
    """Up, unless told otherwise; whatever a test does to it, nothing is left of it."""
    cluster = FakeCluster(nodes, config=config_in(folder, **settings))
    try:
        if start:
            cluster.up()
        yield cluster
    finally:
        with suppress(NotRunning):
            cluster.down()


def until(condition: Callable[[], object], what: str, timeout_s: float = 15.0) -> None:
    """Waits for it; fails with `what` when it does not come about."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what}"
        time.sleep(0.01)


def runtime_folder(path: Path) -> RuntimeFolder:
    """A new one, held, where a test wants it, for whoever needs no supervisor."""
    path.mkdir(mode=0o700)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return RuntimeFolder(path, descriptor)


def all_gone(processes: dict[int, ProcessRecord]) -> bool:
    return all(process.find() is None for process in processes.values())


def forkserver_of(supervisor: ProcessRecord) -> psutil.Process:
    """The process that forks the nodes."""
    children = psutil.Process(supervisor.pid).children()
    (found,) = [p for p in children if "forkserver import main" in " ".join(p.cmdline())]
    return found


def script(folder: Path, body: str) -> subprocess.Popen[str]:
    """Starts a script as a user would write it: no guard, from a folder of its own."""
    file = folder / "script.py"
    file.write_text("from tests.launcher.fake_cluster import FakeCluster\n" + textwrap.dedent(body))
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.Popen(
        [sys.executable, str(file)],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
