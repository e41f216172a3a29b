"""Linearizable reads at every node of a real cluster, while its leader is killed."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

import pytest

from launcher import Cluster
from launcher.errors import LauncherError, TimedOut
from node.raft.messages import NodeId
from tests.cluster.lab import PATIENCE_S, Lab, eventually

pytestmark = pytest.mark.cluster

SETTINGS = (
    "name: lab\nmachine: kv\nraft:\n  election_timeout: {{min: 1s, max: 2s}}\n  reads: {reads}\n"
)


@dataclass
class Tale:
    """What a writer and the readers have seen. The key `a` counts 1, 2, 3, ...

    acknowledged: the last count that the writer knows to be written
    reads: how many each node has answered
    """

    acknowledged: int = 0
    reads: dict[NodeId, int] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)
    errors: list[Exception] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def write(self, cluster: Cluster) -> None:
        """One count after the other."""
        while not self.ended.is_set():
            try:
                cluster.submit(f"SET a {self.acknowledged + 1}", timeout_s=PATIENCE_S)
            except LauncherError as error:
                self.errors.append(error)
                return
            self.acknowledged += 1

    def read(self, cluster: Cluster, node: NodeId) -> None:
        """Asks one node again and again; it may be down, and is not to answer with the past."""
        while not self.ended.is_set():
            before = self.acknowledged
            try:
                answer = cluster.read("GET a", node=node, timeout_s=1.0)
            except TimedOut:
                continue
            except LauncherError as error:
                self.errors.append(error)
                return
            seen = int(answer.text) if answer.ok else 0
            if answer.leader != node or seen < before:
                self.stale.append(f"n{answer.leader} for n{node} says {seen}, and {before} was")
            self.reads[node] = self.reads.get(node, 0) + 1


@pytest.mark.parametrize("reads", ["read-index", pytest.param("lease", marks=pytest.mark.soak)])
def test_every_node_sees_what_was_acknowledged_before_while_leaders_are_killed(
    lab: Lab, reads: str
) -> None:
    (lab.folder / "cluster.yaml").write_text(SETTINGS.format(reads=reads))
    lab.up(3)
    lab.leader()
    tale = Tale()
    clusters = [Cluster.attach(lab.folder / "cluster.yaml") for _ in range(4)]
    threads = [threading.Thread(target=tale.write, args=[clusters[0]])]
    threads += [
        threading.Thread(target=tale.read, args=[clusters[node], node]) for node in (1, 2, 3)
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            counts, written = dict(tale.reads), tale.acknowledged

            def all_get_on(counts: dict[NodeId, int] = counts, written: int = written) -> object:
                all_read = all(tale.reads.get(n, 0) > counts.get(n, 0) + 20 for n in (1, 2, 3))
                return tale.errors or tale.stale or (all_read and tale.acknowledged > written + 20)

            eventually(all_get_on, f"every node answers: {tale}")
            killed = lab.leader()
            lab.launcher("kill", str(killed), check=True)
            time.sleep(0.2)
            lab.launcher("start", str(killed), check=True)
            lab.leader()
        eventually(all_get_on, "every node answers in the end")
    finally:
        tale.ended.set()
        for thread in threads:
            thread.join(PATIENCE_S)
    assert tale.errors == []
    assert tale.stale == []
    print(f"{reads}: {tale.acknowledged} writes, reads {tale.reads}")


def test_the_command_reads_of_a_node_and_costs_no_entry(lab: Lab) -> None:
    lab.up(3)
    lab.launcher("submit", "ADD x", check=True)
    leader = lab.leader()
    last = lab.node(leader)["last_index"]
    for node in (1, 2, 3):
        said = lab.launcher("read", "LS", "--node", str(node), "--json", check=True).json
        assert (said["leader"], said["result"]) == (node, "x")
        assert lab.launcher("read", "LS", "--node", str(node), "--stale", check=True).status == 0
    assert lab.node(leader)["last_index"] == last
    follower = leader % 3 + 1
    rest = ",".join(str(node) for node in (1, 2, 3) if node != follower)
    lab.launcher("partition", f"{follower}|{rest}", check=True)
    time.sleep(1.5)
    done = lab.launcher("read", "LS", "--node", str(follower), "--timeout", "1")
    assert done.status != 0, "who is cut off does not answer with the past"
    assert f"node {follower} is slow to answer" in done.last_error
    assert lab.launcher("read", "LS", "--node", str(follower), "--stale", check=True).out == "x\n"
