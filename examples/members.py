"""Four workers are a group. One crashes, one leaves, and the leader of the cluster is killed
meanwhile. Every node tells the same story of it.

    python examples/members.py
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from launcher import Cluster
from node.errors import CommandError


class Worker:
    """Joins, and sends a heartbeat five times within its ttl."""

    def __init__(self, config: Path, name: str) -> None:
        self.name = name
        self._cluster = Cluster.attach(config)
        self._ended = threading.Event()
        self._cluster.submit(f"JOIN {name} 1s worker")
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(0.2):
            try:
                self._cluster.submit(f"HEARTBEAT {self.name}")
            except CommandError:  # it was slow, and counts as failed: it must join again
                self._cluster.submit(f"JOIN {self.name} 1s worker")

    def crash(self) -> None:
        """Is gone without a word."""
        self._ended.set()
        self._thread.join()

    def leave(self) -> None:
        """Is gone, and says so."""
        self.crash()
        with suppress(CommandError):  # it was slow, and counts as failed
            self._cluster.submit(f"LEAVE {self.name}")


def show(cluster: Cluster, what: str) -> None:
    number, *members = cluster.read("VIEW").text.splitlines()
    names = ", ".join(line.split()[0] for line in members)
    print(f"{what}: view {number} is {names or 'empty'}")


def run(cluster: Cluster, config: Path) -> None:
    workers = {name: Worker(config, name) for name in ("ann", "bob", "cid", "dot")}
    show(cluster, "all have joined")

    workers["bob"].crash()
    (killed,) = cluster.kill("leader")
    while "failed bob" not in cluster.read("HISTORY").text:
        time.sleep(0.02)
    show(cluster, f"bob crashed, and so did n{killed.id}, the leader of the cluster")

    workers["cid"].leave()
    show(cluster, "cid left")
    for name in ("ann", "dot"):
        workers[name].leave()

    cluster.start(killed.id)
    nodes = cluster.wait(converged=True, timeout_s=30).up
    stories = {cluster.read("HISTORY", stale=True, node=node.id).text for node in nodes}
    print(f"the story that {len(nodes)} nodes tell:", next(iter(stories)).replace("\n", ", "))
    assert len(nodes) == 3
    assert len(stories) == 1
    assert cluster.read("VIEW").text.splitlines()[1:] == []


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        config = Path(folder) / "cluster.yaml"
        config.write_text("name: members-example\n")
        with Cluster(3, machine="members", config=config) as cluster:
            run(cluster, config)
