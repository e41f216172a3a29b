"""`Cluster` as a script uses it: starting, refusing, waiting, ending. Over fake nodes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import pytest

import launcher
from launcher.cluster import Cluster
from launcher.errors import LauncherError, NotRunning, TimedOut, UsageError
from launcher.folders import lock
from launcher.supervisor.claim import Claim
from launcher.timeline.filter import Filter
from tests.launcher.fake_cluster import (
    FakeCluster,
    all_gone,
    config_in,
    fake_cluster,
    runtime_folder,
    script,
    until,
)

ROOT = Path(launcher.__file__).parent.parent

cluster_test = pytest.mark.cluster


# -- without a cluster -----------------------------------------------------------------------------


def test_the_package_exports_what_it_says() -> None:
    assert launcher.Cluster is Cluster
    for name in set(launcher.__all__) - {"__version__"}:
        assert getattr(launcher, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Clutter'"):
        _ = launcher.Clutter


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        (
            "launcher.supervisor.supervisor",
            {"click", "prompt_toolkit", "tabulate", "node.server.server"},
        ),
        ("launcher.cluster", {"asyncio", "multiprocessing", "click", "node.server.server"}),
        ("launcher.supervisor.entry", {"psutil", "yaml", "launcher.cluster"}),
    ],
)
def test_every_process_loads_what_it_needs(module: str, unwanted: set[str]) -> None:
    """Every millisecond of it is a millisecond until there is a leader."""
    code = f"import sys, {module}; print(*sys.modules)"
    loaded = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True).split()

    assert not unwanted & set(loaded)


@pytest.mark.parametrize("nodes", [0, -1, 200, True, 2.5])
def test_a_number_of_nodes_that_makes_no_sense(tmp_path: Path, nodes: int) -> None:
    with pytest.raises(UsageError, match="a cluster has 1 to 31 nodes"):
        Cluster(nodes, config=config_in(tmp_path))


@pytest.mark.parametrize("machine", ["nonsense", "no.such:Class", "launcher.control.status:Chosen"])
def test_a_machine_that_is_none_is_refused_before_anything_starts(
    tmp_path: Path, machine: str
) -> None:
    with pytest.raises(UsageError):
        Cluster(3, machine=machine, config=config_in(tmp_path)).up()

    assert list(tmp_path.iterdir()) == []


def test_nothing_runs(tmp_path: Path) -> None:
    cluster = Cluster(3, config=config_in(tmp_path))

    for act in (cluster.status, cluster.down, cluster.heal, lambda: cluster.kill("leader")):
        with pytest.raises(NotRunning, match="no cluster is running here") as caught:
            act()
        assert caught.value.exit_status == 3
    with pytest.raises(NotRunning):
        Cluster.attach(config_in(tmp_path))
    assert list(tmp_path.iterdir()) == []


# -- up --------------------------------------------------------------------------------------------


@cluster_test
def test_up_answers_with_a_settled_cluster(tmp_path: Path) -> None:
    with fake_cluster(tmp_path, 5, start=False) as cluster:
        status = cluster.up()

        assert [node.state for node in status.nodes] == ["up"] * 5
        assert status.leader == 1
        assert {node.leader for node in status.nodes} == {1}
        described = msgspec.to_builtins(status)
        assert list(described) == [
            *("cluster", "supervisor_pid", "leader", "term", "nodes"),
            *("membership", "membership_committed", "frozen", "frozen_because"),
            *("violations", "links"),
        ]
        assert list(described["nodes"][0]) == [
            *("id", "state", "role", "term", "leader", "voter", "first_index", "last_index"),
            *("commit_index", "applied_index", "snapshot_index", "pid", "restarts", "uptime_s"),
            *("cpu_percent", "rss_bytes", "reason", "disk", "clock", "throttle", "change"),
            *(
                "responding",
                "last_answer_s",
                "snapshot",
                "slowest_apply_s",
                "slowest_query_s",
                "diverged",
            ),
            *("voted_for", "election_in_s", "leader_heard_s", "peers"),
            *("cut_off_from", "cannot_send_to", "cannot_hear"),
            *("points", "tap"),
        ]
        assert status.nodes[0].rss_bytes
        assert status.supervisor_pid == cluster.record().pid


@cluster_test
def test_a_second_up_says_what_runs_already(tmp_path: Path) -> None:
    """Launchers, 14."""
    with fake_cluster(tmp_path) as cluster:
        pid = cluster.record().pid

        with pytest.raises(LauncherError, match=f"running here already.*pid {pid}") as caught:
            FakeCluster(3, config=cluster.config, fresh=True).up()

        assert caught.value.exit_status == 1
        assert cluster.status().supervisor_pid == pid
        assert cluster.config.cluster_file.exists()


@cluster_test
def test_data_of_another_cluster_is_refused_and_fresh_begins_anew(tmp_path: Path) -> None:
    with fake_cluster(tmp_path, 3, start=False) as cluster:
        config = cluster.config
        mine = config.node_data_dir(1) / "precious"
        foreign = config.data_dir / "notes.txt"
        cluster.up()
        mine.touch()
        foreign.touch()
        cluster.down()

        with pytest.raises(LauncherError, match=r"a cluster of 3 nodes: `up 3`, or --fresh"):
            FakeCluster(4, config=config).up()
        with pytest.raises(LauncherError, match=r"the machine files: `up --machine files`"):
            FakeCluster(3, machine="kv", config=config).up()
        for changed in ({"session_timeout_s": 60.0}, {"most_sessions": 5}):
            with pytest.raises(
                LauncherError, match=r"sessions\.timeout 1h and sessions\.most 10000"
            ):
                FakeCluster(3, config=msgspec.structs.replace(config, **changed)).up()
        assert mine.exists()

        before = config.cluster_file.read_bytes()
        FakeCluster(4, machine="kv", config=config, fresh=True).up()
        assert config.cluster_file.read_bytes() != before
        assert not mine.exists()
        assert foreign.exists()
        assert len(cluster.events("supervisor.started")) == 1  # the old logs are gone too


def test_data_that_does_not_say_when_sessions_end_is_refused(tmp_path: Path) -> None:
    """Format 1: there they never did, and a log that was applied so is not applied otherwise."""
    config = config_in(tmp_path)
    config.data_dir.mkdir()
    older = {"format": 1, "cluster_id": "c", "name": "leeky", "nodes": 5, "machine": "files"}
    config.cluster_file.write_bytes(msgspec.json.encode(older))
    with pytest.raises(LauncherError, match="has format 1, and this launcher knows 3"):
        Claim.take(config, runtime_folder(tmp_path / "run"), fresh=False)


@cluster_test
def test_data_without_its_identity_is_refused(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.down()
        cluster.config.cluster_file.unlink()
        (cluster.config.node_data_dir(1) / "log").touch()  # our fake nodes write nothing

        with pytest.raises(LauncherError, match=r"holds node-1 but no cluster\.json"):
            FakeCluster(3, config=cluster.config).up()


@cluster_test
@pytest.mark.parametrize("folder", ["data", "logs"])
def test_a_folder_that_cannot_be_used(tmp_path: Path, folder: str) -> None:
    """Launchers, 18: the reason reaches whoever asked, also from a detached start."""
    (tmp_path / folder).write_text("in the way")

    with pytest.raises(
        LauncherError, match=rf"the {folder} folder .* cannot be used: .*"
    ) as caught:
        FakeCluster(3, config=config_in(tmp_path)).up(detached=True)

    assert "\n" not in str(caught.value)


@cluster_test
def test_a_read_only_folder(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root writes everywhere")
    (tmp_path / "data").mkdir(mode=0o500)

    with pytest.raises(LauncherError, match=r"the data folder .*: Permission denied"):
        FakeCluster(3, config=config_in(tmp_path)).up()


def test_a_supervisor_that_dies_says_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "python"
    broken.write_text("#!/bin/sh\necho first >&2\necho no memory >&2\nexit 1\n")
    broken.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(broken))

    with pytest.raises(LauncherError, match=r"the supervisor died: no memory \(see .*stderr\)"):
        FakeCluster(3, config=config_in(tmp_path)).up()


def test_a_supervisor_that_cannot_be_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))

    with pytest.raises(LauncherError, match=r"the supervisor cannot be started: .*No such file"):
        FakeCluster(3, config=config_in(tmp_path)).up()


@cluster_test
def test_up_reports_a_majority_that_fails_at_once(tmp_path: Path) -> None:
    """Launchers, 17: it neither hangs nor says ready when children have died."""
    with fake_cluster(tmp_path, restart_policy="never") as cluster:
        cluster.down()
        for node in (1, 2):
            cluster.behave(node, fail="wal: damaged at byte 9", retry=False)
        began = time.monotonic()

        said = r"1 of 3 voters are up and it takes 2; n1, n2 are failed .wal: damaged"
        with pytest.raises(LauncherError, match=said):
            cluster.up(timeout_s=60)

        assert time.monotonic() - began < 30
        with pytest.raises(NotRunning):
            cluster.status()


@cluster_test
@pytest.mark.parametrize("detached", [False, True])
def test_up_succeeds_beside_a_node_that_fails_and_remarks_on_it(
    tmp_path: Path, detached: bool
) -> None:
    with fake_cluster(tmp_path) as cluster:
        assert cluster.remarks == []
        cluster.down()
        cluster.behave(3, fail="no room", retry=False)

        status = cluster.up(detached=detached)

        assert status.leader == 1
        assert status.node(3).state == "failed"
        assert cluster.remarks == ["n3 is failed: no room"]
        assert cluster.status().served
        cluster.down()
        cluster.behave(3)
        cluster.up()
        assert cluster.remarks == [], "those of the last start"


@cluster_test
def test_up_does_not_wait_long_for_a_node_that_is_started_again_and_again(tmp_path: Path) -> None:
    with fake_cluster(tmp_path, restart_backoff_s=0.02, restart_attempts=1000) as cluster:
        cluster.down()
        cluster.behave(2, exit=7)
        began = time.monotonic()

        status = cluster.up(timeout_s=60)

        assert time.monotonic() - began < 30
        assert status.served
        (remark,) = cluster.remarks
        assert remark.startswith("n2 ")


@cluster_test
def test_up_waits_a_moment_for_a_node_that_comes_up_a_little_later(tmp_path: Path) -> None:
    with fake_cluster(tmp_path, restart_backoff_s=0.2) as cluster:
        cluster.down()
        cluster.behave(3, exit=7, times=1)

        status = cluster.up()

        assert [node.state for node in status.nodes] == ["up"] * 3
        assert {node.leader for node in status.nodes} == {1}
        assert cluster.remarks == []


@cluster_test
def test_up_fails_with_the_reason_when_the_only_node_fails(tmp_path: Path) -> None:
    with fake_cluster(tmp_path, 1) as cluster:
        cluster.down()
        cluster.behave(1, fail="no room", retry=False)

        with pytest.raises(LauncherError, match=r"no leader: no node is up; .*no room"):
            cluster.up(timeout_s=60)

        assert not lock.is_locked(cluster.config)


@cluster_test
def test_up_times_out_and_leaves_nothing(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.down()
        cluster.behave(1, silent=True)

        with pytest.raises(TimedOut, match=r"no leader in 0\.5 s"):
            cluster.up(timeout_s=0.5)

        assert not lock.is_locked(cluster.config)


# -- waiting ---------------------------------------------------------------------------------------


@cluster_test
def test_wait_fails_at_once_when_it_cannot_come_about(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.kill(1)
        cluster.pause(2)

        with pytest.raises(LauncherError, match=r"1 of 3 voters.*takes 2; n1 is down \(.*n2 is pa"):
            cluster.wait(leader=True, timeout_s=60)


@cluster_test
def test_wait_for_an_index(tmp_path: Path) -> None:
    """The fake nodes have committed 10, and applied none."""
    with fake_cluster(tmp_path) as cluster:
        assert cluster.wait(commit=10).commit_index == 10
        with pytest.raises(TimedOut, match=r"index 11 was not committed in 0\.2 s"):
            cluster.wait(commit=11, timeout_s=0.2)
        with pytest.raises(TimedOut):
            cluster.wait(converged=True, timeout_s=0.2)


@cluster_test
def test_wait_waits_for_a_restart_that_is_coming(tmp_path: Path) -> None:
    with fake_cluster(tmp_path, restart_backoff_s=0.5) as cluster:
        cluster.kill(1)
        cluster.behave(1, exit=7, times=1)
        waiter = threading.Thread(target=cluster.start, args=(1,))
        waiter.start()
        until(lambda: cluster.events("restart.scheduled"), "the failed start")
        cluster.kill(2)

        assert cluster.wait(leader=True).leader == 1
        waiter.join()


# -- down ------------------------------------------------------------------------------------------


@cluster_test
def test_down_with_nobody_alive(tmp_path: Path) -> None:
    """Launchers, 16."""
    with fake_cluster(tmp_path) as cluster:
        cluster.kill("all")

        assert cluster.down().was_running
        assert not lock.is_locked(cluster.config)
        with pytest.raises(NotRunning):
            cluster.down()


@cluster_test
def test_down_when_the_supervisor_does_not_react(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launcher.supervisor.ending.DOWN_TIMEOUT_S", 0.3)
    monkeypatch.setattr("launcher.supervisor.ending._UNLOCK_PATIENCE_S", 0.5)
    with fake_cluster(tmp_path) as cluster:
        processes = cluster.processes()
        supervisor = processes[0].find()
        assert supervisor is not None
        supervisor.suspend()

        cluster.down()

        until(lambda: all_gone(processes), "every process to be gone")


@cluster_test
def test_destroy_waits_for_nobody(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.stop(1)
        cluster.behave(1, stubborn=True)
        cluster.start(1)
        processes = cluster.processes()
        began = time.monotonic()

        cluster.destroy()

        assert time.monotonic() - began < 1.9  # `down` would give node 1 two seconds
        assert all_gone(processes)
        assert not lock.is_locked(cluster.config)
        with pytest.raises(NotRunning):
            cluster.destroy()


@cluster_test
def test_the_timeline_is_there_when_the_cluster_is_not(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.kill(2)
        cluster.down()

        events = list(cluster.timeline())

        assert [event.key for event in events] == sorted(event.key for event in events)
        assert (events[0].event, events[-1].event) == ("supervisor.started", "supervisor.stopped")
        started = [event.node for event in cluster.timeline(Filter(event="node.started"))]
        assert sorted(started) == [1, 2, 3]
        assert list(cluster.timeline(follow=True)) == events


@cluster_test
def test_down_with_volumes_removes_the_data_and_keeps_the_logs(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        assert cluster.down(volumes=True).removed_data
        assert not cluster.config.data_dir.exists()
        assert cluster.config.event_log(1).exists()

        with pytest.raises(NotRunning):
            cluster.down(volumes=True)
        cluster.up()
        cluster.down()
        assert cluster.down(volumes=True).removed_data  # also when it is down already


# -- other processes -------------------------------------------------------------------------------


@cluster_test
def test_a_plain_script_needs_no_guard(tmp_path: Path) -> None:
    for shadow in ("node", "launcher"):  # folders that are called like our packages
        (tmp_path / shadow).mkdir()
        (tmp_path / shadow / "__init__.py").write_text("raise ImportError('the wrong one')")
    (tmp_path / "sub").mkdir()

    running = script(
        tmp_path / "sub",
        """
        with FakeCluster(3) as cluster:
            print(cluster.status().leader, [c.id for c in cluster.kill("leader")])
        """,
    )

    assert running.communicate(timeout=60)[0] == "1 [1]\n"
    assert not lock.is_locked(config_in(tmp_path / "sub"))


@cluster_test
def test_attach_reaches_a_detached_cluster(tmp_path: Path) -> None:
    running = script(tmp_path, "FakeCluster(4, machine='kv').up(detached=True)")
    assert running.communicate(timeout=60)[0] == ""

    with fake_cluster(tmp_path, start=False) as cluster:
        attached = Cluster.attach(cluster.config)
        assert (attached.config.nodes, attached.config.machine) == (4, "kv")
        assert attached.status().leader == 1
        with attached:
            assert attached.status().leader == 1
        assert lock.is_locked(cluster.config), "it ran before, and goes on"


# -- other clusters --------------------------------------------------------------------------------


@cluster_test
def test_a_foreground_cluster_ends_with_its_launcher_however_it_dies(tmp_path: Path) -> None:
    running = script(
        tmp_path,
        """
        import time
        FakeCluster(3).up()
        print("up", flush=True)
        time.sleep(60)
        """,
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "up\n"
    with fake_cluster(tmp_path, start=False) as cluster:
        processes = cluster.processes()

        running.kill()
        running.communicate()

        until(lambda: all_gone(processes), "everything to be gone")
        (stopped,) = cluster.events("supervisor.stopped")
        assert (stopped["reason"], stopped["killed"]) == ("the launcher has gone", [])


@cluster_test
def test_interrupted_while_it_starts_it_leaves_nothing(tmp_path: Path) -> None:
    """Launchers, 6."""
    running = script(tmp_path, "print('go', flush=True)\nFakeCluster(31).up()")
    assert running.stdout is not None
    assert running.stdout.readline() == "go\n"
    with fake_cluster(tmp_path, start=False) as cluster:
        until(lambda: lock.running(cluster.config), "the supervisor")
        until(lambda: len(cluster.listed()) > 5, "some of the nodes")
        processes = cluster.processes()

        running.terminate()
        running.communicate()

        until(lambda: all_gone(processes), "everything to be gone")
        until(lambda: not lock.is_locked(cluster.config), "the lock")
        spawned, exited = cluster.events("node.spawned"), cluster.events("node.exited")
        assert {e["pid"] for e in spawned} == {e["pid"] for e in exited}


@cluster_test
def test_two_clusters_side_by_side(tmp_path: Path) -> None:
    with fake_cluster(tmp_path / "a") as one, fake_cluster(tmp_path / "b") as other:
        one.kill("all")

        assert [node.state for node in other.status().nodes] == ["up"] * 3
