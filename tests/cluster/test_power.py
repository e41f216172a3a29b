"""Real processes without power: what they had not synced is lost, and nothing that they had."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from launcher import Cluster
from launcher.errors import LauncherError, UsageError
from launcher.folders.process_identity import ProcessRecord
from tests.cluster.lab import PATIENCE_S, Lab, eventually
from tests.cluster.load import Load

pytestmark = pytest.mark.cluster

NEVER = "restart: {policy: never}\n"


def begin(lab: Lab, nodes: int = 3) -> tuple[Cluster, int]:
    """A cluster that holds an acknowledged entry on each node; and one of its followers."""
    (lab.folder / "cluster.yaml").write_text(f"name: lab\nlog: {{digest_every: 20}}\n{NEVER}")
    lab.up(nodes)
    cluster = Cluster.attach(lab.folder / "cluster.yaml")
    cluster.submit("ADD synced-entry")
    cluster.wait(converged=True, timeout_s=PATIENCE_S)
    return cluster, next(one.id for one in cluster.status().nodes if one.role == "follower")


def folder_of(lab: Lab, node: int) -> Path:
    return lab.folder / "data" / f"node-{node}"


def holds(lab: Lab, node: int, text: str) -> bool:
    """Whether the node's log has this text in it, as a process reads it."""
    return any(text.encode() in path.read_bytes() for path in folder_of(lab, node).glob("*.wal"))


def check_whole(lab: Lab, cluster: Cluster, held: list[str]) -> None:
    """Nothing that was acknowledged is lost, and all nodes are up and agree."""
    cluster.disk("all", fault="ok")
    cluster.start("all")
    cluster.wait(converged=True, timeout_s=PATIENCE_S)
    assert cluster.read("LS").text.splitlines() == sorted(held)
    assert all(len(set(said.values())) == 1 for said in lab.digests().values())
    assert not lab.events("safety.violated")


@pytest.mark.parametrize("torn", [False, True])
def test_a_write_whose_sync_is_under_way_is_lost_with_the_power_alone(lab: Lab, torn: bool) -> None:
    cluster, away = begin(lab)
    cluster.disk(away, fault="slow 1h")
    cluster.submit("ADD unsynced-entry")
    eventually(lambda: holds(lab, away, "unsynced-entry"), "it is written, and not synced")
    cluster.kill(away)
    assert holds(lab, away, "unsynced-entry"), "the operating system keeps it"
    (chosen,) = cluster.kill(away, power=True, torn=torn)
    assert "was down already" in chosen.note
    if not torn:
        assert "bytes of 0000000001.wal" in chosen.note
        assert not holds(lab, away, "unsynced-entry")
    assert holds(lab, away, "synced-entry")
    check_whole(lab, cluster, ["synced-entry", "unsynced-entry"])


def test_a_write_that_hangs_is_lost_with_the_power(lab: Lab) -> None:
    cluster, away = begin(lab)
    cluster.disk(away, fault="hang")
    cluster.submit("ADD hanging-entry")
    eventually(lambda: "hangs" in cluster.status().node(away).disk, "a write hangs")
    done = lab.launcher("kill", str(away), "--power", check=True)
    assert done.out.startswith(f"power failed at n{away}: follower, term ")
    assert not holds(lab, away, "hanging-entry")
    assert holds(lab, away, "synced-entry")
    check_whole(lab, cluster, ["synced-entry", "hanging-entry"])


def test_a_sync_that_fails_loses_its_pages(lab: Lab) -> None:
    """Until the power fails they can be read."""
    cluster, away = begin(lab)
    cluster.disk(away, fault="fail-sync")
    cluster.submit("ADD thrown-away")
    eventually(lambda: cluster.status().node(away).state == "failed", "it stops")
    assert holds(lab, away, "thrown-away")
    cluster.kill(away, power=True, torn=True)
    assert not holds(lab, away, "thrown-away"), "a tear keeps none of them"
    assert holds(lab, away, "synced-entry")
    check_whole(lab, cluster, ["synced-entry", "thrown-away"])


