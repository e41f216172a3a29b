"""Nodes come and go while the cluster runs."""

from __future__ import annotations

import subprocess

import msgspec
import pytest

from launcher.config import load
from launcher.supervisor.claim import Claim
from tests.cluster.lab import PATIENCE_S, Lab, eventually
from tests.cluster.load import Load
from tests.launcher.fake_cluster import runtime_folder

pytestmark = pytest.mark.cluster


def test_from_one_to_seven_to_three_under_load_and_the_leader_is_among_the_removed(
    lab: Lab,
) -> None:
    lab.up(1)
    load = Load(lab.folder, "ADD load-{}".format)
    load.start()
    added = lab.launcher("add", "2", "--json", check=True).json["chosen"]
    assert [(node["id"], node["role"]) for node in added] == [(2, "follower"), (3, "follower")]
    lab.launcher("add", "4", check=True)
    status = lab.ps()
    assert [node["id"] for node in status["nodes"]] == [1, 2, 3, 4, 5, 6, 7]
    assert all(node["voter"] and node["state"] == "up" for node in status["nodes"])

    lab.launcher("kill", "follower", check=True)
    leader = lab.leader()
    away = [node["id"] for node in lab.ps()["nodes"] if node["state"] == "down"]
    others = [n for n in range(1, 8) if n not in (leader, *away)]
    gone = [leader, *away, *others[:2]]
    lab.launcher("remove", *map(str, gone), check=True)
    left = sorted(set(range(1, 8)) - set(gone))
    assert [node["id"] for node in lab.ps()["nodes"]] == left
    lab.launcher("kill", "leader", check=True)
    load.goes_on(5)
    load.stop()
    acknowledged = {entry.removeprefix("ADD ") for entry in load.acknowledged}
    listed = lab.launcher("read", "LS", check=True).lines
    assert acknowledged <= set(listed)
    assert len(listed) <= len(acknowledged) + 1

    for node in gone:
        assert not (lab.folder / "data" / f"node-{node}").exists()
    lab.launcher("down", check=True)
    lab.launcher("up", "-d", check=True)
    assert [node["id"] for node in lab.ps()["nodes"]] == left
    assert acknowledged <= set(lab.launcher("read", "LS", check=True).lines)
    added = lab.launcher("add", "--json", check=True).json["chosen"]
    assert [node["id"] for node in added] == [8], "no id is given twice"


def test_what_cannot_be_removed_stays(lab: Lab) -> None:
    lab.up(3)
    done = lab.launcher("remove", "all")
    assert done.status == 1
    assert "somebody has to stay" in done.last_error
    lab.launcher("kill", "3", check=True)
    done = lab.launcher("remove", "1")
    assert done.status == 1
    assert "it takes 2" in done.last_error
    assert [node["id"] for node in lab.ps()["nodes"]] == [1, 2, 3]
    lab.launcher("remove", "3", check=True)
    assert [node["id"] for node in lab.ps()["nodes"]] == [1, 2]
    assert lab.launcher("kill", "3").status == 2


def test_without_a_leader_nothing_is_added(lab: Lab) -> None:
    lab.up(3)
    lab.launcher("kill", "2,3", check=True)
    eventually(lambda: lab.ps()["leader"] is None, "the leader notices that it is alone")
    done = lab.launcher("add")
    assert done.status == 1
    assert "there is no leader now" in done.last_error
    assert len(lab.ps()["nodes"]) == 3
    assert lab.launcher("add", "0").status == 2


def test_a_damaged_node_is_rebuilt_from_its_peers(lab: Lab) -> None:
    lab.up(3)
    names = [f"f{number}" for number in range(200)]
    lab.launcher("submit", "-", stdin="".join(f"ADD {n}\n" for n in names), check=True)
    lab.converge()
    lab.launcher("kill", "2", check=True)
    segment = lab.folder / "data" / "node-2" / "0000000001.wal"
    content = bytearray(segment.read_bytes())
    content[800] ^= 1
    segment.write_bytes(content)
    refused = lab.launcher("start", "2")
    assert refused.status == 1
    assert "`launcher rebuild 2` brings it back" in refused.last_error
    assert "damaged" in lab.node(2)["reason"]

    lab.launcher("rebuild", "2", check=True)
    node = lab.node(2)
    assert (node["state"], node["voter"], node["reason"]) == ("up", True, "")
    lab.converge()
    stale = lab.launcher("read", "LS", "--stale", "--node", "2", check=True)
    assert stale.lines == sorted(names)
    lab.launcher("kill", "1", check=True)
    lab.launcher("submit", "ADD with n2 and n3", check=True)

    refused = lab.launcher("rebuild", "3")
    assert refused.status == 1
    assert "it takes 2" in refused.last_error


