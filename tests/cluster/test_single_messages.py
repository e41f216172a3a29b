"""One election, one message, one entry, made by hand: `time-out`, `drop`, `submit --node`."""

from __future__ import annotations

import os
import signal
import time

import pytest

from launcher import Cluster, LauncherError, NotCommitted, TimedOut
from tests.cluster.lab import Lab, eventually

pytestmark = pytest.mark.cluster

SLOW = "name: lab\ntimescale: 4\nraft: {pre_vote: off, failure_hint: off}\n"
"""Election timeouts of 2 s to 4 s, as in the paper: what is done by hand comes before them."""


@pytest.fixture
def slow(lab: Lab) -> Lab:
    (lab.folder / "cluster.yaml").write_text(SLOW)
    return lab


def others(lab: Lab, leader: int) -> list[int]:
    return [node["id"] for node in lab.ps()["nodes"] if node["id"] != leader]


# -- elections -----------------------------------------------------------------------------------


def test_a_node_that_is_timed_out_campaigns_at_once(slow: Lab) -> None:
    slow.up(3)
    leader = slow.leader()
    node = others(slow, leader)[0]
    term = slow.ps()["term"]
    done = slow.launcher("time-out", f"n{node}", check=True)
    assert f"(campaigns in term {term + 1})" in done.out
    eventually(lambda: slow.events("election.timed_out"), "the event")
    eventually(lambda: slow.ps()["term"] > term, "a later term")
    slow.leader()


def test_with_pre_votes_a_node_that_is_timed_out_only_asks(lab: Lab) -> None:
    lab.up(3, "--timescale", "4")
    leader = lab.leader()
    term = lab.ps()["term"]
    done = lab.launcher("time-out", "follower", check=True)
    assert f"(asks for pre-votes for term {term + 1})" in done.out
    assert lab.leader() == leader
    assert lab.ps()["term"] == term


def test_two_that_campaign_together_split_the_vote(slow: Lab) -> None:
    """Of four voters each gets two votes, its own and one more, or one; nobody has three."""
    (slow.folder / "cluster.yaml").write_text(SLOW + "log: {level: debug}\n")
    slow.up(4)
    leader = slow.leader()
    a, b, c = others(slow, leader)
    slow.launcher("partition", f"{leader}|{a}|{b}|{c}", check=True)
    term = slow.ps()["term"]
    slow.launcher("time-out", f"n{a},n{b}", check=True)
    eventually(
        lambda: len([e for e in slow.events("election.started") if e["term"] == term + 1]) == 2,
        "both to campaign in the same term",
    )
    won = [e for e in slow.events("leader.elected") if e["term"] == term + 1]
    assert not won, "each has voted for itself"


# -- messages ------------------------------------------------------------------------------------


def test_a_message_that_is_to_be_lost_is_lost_once_and_told_of(slow: Lab) -> None:
    slow.up(3)
    leader = slow.leader()
    a, b = others(slow, leader)
    term = slow.ps()["term"]
    slow.launcher("kill", str(leader), check=True)
    slow.launcher("drop", f"n{b}>n{a}", "requestvotereply", check=True)
    slow.launcher("time-out", str(a), check=True)
    eventually(lambda: slow.events("message.dropped"), "the vote to be lost")
    (event,) = slow.events("message.dropped")
    assert (event["node"], event["from"], event["to"]) == (b, b, a)
    assert event["type"] == "RequestVoteReply"
    said = slow.launcher("timeline", "--event", "message.dropped", check=True).out
    assert f"RequestVoteReply from n{b} to n{a} was lost" in said
    assert not [e for e in slow.events("leader.elected") if e["term"] == term + 1]
    assert slow.launcher("drop", check=True).out == "", "nothing more is to be lost"
    slow.leader()  # by a later election


def test_heartbeats_are_lost_until_an_election_and_entries_are_not(slow: Lab) -> None:
    slow.up(3)
    leader = slow.leader()
    slow.launcher("drop", "leader>followers", "heartbeat", "-n", "1000", check=True)
    slow.launcher("submit", "ADD a", check=True)  # an AppendEntries with an entry passes
    eventually(lambda: slow.ps()["term"] > 1, "an election, for want of heartbeats")
    assert {e["type"] for e in slow.events("message.dropped")} == {"heartbeat"}
    slow.launcher("heal", check=True)
    assert slow.launcher("drop", "--json", check=True).json == {"drops": []}
    slow.leader()
    assert {e["from"] for e in slow.events("message.dropped")} >= {leader}


def test_what_is_to_be_lost_outlives_the_node_that_would_send_it(slow: Lab) -> None:
    slow.up(3)
    leader = slow.leader()
    a, _ = others(slow, leader)
    slow.launcher("drop", f"n{a}>n{leader}", "AppendEntriesReply", "-n", "2", check=True)
    slow.launcher("restart", str(a), check=True)
    eventually(lambda: len(slow.events("message.dropped")) == 2, "both to be lost")
    assert {e["node"] for e in slow.events("message.dropped")} == {a}


