"""Up, down, kill, start: the life of a cluster, as the issue's list asks for it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time

import psutil
import pytest

from tests.cluster.lab import PATIENCE_S, Lab, entries, eventually

pytestmark = pytest.mark.cluster


def submitted(lab: Lab, count: int, prefix: str = "ADD entry") -> list[str]:
    """Submits entries and returns the names that were acknowledged."""
    done = lab.launcher("submit", "-", stdin="\n".join(entries(count, prefix)) + "\n", check=True)
    assert len(done.lines) == count
    return [entry.split(" ", 1)[1] for entry in entries(count, prefix)]


def listed(lab: Lab) -> list[str]:
    return lab.launcher("read", "LS", check=True).lines


def test_up_shows_five_nodes_one_leader_one_term(lab: Lab) -> None:
    begun = time.monotonic()
    lab.launcher("up", "5", "-d", check=True)
    took = time.monotonic() - begun
    status = lab.ps()
    assert [node["state"] for node in status["nodes"]] == ["up"] * 5
    assert [node["role"] for node in status["nodes"]].count("leader") == 1
    assert len({node["term"] for node in status["nodes"]}) == 1
    assert {node["leader"] for node in status["nodes"]} == {status["leader"]}
    assert took < PATIENCE_S


def test_up_serves_beside_a_node_that_refuses_to_start_and_says_so(lab: Lab) -> None:
    lab.up(3)
    kept = submitted(lab, 50)
    lab.converge()
    lab.launcher("down", check=True)
    segment = lab.folder / "data" / "node-2" / "0000000001.wal"
    content = bytearray(segment.read_bytes())
    content[800] ^= 1
    segment.write_bytes(content)

    done = lab.launcher("up", "-d")
    assert done.status == 0, done.err
    (remark,) = [line for line in done.err.splitlines() if line.startswith("lab: n2 ")]
    assert remark.startswith("lab: n2 is failed: ")
    assert "`launcher rebuild 2` brings it back" in remark
    assert "2 of 3 nodes up" in done.out
    assert listed(lab) == kept

    lab.launcher("rebuild", "2", check=True)
    lab.launcher("down", check=True)
    assert not lab.launcher("up", "-d", check=True).err


def test_kill_leader_and_the_next_submit_succeeds(lab: Lab) -> None:
    lab.up(5)
    kept = submitted(lab, 20)
    killed = lab.launcher("kill", "leader", "--json", check=True).json["chosen"]
    assert [node["role"] for node in killed] == ["leader"]
    kept += submitted(lab, 20, "ADD after")
    assert listed(lab) == sorted(kept)
    down = lab.node(killed[0]["id"])
    assert down["state"] == "down"
    assert down["pid"] is None
    lab.launcher("start", str(killed[0]["id"]), check=True)
    lab.converge()
    again = lab.node(killed[0]["id"])
    assert again["state"] == "up"
    assert again["restarts"] == 1


def test_without_a_quorum_submit_gives_up_and_says_so(lab: Lab) -> None:
    lab.up(5)
    kept = submitted(lab, 5)
    lab.launcher("kill", "1,2,3", check=True)
    begun = time.monotonic()
    done = lab.launcher("submit", "ADD later", "--timeout", "2")
    assert time.monotonic() - begun < 2 + PATIENCE_S
    assert done.status == 4
    assert "may still be committed" in done.last_error
    assert "quorum" in done.last_error
    for node_id in (1, 2, 3):
        assert str(node_id) in done.last_error
    said = lab.launcher("submit", "ADD later still", "--timeout", "1", "--json").json
    assert (said["entry"], said["ok"], said["index"]) == ("ADD later still", False, None)
    assert "may still be committed" in said["error"]
    assert lab.launcher("read", "LS", "--timeout", "1", "--json").json["ok"] is False
    lab.launcher("start", "2", check=True)
    kept += submitted(lab, 5, "ADD after")
    assert set(kept) <= set(listed(lab)) <= {*kept, "later", "later still"}


def test_all_killed_at_once_and_nothing_acknowledged_is_lost(lab: Lab) -> None:
    lab.up(5)
    kept = submitted(lab, 200)
    lab.launcher("kill", "all", check=True)
    assert [node["state"] for node in lab.ps()["nodes"]] == ["down"] * 5
    lab.launcher("start", "all", check=True)
    lab.leader()
    assert listed(lab) == kept


def test_a_killed_supervisor_leaves_no_node_and_the_next_up_has_everything(lab: Lab) -> None:
    """Pitfall 1: also with a node that is paused, which cannot see that it is orphaned."""
    lab.up(5)
    kept = submitted(lab, 50)
    lab.launcher("pause", "follower", check=True)
    lab.remember()
    os.kill(lab.ps()["supervisor_pid"], signal.SIGKILL)
    eventually(lambda: not lab.left(), "all nodes gone")
    assert lab.launcher("ps").status == 3
    lab.up(5)
    assert listed(lab) == kept


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signals_to_the_supervisor_take_the_cluster_down_in_good_order(
    lab: Lab, number: signal.Signals
) -> None:
    lab.up(3)
    kept = submitted(lab, 20)
    lab.remember()
    os.kill(lab.ps()["supervisor_pid"], number)
    eventually(lambda: not lab.left(), "all processes gone")
    stopped = [event["node"] for event in lab.events("node.stopped")]
    assert sorted(stopped) == [1, 2, 3]
    lab.up(3)
    assert listed(lab) == kept


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_up_without_a_terminal_prints_the_timeline_until_a_signal(
    lab: Lab, number: signal.Signals, status: int
) -> None:
    """Pitfalls 2, 5, 10."""
    process = lab.spawn("up", "3")
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, "the timeline comes at once, though it goes into a pipe"
        eventually(lambda: lab.launcher("wait", "--leader").status == 0, "a leader")
        lab.remember()
        process.send_signal(number)
        assert process.wait(PATIENCE_S) == status
    finally:
        process.kill()
        process.communicate()
    eventually(lambda: not lab.left(), "all processes gone")
    assert not lab.events("node.failed"), "nobody is reported as failed"


def test_a_launcher_that_is_killed_takes_its_cluster_with_it(lab: Lab) -> None:
    process = lab.spawn("up", "3", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    eventually(lambda: lab.launcher("wait", "--leader").status == 0, "a leader")
    lab.remember()
    process.kill()
    process.wait()
    eventually(lambda: not lab.left(), "all processes gone")


def test_a_second_up_says_what_runs_and_harms_nothing(lab: Lab) -> None:
    """Pitfall 14."""
    lab.up(3)
    pid = lab.ps()["supervisor_pid"]
    done = lab.launcher("up", "3", "-d")
    assert done.status == 1
    assert str(pid) in done.last_error
    assert lab.ps()["supervisor_pid"] == pid


def test_down_works_with_nobody_alive_and_up_resumes(lab: Lab) -> None:
    """Pitfalls 15 and 16."""
    lab.up(3)
    kept = submitted(lab, 10)
    lab.launcher("kill", "all", check=True)
    lab.launcher("down", check=True)
    eventually(lambda: not lab.left(), "all processes gone", patience_s=2)
    assert lab.launcher("ps").status == 3
    lab.up(3)
    assert listed(lab) == kept
    lab.launcher("down", "-v", check=True)
    lab.up(3)
    assert listed(lab) == []


def test_stop_returns_when_the_process_is_gone(lab: Lab) -> None:
    lab.up(3)
    for _ in range(3):
        lab.launcher("stop", "2", check=True)
        lab.launcher("start", "2", check=True)
    lab.converge()


def test_a_node_killed_from_outside_stays_down_and_its_pid_is_not_shot_again(lab: Lab) -> None:
    lab.up(3)
    victim = lab.node(2)["pid"]
    psutil.Process(victim).kill()
    eventually(lambda: lab.node(2)["state"] == "down", "the supervisor notices")
    done = lab.launcher("kill", "2")
    assert done.status in (0, 1)
    lab.launcher("start", "2", check=True)
    lab.converge()


def test_pause_leader_and_another_is_elected(lab: Lab) -> None:
    """The old leader's uncommitted tail is replaced, and nothing acknowledged is lost."""
    lab.up(5)
    kept = submitted(lab, 20)
    (paused,) = lab.launcher("pause", "leader", "--json", check=True).json["chosen"]
    assert lab.node(paused["id"])["state"] == "paused"
    eventually(
        lambda: lab.ps()["leader"] not in (None, paused["id"]), "another leader while it sleeps"
    )
    kept += submitted(lab, 20, "ADD meanwhile")
    lab.launcher("resume", str(paused["id"]), check=True)
    lab.converge()
    assert lab.node(paused["id"])["role"] == "follower"
    assert listed(lab) == sorted(kept)


