"""Slow enough to watch: `up --as-in-the-paper`, and `set` on a cluster that runs."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest

from launcher import Cluster
from tests.cluster.lab import Lab, eventually

pytestmark = pytest.mark.cluster


@pytest.fixture
def three(lab: Lab) -> Lab:
    lab.up(3)
    lab.leader()
    return lab


def of(events: list[dict[str, Any]], name: str, node: int | None = None) -> list[dict[str, Any]]:
    return [one for one in events if one["event"] == name and node in (None, one["node"])]


def test_as_in_the_paper_an_election_takes_seconds_and_shows_every_step(lab: Lab) -> None:
    lab.launcher("up", "3", "-d", "--as-in-the-paper", check=True)
    said = lab.launcher("config", check=True).out
    assert "heartbeat_interval: 100ms  # with the timescale: 1s" in said
    assert "pre_vote: off" in said
    assert lab.launcher("config", "--json", check=True).json["timescale"] == 10
    leader = lab.leader()
    assert lab.launcher("submit", "ADD a", check=True).out.split() == ["2", "added"]

    killed_at = time.monotonic()
    lab.launcher("kill", "leader", check=True)
    assert lab.launcher("read", "LS", check=True).out == "a\n", "a read outlasts the election"
    assert time.monotonic() - killed_at > 4.0

    heir = lab.leader()
    term = lab.node(heir)["term"]
    events = [one for one in lab.events() if one["term"] == term]
    steps = [
        of(events, "term.advanced", heir)[0],
        of(events, "election.started", heir)[0],
        next(one for one in of(events, "vote.granted") if one["candidate"] == heir),
        of(events, "leader.elected", heir)[0],
        of(events, "leader.heard")[0],
        of(events, "commit.advanced", heir)[0],
    ]
    times = [one["t"] for one in steps]
    assert times == sorted(times), "every step in the order in which it happens"
    assert heir != leader
    assert times[3] - times[1] > 0.5e9, "a question and an answer of 300 ms each"
    assert not [one for one in lab.events("election.started") if one["pre_vote"]]


def test_a_timescale_is_changed_at_once_and_stays_for_nodes_that_start(lab: Lab) -> None:
    (lab.folder / "cluster.yaml").write_text("name: lab\nraft: {failure_hint: off}\n")
    lab.up(3, "--timescale", "2")
    leader = lab.leader()
    terms = {node["term"] for node in lab.ps()["nodes"]}
    follower = next(node["id"] for node in lab.ps()["nodes"] if node["id"] != leader)
    lab.launcher("pause", str(follower), check=True)

    done = lab.launcher("set", "timescale", "20", check=True)
    assert done.lines == [
        "timescale: 2 -> 20",
        f"n{follower} is paused and has not confirmed it: it changes when it runs again",
    ]
    lab.launcher("resume", str(follower), check=True)
    lab.launcher("restart", str(follower), check=True)
    assert "timescale 20: election timeouts 10s to 20s" in lab.launcher("ps", check=True).out
    lab.launcher("kill", str(leader), check=True)
    time.sleep(5.0)  # at timescale 2 it would be over by then
    assert lab.ps()["leader"] is None

    assert lab.launcher("set", "timescale", "1", "--json", check=True).json["after"] == "1"
    assert lab.leader() != leader
    (first, second) = lab.events("setting.changed")
    assert [first["after"], second["after"]] == ["20", "1"]
    assert len(terms) == 1

    lab.launcher("down", check=True)
    lab.up(3)
    assert lab.launcher("config", "--json", check=True).json["timescale"] == 1


def test_changing_the_timescale_of_a_healthy_cluster_costs_no_election(lab: Lab) -> None:
    lab.up(3)
    lab.leader()
    term = lab.ps()["term"]
    for scale in ("20", "1", "5", "0.5", "1"):
        done = lab.launcher("set", "timescale", scale, check=True)
        assert "confirmed" not in done.out
    time.sleep(2.0)
    assert lab.ps()["term"] == term


def test_pre_votes_the_hint_and_the_level_of_events_change_while_nodes_run(lab: Lab) -> None:
    lab.up(3, "--timescale", "2")
    leader = lab.leader()
    for words in (("log-level", "debug"), ("pre-vote", "off"), ("failure-hint", "off")):
        assert lab.launcher("set", *words, check=True).status == 0
    lab.launcher("kill", str(leader), check=True)
    began = time.monotonic()
    heir = lab.leader()
    assert time.monotonic() - began > 0.8, "no hint: an election timeout of 1 s to 2 s"
    mine = [one for one in lab.events("election.started") if one["node"] == heir]
    assert not mine[-1]["pre_vote"]
    assert lab.events("commit.advanced"), "a debug event"
    listed = lab.launcher("set", check=True).lines
    assert "raft.pre_vote: off" in listed
    assert lab.launcher("set", "log.level", check=True).lines == ["log.level: debug"]


def test_a_client_that_is_there_already_waits_as_long_as_the_new_timers_need(lab: Lab) -> None:
    """Its time-out of 2 s is over long before the next leader is elected."""
    (lab.folder / "cluster.yaml").write_text("name: lab\nclient: {timeout: 2s}\n")
    lab.up(3)
    with Cluster.attach(lab.folder / "cluster.yaml") as cluster:
        cluster.submit("ADD a")
        lab.launcher("set", "failure-hint", "off", check=True)
        lab.launcher("set", "timescale", "8", check=True)
        cluster.kill("leader")
        began = time.monotonic()
        assert cluster.read("LS").text == "a"
        assert time.monotonic() - began > 2.0
        status = cluster.wait(leader=True)
        assert status.leader is not None


MISTAKES = [
    (("set", "timescale", "0"), 2, "timescale is a number from 0.01 to 100, not '0'"),
    (("set", "timescale", "nan"), 2, "timescale is a number from 0.01 to 100, not 'nan'"),
    (("set", "timescale", "1e99"), 2, "timescale is a number from 0.01 to 100, not '1e99'"),
    (("set", "colour", "red"), 2, "there is no setting 'colour'; `set` changes timescale"),
    (("set", "nodes", "3"), 2, "nodes cannot be changed while the cluster runs"),
    (("drop", "n1>n1", "RequestVote"), 2, "from one node to another, not to itself"),
    (("drop", "n1>n9", "RequestVote"), 2, "there is no node 9"),
    (("drop", "n1>n2", "Postcard"), 2, "there is no message 'Postcard'"),
    (("drop", "n1"), 2, "the link needs quotes"),
    (("time-out", "n9"), 2, "there is no node 9"),
    (("time-out", "leader"), 1, "leads, and has no election timer"),
    (("submit", "--node", "9", "x"), 2, "there is no node 9; there are n1, n2, n3"),
    (("submit", "--node", "1", "-"), 2, "not from standard input"),
    (("submit", "--node", "1", ""), 2, "an entry is empty"),
    (("submit", "--node", "1", "x", "--timeout", "nan"), 2, "--timeout takes a number"),
]
"""What is typed; the exit status; and what the one line says."""


def test_bad_input_gets_one_clear_line(three: Lab) -> None:
    for words, status, said in MISTAKES:
        done = three.launcher(*words)
        assert (done.status, done.out) == (status, ""), words
        (line,) = done.err.splitlines()
        assert said in line


def test_without_a_cluster_nothing_is_steered(lab: Lab) -> None:
    for words in ("set timescale 2", "set", "drop", "time-out 1", "submit --node 1 x"):
        done = lab.launcher(*words.split())
        assert done.status == 3
        assert "no cluster is running here" in done.last_error


@pytest.mark.parametrize("scale", ["0", "-5", "nan", "1000"])
def test_up_refuses_a_timescale_that_is_none(lab: Lab, scale: str) -> None:
    done = lab.launcher("up", "3", "-d", f"--timescale={scale}")
    assert done.status == 2
    assert done.err == f"launcher: timescale is a number from 0.01 to 100, not '{scale}'\n"
    assert not os.path.exists(lab.folder / "data" / "cluster.json")


def test_at_the_prompt_the_same_commands(three: Lab) -> None:
    lines = ":set timescale 2\n:set timescale\n:drop n1>n2 requestvote\n:drop\n:heal\n:drop\n"
    done = three.launcher("repl", stdin=lines)
    assert done.status == 0
    assert done.lines[:4] == [
        "timescale: 1 -> 2",
        "timescale: 2",
        "to be lost: n1>n2 RequestVote",
        "to be lost: n1>n2 RequestVote",
    ]
    three.launcher("set", "timescale", "1", check=True)
    eventually(lambda: three.ps()["leader"], "a leader")
