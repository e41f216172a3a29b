"""Data that is gone, or older than it should be: no acknowledged entry is lost without a word."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from launcher import Cluster, NoAnswer
from launcher.folders import records, sealed
from tests.cluster.lab import PATIENCE_S, Done, Lab, eventually

pytestmark = pytest.mark.cluster

GONE = "its data is gone, and it has lived before"
OLDER = "its data is an older copy"


def folder(lab: Lab, node: int) -> Path:
    return lab.folder / "data" / f"node-{node}"


def read(lab: Lab) -> list[str]:
    return lab.launcher("read", "LS", check=True).lines


def submit(lab: Lab, *names: str) -> None:
    lab.launcher("submit", *(f"ADD {name}" for name in names), check=True)


def put_back(copy: Path, place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(copy, place)


def refused(done: Done, node: int, why: str) -> None:
    assert done.status == 1
    assert f"n{node} is failed: {why}" in done.last_error
    assert "\n" not in done.err.strip()


def last_two_acknowledged_three(lab: Lab) -> None:
    """n1 and n2 hold three acknowledged entries that n3 lacks, and all are down."""
    lab.up(3)
    lab.launcher("transfer", "3", check=True)
    submit(lab, "base")
    lab.launcher("kill", "3", check=True)
    submit(lab, "a", "b", "c")
    lab.launcher("kill", "1", "2", check=True)


def test_a_voter_whose_folder_was_removed_does_not_elect_a_leader_without_its_entries(
    lab: Lab,
) -> None:
    last_two_acknowledged_three(lab)
    shutil.rmtree(folder(lab, 2))

    refused(lab.launcher("start", "2", "3"), 2, GONE)
    assert lab.node(2)["state"] == "failed"
    assert "launcher rebuild 2" in lab.node(2)["reason"]
    late = lab.launcher("wait", "--leader", "--timeout", "2")
    assert late.status in (1, 4), "n3 alone is no majority"

    lab.launcher("start", "1", check=True)
    assert read(lab) == ["a", "b", "base", "c"]
    lab.launcher("rebuild", "2", check=True)
    submit(lab, "d")
    lab.converge()
    assert [node["state"] for node in lab.ps()["nodes"]] == ["up"] * 3
    assert read(lab) == ["a", "b", "base", "c", "d"]
    assert not lab.events("safety.violated")


@pytest.mark.parametrize("what", ["emptied", "end cut off", "last segments gone"])
def test_a_folder_that_has_lost_a_part_is_refused(lab: Lab, what: str) -> None:
    lab.up(3)
    submit(lab, *(f"f{number}" for number in range(50)))
    lab.launcher("kill", "2", check=True)
    submit(lab, "more")
    files = sorted(folder(lab, 2).iterdir())
    segments = [file for file in files if file.suffix == ".wal" and not file.name.startswith("sp")]
    if what == "emptied":
        for file in files:
            file.unlink()
    elif what == "end cut off":
        (folder(lab, 2) / "synced.mark").unlink()
        data = segments[-1].read_bytes()
        segments[-1].write_bytes(data[: len(data.rstrip(b"\0")) // 2].ljust(len(data), b"\0"))
    else:
        (folder(lab, 2) / "synced.mark").unlink()
        for segment in segments:
            segment.unlink()
    done = lab.launcher("start", "2")
    assert done.status == 1
    assert "n2 is failed: " in done.last_error
    assert "launcher rebuild 2" in done.last_error
    lab.launcher("rebuild", "2", check=True)
    lab.converge()


def test_a_folder_that_is_removed_while_its_node_runs_is_missed_at_its_next_start(
    lab: Lab,
) -> None:
    """The supervisor starts a node that failed again, and that must not be an empty voter."""
    lab.up(3)
    submit(lab, "a")
    shutil.rmtree(folder(lab, 2))
    os.kill(lab.node(2)["pid"], signal.SIGABRT)  # a failure: it is started again by itself
    eventually(lambda: lab.node(2)["state"] == "failed", "n2 is refused")
    assert lab.node(2)["reason"].startswith(GONE)
    lab.launcher("rebuild", "2", check=True)
    assert read(lab) == ["a"]


def test_an_older_copy_of_a_folder_is_refused_within_a_life_and_across_lives(
    lab: Lab, tmp_path: Path
) -> None:
    lab.up(3)
    submit(lab, "a")
    lab.converge()
    copy = tmp_path / "copy"
    shutil.copytree(folder(lab, 2), copy)  # while it runs: a copy of this very life
    submit(lab, "b")
    lab.launcher("kill", "2", check=True)
    newest = tmp_path / "newest"
    shutil.copytree(folder(lab, 2), newest)

    put_back(copy, folder(lab, 2))
    refused(lab.launcher("start", "2"), 2, OLDER)

    put_back(newest, folder(lab, 2))
    lab.launcher("start", "2", check=True)  # nothing is missing: it counts
    lab.converge()
    lab.launcher("kill", "2", check=True)
    put_back(newest, folder(lab, 2))
    refused(lab.launcher("start", "2"), 2, OLDER)
    lab.launcher("rebuild", "2", check=True)
    lab.converge()
    assert read(lab) == ["a", "b"]


def test_a_whole_data_folder_that_is_put_back_is_accepted(lab: Lab, tmp_path: Path) -> None:
    lab.up(3)
    submit(lab, "a")
    lab.launcher("down", check=True)
    backup = tmp_path / "backup"
    shutil.copytree(lab.folder / "data", backup)
    lab.up(3)
    submit(lab, "b")
    later = tmp_path / "later"
    lab.launcher("down", check=True)
    shutil.copytree(folder(lab, 2), later)

    put_back(backup, lab.folder / "data")
    lab.up(3)
    assert read(lab) == ["a"]
    submit(lab, "c")
    lab.launcher("kill", "2", check=True)
    put_back(later, folder(lab, 2))  # of the history that was given up: as many starts, other ones
    done = lab.launcher("start", "2")
    assert done.status == 1
    assert "another history" in done.last_error or OLDER in done.last_error


def test_without_lives_json_an_emptied_folder_is_refused_all_the_same(lab: Lab) -> None:
    lab.up(3)
    submit(lab, "a")
    lab.launcher("down", check=True)
    (lab.folder / "data" / "lives.json").unlink()
    shutil.rmtree(folder(lab, 2))
    lab.launcher("up", "3", "-d")
    eventually(lambda: lab.node(2)["state"] == "failed", "n2 is refused")
    assert lab.node(2)["reason"].startswith(GONE)
    assert "lives.json is missing" in lab.events("record.damaged")[0]["what"]
    assert read(lab) == ["a"]


@pytest.mark.parametrize("nodes", [1, 2])
def test_who_has_lost_all_data_is_told_so(lab: Lab, nodes: int) -> None:
    lab.up(nodes)
    submit(lab, "a")
    lab.launcher("down", check=True)
    for node in range(1, nodes + 1):
        shutil.rmtree(folder(lab, node))
    done = lab.launcher("up", str(nodes), "-d")
    assert done.status == 1
    assert GONE in done.last_error
    assert "no other node has the data" in done.last_error
    assert "rebuild" not in done.last_error


def test_with_a_majority_lost_recover_begins_anew_from_one_survivor(lab: Lab) -> None:
    lab.up(3)
    submit(lab, "a", "b")
    lab.launcher("snapshot", "1", check=True)
    submit(lab, "c")
    lab.converge()
    running = lab.launcher("recover", "1")
    assert running.status == 1
    assert "is running here" in running.last_error
    lab.launcher("down", check=True)
    for node in (2, 3):
        shutil.rmtree(folder(lab, node))

    done = lab.launcher("up", "3", "-d")
    assert done.status == 1
    assert "`launcher recover 1`" in done.last_error
    before = (lab.folder / "data" / "cluster.json").read_bytes()
    asked = lab.launcher("recover", "1")
    assert asked.status == 1
    assert "nothing was changed" in asked.last_error
    assert "all of it would count" in asked.out
    assert (lab.folder / "data" / "cluster.json").read_bytes() == before

    lab.launcher("recover", "1", "--yes", check=True)
    lab.launcher("up", "-d", check=True)
    assert read(lab) == ["a", "b", "c"]
    assert [node["id"] for node in lab.ps()["nodes"]] == [1]
    added = lab.launcher("add", "2", "--json", check=True).json["chosen"]
    assert [node["id"] for node in added] == [4, 5]
    lab.launcher("kill", "leader", check=True)
    submit(lab, "d")
    assert read(lab) == ["a", "b", "c", "d"]


def test_after_a_recovery_an_entry_that_nobody_answered_counts_and_is_applied_once(
    lab: Lab,
) -> None:
    """It is the uncommitted tail of the survivor's log. Its session is in the snapshot."""
    lab.up(3)
    with Cluster.attach(lab.folder / "cluster.yaml") as cluster:
        cluster.submit("ADD a")
        survivor = cluster.wait(leader=True, converged=True).leader
        assert survivor is not None
        cluster.snapshot(survivor)
        cluster.pause("followers")
        with pytest.raises(NoAnswer) as unanswered:
            cluster.submit("ADD b", timeout_s=1.0)
        cluster.kill("all")
    lab.launcher("down", check=True)
    intact = lab.launcher("recover", str(survivor))
    assert (intact.status, "a majority of the data is intact" in intact.out) == (1, True)
    for node in {1, 2, 3} - {survivor}:
        shutil.rmtree(folder(lab, node))

    lab.launcher("recover", str(survivor), "--yes", check=True)
    lab.launcher("up", "-d", check=True)
    assert read(lab) == ["a", "b"]
    (done,) = unanswered.value.resend(timeout_s=PATIENCE_S)
    assert (done.ok, done.text) == (True, "added"), "the first answer, not that it exists already"
    assert read(lab) == ["a", "b"]


