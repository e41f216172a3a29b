"""Disks of real processes that fail on command: a node stops or gives way, the cluster goes on."""

from __future__ import annotations

import re
import threading
import time

import pytest

from launcher import Cluster
from tests.cluster.lab import PATIENCE_S, Lab, eventually

pytestmark = pytest.mark.cluster

NEVER = "restart: {policy: never}\n"
"""Nobody starts a node again but an operator."""


def begin(lab: Lab, settings: str = "", nodes: int = 5) -> Cluster:
    """A cluster that holds an entry that was acknowledged."""
    (lab.folder / "cluster.yaml").write_text(f"name: lab\nlog: {{digest_every: 20}}\n{settings}")
    lab.up(nodes)
    cluster = Cluster.attach(lab.folder / "cluster.yaml")
    cluster.submit("ADD before")
    return cluster


def write_on(cluster: Cluster, count: int = 100) -> list[str]:
    """Entries that are acknowledged, and what the cluster then holds."""
    names = [f"during {number:03d}" for number in range(count)]
    done = cluster.submit_many([f"ADD {name}" for name in names])
    assert all(one.ok for one in done)
    return ["before", *names]


def check_whole(lab: Lab, cluster: Cluster, held: list[str]) -> None:
    """Nothing that was acknowledged is lost, and all nodes are up and agree."""
    cluster.wait(converged=True, timeout_s=PATIENCE_S)
    assert cluster.read("LS").text.splitlines() == held
    nodes = cluster.status().nodes
    assert {(node.state, node.applied_index) for node in nodes} == {("up", nodes[0].applied_index)}
    assert all(len(set(said.values())) == 1 for said in lab.digests().values())
    assert not lab.events("safety.violated")


def leader_of(cluster: Cluster) -> int:
    led = cluster.wait(leader=True, timeout_s=PATIENCE_S).leader
    assert led is not None
    return led


def test_a_leader_whose_disk_hangs_while_its_heart_beats_on_is_replaced(lab: Lab) -> None:
    cluster = begin(lab)
    done = lab.launcher("disk", "leader", "hang", check=True)
    said = re.fullmatch(r"disk of n(\d): leader, term \d+, .*\(hang-disk\)\n", done.out)
    assert said, done.out
    led = int(said[1])
    held = write_on(cluster)  # without its disk: the others' are a majority
    eventually(lambda: cluster.status().leader not in (led, None), "another leads")
    cluster.submit("ADD later")
    node = cluster.status().node(led)
    assert (node.state, node.restarts, node.disk) == ("up", 0, "hang-disk, a write hangs")
    assert "disk: hang-disk, a write hangs" in lab.launcher("ps", check=True).out
    told = [event["event"] for event in lab.events() if event["node"] == led]
    since = told[told.index("disk.stalled") :]
    assert not {"election.started", "leader.elected"} & {*since}, "who cannot write does not stand"
    lab.launcher("disk", "all", "ok", check=True)
    check_whole(lab, cluster, [*held, "later"])
    assert [node.disk for node in cluster.status().nodes] == [""] * 5


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("fail-sync", "Input/output error (injected: fail-sync)"),
        ("full", "No space left on device (injected: full-disk)"),
    ],
)
def test_a_leader_whose_disk_fails_stops_and_says_why(lab: Lab, fault: str, why: str) -> None:
    cluster = begin(lab, NEVER)
    led = leader_of(cluster)
    lab.launcher("disk", f"n{led}", fault, check=True)
    held = write_on(cluster)
    eventually(lambda: cluster.status().node(led).state == "failed", "it stops")
    assert cluster.status().node(led).reason.endswith(f" failed: {why}")
    assert why in lab.launcher("ps", check=True).out
    assert leader_of(cluster) != led
    cluster.disk(led, fault="ok")
    cluster.start(led)
    check_whole(lab, cluster, held)


def test_a_node_whose_next_write_fails_comes_back_by_itself(lab: Lab) -> None:
    """The fault is over with the process, and the supervisor starts again who has failed."""
    cluster = begin(lab)
    led = leader_of(cluster)
    cluster.disk("leader", fault="fail-write")
    held = write_on(cluster)
    eventually(lambda: cluster.status().node(led).restarts == 1, "it is started again")
    eventually(lambda: cluster.status().settled, "everyone follows")
    check_whole(lab, cluster, held)


def test_a_disk_stays_full_until_it_is_mended(lab: Lab) -> None:
    """Starting a node again gives it no other disk: it fails again, and is given up."""
    cluster = begin(lab, "restart: {attempts: 2, backoff: 50ms}\n")
    away = next(node.id for node in cluster.status().nodes if node.role == "follower")
    cluster.disk(away, fault="full")
    held = write_on(cluster)

    def is_given_up() -> bool:
        held.append(f"more {len(held):05d}")  # each has all who are up write
        cluster.submit(f"ADD {held[-1]}")
        return cluster.status().node(away).state == "failed"

    eventually(is_given_up, "it is given up")
    node = cluster.status().node(away)
    assert node.reason.startswith("gave up after 2 restarts: ")
    assert node.reason.endswith("No space left on device (injected: full-disk)")
    assert node.disk == "full-disk"
    cluster.disk("all", fault="ok")
    cluster.start(away)
    check_whole(lab, cluster, held)


def test_slow_disks_make_a_slow_cluster(lab: Lab) -> None:
    cluster = begin(lab)
    lab.launcher("disk", "all", "slow", "100ms", check=True)
    assert [node.disk for node in cluster.status().nodes] == ["slow-disk 100ms"] * 5
    began = time.monotonic()
    for number in range(5):
        cluster.submit(f"ADD slowly {number}")
    assert time.monotonic() - began >= 0.5, "each has waited for a sync"
    cluster.disk("all", fault="ok")
    check_whole(lab, cluster, ["before", *(f"slowly {number}" for number in range(5))])
    injected = [(e["fault"], e["targets"], e["delay_s"]) for e in lab.events("fault.injected")]
    assert injected == [("slow-disk", [1, 2, 3, 4, 5], 0.1)]


def test_a_snapshot_meets_the_faults_of_its_disk(lab: Lab) -> None:
    """It is written by a fork, which fails or hangs like its node, and goes on like it."""
    cluster = begin(lab, nodes=3)
    cluster.wait(converged=True, timeout_s=PATIENCE_S)
    away = next(node.id for node in cluster.status().nodes if node.role == "follower")
    cluster.disk(away, fault="full")
    refused = lab.launcher("snapshot", str(away))
    assert refused.status == 1
    assert refused.last_error.endswith("No space left on device (injected: full-disk)")
    assert cluster.status().node(away).state == "up"

    cluster.disk(away, fault="hang")
    asked = threading.Thread(target=cluster.snapshot, args=(away,), daemon=True)
    asked.start()
    eventually(lambda: len(lab.events("snapshot.begun")) == 2, "another begins")
    assert cluster.status().node(away).snapshot_index == 0
    cluster.disk(away, fault="ok")
    asked.join(PATIENCE_S)
    assert cluster.status().node(away).snapshot_index > 0
