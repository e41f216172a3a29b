"""A rolling restart: in which order, what is objected to, who is the heir, and who is back."""

from __future__ import annotations

import msgspec
import pytest

from launcher.control.status import ClusterStatus
from launcher.errors import LauncherError
from launcher.supervisor.rolling import heir, in_order, is_back, objection
from node.raft.membership import stable
from tests.launcher.control.test_status import JOINT, LEARNING, THREE, down, node, status, unknown

FAILED = msgspec.structs.replace(down(3), state="failed", reason="no room")
ALL_UP = msgspec.structs.replace(status(node(1), node(2), node(3)), membership_committed=True)


def changed(found: ClusterStatus, **fields: object) -> ClusterStatus:
    return msgspec.structs.replace(found, **fields)


def refused(n: int, found: ClusterStatus) -> tuple[str, bool]:
    """The text of the objection, and whether it passes."""
    said = objection(n, found)
    assert said is not None
    return said.text, said.passes


def test_those_that_do_not_run_come_first_and_the_leader_last() -> None:
    assert in_order([1, 2, 3], status(node(1), node(2), down(3))) == [3, 2, 1]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_one_of_three_may_be_taken_down_when_all_follow(n: int) -> None:
    assert objection(n, ALL_UP) is None


def test_not_when_another_one_is_down() -> None:
    found = status(node(1), node(2), down(3))
    assert refused(2, found) == (
        "restarting n2 would lose the quorum: 1 of 3 voters would be up and it takes 2; n3 is down",
        False,
    )
    assert objection(3, found) is None, "it takes nothing away"


def test_not_when_one_half_of_a_joint_configuration_would_lose_its_majority() -> None:
    """Old voters 1, 2, 3, new ones 3, 4, 5: three of five would be up."""
    leads = {"leader": 3, "role": "follower"}
    nodes = [down(1), *(node(n, **leads) for n in (2, 4, 5)), node(3, leader=3, role="leader")]
    nodes.sort(key=lambda one: one.id)
    found = changed(status(*nodes, membership=JOINT), leader=3)
    text, passes = refused(2, found)
    assert (
        "1 of 3 old voters (n1, n2, n3) and 3 of 3 new voters (n3, n4, n5) would be up, and it "
        "takes 2 and 2; n1 is down"
    ) in text
    assert not passes
    assert objection(4, found) is None
    assert objection(5, found) is None


def test_not_without_a_leader_but_one_may_come() -> None:
    text, passes = refused(2, changed(ALL_UP, leader=None))
    assert "there is no leader now" in text
    assert passes


def test_not_while_another_one_follows_nobody() -> None:
    """It is up, and cut off: with n2 down the leader would be alone."""
    found = status(node(1), node(2), node(3, leader=None))
    assert refused(2, found) == (
        "restarting n2 would lose the quorum: 1 of 3 voters would follow the leader and it takes 2",
        True,
    )
    assert objection(3, found) is None


def test_the_leader_not_before_it_is_committed_who_votes() -> None:
    found = changed(ALL_UP, membership_committed=False)
    assert refused(1, found) == ("n1 leads, and has yet to commit who votes", True)
    assert objection(2, found) is None


def test_a_learner_takes_no_quorum_away() -> None:
    found = status(node(1), node(2), down(3), node(4), membership=LEARNING)
    assert objection(4, found) is None


def test_the_heir_is_a_restarted_voter_with_most_of_the_log() -> None:
    nodes = [node(1), node(2, last_index=4), node(3), node(4, last_index=9), node(5, last_index=9)]
    found = status(*nodes, membership=stable([1, 2, 3, 5]))
    assert heir(1, [2, 3, 4], found) == 3
    assert heir(1, [], found) is None
    assert heir(2, [3], found) is None, "it does not lead"


def test_a_node_is_back_when_it_follows_and_has_what_was_committed() -> None:
    assert is_back(2, 5, ALL_UP)
    assert not is_back(2, 6, ALL_UP)
    assert not is_back(3, 5, status(node(1), node(2), node(3, leader=None)))
    assert not is_back(2, 5, changed(ALL_UP, leader=None))
    not_yet = status(node(1), node(2, role=None, leader=None), node(3))
    assert not is_back(2, 5, not_yet)
    with pytest.raises(LauncherError, match="n3 is failed: no room"):
        is_back(3, 5, status(node(1), FAILED))


def test_a_node_that_is_no_member_is_back_when_it_runs() -> None:
    assert is_back(4, 5, status(node(1), node(2), node(3), unknown(4), membership=THREE))