def test_what_the_survivor_lacks_is_said_before_it_is_given_up(lab: Lab) -> None:
    last_two_acknowledged_three(lab)
    lab.launcher("down", check=True)
    shutil.rmtree(folder(lab, 1))
    behind = lab.launcher("recover", "3")
    assert "n2's data is more recent" in behind.out
    assert "`launcher recover 2` would keep it" in behind.out
    shutil.rmtree(folder(lab, 2))
    alone = lab.launcher("recover", "3")
    assert "n1's data is lost" in alone.out
    assert "may be missing" in alone.out
    assert lab.launcher("recover", "2").last_error.endswith(
        f"n2 has no data folder in {lab.folder / 'data'}; there: n3"
    )
    assert lab.launcher("recover", "two").status == 2


def test_a_folder_of_the_cluster_before_a_recovery_is_refused(lab: Lab, tmp_path: Path) -> None:
    lab.up(3)
    submit(lab, "a")
    lab.launcher("down", check=True)
    old = tmp_path / "old"
    shutil.copytree(folder(lab, 1), old)
    lab.launcher("recover", "1", "--yes", check=True)
    lab.launcher("up", "-d", check=True)
    lab.launcher("kill", "1", check=True)
    put_back(old, folder(lab, 1))
    done = lab.launcher("start", "1")
    assert done.status == 1
    assert "belongs to node 1 of cluster" in done.last_error


