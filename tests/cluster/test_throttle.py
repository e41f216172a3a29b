"""Real processes that get a share of a core, and disks that stall and work in turn."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from launcher import Cluster
from launcher.errors import LauncherError
from node.raft.messages import NodeId
from tests.cluster.lab import PATIENCE_S, Lab, eventually

pytestmark = pytest.mark.cluster

CALM = "raft: {election_timeout: {min: 5s, max: 10s}}\n"
"""Nobody campaigns because a throttled leader is late."""


def begin(lab: Lab, settings: str = CALM, nodes: int = 3) -> Cluster:
    (lab.folder / "cluster.yaml").write_text(f"name: lab\nmachine: kv\n{settings}")
    lab.up(nodes)
    cluster = Cluster.attach(lab.folder / "cluster.yaml")
    cluster.submit("SET before 1")
    return cluster


def process_of(cluster: Cluster, node: NodeId) -> psutil.Process:
    pid = cluster.status().node(node).pid
    assert pid is not None
    return psutil.Process(pid)


def leader_of(cluster: Cluster) -> NodeId:
    leader = cluster.wait(leader=True, timeout_s=PATIENCE_S).leader
    assert leader is not None
    return leader


@contextlib.contextmanager
def load(lab: Lab) -> Iterator[list[int]]:
    """Somebody submits as much as the cluster takes. Yields how much was answered so far, in one
    cell."""
    answered, over = [0], threading.Event()
    cluster = Cluster.attach(lab.folder / "cluster.yaml")

    def entries() -> Iterator[str]:
        number = 0
        while not over.is_set():
            number += 1
            yield f"SET key{number % 100} {'x' * 200}"

    def run() -> None:
        with contextlib.suppress(LauncherError):  # the cluster may be frozen or taken down
            for done in cluster.submit_many(entries(), timeout_s=PATIENCE_S):
                answered[0] += done.ok

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield answered
    finally:
        over.set()
        thread.join(PATIENCE_S)
        cluster.close()
    assert not thread.is_alive()


def cpu_share(process: psutil.Process, seconds: float = 3.0) -> float:
    """What it uses of a core in that time."""
    began, before = time.monotonic(), sum(process.cpu_times()[:2])
    time.sleep(seconds)  # a measurement takes its time
    return float(sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)


def stops_seen(process: psutil.Process, looks: int = 100) -> int:
    """How often it is found stopped."""
    found = 0
    for _ in range(looks):
        found += process.status() == psutil.STATUS_STOPPED
        time.sleep(0.007)
    return found


def test_a_throttled_leader_uses_its_share_and_answers_and_ok_ends_it(lab: Lab) -> None:
    cluster = begin(lab)
    leader = leader_of(cluster)
    process = process_of(cluster, leader)
    with load(lab) as answered:
        eventually(lambda: answered[0] > 100, "the load runs")
        done = lab.launcher("throttle", "leader", "5%", check=True)
        assert done.out.startswith(f"share of n{leader}: leader, ")
        assert "(5%)" in done.out
        before = answered[0]
        assert cpu_share(process) < 0.12
        eventually(lambda: answered[0] > before, "it answers")
        assert stops_seen(process) > 50
        row = lab.node(leader)
        assert (row["state"], row["throttle"], row["role"]) == ("up", 0.05, "leader")
        assert "throttled to 5%" in lab.launcher("ps", check=True).out
        lab.launcher("throttle", "leader", "ok", check=True)
        assert stops_seen(process) == 0
        assert lab.node(leader)["throttle"] is None
    injected, healed = lab.events("fault.injected", "fault.healed")
    assert (injected["fault"], injected["targets"], injected["share"]) == (
        ("throttle", [leader], 0.05)
    )
    assert (healed["fault"], healed["ids"]) == ("throttle", [injected["id"]])


def test_a_pause_wins_and_a_resumed_node_is_throttled_again(lab: Lab) -> None:
    cluster = begin(lab)
    process = process_of(cluster, 2)
    cluster.throttle(2, "20%")
    cluster.throttle(2, "50%")  # in place of the one before
    for _ in range(5):
        assert cluster.status().node(2).state == "up"
    with cluster.pause(2) as paused:
        assert [(node.id, node.note) for node in paused] == [(2, "")]
        assert cluster.status().node(2).state == "paused"
        assert stops_seen(process) == 100
        cluster.throttle(2, "20%")
        assert stops_seen(process, 30) == 30, "a throttle does not end a pause"
        assert [node.note for node in cluster.pause(2)] == ["is paused already"]
    assert cluster.status().node(2).state == "up"
    assert 30 < stops_seen(process) < 100
    assert [node.note for node in cluster.resume(2)] == ["is not paused"]

    cluster.restart(2)
    process = process_of(cluster, 2)
    assert stops_seen(process) > 30, "the next life has the same share"
    cluster.kill(2)
    cluster.throttle(2, "50%")  # a node that is down
    cluster.start(2)
    assert cluster.status().node(2).throttle == 0.5
    process = process_of(cluster, 2)
    assert stops_seen(process) > 10
    cluster.heal()
    assert cluster.status().node(2).throttle is None
    assert stops_seen(process) == 0


def test_throttled_nodes_stop_in_good_order_and_in_time(lab: Lab) -> None:
    cluster = begin(lab)
    with cluster.throttle("all", "1%") as fault:
        assert [node.id for node in fault.chosen] == [1, 2, 3]
        assert [node.note for node in cluster.stop(1)] == [""], "not killed"
        cluster.kill(2, signal="TERM")
        cluster.kill(3)
        cluster.start(1, 2, 3)
        assert {node.throttle for node in cluster.status().nodes} == {0.01}
    assert {node.throttle for node in cluster.status().nodes} == {None}
    cluster.throttle("all", "1%")
    assert lab.launcher("down", check=True).out.startswith("lab: stopped")
    eventually(lambda: not lab.left(), "every process ends")


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("2 0%", 2, "from 1% to 99%"),
        ("2 100%", 2, "from 1% to 99%"),
        ("2 20", 2, "from 1% to 99%"),
        ("2 much", 2, "from 1% to 99%"),
        ("20%", 2, "TARGET"),
        ("9 20%", 2, "there is no node 9"),
    ],
)
def test_what_is_no_throttle_is_refused_in_one_line(
    lab: Lab, words: str, status: int, said: str
) -> None:
    if "9" in words:
        lab.up(1)
    done = lab.launcher("throttle", *words.split())
    assert (done.status, len(done.err.splitlines())) == (status, 1)
    assert said in done.err


def test_a_cycling_disk_stalls_and_recovers_and_stalls_again(lab: Lab) -> None:
    cluster = begin(lab, CALM, nodes=1)
    began = time.monotonic()
    with cluster.disk(1, fault="cycle 2s 3s") as chosen:
        assert [node.note for node in chosen] == ["cycle-disk 2s 3s"]
        assert cluster.status().node(1).disk.startswith("cycle-disk 2s 3s")
        took_s: list[float] = []
        while time.monotonic() - began < 8.0:
            sent = time.monotonic()
            cluster.submit("SET a 1", timeout_s=PATIENCE_S)
            took_s.append(time.monotonic() - sent)
        stalls = [seconds for seconds in took_s if seconds > 1.0]
        assert len(stalls) == 2, took_s
        assert len(took_s) > 10, "between the stalls it works"
    assert cluster.status().node(1).disk == ""
    injected, healed = lab.events("fault.injected", "fault.healed")
    assert (injected["fault"], injected["delay_s"], injected["works_s"]) == ("cycle-disk", 2, 3)
    assert healed["targets"] == [1]
