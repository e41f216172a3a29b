"""Two operators on one machine, who do to their data whatever operators do.

Each has a cluster of its own. They copy, move, wipe and restore folders, kill nodes and
supervisors, add, remove, rebuild and recover, at random, side by side. After each deed everything
that the cluster has acknowledged is there, a node whose data was set back was refused, and nobody
has ended a process of a cluster that is not its own.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.cluster.lab import PATIENCE_S, Done, Lab, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.soak, pytest.mark.timeout(3600)]

SOAK_S = float(os.environ.get("SOAK_OPERATORS_S", "600"))
SEED = int(os.environ.get("SOAK_SEED", "1"))


class Operator:
    """One of them. `kept` is what its cluster has acknowledged, and must hold."""

    def __init__(self, root: Path, name: str, seed: int) -> None:
        self.root, self.name = root, name
        self.rng = random.Random(f"{seed} {name}")
        self.places = 0
        self.lab = self.place()
        self.kept: set[str] = set()
        self.written = 0
        self.deeds: list[str] = []
        self.error: BaseException | None = None
        self.lab.up(3)

    def place(self) -> Lab:
        """An empty folder for a project."""
        self.places += 1
        folder = self.root / f"{self.name}-{self.places}"
        folder.mkdir()
        return Lab(folder, f"name: {self.name}\n")

    # -- what it can do ----------------------------------------------------------------------

    def work(self, until: float) -> None:
        deeds = [
            self.kill_a_node, self.kill_the_supervisor, self.wipe, self.set_back, self.copy,
            self.copy_after_a_crash, self.move, self.restore, self.add_and_remove, self.rebuild,
            self.recover,
        ]  # fmt: skip
        try:
            while time.monotonic() < until:
                deed = self.rng.choice(deeds)
                self.deeds.append(deed.__name__)
                self.write()
                deed()
                self.write()
                self.check(deed.__name__)
        except BaseException as error:
            self.error = error

    def write(self) -> None:
        names = [f"f{self.written + number}" for number in range(self.rng.randint(1, 5))]
        self.written += len(names)
        self.run("submit", *(f"ADD {name}" for name in names))
        self.kept.update(names)

    def check(self, deed: str) -> None:
        found = set(self.run("read", "LS").lines)
        assert found == self.kept, f"{self.name} after {deed}: {sorted(self.kept ^ found)}"
        assert not self.lab.events("safety.violated")

    def run(self, *words: str) -> Done:
        return self.lab.launcher(*words, check=True)

    def node(self) -> int:
        return int(self.rng.choice([node["id"] for node in self.lab.ps()["nodes"]]))

    def folder(self, node: int) -> Path:
        return self.lab.folder / "data" / f"node-{node}"

    def kill_a_node(self) -> None:
        self.run("kill", "random")
        self.write()
        self.run("start", "all")

    def kill_the_supervisor(self) -> None:
        os.kill(self.lab.ps()["supervisor_pid"], signal.SIGKILL)
        self.up()

    def up(self) -> None:
        said: list[str] = []

        def is_up() -> bool:
            done = self.lab.launcher("up", "-d")
            said.append(f"{done.err} (status {done.status})")
            return done.status == 0

        try:
            eventually(is_up, "it is up", 60.0, 0.5)
        except AssertionError as error:
            raise AssertionError(f"{error}: first {said[0]!r}, last {said[-1]!r}") from error

    def refused(self, node: int) -> None:
        done = self.lab.launcher("start", str(node))
        assert done.status == 1, f"n{node} has lost data and was started: {self.deeds}"
        self.run("rebuild", str(node))

    def wipe(self) -> None:
        node = self.node()
        self.run("kill", str(node))
        if self.rng.random() < 0.5:
            shutil.rmtree(self.folder(node))
        else:
            for path in self.folder(node).iterdir():
                path.unlink()
        self.refused(node)

    def set_back(self) -> None:
        node = self.node()
        copy = self.root / f"{self.name}-node"
        self.run("wait", "--converged", "--timeout", str(PATIENCE_S))
        shutil.copytree(self.folder(node), copy)
        self.write()
        self.run("wait", "--converged", "--timeout", str(PATIENCE_S))
        self.run("kill", str(node))
        shutil.rmtree(self.folder(node))
        copy.rename(self.folder(node))
        self.refused(node)

    def copy(self) -> None:
        """The copy is a cluster of its own, or refuses to be one; the original does not notice."""
        before = self.processes()
        copy = self.place()
        shutil.rmtree(copy.folder)
        shutil.copytree(self.lab.folder, copy.folder, symlinks=True)
        for words in self.rng.choice(
            [
                [("down",), ("ps",), ("up", "-d"), ("kill", "leader"), ("down", "-v")],
                [("up", "-d"), ("submit", "ADD copied"), ("down",)],
                [("up", "-d", "--fresh"), ("submit", "ADD copied"), ("down", "-v")],
                [("ps",), ("kill", "all"), ("heal",), ("down",)],
            ]
        ):
            copy.launcher(*words)
        copy.close()
        shutil.rmtree(copy.folder)
        assert self.processes() == before, "the original was harmed by its copy"

    def copy_after_a_crash(self) -> None:
        """As `copy`, with the files of a dead supervisor in the copy."""
        os.kill(self.lab.ps()["supervisor_pid"], signal.SIGKILL)
        copy = self.place()
        shutil.rmtree(copy.folder)
        shutil.copytree(self.lab.folder, copy.folder, symlinks=True)
        self.up()
        before = self.processes()
        copy.launcher("down")
        copy.launcher("up", "-d")
        copy.launcher("down", "-v")
        copy.close()
        shutil.rmtree(copy.folder)
        assert self.processes() == before

    def move(self) -> None:
        self.run("down")
        moved = self.place()
        shutil.rmtree(moved.folder)
        self.lab.folder.rename(moved.folder)
        moved.seen |= self.lab.seen
        self.lab = moved
        self.up()

    def restore(self) -> None:
        """All of it is put back together: an older state, and a sound one."""
        self.run("down")
        data, backup = self.lab.folder / "data", self.root / f"{self.name}-backup"
        shutil.copytree(data, backup)
        kept = set(self.kept)
        self.up()
        self.write()
        self.run("down")
        shutil.rmtree(data)
        backup.rename(data)
        self.kept = kept
        self.up()

    def add_and_remove(self) -> None:
        self.run("add", "1")
        self.write()
        self.run("remove", str(self.node()))

    def rebuild(self) -> None:
        self.run("rebuild", str(self.node()))

    def recover(self) -> None:
        """A majority's data is lost, and the survivor had all of it."""
        self.run("wait", "--converged", "--timeout", str(PATIENCE_S))
        self.run("down")
        names = [
            path.name.removeprefix("node-") for path in (self.lab.folder / "data").glob("node-*")
        ]
        ids = [int(name) for name in sorted(names) if name.isdigit() and self.is_mine(int(name))]
        survivor = self.rng.choice(ids)
        for node in ids:
            if node != survivor:
                shutil.rmtree(self.folder(node))
        assert self.lab.launcher("up", "-d").status != 0
        self.run("recover", str(survivor), "--yes")
        self.up()
        self.run("add", "2")

    def is_mine(self, node: int) -> bool:
        """The folder belongs to a member, not to a cluster before a recovery."""
        record = (self.lab.folder / "data" / "cluster.json").read_text()
        members = record.partition('"members":[')[2].partition("]")[0].split(",")
        return str(node) in members

    def processes(self) -> dict[int, int]:
        status = self.lab.ps()
        return {0: status["supervisor_pid"]} | {one["id"]: one["pid"] for one in status["nodes"]}


def test_two_operators_lose_nothing_and_harm_nobody(tmp_path: Path) -> None:
    operators = [Operator(tmp_path, name, SEED) for name in ("ann", "bob")]
    try:
        until = time.monotonic() + SOAK_S
        threads = [threading.Thread(target=one.work, args=(until,)) for one in operators]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for one in operators:
            print(f"{one.name}: {len(one.deeds)} deeds, {len(one.kept)} entries")
            if one.error is not None:
                raise AssertionError(f"{one.name}, after {one.deeds}") from one.error
    finally:
        for one in operators:
            one.lab.close()
    assert not any(process.is_running() for one in operators for process in one.lab.left())