def test_a_recovery_that_was_broken_off_is_finished_by_the_next_command(lab: Lab) -> None:
    """SIGKILL between its steps: what stands on disk is what a crash there would leave."""
    lab.up(3)
    submit(lab, "a")
    lab.launcher("down", check=True)
    data = lab.folder / "data"
    kept = {name: (data / name).read_bytes() for name in ("cluster.json", "lives.json")}
    with_intent = lab.folder / "intent"
    code = (
        "import os, pathlib, shutil, sys\n"
        "from launcher.folders import recovery\n"
        "from launcher.config import load\n"
        "config = load()\n"
        "recovery.finish = lambda config: None\n"
        "recovery.recover(config, 1)\n"
    )
    subprocess.run(
        [sys.executable, "-c", code], cwd=lab.folder, env=lab.environment(None), check=True
    )
    assert (data / "recovery.json").exists()
    assert {name: (data / name).read_bytes() for name in kept} == kept
    shutil.copytree(data, with_intent)
    (data / "node-1").rename(data / "node-1.before-x")  # and it got so far
    lab.launcher("up", "-d", check=True)
    assert read(lab) == ["a"]
    assert [node["id"] for node in lab.ps()["nodes"]] == [1]
    assert not (data / "recovery.json").exists()
    lab.launcher("down", check=True)

    put_back(with_intent, data)  # and once more, from right behind the intent
    lab.launcher("up", "-d", check=True)
    assert read(lab) == ["a"]
    assert not (data / "node-1.recovering").exists()


