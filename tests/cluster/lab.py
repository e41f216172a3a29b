"""A cluster of real processes in a folder of its own, driven as a user drives it: by commands.

`Lab.launcher` runs `python -m launcher` and captures what it says. Whatever a test does, `close`
ends every process that the lab's supervisor has ever recorded, by pid and start time.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from launcher.config import load
from launcher.errors import LauncherError
from launcher.folders import lock
from tests.cluster import forked

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 30.0
"""How long anything may take on a slow, shared machine before it counts as hanging."""


@dataclass
class Done:
    """What a command said."""

    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def last_error(self) -> str:
        return self.err.strip().splitlines()[-1] if self.err.strip() else ""


class Lab:
    """A folder with a cluster.yaml, and the commands that are run in it.

    root: where the supervisor and its nodes have their program from
    """

    def __init__(self, folder: Path, settings: str = "", *, root: Path = ROOT) -> None:
        self.folder = folder
        self.root = root
        self.seen: dict[int, float] = {}
        (folder / "cluster.yaml").write_text(settings or "name: lab\nlog:\n  digest_every: 50\n")

    # -- commands --------------------------------------------------------------------------------

    def launcher(
        self,
        *words: str,
        stdin: str | bytes | None = None,
        timeout_s: float = 120.0,
        check: bool = False,
        env: dict[str, str] | None = None,
    ) -> Done:
        """Runs one command to its end."""
        if stdin is None:
            ran = forked.run(words, self.folder, self.environment(env), timeout_s)
        else:
            ran = subprocess.run(
                self.command(*words),
                input=stdin.encode() if isinstance(stdin, str) else stdin,
                capture_output=True,
                cwd=self.folder,
                timeout=timeout_s,
                env=self.environment(env),
                check=False,
            )
        done = Done(
            ran.returncode,
            ran.stdout.decode("utf-8", "surrogateescape"),
            ran.stderr.decode("utf-8", "surrogateescape"),
        )
        assert "Traceback" not in done.err + done.out, done.err
        if check:
            assert done.status == 0, f"{words}: {done.err or done.out} (status {done.status})"
        self.remember()
        return done

    def spawn(self, *words: str, **options: Any) -> subprocess.Popen[bytes]:
        """Starts a command and returns while it runs."""
        options.setdefault("stdin", subprocess.DEVNULL)
        options.setdefault("stdout", subprocess.PIPE)
        options.setdefault("stderr", subprocess.PIPE)
        return subprocess.Popen(
            self.command(*words), cwd=self.folder, env=self.environment(None), **options
        )

    def command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "launcher", *words]

    def environment(self, changes: dict[str, str] | None) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(self.root), "NO_COLOR": "1", **(changes or {})}

    def up(self, nodes: int = 5, *words: str) -> None:
        """Starts the cluster in the background; what it leaves behind must not hold our pipes."""
        # Some tests have election timeouts of 40 s, and the first votes may split.
        words = ("up", str(nodes), "-d", "--timeout", str(3 * PATIENCE_S), *words)
        self.launcher(*words, stdin="", check=True)

    # -- what is true ----------------------------------------------------------------------------

    def ps(self) -> Any:
        """`ps --json`."""
        return self.launcher("ps", "--json", check=True).json

    def leader(self) -> int:
        """Waits for a leader that all follow."""
        return int(
            self.launcher(
                "wait", "--leader", "--timeout", str(PATIENCE_S), "--json", check=True
            ).json["leader"]
        )

    def node(self, node_id: int) -> Any:
        return next(node for node in self.ps()["nodes"] if node["id"] == node_id)

    def converge(self) -> None:
        """Waits until every node that is up has applied the same log."""
        self.launcher("wait", "--converged", "--timeout", str(PATIENCE_S), check=True)

    def events(self, *names: str) -> list[dict[str, Any]]:
        """The timeline, or the events of these names in it."""
        said = self.launcher("timeline", "--json", "--level", "debug", check=True).lines
        events = [json.loads(line) for line in said]
        return [event for event in events if not names or event["event"] in names]

    def digests(self) -> dict[int, dict[int, str]]:
        """For each index at which any node logged its digest, what each node logged there."""
        found: dict[int, dict[int, str]] = {}
        for event in self.events("applied.digest"):
            found.setdefault(event["index"], {})[event["node"]] = event["digest"]
        return found

    # -- processes -------------------------------------------------------------------------------

    def remember(self) -> None:
        """Notes the processes that this cluster has, for `close` and `left`. The file in a folder
        that was copied names another's supervisor: that is left alone."""
        with contextlib.suppress(LauncherError):
            running = lock.running(load(self.folder / "cluster.yaml"))
            if running is not None:
                self._remember_tree(running.pid)

    def left(self) -> list[psutil.Process]:
        """The processes of this cluster that are still there."""
        found = []
        for pid, started in self.seen.items():
            try:
                process = psutil.Process(pid)
                if process.create_time() == started and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.NoSuchProcess:
                continue
        return found

    def close(self) -> None:
        """Ends everything."""
        self.remember()
        if self.left() or (self.folder / "data" / "supervisor.json").exists():
            forked.run(["down"], self.folder, self.environment(None), timeout_s=60)
        for process in self.left():
            process.kill()

    def _remember_tree(self, pid: int) -> None:
        try:
            supervisor = psutil.Process(pid)
            for process in [supervisor, *supervisor.children(recursive=True)]:
                self.seen[process.pid] = process.create_time()
        except psutil.NoSuchProcess:
            return


def eventually(
    holds: Callable[[], object], what: str, patience_s: float = PATIENCE_S, pause_s: float = 0.02
) -> None:
    """Waits for a condition; says which one never came about."""
    give_up = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < give_up, f"never: {what}"
        time.sleep(pause_s)


def entries(count: int, prefix: str = "ADD entry") -> Sequence[str]:
    """Distinct entries for the machine `files`."""
    return [f"{prefix} {number:06d}" for number in range(count)]
