"""Locks, elections, members and messages on real processes: what ends, ends by the log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from launcher import Cluster
from launcher.client.subscriber import Message
from node.errors import CommandError
from tests.cluster.lab import PATIENCE_S, Lab, eventually

pytestmark = pytest.mark.cluster


def test_a_lease_ends_across_a_change_of_leader_and_no_token_comes_twice(lab: Lab) -> None:
    cluster = up(lab, "lock")
    assert cluster.submit("ACQUIRE kept ann 1h").text == "1"
    assert cluster.submit("ACQUIRE door ann 500ms").text == "2"
    (killed,) = cluster.kill("leader")
    with pytest.raises(CommandError, match="kept is held by ann with token 1, for"):
        cluster.submit("ACQUIRE kept bob 1s")
    # Nothing is submitted from here on, and a read is no entry: the leader says that it is over.
    eventually(lambda: "door" not in cluster.read("LOCKS").text, "the lease ends by itself")
    with pytest.raises(CommandError, match="nobody holds door"):
        cluster.submit("RENEW door ann 2 1s")
    cluster.start(killed.id)
    cluster.kill("all")
    cluster.start("all")
    assert cluster.submit("ACQUIRE door bob 1h").text == "3"
    assert [line.rsplit(" ", 1)[0] for line in same_everywhere(cluster, "LOCKS")] == [
        "door bob 3",
        "kept ann 1",
    ]


def test_the_next_in_line_takes_over_by_itself(lab: Lab) -> None:
    cluster = up(lab, "election")
    assert cluster.submit("CAMPAIGN boss ann 1h").text == "leads 1"
    assert cluster.submit("CAMPAIGN boss bob 1h").text == "waits 1 ann 1"
    assert cluster.submit("CAMPAIGN boss cid 1h").text == "waits 2 ann 1"
    assert cluster.submit("CAMPAIGN boss ann 500ms").text == "leads 1"
    (killed,) = cluster.kill("leader")
    eventually(lambda: cluster.read("LEADER boss").text.startswith("bob 2 "), "bob leads")
    assert cluster.submit("RESIGN boss bob").text == "resigned"
    assert cluster.submit("CAMPAIGN boss cid 1h").text == "leads 3"
    cluster.start(killed.id)
    assert same_everywhere(cluster, "OFFICES")[0].startswith("boss cid 3 ")


def test_a_silent_member_has_failed_at_the_same_point_for_every_node(lab: Lab) -> None:
    cluster = up(lab, "members")
    for command in ("JOIN ann 1h at home", "JOIN cid 1h", "JOIN bob 500ms"):
        cluster.submit(command)
    (killed,) = cluster.kill("leader")
    assert cluster.submit("HEARTBEAT ann").ok
    eventually(lambda: "failed bob" in cluster.read("HISTORY").text, "bob has failed")
    with pytest.raises(CommandError, match="bob is no member in view 4"):
        cluster.submit("HEARTBEAT bob")
    cluster.submit("LEAVE cid")
    cluster.start(killed.id)
    assert same_everywhere(cluster, "VIEW") == ["5", "ann 1 at home"]
    assert same_everywhere(cluster, "HISTORY") == [
        *("1 joined ann", "2 joined cid", "3 joined bob", "4 failed bob", "5 left cid"),
    ]


def test_a_watcher_hears_every_message_once_whoever_dies(lab: Lab, tmp_path: Path) -> None:
    cluster = up(lab, "multicast")
    texts = [f"message {number}" for number in range(40)]
    heard = tmp_path / "heard"
    with heard.open("wb") as out:
        watcher = lab.spawn("watch", "--json", "-n", str(len(texts)), stdout=out)
    try:
        send(cluster, texts[:10])
        eventually(lambda: lines(heard) == 10, "the first messages, as they come")
        (killed,) = cluster.kill("leader")
        send(cluster, texts[10:20])
        eventually(lambda: lines(heard) == 20, "those of the next leader")
        cluster.start(killed.id)
        cluster.kill("all")
        cluster.start("all")
        send(cluster, texts[20:])
        assert watcher.wait(PATIENCE_S) == 0
    finally:
        watcher.kill()
        complaints = watcher.communicate()[1]
    assert complaints == b""
    said = [json.loads(line) for line in heard.read_text().splitlines()]
    assert said == [{"number": n, "text": text} for n, text in enumerate(texts, 1)]
    assert same_everywhere(cluster, "KEPT") == ["1 40"]


def test_the_watcher_of_a_node_sees_what_that_node_has_applied(lab: Lab) -> None:
    cluster = up(lab, "multicast")
    leader = lab.leader()
    lonely = leader % 3 + 1
    send(cluster, ["before"])
    watched = cluster.watch(node=lonely)
    assert next(watched).text == "before"
    others = ",".join(str(node) for node in (1, 2, 3) if node != lonely)
    cluster.partition(f"{lonely}|{others}")
    send(cluster, ["meanwhile"])
    assert cluster.read("KEPT", stale=True, node=lonely).text == "1 1"
    assert [message.text for message in first(2, cluster)] == ["before", "meanwhile"]
    cluster.heal()
    assert next(watched).text == "meanwhile"


# -- vocabulary ------------------------------------------------------------------------------------


def up(lab: Lab, machine: str) -> Cluster:
    lab.up(3, "--machine", machine)
    return Cluster.attach(lab.folder / "cluster.yaml")


def same_everywhere(cluster: Cluster, query: str) -> list[str]:
    """The lines that every node answers, when all have applied the same log."""
    nodes = cluster.wait(converged=True, timeout_s=PATIENCE_S).up
    assert len(nodes) == 3
    answers = {cluster.read(query, stale=True, node=node.id).text for node in nodes}
    assert len(answers) == 1
    return answers.pop().splitlines()


def send(cluster: Cluster, texts: list[str]) -> None:
    assert all(done.ok for done in cluster.submit_many([f"SEND {text}" for text in texts]))


def first(count: int, cluster: Cluster) -> list[Message]:
    watched = cluster.watch()
    return [next(watched) for _ in range(count)]


def lines(file: Path) -> int:
    return file.read_bytes().count(b"\n")
