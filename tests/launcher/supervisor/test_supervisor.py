"""The supervisor as a process: what it starts, notices, restarts, and leaves behind. Nothing.

The nodes are those of `fake_node.py`. "Launchers, 4" cites the list of pitfalls.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TypeAlias

import psutil
import pytest

from launcher.control.status import ClusterStatus
from launcher.errors import LauncherError, NotRunning
from launcher.folders import lock, runtime_files, sealed
from launcher.folders.ownership import NodeProcesses
from launcher.folders.process_identity import ProcessRecord
from tests.launcher.fake_cluster import (
    FakeCluster,
    all_gone,
    fake_cluster,
    forkserver_of,
    until,
)

pytestmark = pytest.mark.cluster

Process: TypeAlias = "subprocess.Popen[bytes]"


def leaders(status: ClusterStatus) -> dict[int, int | None]:
    return {node.id: node.leader for node in status.nodes if node.state == "up"}


def make_stubborn(cluster: FakeCluster, node: int) -> None:
    """From now on it takes no notice of being asked to stop."""
    cluster.stop(node)
    cluster.behave(node, stubborn=True)
    cluster.start(node)


# -- pipes -----------------------------------------------------------------------------------------


def test_every_pair_is_joined_and_a_death_is_end_of_file(tmp_path: Path) -> None:
    with fake_cluster(tmp_path, 4) as cluster:
        assert leaders(cluster.status()) == {1: 1, 2: 1, 3: 1, 4: 1}

        cluster.kill(1)
        assert leaders(cluster.wait(leader=True)) == {2: 2, 3: 2, 4: 2}

        cluster.kill(2, 4)
        with pytest.raises(LauncherError, match="1 of 4 voters"):
            cluster.wait(leader=True)
        until(lambda: leaders(cluster.status()) == {3: 3}, "node 3 to be alone")

        cluster.start(1, 4)
        assert leaders(cluster.wait(leader=True)) == {1: 1, 3: 1, 4: 1}


def test_a_paused_node_stalls_nobody_and_finds_fresh_pipes_when_it_goes_on(tmp_path: Path) -> None:
    """Its peers restart many times meanwhile; of all those pipes only the last matter."""
    with fake_cluster(tmp_path, 3) as cluster:
        cluster.pause(3)
        for _ in range(8):
            cluster.restart(1, 2)
        status = cluster.status()
        assert [node.state for node in status.nodes] == ["up", "up", "paused"]
        assert status.node(3).role == "follower"  # as last known

        cluster.resume(3)
        until(lambda: leaders(cluster.status()) == {1: 1, 2: 1, 3: 1}, "node 3 to be joined again")
        cluster.kill(1)
        assert leaders(cluster.wait(leader=True)) == {2: 2, 3: 2}


def test_the_supervisor_keeps_no_end_of_a_pipe(tmp_path: Path) -> None:
    with fake_cluster(tmp_path, 4) as cluster:
        supervisor = psutil.Process(cluster.record().pid)
        before = supervisor.num_fds()

        for _ in range(5):
            cluster.restart("all")
        cluster.wait(leader=True)

        # It opens the event logs when there is something in them; 60 pipes have come and gone.
        until(lambda: supervisor.num_fds() <= before + 10, "no more descriptors than before")


# -- deaths and restarts ---------------------------------------------------------------------------


def test_a_node_killed_from_outside_stays_down(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        victim = cluster.processes()[2].find()
        assert victim is not None
        victim.kill()

        until(lambda: cluster.status().node(2).state == "down", "node 2 to be down")
        node = cluster.status().node(2)
        assert (node.reason, node.pid, node.role) == ("killed from outside", None, None)


def test_a_crash_is_restarted_and_counted(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        victim = cluster.processes()[2].find()
        assert victim is not None
        victim.send_signal(signal.SIGABRT)

        until(lambda: cluster.status().node(2).restarts == 1, "node 2 to be restarted")
        assert leaders(cluster.wait(leader=True)) == {1: 1, 2: 1, 3: 1}
        (exited,) = cluster.events("node.exited")
        assert (exited["target"], exited["status"], exited["level"]) == (2, -6, "warn")


def test_a_node_that_fails_again_and_again_is_given_up(tmp_path: Path) -> None:
    with fake_cluster(tmp_path, restart_attempts=2) as cluster:
        cluster.kill(3)
        cluster.behave(3, fail="the disk is on fire")

        with pytest.raises(LauncherError, match="gave up after 2 restarts: the disk is on fire"):
            cluster.start(3)

        assert cluster.status().node(3).state == "failed"
        assert len(cluster.events("restart.scheduled")) == 2
        (failed,) = cluster.events("node.failed")
        assert (failed["target"], failed["level"]) == (3, "error")
        cluster.behave(3)
        cluster.start(3)
        assert cluster.status().node(3).state == "up"


def test_a_node_that_refuses_is_not_restarted(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.kill(3)
        cluster.behave(3, fail="wal: damaged at byte 7", retry=False)

        with pytest.raises(LauncherError, match="n3 is failed: wal: damaged at byte 7"):
            cluster.start(3)

        assert cluster.events("restart.scheduled") == []


def test_stop_cancels_a_restart_that_is_waiting(tmp_path: Path) -> None:
    with fake_cluster(tmp_path, restart_backoff_s=60.0) as cluster:
        victim = cluster.processes()[2].find()
        assert victim is not None
        victim.send_signal(signal.SIGABRT)
        until(lambda: "to be restarted" in cluster.status().node(2).reason, "the crash")

        (chosen,) = cluster.stop(2)

        assert chosen.note == "was about to be restarted, and stays down"
        assert cluster.status().node(2).state == "down"


def test_a_stubborn_node_is_killed_in_the_end(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        make_stubborn(cluster, 2)
        with pytest.raises(LauncherError, match=r"n2 lives on, 3\.5 s after SIGTERM"):
            cluster.kill(2, signal="TERM")

        (chosen,) = cluster.stop(2)

        assert "was killed" in chosen.note
        assert cluster.status().node(2).state == "down"


def test_the_end_of_the_forkserver_confuses_nobody(tmp_path: Path) -> None:
    """Its pipes close with it, which looks like the end of every node, and is not."""
    with fake_cluster(tmp_path) as cluster:
        pids = [node.pid for node in cluster.status().nodes]
        forkserver_of(cluster.record().process).kill()

        cluster.kill(2)
        status = cluster.status()
        assert [node.state for node in status.nodes] == ["up", "down", "up"]
        assert (status.nodes[0].pid, status.nodes[2].pid) == (pids[0], pids[2])

        cluster.start(2)
        assert leaders(cluster.wait(leader=True)) == {1: 1, 2: 1, 3: 1}
        victim = cluster.processes()[3].find()
        assert victim is not None
        victim.kill()
        until(lambda: cluster.status().node(3).restarts == 1, "node 3 to be restarted")


# -- the end ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_takes_everything_down(tmp_path: Path, number: signal.Signals) -> None:
    """Launchers, 2: a closed terminal and SIGTERM are like Ctrl-C."""
    with fake_cluster(tmp_path) as cluster:
        cluster.pause(1)
        cluster.kill(2)
        record, processes = cluster.record(), cluster.processes()

        os.kill(record.pid, number)

        until(lambda: all_gone(processes), "every process to be gone")
        assert not Path(record.runtime_dir).exists()
        (exited,) = [e for e in cluster.events("node.exited") if e["target"] == 1]
        assert exited["status"] == 0  # woken and stopped in good order
        (stopped,) = cluster.events("supervisor.stopped")
        assert (stopped["reason"], stopped["killed"]) == (number.name, [])


def test_the_second_signal_forces(tmp_path: Path) -> None:
    """Launchers, 7."""
    with fake_cluster(tmp_path) as cluster:
        make_stubborn(cluster, 1)
        processes = cluster.processes()
        began = time.monotonic()

        os.kill(processes[0].pid, signal.SIGTERM)
        until(lambda: cluster.events("supervisor.stopping"), "the first to be heard")
        os.kill(processes[0].pid, signal.SIGTERM)

        until(lambda: all_gone(processes), "every process to be gone")
        assert time.monotonic() - began < 1.9  # the patience with node 1 is 2 s
        assert 1 in cluster.events("supervisor.stopped")[0]["killed"]


def test_the_patience_with_a_stubborn_node_ends(tmp_path: Path) -> None:
    """Launchers, 16: also with nobody else alive."""
    with fake_cluster(tmp_path) as cluster:
        make_stubborn(cluster, 1)
        cluster.kill(2, 3)
        processes = cluster.processes()

        assert cluster.down().was_running

        assert all_gone(processes)


def test_nothing_survives_the_supervisor(tmp_path: Path) -> None:
    """Launchers, 1 and 3: no node is left after 2 s, and the next `up` heals the rest."""
    with fake_cluster(tmp_path) as cluster:
        cluster.pause(2)
        record, processes = cluster.record(), cluster.processes()
        forkserver = forkserver_of(record.process)

        os.kill(record.pid, signal.SIGKILL)

        until(lambda: all_gone(processes), "every node to be gone", timeout_s=2.0)
        until(lambda: not forkserver.is_running(), "the forkserver to be gone", timeout_s=2.0)
        with pytest.raises(NotRunning):
            cluster.status()
        assert Path(record.runtime_dir).exists()

        again = FakeCluster(3, config=cluster.config)
        again.up()

        assert not Path(record.runtime_dir).exists()
        assert any("removed the sockets" in healed for healed in again.healed)
        assert {e["life"] for e in cluster.events("supervisor.started")} == {1, 2}
        assert [e["target_life"] for e in cluster.events("node.spawned")] == [1, 1, 1, 2, 2, 2]


def test_a_signal_before_it_has_begun_leaves_nothing() -> None:
    """Launchers, 6: its forkserver runs already, and it still waits to be told what to do."""
    with tempfile.TemporaryDirectory(prefix="boot-") as folder:
        unused, report = os.pipe()
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "launcher", "_supervise", str(report), str(report), "json:x"],
            stdin=subprocess.PIPE,
            pass_fds=[report],
            env={**os.environ, "TMPDIR": folder},
        )
        until(lambda: list(Path(folder).glob("leeky-*/pymp-*/listener-*")), "the forkserver")

        supervisor.terminate()

        assert supervisor.wait(15) == 128 + signal.SIGTERM
        assert list(Path(folder).iterdir()) == []
        assert supervisor.stdin is not None
        supervisor.stdin.close()
        os.close(unused)
        os.close(report)


def test_a_node_that_outlived_its_supervisor_is_killed_and_nobody_else(tmp_path: Path) -> None:
    """Launchers, 4: a pid that somebody else has now is left alone."""
    with fake_cluster(tmp_path) as cluster:
        record = cluster.record()
        os.kill(record.pid, signal.SIGSTOP)  # it can react to nothing, so its record stays
        survivor = subprocess.Popen(["sleep", "60"])
        stranger = subprocess.Popen(["sleep", "60"])
        try:
            os.kill(record.pid, signal.SIGKILL)
            until(lambda: not lock.is_locked(cluster.config), "the supervisor to be gone")
            rewrite(record.runtime_dir, survivor, stranger)

            report = cluster.down()

            assert not report.was_running
            assert any(f"pid {survivor.pid}" in healed for healed in report.healed)
            assert ProcessRecord.of(stranger.pid).find() is not None
            assert survivor.wait(5) == -signal.SIGKILL
        finally:
            for process in (survivor, stranger):
                process.kill()
                process.wait(5)


def rewrite(runtime_dir: Path, survivor: Process, stranger: Process) -> None:
    """Makes the dead supervisor's record say that these were its nodes; of one it is not true."""
    nodes = {
        1: ProcessRecord.of(survivor.pid),
        2: ProcessRecord(stranger.pid, "of another process that had this pid"),
    }
    (runtime_dir / runtime_files.PROCESSES_FILE).write_bytes(sealed.seal(NodeProcesses(nodes)))


def test_idle_it_costs_next_to_nothing(tmp_path: Path) -> None:
    """Launchers, 12. Only a busy loop can break this bound; the number is a benchmark's."""
    with fake_cluster(tmp_path) as cluster:
        supervisor = psutil.Process(cluster.record().pid)
        before = supervisor.cpu_times()
        time.sleep(0.7)
        after = supervisor.cpu_times()

    assert after.user + after.system - before.user - before.system < 0.25