def test_a_partitioned_leader_with_one_follower_cannot_write(lab: Lab) -> None:
    lab.up(5)
    kept = submitted(lab, 10)
    leader = lab.leader()
    friend = leader % 5 + 1
    rest = [str(n) for n in range(1, 6) if n not in (leader, friend)]
    lab.launcher("partition", f"{leader},{friend}|{','.join(rest)}", check=True)
    eventually(lambda: lab.ps()["leader"] in map(int, rest), "the three elect")
    kept += submitted(lab, 10, "ADD majority")
    lab.launcher("heal", check=True)
    lab.converge()
    assert listed(lab) == sorted(kept)
    digests = lab.digests()
    assert all(len(set(said.values())) == 1 for said in digests.values())


def test_the_minority_of_a_partition_refuses_writes(lab: Lab) -> None:
    lab.up(5)
    leader = lab.leader()
    friend = leader % 5 + 1
    rest = [n for n in range(1, 6) if n not in (leader, friend)]
    lab.launcher("partition", f"{leader},{friend}|{','.join(map(str, rest))}", check=True)
    eventually(lambda: lab.ps()["leader"] in rest, "the three elect")
    lab.launcher("kill", *map(str, rest), check=True)
    done = lab.launcher("submit", "ADD nowhere", "--timeout", "2")
    assert done.status == 4
    assert "may still be committed" in done.last_error
    lab.launcher("start", *map(str, rest), check=True)
    eventually(lambda: lab.ps()["leader"] in rest, "the three elect again, still cut off")


