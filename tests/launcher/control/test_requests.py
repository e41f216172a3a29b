"""The control socket: requests, answers, and clients that behave badly."""

from __future__ import annotations

import json
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec
import pytest

from launcher.control import calling, requests
from launcher.control.killing import parse_signal
from launcher.control.requests import CONTROL_SOCKET
from launcher.errors import LauncherError, NotRunning, TimedOut, UsageError
from node import wire
from node.wire import LinkFault
from tests.launcher.fake_cluster import FakeCluster, all_gone, fake_cluster, until

cluster_test = pytest.mark.cluster


# -- without a cluster -----------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["SIGTERM", "TERM", "term", "15", " sigterm "])
def test_a_signal_has_a_name_or_a_number(text: str) -> None:
    assert parse_signal(text) == signal.SIGTERM


@pytest.mark.parametrize("text", ["", "0", "-9", "999", "KILLER", "SIG", "²", "9 9"])
def test_what_is_no_signal_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="there is no signal"):
        parse_signal(text)


def test_requests_are_what_the_module_says() -> None:
    said = json.loads(msgspec.json.encode(requests.Kill(["leader"], "TERM")))

    assert said == {
        "op": "kill",
        "targets": ["leader"],
        "signal": "TERM",
        "power": False,
        "torn": False,
    }


def test_nobody_listens(tmp_path: Path) -> None:
    """Launchers, 3: a stale socket is not a cluster."""
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))

    with pytest.raises(NotRunning):
        calling.call(path, requests.AskStatus(), 1.0)
    with pytest.raises(NotRunning):
        calling.call(tmp_path / "none", requests.AskStatus(), 1.0)


