"""Waiting for a cluster: what is waited for, for how long, and what is said when it is over."""

from __future__ import annotations

import msgspec
import pytest

from launcher.control import readiness
from launcher.control.readiness import Remark, remarks, wait, wait_started, wait_until_up
from launcher.control.status import ClusterStatus, NodeStatus
from launcher.errors import LauncherError, TimedOut
from node.raft.membership import stable
from node.raft.messages import Membership, NodeId
from tests.launcher.control.test_status import JOINT, LEARNING, THREE, down, node, status, unknown

FAILED = msgspec.structs.replace(down(3), state="failed", reason="no room")
AGAIN = msgspec.structs.replace(down(3), reason="to be restarted: no room")
WAYS = "`launcher rebuild 3` or `launcher remove 3` ends that"
STARTED = NodeStatus(id=3, state="up")
WELL = status(node(1), node(2), node(3))


class Clock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(readiness, "time", clock)
    return clock


class Told:
    """Answers with one status after the other, and the last one for ever."""

    def __init__(self, *statuses: ClusterStatus, restarting: list[NodeId] | None = None) -> None:
        self.statuses = list(statuses)
        self.restarting = restarting or []
        self.asked = 0

    def __call__(self) -> tuple[ClusterStatus, list[NodeId]]:
        self.asked += 1
        return self.statuses[min(self.asked, len(self.statuses)) - 1], self.restarting


def without_leader(found: ClusterStatus) -> ClusterStatus:
    nodes = [msgspec.structs.replace(one, leader=None, role="follower") for one in found.nodes]
    return msgspec.structs.replace(found, leader=None, nodes=nodes)


# -- until a quorum serves -------------------------------------------------------------------------


def test_all_are_well() -> None:
    ask = Told(without_leader(WELL), WELL)
    assert wait_until_up(ask, 10.0) == (WELL, [])
    assert ask.asked == 2


@pytest.mark.parametrize(
    ("third", "membership", "remark"),
    [
        (FAILED, THREE, Remark("n3 is failed: no room", False)),
        (msgspec.structs.replace(down(3), state="paused"), THREE, Remark("n3 is paused", False)),
        (
            msgspec.structs.replace(down(3), reason="stopped", change="being removed"),
            THREE,
            Remark("n3 is down: stopped; being removed", True),
        ),
        (
            msgspec.structs.replace(node(3, role="learner"), change="being added: learns the log"),
            Membership((1, 2), (1, 2, 3)),
            Remark("n3: being added: learns the log", True),
        ),
        (STARTED, THREE, Remark("n3 was started and has not answered yet", True)),
        (node(3, leader=None), THREE, Remark("n3 does not follow the leader n1 yet", True)),
        (
            node(3, role="learner"),
            Membership((1, 2), (1, 2, 3)),
            Remark("n3 learns and does not vote yet", True),
        ),
        (
            unknown(3),
            stable([1, 2]),
            Remark(f"n3 runs and is not a member of the cluster: {WAYS}", False),
        ),
    ],
)
def test_what_is_not_well_is_said_and_waited_for_only_if_it_may_pass(
    third: NodeStatus, membership: Membership, remark: Remark
) -> None:
    found = status(node(1), node(2), third, membership=membership)
    assert list(remarks(found, [])) == [remark]
    ask = Told(found)
    assert wait_until_up(ask, 10.0) == (found, [remark.text])
    assert (ask.asked > 10) is remark.passes


def test_a_node_that_is_restarted_again_and_again_is_waited_for_a_moment(clock: Clock) -> None:
    found = status(node(1), node(2), AGAIN)
    assert wait_until_up(Told(found, restarting=[3]), 10.0) == (
        found,
        ["n3 is down: to be restarted: no room"],
    )
    assert 100.9 < clock.now < 101.2


def test_the_moment_begins_anew_with_each_leader(clock: Clock) -> None:
    found = status(node(1), node(2), STARTED)
    almost = [found] * 40
    wait_until_up(Told(*almost, without_leader(found), found), 10.0)
    assert 101.7 < clock.now < 102.1


def test_the_moment_ends_with_the_time_that_is_given(clock: Clock) -> None:
    found = status(node(1), node(2), STARTED)
    assert wait_until_up(Told(found), 0.3)[0] == found
    assert clock.now < 100.4


def test_no_quorum_serves_in_time() -> None:
    paused = msgspec.structs.replace(down(3), state="paused")
    found = without_leader(status(node(1), node(2), paused))
    with pytest.raises(TimedOut, match=r"no leader in 3 s; n3 is paused"):
        wait_until_up(Told(found), 3.0)