def test_the_only_node_has_no_peers_to_learn_from(lab: Lab) -> None:
    lab.up(1)
    lab.launcher("submit", "ADD a", check=True)
    refused = lab.launcher("rebuild", "1")
    assert refused.status == 1
    assert lab.launcher("read", "LS", check=True).lines == ["a"]


# -- in the middle of a change -------------------------------------------------------------------


def in_a_joint_configuration(lab: Lab) -> tuple[int, int, int, subprocess.Popen[bytes]]:
    """Five nodes, of which three are to be left, and stay in the joint configuration: of those
    three one is down, and the disk of another one hangs.

    The leader, the one that is down, the one whose disk hangs, and the command that waits.
    """
    lab.up(5)
    leader = lab.leader()
    away, hangs, *gone = [n for n in range(1, 6) if n != leader]
    lab.launcher("kill", str(away), check=True)
    lab.launcher("disk", str(hangs), "hang", check=True)
    removing = lab.spawn("remove", *map(str, gone))
    eventually(
        lambda: any(
            event["node"] == leader and event["outgoing"]
            for event in lab.events("configuration.adopted")
        ),
        "the leader goes by the old voters and the new",
    )
    return leader, away, hangs, removing


def test_a_rolling_restart_counts_both_halves_of_a_joint_configuration(lab: Lab) -> None:
    leader, away, hangs, removing = in_a_joint_configuration(lab)
    try:
        membership = lab.ps()["membership"]
        assert membership["outgoing"] == [1, 2, 3, 4, 5]
        assert membership["voters"] == sorted([leader, away, hangs])

        done = lab.launcher("restart", str(hangs), "--rolling")
        assert done.status == 1
        assert f"restarting n{hangs} would lose the quorum: 3 of 5 old voters" in done.last_error
        assert "1 of 3 new voters" in done.last_error
        assert f"n{away} is down" in done.last_error
        assert lab.node(hangs)["restarts"] == 0

        lab.launcher("disk", str(hangs), "ok", check=True)
        assert removing.wait(PATIENCE_S) == 0
    finally:
        removing.kill()
        removing.communicate()
    lab.launcher("restart", str(away), "--rolling", check=True)
    lab.launcher("restart", "all", "--rolling", check=True)
    assert lab.ps()["membership"]["voters"] == sorted([leader, away, hangs])


def break_off_an_add(lab: Lab) -> None:
    """As the version before did when it was killed once the new node was on record, and before any
    leader was asked: neither a log nor a change on record names that node. The cluster is down."""
    config = msgspec.structs.replace(load(lab.folder / "cluster.yaml"), nodes=3)
    claim = Claim.take(config, runtime_folder(lab.folder / "run"), fresh=False)
    claim.enlist(1)
    claim.intend(None)
    claim.release()


def test_a_node_that_the_log_has_never_heard_of_makes_nobody_wait(lab: Lab) -> None:
    lab.up(3)
    lab.launcher("submit", "ADD a", check=True)
    lab.launcher("down", check=True)
    break_off_an_add(lab)

    done = lab.launcher("up", "-d", check=True)
    assert "lab: n4: not a member, and no change is under way: `launcher rebuild 4`" in done.err
    assert "not a member" in lab.node(4)["change"]
    assert lab.node(4)["leader"] is None
    lab.launcher("wait", "--leader", "--timeout", "10", check=True)
    lab.launcher("wait", "--converged", "--timeout", "10", check=True)
    assert lab.node(4)["last_index"] == 0

    lab.launcher("rebuild", "4", check=True)
    assert lab.node(4)["voter"]
    lab.launcher("down", check=True)
    assert "n4" not in lab.launcher("up", "-d", check=True).err


def test_wait_has_a_leader_beside_such_a_node_also_while_up_still_waits(lab: Lab) -> None:
    lab.up(3)
    lab.launcher("down", check=True)
    break_off_an_add(lab)

    up = lab.spawn("up", "--timeout", str(PATIENCE_S), stdout=subprocess.DEVNULL)
    try:
        eventually(lambda: lab.launcher("ps").status == 0, "the supervisor answers")
        eventually(lambda: lab.node(4)["state"] == "up", "the new node is up")
        lab.launcher("wait", "--leader", "--timeout", "10", check=True)
        assert up.poll() is None
    finally:
        up.terminate()
        up.communicate()