def test_a_message_that_is_held_can_be_lost_and_those_behind_it_arrive(slow: Lab) -> None:
    """The entry is sent again when the reply to what came behind it shows that it is missing."""
    (slow.folder / "cluster.yaml").write_text(SLOW + "tap: {mode: full}\n")
    slow.up(3)
    leader = slow.leader()
    a, _ = others(slow, leader)
    link = f"n{leader}>n{a}"
    slow.launcher("link", link, "hold", check=True)
    slow.launcher("submit", "ADD x", check=True)

    slow.launcher("drop", link, "entries", check=True)
    eventually(lambda: slow.events("message.dropped"), "the held one to be lost")
    slow.launcher("link", link, "ok", check=True)
    slow.converge()

    assert slow.launcher("drop", "--json", check=True).json == {"drops": []}
    (lost,) = slow.events("message.dropped")
    assert (lost["node"], lost["to"]) == (leader, a)
    said = slow.launcher("timeline", "--messages", "--ids", "--event", "message.lost", check=True)
    assert "drop" in said.out, said.out


# -- an entry at one node ------------------------------------------------------------------------


def test_a_leader_that_is_cut_off_has_an_entry_and_does_not_commit_it(slow: Lab) -> None:
    slow.up(3)
    leader = slow.leader()
    a, b = others(slow, leader)
    slow.launcher("submit", "ADD kept", check=True)
    slow.launcher("partition", f"{leader}|{a},{b}", check=True)

    began = time.monotonic()
    done = slow.launcher("submit", "--node", f"n{leader}", "ADD lost", "--timeout", "0.5")
    assert time.monotonic() - began < 5.0
    assert (done.status, done.out) == (4, "")
    assert done.err == (
        f"launcher: n{leader} has the entry at index 3 and has not committed it in 0.5 s: "
        "it may still be committed or lost\n"
    )
    eventually(lambda: slow.ps()["leader"] in (a, b), "another leader")
    slow.launcher("submit", "ADD new", check=True)
    slow.launcher("heal", check=True)
    slow.converge()
    assert slow.launcher("read", "LS", check=True).out == "kept\nnew\n"
    (gone,) = slow.events("log.truncated")
    assert (gone["node"], gone["first_index"]) == (leader, 3)


def test_a_cut_that_is_healed_in_time_lets_the_entry_be_committed(slow: Lab) -> None:
    slow.up(3)
    leader = slow.leader()
    a, b = others(slow, leader)
    with Cluster.attach(slow.folder / "cluster.yaml") as cluster:
        cluster.partition(f"{leader}|{a},{b}")
        with pytest.raises(NotCommitted) as caught:
            cluster.submit_to(leader, "ADD a", timeout_s=0.1)
        assert isinstance(caught.value, TimedOut)
        assert (caught.value.node, caught.value.first_index) == (leader, 2)
        cluster.heal()
        cluster.wait(commit=2)
        assert cluster.read("LS").text in ("a", "")  # "" if an election was quicker


def test_a_leader_commits_what_is_given_to_it(slow: Lab) -> None:
    slow.up(3)
    leader = slow.leader()
    done = slow.launcher("submit", "--node", str(leader), "ADD a", "ADD b", "FOO", "--json")
    assert done.status == 1, "the machine refuses the last one"
    indexes = [line.split('"index": ')[1].split(",")[0] for line in done.lines]
    assert indexes == ["2", "3", "4"]
    slow.launcher("submit", "ADD c", check=True)
    assert slow.launcher("read", "LS", check=True).out == "a\nb\nc\n"


def test_a_node_that_does_not_lead_says_so_and_nothing_is_submitted(slow: Lab) -> None:
    slow.up(3)
    leader = slow.leader()
    node = others(slow, leader)[0]
    done = slow.launcher("submit", "--node", str(node), "ADD a")
    assert done.status == 1
    assert done.err == (
        f"launcher: n{node} does not lead; it follows n{leader}; nothing was submitted\n"
    )
    slow.launcher("kill", str(node), check=True)
    done = slow.launcher("submit", "--node", str(node), "ADD a")
    assert (done.status, done.last_error) == (
        1,
        f"launcher: n{node} cannot be reached, and nothing was submitted",
    )
    assert slow.launcher("read", "LS", check=True).out == ""


def test_a_node_that_is_paused_may_have_it_or_not(slow: Lab) -> None:
    slow.up(3)
    leader = slow.leader()
    pid = slow.node(leader)["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        done = slow.launcher("submit", "--node", str(leader), "ADD a", "--timeout", "0.3")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert done.status == 4
    assert f"n{leader} has not answered in 0.3 s: it may have the entry or not" in done.last_error
    with pytest.raises(LauncherError), Cluster.attach(slow.folder / "cluster.yaml") as cluster:
        cluster.submit_to(99, "ADD a")