def test_after_a_recovery_nobody_gets_an_id_that_an_old_entry_names_as_a_voter(lab: Lab) -> None:
    """Who joins goes by each old configuration for a while: under such an id it would vote by it.
    (Found by the simulated world: seed 5036 of 20 s.)"""
    lab.up(1)
    lab.launcher("add", "2", check=True)
    submit(lab, "a")
    lab.launcher("down", check=True)
    for node in (2, 3):
        shutil.rmtree(folder(lab, node))
    (lab.folder / "data" / "cluster.json").write_bytes(b"damaged")
    lab.launcher("recover", "1", "--yes", check=True)
    lab.launcher("up", "-d", check=True)
    added = lab.launcher("add", "2", "--json", check=True).json["chosen"]
    assert [node["id"] for node in added] == [4, 5]
    assert read(lab) == ["a"]


def test_a_damaged_cluster_json_is_refused_and_a_survivor_can_begin_anew(lab: Lab) -> None:
    """One flipped digit made six founders of one, and the empty ones outvoted the real one."""
    lab.up(1)
    submit(lab, "a", "b")
    lab.launcher("down", check=True)
    file = lab.folder / "data" / "cluster.json"
    file.write_bytes(file.read_bytes().replace(b'"founders":[1]', b'"founders":[6]'))
    for words in (("up", "-d"), ("up", "1", "-d"), ("up", "6", "-d")):
        done = lab.launcher(*words)
        assert done.status == 1
        assert "cluster.json is damaged (its checksum is another)" in done.last_error
    file.write_bytes(b"\xff\xfe\x00")
    assert lab.launcher("up", "-d").status == 1
    lab.launcher("recover", "1", "--yes", check=True)
    lab.launcher("up", "-d", check=True)
    assert read(lab) == ["a", "b"]


def test_a_cluster_json_that_tells_of_another_beginning_is_refused(lab: Lab) -> None:
    """It is intact, and not this cluster's: each log says how its cluster began."""
    lab.up(3)
    submit(lab, "a")
    lab.launcher("down", check=True)
    file = lab.folder / "data" / "cluster.json"
    mine = sealed.unseal(file.read_bytes(), records.ClusterRecord)
    for changes in ({"founders": [1, 2, 3, 4, 5]}, {"founders": [1]}, {"most_sessions": 7}):
        file.write_bytes(sealed.seal(msgspec.structs.replace(mine, **changes)))
        sessions = f"sessions: {{most: {changes.get('most_sessions', 10_000)}}}\n"
        (lab.folder / "cluster.yaml").write_text(f"name: lab\n{sessions}")
        done = lab.launcher("up", "-d")
        assert done.status == 1
        assert "says that its cluster began with nodes 1, 2, 3, " in done.last_error
        assert "put back the cluster.json that belongs to this data" in done.last_error
    file.write_bytes(sealed.seal(mine))
    (lab.folder / "cluster.yaml").write_text("name: lab\n")
    lab.launcher("up", "-d", check=True)
    assert read(lab) == ["a"]
