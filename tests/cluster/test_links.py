"""Links between real processes do what `launcher link` says: each word's effect, and its end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from launcher import Cluster, NotCommitted
from launcher.errors import LauncherError
from launcher.evidence.messages.reading import Messages
from node.raft.messages import NodeId
from tests.cluster.lab import PATIENCE_S, Lab, eventually

pytestmark = pytest.mark.cluster


@contextmanager
def calm(lab: Lab, *, nodes: int = 3, heartbeat: str = "200ms") -> Iterator[tuple[Cluster, NodeId]]:
    """A cluster in which nobody campaigns within a test, however busy the machine is."""
    raft = f"{{election_timeout: {{min: 20s, max: 40s}}, heartbeat_interval: {heartbeat}}}"
    (lab.folder / "cluster.yaml").write_text(f"name: lab\nmachine: kv\nraft: {raft}\n")
    lab.up(nodes)
    cluster = Cluster.attach(lab.folder / "cluster.yaml")
    with cluster:
        cluster.submit("SET before 1", timeout_s=PATIENCE_S)
        status = cluster.wait(leader=True, converged=True, timeout_s=PATIENCE_S)
        assert status.leader is not None
        yield cluster, status.leader


def seconds(cluster: Cluster, entry: str) -> float:
    began = time.monotonic()
    cluster.submit(entry, timeout_s=PATIENCE_S)
    return time.monotonic() - began


def others(cluster: Cluster, node: NodeId) -> list[NodeId]:
    return [one.id for one in cluster.status().nodes if one.id != node]


def commit_of(cluster: Cluster, node: NodeId) -> int:
    return cluster.status().node(node).last_index


def test_a_delay_shows_in_the_latency_of_an_entry_and_ends(lab: Lab) -> None:
    with calm(lab) as (cluster, _):
        fast = min(seconds(cluster, f"SET a {n}") for n in range(5))
        assert fast < 0.1
        done = lab.launcher("link", "all", "delay", "100ms", "20ms", check=True)
        assert done.out == "n1>n2, n1>n3, n2>n1, n2>n3, n3>n1, n3>n2: delay 100ms 20ms\n"
        assert all(seconds(cluster, f"SET b {n}") > 0.16 for n in range(3)), "there and back"
        assert "100ms 20ms" in lab.launcher("ps", "--links", check=True).out
        lab.launcher("link", "all", "ok", check=True)
        assert min(seconds(cluster, f"SET c {n}") for n in range(5)) < 0.1


def test_a_cut_is_one_way(lab: Lab) -> None:
    """The follower hears nobody, and the leader hears what it says of that: it asks for votes."""
    with calm(lab) as (cluster, leader):
        deaf, healthy = others(cluster, leader)
        before = commit_of(cluster, deaf)
        with cluster.link(f"{leader}>{deaf}", "cut"):
            cluster.submit("SET a 1", timeout_s=PATIENCE_S)
            eventually(lambda: commit_of(cluster, healthy) > before, "the other one has it")
            assert commit_of(cluster, deaf) == before
            node = cluster.status().node(deaf)
            assert (node.cannot_hear, node.cannot_send_to) == ([leader], [])
            said = lab.launcher("ps", check=True).out
            assert f"no message of n{leader} reaches n{deaf}" in said
        eventually(lambda: commit_of(cluster, deaf) > before, "it catches up")

        before = commit_of(cluster, deaf)
        with cluster.link(f"{deaf}>{leader}", "cut"):
            cluster.submit("SET b 1", timeout_s=PATIENCE_S)
            eventually(lambda: commit_of(cluster, deaf) > before, "it hears, and cannot answer")
            peers = {one.id: one for one in cluster.status().node(leader).peers}
            assert peers[deaf].match_index < peers[healthy].match_index


def test_a_rate_bounds_the_bytes_that_cross_in_a_second(lab: Lab) -> None:
    with calm(lab) as (cluster, leader):
        slow, quick = others(cluster, leader)
        cluster.link(f"{leader}>{slow}", "rate 1mbit")
        began, before = time.monotonic(), commit_of(cluster, slow)
        for number in range(8):
            cluster.submit(f"SET big{number} {'x' * 50_000}", timeout_s=PATIENCE_S)
        goal = commit_of(cluster, leader)
        eventually(lambda: commit_of(cluster, quick) == goal, "the other one has them")
        eventually(lambda: commit_of(cluster, slow) == goal, "they have crossed")
        took_s = time.monotonic() - began
        assert took_s > 8 * 8 * 50_000 / 1e6, "400,000 bytes at 125,000 a second"
        assert commit_of(cluster, slow) > before
        lab.launcher("link", f"{leader}>{slow}", "ok", check=True)
        began = time.monotonic()
        for number in range(8):
            cluster.submit(f"SET big{number} {'y' * 50_000}", timeout_s=PATIENCE_S)
        goal = commit_of(cluster, leader)
        eventually(lambda: commit_of(cluster, slow) == goal, "without the rate they cross at once")
        assert time.monotonic() - began < took_s


def test_what_is_held_arrives_when_the_link_is_ok(lab: Lab) -> None:
    """A leader sends anew what was lost, but not before the next heartbeat."""
    with calm(lab, heartbeat="6s") as (cluster, leader):
        follower, other = others(cluster, leader)
        lab.launcher("link", f"{leader}>{follower}", "hold", check=True)
        before = commit_of(cluster, follower)
        cluster.submit("SET a 1", timeout_s=PATIENCE_S)
        eventually(lambda: commit_of(cluster, other) > before, "the other one has the entry")
        assert commit_of(cluster, follower) == before
        assert "hold" in lab.launcher("ps", "--links", check=True).out
        done = lab.launcher("link", f"{leader}>{follower}", "ok", check=True)
        assert done.out == f"n{leader}>n{follower}: ok\n"
        began = time.monotonic()
        eventually(lambda: commit_of(cluster, follower) > before, "it has the entry")
        assert time.monotonic() - began < 2.0


def test_a_link_that_loses_everything_is_not_cut(lab: Lab) -> None:
    with calm(lab) as (cluster, leader):
        follower, other = others(cluster, leader)
        before = commit_of(cluster, follower)
        with cluster.link(f"{leader}>{follower}", "loss 100%"):
            cluster.submit("SET a 1", timeout_s=PATIENCE_S)
            eventually(lambda: commit_of(cluster, other) > before, "the other one has it")
            assert commit_of(cluster, follower) == before
            assert cluster.status().node(follower).cannot_hear == []
        eventually(lambda: commit_of(cluster, follower) > before, "it catches up")
        with cluster.link("all", "loss 30% duplicate 30% reorder 30%"):
            for number in range(10):
                cluster.submit(f"SET b {number}", timeout_s=PATIENCE_S)
        cluster.wait(converged=True, timeout_s=PATIENCE_S)
        assert cluster.read("GET b", timeout_s=PATIENCE_S).text == "9"


def test_messages_are_doubled_and_overtake_each_other_until_the_link_is_ok(lab: Lab) -> None:
    with calm(lab) as (cluster, leader):
        follower, _ = others(cluster, leader)
        link = f"{leader}>{follower}"
        cluster.tap("full")
        spans: dict[str, tuple[int, int]] = {}
        for word in ("duplicate 100%", "reorder 50%", "ok"):
            cluster.link(link, "ok")
            cluster.link(link, word)
            began = time.time_ns()
            for number in range(40):
                cluster.submit(f"SET a {number}", timeout_s=PATIENCE_S)
            spans[word] = began, time.time_ns()
            cluster.wait(converged=True, timeout_s=PATIENCE_S)
        doubled, mixed, plain = (arrived(lab, leader, follower, *span) for span in spans.values())
        assert min(len(doubled), len(plain)) >= 40
        assert {doubled.count(one) for one in doubled} == {2}
        assert mixed != sorted(mixed)
        assert len(mixed) == len({*mixed})
        assert plain == sorted({*plain})


def arrived(lab: Lab, source: NodeId, target: NodeId, since: int, until: int) -> list[int]:
    """When the messages were sent that have arrived on this link, in the order of their arrival.
    since, until: nanoseconds; only those that were sent between them"""
    found = []
    for event in Messages(lab.folder / "logs" / "tap").events():
        sent_t = int(str(event.fields.get("sent_t", 0)))
        here = event.node == target and event.fields.get("from") == source
        if event.event == "message.received" and here and since < sent_t < until:
            found.append(sent_t)
    return found


def test_a_profile_shows_in_the_latency_of_an_entry(lab: Lab) -> None:
    with calm(lab) as (cluster, _):
        with cluster.link("all", "profile 3g"):
            assert all(seconds(cluster, f"SET a {n}") > 0.24 for n in range(3)), "there and back"
        assert min(seconds(cluster, f"SET b {n}") for n in range(5)) < 0.1


def test_a_shape_cuts_exactly_what_ps_says(lab: Lab) -> None:
    with calm(lab, nodes=5) as (cluster, leader):
        for shape in ("halves", "minority", "leader", "bridge"):
            cluster.partition(shape)
            away = cluster.status().node(leader).cut_off_from
            before = commit_of(cluster, leader)
            with suppress(NotCommitted):  # without a majority
                cluster.submit_to(leader, f"SET {shape} 1", timeout_s=2.0)
            got = {one.id for one in cluster.status().nodes if one.last_index > before}
            assert got == {1, 2, 3, 4, 5} - {*away}, shape
            cluster.heal()
            cluster.wait(converged=True, timeout_s=PATIENCE_S)
            assert cluster.read(f"GET {shape}", timeout_s=PATIENCE_S).text == "1"


def test_partition_and_link_add_up_and_heal_ends_all(lab: Lab) -> None:
    with calm(lab) as (cluster, leader):
        one, two = others(cluster, leader)
        lab.launcher("partition", f"{one}|{leader},{two}", check=True)
        lab.launcher("link", f"{leader}-{two}", "delay", "100ms", check=True)
        assert seconds(cluster, "SET a 1") > 0.18
        lab.launcher("link", "all", "ok", check=True)
        before = commit_of(cluster, one)
        cluster.submit("SET b 1", timeout_s=PATIENCE_S)
        assert commit_of(cluster, one) == before, "the partition is another layer"
        assert cluster.status().node(one).cut_off_from == sorted([leader, two])
        lab.launcher("link", f"{leader}>{two}", "cut", check=True)
        with pytest.raises(LauncherError):
            cluster.submit("SET c 1", timeout_s=1.0)

        lab.launcher("clock", str(two), "rate", "1.05", check=True)
        lab.launcher("disk", str(one), "slow", "1ms", check=True)
        lab.launcher("pause", str(two), check=True)
        done = lab.launcher("link", f"{leader}>{two}", "loss", "1%", check=True)
        assert done.last_error == (
            f"n{two} has not confirmed: it is paused; the change takes effect when it runs again"
        )
        done = lab.launcher("heal", check=True)
        groups = ",".join(map(str, sorted([leader, two])))
        assert done.out == (
            f"healed: partition {one}|{groups}; links n{leader}>n{two}; clock of n{two}; "
            f"disk of n{one}; resumed n{two}\n"
        )
        assert cluster.submit("SET d 1", timeout_s=PATIENCE_S).ok
        cluster.wait(leader=True, converged=True, timeout_s=PATIENCE_S)
        status = lab.ps()
        assert status["links"] == []
        assert [(node["clock"], node["disk"]) for node in status["nodes"]] == [("", "")] * 3
        done = lab.launcher("heal", check=True)
        assert (done.out, done.last_error) == ("", "nothing to do: no fault is in force")


def test_each_node_of_a_ring_hears_a_majority_and_a_leader_serves(lab: Lab) -> None:
    with calm(lab, nodes=5) as (cluster, leader):
        done = lab.launcher("partition", "majorities-ring", check=True)
        assert done.out.count(">") == 10
        assert len(cluster.status().node(leader).cut_off_from) == 2
        assert cluster.submit("SET a 1", timeout_s=PATIENCE_S).ok
        cluster.heal()
        cluster.wait(converged=True, timeout_s=PATIENCE_S)


REFUSED = {
    "1>9 cut": "there is no node 9",
    "1>1 cut": "a link leads from one node to another, not to itself",
    "1>2-3 cut": "names no links",
    "1>2 loss 150%": "loss takes a percentage from 0% to 100%, not '150%'",
    "1>2 cut rate 0": "rate takes bits per second with a unit",
    "1>2 frobnicate": "a link cannot do 'frobnicate'",
    "1>2 profile 6g": "no profile is called '6g'",
    "1>2 delay 50": "delay takes a duration with a unit",
    "1>2 delay -5ms": "delay takes a duration with a unit",
    "1>2 cut --jsn": "No such option '--jsn'",
    "1>2": "Missing argument",
}


def test_bad_words_get_one_line_and_change_nothing(lab: Lab) -> None:
    lab.up(3)
    for words, said in REFUSED.items():
        done = lab.launcher("link", *words.split())
        assert (words, done.status, done.out) == (words, 2, "")
        assert said in done.last_error
        assert len(done.err.splitlines()) == 1
    assert lab.ps()["links"] == []
    assert lab.launcher("heal", check=True).out == ""