def test_what_is_written_again_after_a_failed_sync_survives(lab: Lab) -> None:
    """The node does not trust its page cache when it starts: it writes its last record again."""
    cluster, away = begin(lab)
    cluster.disk(away, fault="fail-sync")
    cluster.submit("ADD written-again")
    eventually(lambda: cluster.status().node(away).state == "failed", "it stops")
    cluster.start(away)
    cluster.kill(away, power=True)
    assert holds(lab, away, "written-again")
    check_whole(lab, cluster, ["synced-entry", "written-again"])


def test_a_removal_that_was_not_synced_is_undone(lab: Lab) -> None:
    """The oldest snapshot is removed when a third one counts, and the folder not synced for it."""
    cluster, away = begin(lab)
    held = ["synced-entry"]

    def snapshots() -> list[str]:
        return sorted(path.name for path in folder_of(lab, away).glob("*.snapshot"))

    seen: list[list[str]] = []
    for number in range(3):
        held.append(f"entry-{number}")
        cluster.submit(f"ADD {held[-1]}")
        cluster.wait(converged=True, timeout_s=PATIENCE_S)
        cluster.snapshot(away)
        seen.append(snapshots())
    assert [len(names) for names in seen] == [1, 2, 2]
    cluster.kill(away)
    assert snapshots() == seen[2]
    (chosen,) = cluster.kill(away, power=True)
    assert snapshots() == [*seen[0], *seen[2]]
    assert f"names undone: {seen[0][0]}" in chosen.note
    check_whole(lab, cluster, held)


def test_whatever_the_power_takes_nothing_acknowledged_is_lost(lab: Lab) -> None:
    cluster, _ = begin(lab)
    with Load(lab.folder) as load:  # its client tries again while all are down
        for number in range(5):
            load.goes_on(50)
            cluster.kill("all", power=True, torn=number % 3 != 0)
            cluster.start("all")
        load.goes_on(1)
    cluster.wait(converged=True, timeout_s=PATIENCE_S)
    there = cluster.read("LS").text.splitlines()
    held = [entry.removeprefix("ADD ") for entry in load.acknowledged]
    assert there == sorted(["synced-entry", *held])
    events = lab.events("fault.injected", "node.exited", "power.lost", "node.spawned")
    since = events[[event["event"] for event in events].index("fault.injected") :]
    for number in range(5):
        told = [event["event"] for event in since[10 * number : 10 * number + 10]]
        assert told == (
            ["fault.injected"] + 3 * ["node.exited"] + 3 * ["power.lost"] + 3 * ["node.spawned"]
        )
    injected = lab.events("fault.injected")
    assert len({event["seed"] for event in injected}) == 5
    assert {(event["fault"], *event["targets"]) for event in injected} == {("power", 1, 2, 3)}
    assert len({event["id"] for event in injected}) == 5
    assert all(len(set(said.values())) == 1 for said in lab.digests().values())


def test_bad_words_of_a_loss_of_power(lab: Lab) -> None:
    cluster, away = begin(lab)
    for words, why in [
        (["--power", "-s", "TERM"], "a loss of power sends no SIGTERM"),
        (["--torn"], "--torn is for a loss of power"),
    ]:
        done = lab.launcher("kill", str(away), *words)
        assert done.status == 2
        assert why in done.last_error
    with pytest.raises(UsageError, match="SIGINT"):
        cluster.kill(away, signal="INT", power=True)
    with pytest.raises(LauncherError, match="--torn"):
        cluster.kill(away, torn=True)
    assert cluster.status().node(away).state == "up"
    assert not lab.events("fault.injected")


def test_the_forks_of_a_node_end_with_its_power_and_what_they_had_not_synced_is_lost(
    lab: Lab,
) -> None:
    cluster, away = begin(lab)
    cluster.disk(away, fault="slow 1h")
    taking = folder_of(lab, away) / "taking.tmp"
    lab.spawn("snapshot", str(away))
    eventually(taking.exists, "a fork writes a snapshot, and waits for its sync")
    forks = [
        ProcessRecord.of(fork.pid)
        for fork in psutil.Process(cluster.status().node(away).pid).children()
    ]
    assert forks
    cluster.kill(away, power=True)
    assert not any(fork.lives() for fork in forks)
    assert not taking.exists()
    check_whole(lab, cluster, ["synced-entry"])