def test_somebody_listens_and_never_answers(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()

        with pytest.raises(TimedOut):
            calling.call(tmp_path / "s", requests.AskStatus(), 0.1)


# -- with one --------------------------------------------------------------------------------------


def connect(cluster: FakeCluster) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(str(Path(cluster.record().runtime_dir) / CONTROL_SOCKET))
    return connection


def ask(connection: socket.socket, body: bytes) -> dict[str, Any]:
    connection.sendall(wire.frame(body))
    frames = wire.FrameReader()
    while True:
        data = connection.recv(1 << 16)
        assert data, "the supervisor hung up"
        for answer in frames.feed(data):
            decoded = json.loads(answer)
            assert isinstance(decoded, dict)
            return decoded


@cluster_test
def test_bad_requests_get_an_answer_and_do_no_harm(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster, connect(cluster) as connection:
        for body in (b"{", b"[]", b'{"op":"dance"}', b'{"op":"kill"}', b"\xff"):
            answer = ask(connection, body)
            assert (answer["ok"], answer["exit_status"]) == (False, 2)
        answer = ask(connection, b'{"op":"kill","targets":["nine"]}')
        assert answer["exit_status"] == 2
        assert "unknown target" in answer["error"]

        with connect(cluster) as other:  # an absurd length: it hangs up
            other.sendall(b"\x7f\xff\xff\xff")
            assert other.recv(1) == b""

        assert ask(connection, b'{"op":"status"}')["status"]["leader"] == 1


@cluster_test
def test_the_socket_is_for_its_user_alone(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        runtime_dir = Path(cluster.record().runtime_dir)

        assert runtime_dir.stat().st_mode & 0o777 == 0o700
        assert len(str(runtime_dir / "node-31.sock")) < 100


@cluster_test
def test_a_client_that_hangs_up_stops_nothing(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        with connect(cluster) as connection:
            connection.sendall(wire.frame(b'{"op":"restart","targets":["2"]}'))

        until(lambda: cluster.status().node(2).restarts == 1, "the restart")
        assert cluster.wait(leader=True).leader == 1


@cluster_test
def test_kill_and_stop_answer_when_the_process_is_gone(tmp_path: Path) -> None:
    """Launchers, 15: so the next start succeeds."""
    with fake_cluster(tmp_path) as cluster:
        for act in (cluster.kill, cluster.stop):
            processes = {n: p for n, p in cluster.processes().items() if n}
            act("all")
            assert all_gone(processes)
            cluster.start("all")
            assert [node.state for node in cluster.status().nodes] == ["up"] * 3


@cluster_test
def test_who_was_chosen_is_told_as_it_was(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        (leader,) = cluster.kill("leader")
        assert (leader.id, leader.role, leader.term, leader.commit_index) == (1, "leader", 2, 10)

        (again,) = cluster.kill("1")
        assert again.note == "is down already"
        (up,) = cluster.start("n2")
        assert up.note == "is up already"


@cluster_test
def test_signals(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.kill(2, signal="STOP")
        assert cluster.status().node(2).state == "paused"
        with pytest.raises(LauncherError, match="n2 is paused and gets no SIGTERM"):
            cluster.kill(2, signal="TERM")
        with pytest.raises(LauncherError, match="n2 is paused"):
            cluster.start(2)
        cluster.kill(2, signal="CONT")
        assert cluster.status().node(2).state == "up"

        cluster.kill(2, signal="15")
        assert cluster.status().node(2).reason == "killed with SIGTERM"
        with pytest.raises(LauncherError, match="n2 is not running"):
            cluster.pause(2)


@cluster_test
def test_one_that_fails_does_not_keep_the_others_from_it(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.kill(2)

        with pytest.raises(LauncherError, match="n2 is not running"):
            cluster.pause(1, 2, 3)

        assert [node.state for node in cluster.status().nodes] == ["paused", "down", "paused"]


@cluster_test
def test_partition_and_heal_have_reached_the_nodes(tmp_path: Path) -> None:
    """The fake node shows the number of faulty links as its applied_index."""
    with fake_cluster(tmp_path) as cluster:
        assert cluster.partition("leader|followers") == [[1], [2, 3]]
        assert [node.applied_index for node in cluster.status().nodes] == [4, 4, 4]

        cluster.restart(2)  # it learns of the partition when it starts
        assert [node.applied_index for node in cluster.status().nodes] == [4, 4, 4]

        cluster.heal()
        assert [node.applied_index for node in cluster.status().nodes] == [0, 0, 0]


@cluster_test
def test_a_disk_fault_is_its_nodes_through_restarts_and_is_mended_by_name(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        chosen = cluster.disk("leader", 3, fault="slow 200ms")
        assert [(node.id, node.note) for node in chosen] == [
            (1, "slow-disk 200ms"),
            (3, "slow-disk 200ms"),
        ]
        assert disks(cluster) == ["slow-disk 200ms", "", "slow-disk 200ms"]

        cluster.disk(3, fault="hang")  # instead of what it did
        cluster.kill(3)
        assert disks(cluster) == ["slow-disk 200ms", "", "hang-disk"]
        cluster.start(3)
        cluster.kill(3)
        cluster.disk("all", fault="ok")
        assert disks(cluster) == ["", "", ""]
        cluster.start(3)
        assert disks(cluster) == ["", "", ""]

        said = [
            (event["event"], event.get("fault"), event["targets"])
            for event in map(json.loads, cluster.config.event_log(0).read_text().splitlines())
            if event["event"].startswith("fault.") and event.get("fault") != "kill"
            if "targets" in event
        ]
        assert said == [
            ("fault.injected", "slow-disk", [1, 3]),
            ("fault.injected", "hang-disk", [3]),
            ("fault.healed", "disk", [1, 2, 3]),
        ]


@cluster_test
def test_a_fault_of_the_next_sync_ends_with_the_process(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.disk(2, fault="fail-sync")
        assert disks(cluster) == ["", "fail-sync", ""]
        cluster.restart(2)
        assert disks(cluster) == ["", "", ""]

        cluster.kill(2)
        cluster.disk(2, fault="fail-write")  # of its next life
        cluster.start(2)
        assert disks(cluster) == ["", "fail-write", ""]


def disks(cluster: FakeCluster) -> list[str]:
    return [node.disk for node in cluster.status().nodes]


def clocks(cluster: FakeCluster) -> list[str]:
    return [node.clock for node in cluster.status().nodes]


@cluster_test
def test_what_moves_a_clock_is_its_node_s_through_restarts_until_it_ends(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        with cluster.clock("leader,3", "rate 1.05") as fault:
            assert [(node.id, node.note) for node in fault.chosen] == [
                (1, "rate 1.05"),
                (3, "rate 1.05"),
            ]
            assert fault.unconfirmed == []
            cluster.clock(3, "bump -200ms")
            cluster.clock(3, "bump 5s", wall=True)
            assert clocks(cluster) == ["rate 1.05", "", "bump -200ms, rate 1.05; wall: bump 5s"]
            cluster.restart(1)
            assert clocks(cluster)[0] == "rate 1.05"
        assert clocks(cluster) == ["", "", "bump -200ms; wall: bump 5s"]
        cluster.clock("all", "ok")
        assert clocks(cluster) == ["", "", ""]
        cluster.clock(2, "strobe 200ms 100ms")
        cluster.heal()
        assert clocks(cluster) == ["", "", ""]

        said = [
            (event["event"], event.get("does"), event.get("id"), event.get("ids"))
            for event in map(json.loads, cluster.config.event_log(0).read_text().splitlines())
            if event["event"].startswith("fault.")
        ]
        assert said == [
            ("fault.injected", "rate 1.05", 1, None),
            ("fault.injected", "bump -200ms", 2, None),
            ("fault.injected", "bump 5s of the wall clock", 3, None),
            ("fault.healed", None, None, [1]),
            ("fault.healed", None, None, [2, 3]),
            ("fault.injected", "strobe 200ms 100ms", 6, None),
            ("fault.healed", None, None, [6]),
        ]


@cluster_test
def test_a_step_back_to_where_the_clock_was_is_a_fault_that_is_over_at_once(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.clock("2,3", "bump 200ms")
        cluster.clock(2, "bump -200ms")
        assert clocks(cluster) == ["", "", "bump 200ms"]
        cluster.clock(3, "bump -200ms")
        assert clocks(cluster) == ["", "", ""]
        assert cluster.unconfirmed == []
        assert cluster.heal() == [], "there is nothing to heal"
        said = [
            (event["event"], event.get("does"), event.get("targets"))
            for event in map(json.loads, cluster.config.event_log(0).read_text().splitlines())
            if event["event"].startswith("fault.")
        ]
        assert said == [
            ("fault.injected", "bump 200ms", [2, 3]),
            ("fault.injected", "bump -200ms", [2]),
            ("fault.injected", "bump -200ms", [3]),
        ]


@cluster_test
def test_the_clock_of_a_node_that_is_down_is_kept_for_its_next_life(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.kill(2)
        with pytest.raises(LauncherError, match=r"n2 is down: bump moves .* that runs; .*start 2"):
            cluster.clock("1,2", "bump 1s")
        assert clocks(cluster) == ["", "", ""], "none of them, not the others"
        cluster.clock(2, "rate 2")
        cluster.clock(2, "bump 1s", wall=True)
        assert clocks(cluster) == ["", "rate 2; wall: bump 1s", ""]
        cluster.start(2)
        assert clocks(cluster) == ["", "rate 2; wall: bump 1s", ""]
        assert cluster.clock(2, "ok").unconfirmed == []
        assert clocks(cluster) == ["", "", ""]


@cluster_test
def test_a_node_that_has_not_confirmed_its_clock_is_named(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.pause(2)
        assert cluster.clock("1,2", "rate 2").unconfirmed == [2]
        cluster.resume(2)
        cluster.kill(3)
        cluster.behave(3, deaf=True)
        cluster.clock(3, "rate 2")
        cluster.start(3)
        assert cluster.clock(3, "ok").unconfirmed == [3], "it began with the fault, and keeps it"
        assert cluster.clock("all", "rate 3").unconfirmed == [3]


@cluster_test
def test_two_operators_move_one_clock_at_once(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:

        def bump(_: int) -> None:
            cluster.clock(2, "bump 100ms")

        with ThreadPoolExecutor(5) as operators:
            list(operators.map(bump, range(10)))
        assert clocks(cluster) == ["", "bump 1s", ""], "no step is lost"


@cluster_test
def test_what_links_do_has_reached_the_nodes(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.set_links([LinkFault(source=1, target=2, delay_s=0.01)])
        assert [node.applied_index for node in cluster.status().nodes] == [1, 1, 1]

        with pytest.raises(UsageError, match="no link can do that: loss is a probability"):
            cluster.set_links([LinkFault(source=1, target=2, loss=2)])
        assert [node.applied_index for node in cluster.status().nodes] == [1, 1, 1]

        cluster.set_links([])
        assert [node.applied_index for node in cluster.status().nodes] == [0, 0, 0]


@cluster_test
def test_rolling_takes_one_at_a_time_the_leader_last(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        chosen = cluster.restart("all", rolling=True)

        assert [node.id for node in chosen] == [2, 3, 1]
        history = [
            (event["event"], event["target"])
            for event in map(json.loads, cluster.config.event_log(0).read_text().splitlines())
            if event["event"] in ("node.exited", "node.spawned")
        ]
        assert history[3:] == [
            (what, node) for node in (2, 3, 1) for what in ("node.exited", "node.spawned")
        ]


@cluster_test
def test_rolling_never_loses_the_quorum(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.kill(3)

        with pytest.raises(LauncherError, match=r"would lose the quorum: 1 of 3.*n3 is down"):
            cluster.restart("1", "2", rolling=True)

        assert [node.restarts for node in cluster.status().nodes] == [0, 0, 0]
        cluster.restart("all", rolling=True)  # begins with the one that is down
        assert [node.state for node in cluster.status().nodes] == ["up"] * 3


@cluster_test
def test_requests_at_once(tmp_path: Path) -> None:
    """Whatever they do to each other, every one is answered and the cluster is whole after."""
    with fake_cluster(tmp_path, 4) as cluster:
        failures: list[Exception] = []

        def torment(node: int) -> None:
            other = FakeCluster.attach(cluster.config)
            for _ in range(5):
                try:
                    other.kill(node)
                    other.start(node)
                    other.restart(node % 4 + 1)
                except LauncherError as error:  # somebody else's kill or restart came between
                    if " is down: " not in str(error):
                        failures.append(error)

        threads = [threading.Thread(target=torment, args=(node,)) for node in (1, 2, 3, 4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        assert failures == []
        cluster.start(1, 2, 3, 4)
        assert cluster.wait(leader=True).leader == 1


@cluster_test
def test_what_is_broken_for_a_block_is_mended_at_its_end(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        with (
            cluster.disk(2, fault="cycle 5s 5s") as nodes,
            cluster.partition("1,2|3") as groups,
            cluster.throttle(1, "50%"),
            cluster.pause(3) as paused,
        ):
            assert [node.id for node in nodes] == [2]
            assert groups == [[1, 2], [3]]
            assert [node.id for node in paused] == [3]
            status = cluster.status()
            assert disks(cluster) == ["", "cycle-disk 5s 5s", ""]
            assert [node.throttle for node in status.nodes] == [0.5, None, None]
            assert [node.cut_off_from for node in status.nodes] == [[3], [3], [1, 2]]
            assert [node.state for node in status.nodes] == ["up", "up", "paused"]
        status = cluster.status()
        assert disks(cluster) == ["", "", ""]
        assert [node.throttle for node in status.nodes] == [None] * 3
        assert [node.cut_off_from for node in status.nodes] == [[]] * 3
        assert [node.state for node in status.nodes] == ["up"] * 3

        with cluster.pause(3):
            cluster.kill(3)  # the end of the block finds nobody to resume
        assert cluster.status().node(3).state == "down"
