"""Clocks of real processes that are moved on command: elections, leases and cluster time follow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from launcher import Cluster
from node.raft.messages import NodeId
from tests.cluster.lab import PATIENCE_S, Lab, eventually

pytestmark = pytest.mark.cluster


def begin(lab: Lab, machine: str = "kv", raft: str = "", nodes: int = 3) -> Cluster:
    (lab.folder / "cluster.yaml").write_text(f"name: lab\nmachine: {machine}\nraft: {{{raft}}}\n")
    lab.up(nodes)
    return Cluster.attach(lab.folder / "cluster.yaml")


def leader_and_follower(cluster: Cluster) -> tuple[NodeId, NodeId]:
    status = cluster.wait(leader=True, timeout_s=PATIENCE_S)
    assert status.leader is not None
    return status.leader, next(node.id for node in status.nodes if node.id != status.leader)


def events_of(lab: Lab, node: NodeId, name: str) -> list[dict[str, object]]:
    return [event for event in lab.events(name) if event["node"] == node]


def asked(lab: Lab, node: NodeId) -> int:
    """How often it has asked for pre-votes."""
    return sum(bool(event["pre_vote"]) for event in events_of(lab, node, "election.started"))


def seconds_until(holds: Callable[[], bool], what: str) -> float:
    began = time.monotonic()
    eventually(holds, what)
    return time.monotonic() - began


SLOW_ELECTIONS = "election_timeout: {min: 20s, max: 40s}"
"""Nobody campaigns by mistake within a test, however busy the machine is."""


def test_a_follower_bumped_beyond_its_timeout_campaigns_although_the_leader_lives(
    lab: Lab,
) -> None:
    cluster = begin(lab, raft="pre_vote: off, election_timeout: {min: 2s, max: 4s}")
    _, follower = leader_and_follower(cluster)
    term = cluster.status().term
    done = lab.launcher("clock", str(follower), "bump", "50s", check=True)
    assert done.out.startswith(f"clock of n{follower}: follower, term {term}, ")
    eventually(lambda: cluster.status().term > term, "an election")
    (campaign,) = [
        event for event in events_of(lab, follower, "election.started") if event["term"] == term + 1
    ]
    assert cluster.submit("SET a 1", timeout_s=PATIENCE_S).ok
    (injected,) = lab.events("fault.injected")
    assert (injected["fault"], injected["does"]) == ("clock", "bump 50s")
    assert injected["t"] < campaign["t"]
    assert "clock: bump 50s" in lab.launcher("ps", check=True).out
    assert lab.node(follower)["clock"] == "bump 50s"


def test_with_pre_vote_it_asks_and_nobody_follows_it(lab: Lab) -> None:
    cluster = begin(lab, raft=SLOW_ELECTIONS)
    leader, follower = leader_and_follower(cluster)
    term, before = cluster.status().term, asked(lab, follower)
    cluster.clock(follower, "bump 50s")
    eventually(lambda: asked(lab, follower) > before, "it asks for pre-votes")
    status = cluster.wait(leader=True, timeout_s=PATIENCE_S)
    assert (status.leader, status.term) == (leader, term)


def test_a_step_back_delays_no_entry_and_cluster_time_does_not_go_back(lab: Lab) -> None:
    cluster = begin(lab, "lock", SLOW_ELECTIONS)
    leader, _ = leader_and_follower(cluster)
    cluster.submit("ACQUIRE door ann 1h")
    left = [_left_s(cluster)]
    for step in ("bump 5s", "bump -4s", "strobe -2s 50ms", "ok", "strobe 2s 20ms", "ok"):
        cluster.clock(leader, step)
        for number in range(20):
            cluster.submit(f"ACQUIRE other{number} bob 1h")
        left.append(_left_s(cluster))
    assert left == sorted(left, reverse=True), "what is left of a lease never grows"
    assert left[0] - left[1] > 4.5, "the step forward has counted"
    assert cluster.status().leader == leader
    assert not lab.events("frame.skipped"), "no follower has refused an entry for its time"


def _left_s(cluster: Cluster) -> float:
    """For how long the lock `door` is still held, by cluster time; in seconds."""
    return float(cluster.read("HOLDER door").text.split()[2].removesuffix("s"))


def test_a_fast_clock_of_the_leader_ends_leases_early(lab: Lab) -> None:
    cluster = begin(lab, "lock", SLOW_ELECTIONS)
    leader, _ = leader_and_follower(cluster)
    with cluster.clock(leader, "rate 100") as fault:
        assert [node.id for node in fault.chosen] == [leader]
        cluster.submit("ACQUIRE door ann 2m")
        took_s = seconds_until(lambda: "door" not in cluster.read("LOCKS").text, "it ends")
        assert took_s < 60
    assert cluster.status().node(leader).clock == ""
    # It runs true again, and not behind: it has not jumped back by those two minutes.
    cluster.submit("ACQUIRE door ann 1s")
    eventually(lambda: "door" not in cluster.read("LOCKS").text, "a second has passed")


def test_a_strobing_follower_campaigns_again_and_again(lab: Lab) -> None:
    cluster = begin(lab, raft=SLOW_ELECTIONS)
    leader, follower = leader_and_follower(cluster)
    before = asked(lab, follower)
    with cluster.clock(follower, "strobe 50s 30ms"):
        often = "it asks at several of the jumps"
        eventually(lambda: asked(lab, follower) >= before + 3, often)
    assert cluster.wait(leader=True, timeout_s=PATIENCE_S).leader == leader


def test_a_lease_under_a_clock_beyond_its_bound_gives_a_stale_read(lab: Lab) -> None:
    """The leader's clock runs at a tenth of its speed, and it is cut off: it keeps its lease, and
    answers from the past, while the others have a leader and take entries."""
    raft = "election_timeout: {min: 2s, max: 2500ms}, heartbeat_interval: 50ms, reads: lease"
    cluster = begin(lab, raft=raft)
    cluster.submit("SET a old")
    leader, _ = leader_and_follower(cluster)
    cluster.clock(leader, "rate 0.1")
    assert cluster.read("GET a", node=leader).text == "old"
    cluster.partition("leader|followers")
    eventually(lambda: cluster.status().leader not in (leader, None), "another leads")
    other = cluster.status().leader
    assert cluster.read("GET a", node=other, timeout_s=PATIENCE_S).text == "old"
    with Cluster.attach(lab.folder / "cluster.yaml") as writer:
        assert writer.submit("SET a new", timeout_s=PATIENCE_S).ok
        assert writer.read("GET a", node=other, timeout_s=PATIENCE_S).text == "new"
    stale = cluster.read("GET a", node=leader, timeout_s=PATIENCE_S)
    assert stale.text == "old", "with true clocks the lease would have ended long before"
    cluster.heal()
    cluster.wait(converged=True, timeout_s=PATIENCE_S)
    assert cluster.read("GET a", node=leader, timeout_s=PATIENCE_S).text == "new"


def test_a_node_that_is_started_again_keeps_what_moves_its_clock(lab: Lab) -> None:
    cluster = begin(lab, raft=f"{SLOW_ELECTIONS}, heartbeat_interval: 1s")
    leader, follower = leader_and_follower(cluster)
    cluster.clock(follower, "bump -50s")
    cluster.clock(follower, "rate 100")  # the time between two heartbeats is 100 s to it
    cluster.kill(follower)
    cluster.start(follower)
    assert cluster.status().node(follower).clock == "bump -50s, rate 100"
    before = asked(lab, follower)
    eventually(lambda: asked(lab, follower) >= before + 3, "it misses heartbeats in its new life")
    cluster.clock("all", "ok")
    assert [node.clock for node in cluster.status().nodes] == ["", "", ""]
    assert cluster.wait(leader=True, timeout_s=PATIENCE_S).leader == leader


def test_a_wrong_wall_clock_shows_in_the_timeline_and_does_not_break_its_order(lab: Lab) -> None:
    cluster = begin(lab, raft=SLOW_ELECTIONS)
    leader, follower = leader_and_follower(cluster)
    term = cluster.status().term
    lab.launcher("clock", str(follower), "bump", "1h", "--wall", check=True)
    cluster.transfer(follower)
    events = lab.events()
    elected = next(
        event for event in events if event["event"] == "leader.elected" and event["term"] > term
    )
    assert elected["node"] == follower
    assert elected["t"] - time.time_ns() > 3000 * 10**9, "nearly an hour ahead"
    heard = [event for event in events if event["event"] == "leader.heard"]
    later = [event for event in heard if event["term"] == elected["term"]]
    assert later
    assert all(event["t"] > elected["t"] for event in later), "no effect stands before its cause"
    assert [event["t"] for event in events] == sorted(event["t"] for event in events)
    lab.launcher("clock", str(follower), "ok", "--wall", check=True)
    cluster.transfer(leader)
    back = [event for event in lab.events("leader.elected") if event["node"] == leader][-1]
    assert back["t"] > elected["t"], "hybrid times do not go back with the wall clock"


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        ("2 rate 0", 2, "a clock cannot do 'rate 0': rate takes a number, such as 1.05, from 0.01"),
        ("2 rate -1", 2, "a clock cannot do 'rate -1': rate takes a number"),
        ("2 rate nan", 2, "a clock cannot do 'rate nan': rate takes a number"),
        ("2 strobe 200ms", 2, "a clock cannot do 'strobe 200ms': write bump 200ms, "),
        ("2 bump 1000h", 2, "a clock cannot do 'bump 1000h': bump takes a duration"),
        ("2 drift 5", 2, "a clock cannot do '5': write bump 200ms"),
        ("2", 2, "no fault: write for example `clock 2 rate 1.05`"),
        ("rate 2", 2, "no target: write for example `clock 2 rate 2`"),
        ("9 rate 2", 2, "there is no node 9: a target is an id from 1 to 3"),
        ("2 bump -5ms --wal", 2, "No such option '--wal'"),
        ("3 bump 200ms", 1, "n3 is down: bump moves the clock of a node that runs; "),
    ],
)
def test_bad_input_is_one_line_and_changes_nothing(
    down_lab: Lab, words: str, status: int, said: str
) -> None:
    done = down_lab.launcher("clock", *words.split())
    assert done.status == status
    assert done.err.startswith(f"launcher: {said}")
    assert done.err.count("\n") == 1
    assert [node["clock"] for node in down_lab.ps()["nodes"]] == ["", "", ""]


@pytest.fixture(scope="module")
def down_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A cluster whose n3 is down."""
    lab = Lab(tmp_path_factory.mktemp("bad input"))
    try:
        lab.up(3)
        lab.launcher("kill", "3", check=True)
        yield lab
    finally:
        lab.close()
