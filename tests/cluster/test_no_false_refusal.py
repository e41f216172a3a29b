"""Nodes and supervisors are killed at the worst moments, and no node's data is refused for it.

A node that is refused although its disk is intact would cost a majority its quorum. So nodes are
killed while they start, while they are rebuilt and while they take snapshots, and now and then the
supervisor dies too, in the middle of whatever it was writing.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from functools import partial

import pytest

from launcher import Cluster
from launcher.control.status import ClusterStatus
from launcher.errors import LauncherError
from tests.cluster.lab import PATIENCE_S, Lab, eventually

pytestmark = pytest.mark.cluster

SOAK_KILLS = int(os.environ.get("SOAK_KILLS", "300"))


class Tormentor:
    """Kills one node after the other, each during something."""

    def __init__(self, lab: Lab, seed: int) -> None:
        self.lab = lab
        self.rng = random.Random(seed)
        self.cluster = Cluster.attach(lab.folder / "cluster.yaml")
        self.acknowledged = 0

    def strike(self, number: int) -> None:
        node = self.rng.choice([1, 2, 3])
        deed = self.rng.choices(
            [self.during_a_start, self.during_a_snapshot, self.during_a_rebuild, self.supervisor],
            [6, 2, 2, 1],
        )[0]
        deed(node)
        status = self.mended()
        failed = [f"n{one.id}: {one.reason}" for one in status.nodes if one.state == "failed"]
        assert not failed, f"after kill {number}, {deed.__name__} of n{node}: {failed}"
        self.cluster.submit(f"ADD f{number}", timeout_s=PATIENCE_S)
        self.acknowledged += 1

    def during_a_start(self, node: int) -> None:
        self.cluster.kill(node)
        self.beside(lambda: self.cluster.start(node), node)

    def during_a_snapshot(self, node: int) -> None:
        self.beside(lambda: self.cluster.snapshot(node), node)

    def during_a_rebuild(self, node: int) -> None:
        self.beside(lambda: self.cluster.rebuild(node), node, longest_s=0.6)

    def supervisor(self, node: int) -> None:
        """It dies while a node that was killed is started again."""
        self.cluster.kill(node)

        def end() -> None:
            time.sleep(self.rng.random() * 0.1)
            os.kill(self.cluster.status().supervisor_pid, signal.SIGKILL)

        killer = threading.Thread(target=self.quietly, args=(end,))
        killer.start()
        self.quietly(lambda: self.cluster.start(node))
        killer.join()
        eventually(lambda: self.lab.launcher("up", "-d").status == 0, "it is up again", 60.0)
        self.lab.remember()

    def beside(self, what: Callable[[], object], node: int, longest_s: float = 0.2) -> None:
        """SIGKILL of the node at some moment while `what` is done."""
        doing = threading.Thread(target=self.quietly, args=(what,))
        doing.start()
        time.sleep(self.rng.random() * longest_s)
        self.quietly(lambda: self.cluster.kill(node))
        self.quietly(lambda: self.cluster.start(node))
        doing.join()

    def mended(self) -> ClusterStatus:
        """Every node is up, votes, and follows the leader."""

        def well() -> bool:
            status = self.cluster.status()
            for node in status.nodes:
                if node.state == "down":
                    self.quietly(partial(self.cluster.start, node.id))
                elif node.state == "failed":
                    return True
                elif not node.voter and node.state == "up":
                    self.quietly(partial(self.cluster.rebuild, node.id))
            return status.settled and all(node.voter for node in status.nodes)

        eventually(well, "all are up and vote", 90.0)
        return self.cluster.status()

    @staticmethod
    def quietly(what: Callable[[], object]) -> None:
        with contextlib.suppress(LauncherError, ProcessLookupError):
            what()


def torment(lab: Lab, kills: int, seed: int) -> None:
    lab.up(3)
    tormentor = Tormentor(lab, seed)
    for number in range(kills):
        tormentor.strike(number)
    assert len(tormentor.cluster.read("LS").text.splitlines()) == kills
    assert not lab.events("safety.violated")


def test_a_few_kills_at_bad_moments_cause_no_refusal(lab: Lab) -> None:
    torment(lab, 8, seed=1)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_hundreds_of_kills_at_bad_moments_cause_no_refusal(lab: Lab) -> None:
    torment(lab, SOAK_KILLS, seed=int(os.environ.get("SOAK_SEED", "2")))
