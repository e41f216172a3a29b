"""A frozen cluster of real processes: all of it stops at one moment, and goes on after `thaw`."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import psutil
import pytest

from launcher import Cluster
from launcher.control.status import FROZEN
from launcher.errors import LauncherError
from tests.cluster.lab import PATIENCE_S, Lab, eventually
from tests.cluster.test_throttle import begin, load, stops_seen

pytestmark = pytest.mark.cluster


def node_processes(cluster: Cluster) -> dict[int, list[psutil.Process]]:
    """The processes of each node: itself and its forks."""
    pids = {node.id: node.pid for node in cluster.status().nodes if node.pid is not None}
    return {
        node: [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        for node, pid in pids.items()
    }


def thread_states(process: psutil.Process) -> set[str]:
    said = [path.read_text() for path in Path(f"/proc/{process.pid}/task").glob("*/stat")]
    return {text.rpartition(")")[2].split()[0] for text in said}


def log_sizes(lab: Lab) -> dict[str, int]:
    """Of the event logs and the data of the nodes."""
    files = [
        path
        for path in (lab.folder / "data").rglob("*")
        if path.is_file() and any(part.startswith("node") for part in path.parts)
    ]
    return {str(path): path.stat().st_size for path in files}


def test_every_thread_of_every_node_stops_and_all_goes_on_after_thaw(lab: Lab) -> None:
    cluster = begin(lab, "")
    with load(lab) as answered:
        eventually(lambda: answered[0] > 100, "the load runs")
        done = lab.launcher("freeze", check=True)
        assert [line.split(":")[0] for line in done.lines] == [
            "frozen n1",
            "frozen n2",
            "frozen n3",
        ]
        processes = node_processes(cluster)
        assert {
            s for family in processes.values() for one in family for s in thread_states(one)
        } == {"T"}
        before = log_sizes(lab)
        assert before
        assert stops_seen(processes[1][0]) == 100
        assert log_sizes(lab) == before
        status = cluster.status()
        assert status.frozen
        assert {node.state for node in status.nodes} == {"paused"}
        assert lab.launcher("ps", check=True).lines[0] == FROZEN
        assert lab.ps()["frozen"] is True
        known = answered[0]
        assert [node.id for node in cluster.thaw()] == [1, 2, 3]
        eventually(lambda: answered[0] > known, "the load goes on")
    assert cluster.read("GET before").text == "1"
    cluster.wait(converged=True, timeout_s=PATIENCE_S)
    assert not cluster.status().frozen
    assert not lab.events("safety.violated")
    injected, healed = lab.events("fault.injected", "fault.healed")
    assert (injected["fault"], injected["targets"]) == ("freeze", [1, 2, 3])
    assert (healed["fault"], healed["ids"]) == ("freeze", [injected["id"]])


def test_what_needs_nodes_says_that_the_cluster_is_frozen_and_the_rest_works(lab: Lab) -> None:
    cluster = begin(lab, "")
    cluster.freeze()
    for words in (
        *("submit ENTRY", "read LS", "submit --node 1 ENTRY", "wait --leader", "start all"),
        *("pause 1", "resume all", "stop 1", "restart 1", "partition 1|2,3", "heal", "snapshot 1"),
        *("throttle 1 20%", "disk 1 hang", "clock 1 rate 2", "transfer 2", "kill -s TERM 1"),
        *("add", "time-out 1", "set timescale 2"),
    ):
        done = lab.launcher(*words.split(), timeout_s=20)
        assert (done.status, done.err) == (1, f"launcher: {FROZEN}\n"), words
    with pytest.raises(LauncherError, match="the cluster is frozen"):
        cluster.read("GET before")
    again = lab.launcher("freeze")
    assert (again.status, len(again.err.splitlines())) == (1, 1)
    assert FROZEN in again.err
    assert "SET before 1" in lab.launcher("log", check=True).out
    assert lab.events("leader.elected")
    lab.launcher("kill", "2", check=True)
    assert [node.state for node in cluster.status().nodes] == ["paused", "down", "paused"]
    lab.launcher("thaw", check=True)
    eventually(lambda: cluster.status().served, "the two others have a leader")
    assert cluster.status().node(2).state == "down"
    done = lab.launcher("thaw")
    assert (done.status, len(done.err.splitlines())) == (1, 1)
    assert "not frozen" in done.err


def test_paused_nodes_stay_paused_and_throttled_ones_throttled(lab: Lab) -> None:
    cluster = begin(lab)
    cluster.pause(2)
    cluster.throttle(3, "20%")
    with cluster.freeze() as fault:
        assert [node.id for node in fault.chosen] == [1, 2, 3]
        assert stops_seen(node_processes(cluster)[3][0]) == 100
    assert [node.state for node in cluster.status().nodes] == ["up", "paused", "up"]
    assert stops_seen(node_processes(cluster)[3][0]) > 30
    cluster.resume(2)
    cluster.wait(converged=True, timeout_s=PATIENCE_S)
    with cluster.freeze():
        lab.launcher("thaw", check=True)  # the end of the block finds it done


def test_nothing_is_restarted_before_thaw(lab: Lab) -> None:
    cluster = begin(lab, "restart: {backoff: 1ms}\n")
    (process, *_) = node_processes(cluster)[3]
    cluster.freeze()
    process.send_signal(signal.SIGABRT)  # a death that nobody has asked for
    process.send_signal(signal.SIGCONT)
    eventually(lambda: cluster.status().node(3).state == "down", "it has died")
    assert "to be restarted" in cluster.status().node(3).reason
    threading.Event().wait(1.0)  # many times its pause before a restart
    assert len(lab.events("node.spawned")) == 3, "nothing is started beside the first three"
    cluster.thaw()
    eventually(lambda: cluster.status().node(3).state == "up", "it is restarted")
    cluster.wait(converged=True, timeout_s=PATIENCE_S)


def test_a_frozen_cluster_is_taken_down_in_good_order(lab: Lab) -> None:
    cluster = begin(lab)
    cluster.throttle(1, "20%")
    cluster.pause(2)
    cluster.freeze()
    lab.launcher("ps", check=True)
    lab.launcher("down", check=True)
    eventually(lambda: not lab.left(), "every process ends")
    (stopped,) = lab.events("supervisor.stopped")
    assert stopped["killed"] == []
    lab.up(3)
    assert not cluster.status().frozen
    assert cluster.read("GET before").text == "1"


def test_forks_stop_with_their_nodes(lab: Lab) -> None:
    """A snapshot is written by a fork, which a hanging disk keeps from ending."""
    cluster = begin(lab)
    node = next(one.id for one in cluster.status().nodes if one.role == "follower")
    cluster.disk(node, fault="hang")
    asked = Cluster.attach(lab.folder / "cluster.yaml")

    def ask() -> None:
        with pytest.raises(LauncherError, match="ended before its snapshot"):
            asked.snapshot(node)

    snapshot = threading.Thread(target=ask)
    snapshot.start()
    eventually(lambda: len(node_processes(cluster)[node]) == 2, "there is a fork")
    with cluster.freeze():
        _, fork = node_processes(cluster)[node]
        assert thread_states(fork) == {"T"}
    with cluster.throttle(node, "5%"):
        assert stops_seen(fork) > 50
    with cluster.freeze():
        lab.launcher("kill", str(node), check=True)
        eventually(lambda: not fork.is_running(), "no fork is left of a node that is killed")
    snapshot.join(PATIENCE_S)
    assert not snapshot.is_alive()