def test_rolling_restart_keeps_the_cluster_writable(lab: Lab) -> None:
    lab.up(5)
    kept = submitted(lab, 10)
    writer = lab.spawn("submit", "-", stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert writer.stdin is not None
    assert writer.stdout is not None
    restart = lab.spawn("restart", "all", "--rolling", "--json")
    sent = 0
    while restart.poll() is None:
        writer.stdin.write(f"ADD rolling {sent:06d}\n".encode())
        writer.stdin.flush()
        assert writer.stdout.readline(), "each entry is answered, whoever is restarting"
        sent += 1
    out, err = restart.communicate()
    assert restart.returncode == 0, err
    assert [node["id"] for node in json.loads(out)["chosen"]] == [1, 2, 3, 4, 5] or sent
    writer.stdin.close()
    assert writer.wait(PATIENCE_S) == 0
    writer.stdout.close()
    assert listed(lab) == sorted([*kept, *(f"rolling {n:06d}" for n in range(sent))])
    assert all(node["restarts"] == 1 for node in lab.ps()["nodes"])


@pytest.mark.parametrize("also_logs", [False, True])
def test_a_cluster_whose_data_is_removed_goes_down_by_itself(lab: Lab, also_logs: bool) -> None:
    """Pitfall 14: it must not run on unreachable, beside the next one."""
    lab.up(3)
    lab.remember()
    shutil.rmtree(lab.folder / "data")
    if also_logs:
        shutil.rmtree(lab.folder / "logs")
    eventually(lambda: not lab.left(), "all processes gone")
    lab.up(5)
    assert len(lab.ps()["nodes"]) == 5