# -- what cannot come about ------------------------------------------------------------------------


def test_too_few_voters_are_up() -> None:
    found = without_leader(status(node(1), FAILED, AGAIN))
    said = r"^x: 1 of 3 voters are up and it takes 2; n3 is failed \(no room\), n3 is down"
    with pytest.raises(LauncherError, match=said):
        wait(Told(found), lambda status: status.settled, "x", 10.0)


def test_nobody_is_up_and_nobody_has_said_who_votes() -> None:
    found = without_leader(status(FAILED, membership=None))
    with pytest.raises(LauncherError, match=r"^x: no node is up; n3 is failed"):
        wait(Told(found), lambda status: status.settled, "x", 10.0)


def test_learners_cannot_stand_in_for_voters() -> None:
    found = without_leader(status(node(1), down(2), FAILED, node(4), membership=LEARNING))
    with pytest.raises(LauncherError, match="1 of 3 voters are up and it takes 2"):
        wait(Told(found), lambda status: status.settled, "x", 10.0)


def test_both_halves_of_a_joint_configuration_are_named() -> None:
    nodes = [node(1), down(2), down(3), node(4), node(5)]
    found = without_leader(status(*nodes, membership=JOINT))
    said = r"1 of 3 old voters \(n1, n2, n3\) and 2 of 3 new voters .*it takes 2 and 2; n2, n3"
    with pytest.raises(LauncherError, match=said):
        wait(Told(found), lambda status: status.settled, "x", 10.0)


@pytest.mark.parametrize(
    ("nodes", "membership", "restarting"),
    [
        ([node(1), down(2), AGAIN], THREE, [3]),
        ([node(1), node(2), down(4), down(5)], JOINT, []),
        ([node(1), down(2), down(3), down(4)], THREE, [4]),
        ([STARTED, down(2)], None, [2]),
    ],
    ids=[
        "a voter is about to come up",
        "a joint configuration may be truncated",
        "a node that is about to come up may know who votes now",
        "nobody has said who votes",
    ],
)
def test_what_may_yet_come_about_is_waited_for(
    nodes: list[NodeStatus], membership: Membership | None, restarting: list[NodeId]
) -> None:
    found = without_leader(status(*nodes, membership=membership))
    with pytest.raises(TimedOut):
        wait(Told(found, restarting=restarting), lambda status: status.settled, "x", 1.0)


# -- after a start ---------------------------------------------------------------------------------


def behind(node_id: NodeId) -> NodeStatus:
    """It answers, and has not applied what the leader's log holds."""
    return msgspec.structs.replace(node(node_id), applied_index=0)


def test_a_node_is_watched_until_it_has_applied_the_log(clock: Clock) -> None:
    still = status(node(1), node(2), behind(3))
    ask = Told(without_leader(still), still, still, WELL)
    wait_started(ask, [3], 3.0)
    assert ask.asked == 4
    ask = Told(still)
    wait_started(ask, [2], 3.0)
    assert ask.asked == 1, "only those that were started count"


@pytest.mark.parametrize("third", [FAILED, AGAIN])
def test_a_node_that_ends_meanwhile_is_said_and_why(third: NodeStatus) -> None:
    ask = Told(status(node(1), node(2), behind(3)), status(node(1), node(2), third))
    with pytest.raises(LauncherError, match=r"n3 ended a moment after it was started: .*no room"):
        wait_started(ask, [1, 3], 3.0)


def test_a_node_that_somebody_has_ended_is_waited_for_no_more() -> None:
    """Another operator kills it, or removes it: the start came about."""
    still = status(node(1), node(2), behind(3))
    for after in (status(node(1), node(2), down(3)), status(node(1), node(2))):
        ask = Told(still, after)
        wait_started(ask, [3], 3.0)
        assert ask.asked == 2


def test_a_long_log_is_watched_for_a_moment_only(clock: Clock) -> None:
    wait_started(Told(status(node(1), node(2), behind(3))), [3], 3.0)
    assert 103.0 <= clock.now < 103.2


def test_without_a_quorum_there_is_nothing_to_watch(clock: Clock) -> None:
    ask = Told(without_leader(status(behind(1), down(2), down(3))))
    wait_started(ask, [1], 3.0)
    assert ask.asked == 1


def test_a_voter_that_was_removed_since_is_not_missed() -> None:
    """Nobody leads at the moment, and who votes is known from before the others were removed."""
    old = without_leader(status(node(1), node(2), membership=stable([1, 2, 3, 4])))
    told = Told(old, status(node(1), node(2), membership=stable([1, 2])))

    assert wait(told, lambda found: found.served, "no leader", 10.0).leader is not None
