"""The status of a cluster: what is a quorum, whether it serves, is settled, has converged."""

from __future__ import annotations

import click
import msgspec
import pytest

from launcher.cli.output import nodes_up, status_json
from launcher.cli.prompt import summary
from launcher.cli.status_table import shown, status_table
from launcher.control.divergence import Divergence
from launcher.control.readiness import check_alike
from launcher.control.status import (
    FROZEN_FOR_SAFETY,
    ClusterStatus,
    NodeStatus,
    cluster_status,
    counted,
    find_leader,
    with_word_of,
)
from launcher.errors import LauncherError
from launcher.folders.violations import Report, Violation
from node.raft.membership import stable
from node.raft.messages import Membership, NodeId
from node.wire import Status

THREE = stable([1, 2, 3])
JOINT = Membership(voters=(3, 4, 5), target=(3, 4, 5), outgoing=(1, 2, 3))
LEARNING = Membership(voters=(1, 2, 3), target=(1, 2, 3, 4))


def node(n: int, **fields: object) -> NodeStatus:
    """One that is up and follows node 1 with all of the log."""
    usual = NodeStatus(
        id=n,
        state="up",
        role="leader" if n == 1 else "follower",
        term=2,
        leader=1,
        last_index=5,
        commit_index=5,
        applied_index=5,
    )
    return msgspec.structs.replace(usual, **fields)


def down(n: int) -> NodeStatus:
    return node(n, state="down", role=None, leader=None, term=1, last_index=1)


def unknown(n: int) -> NodeStatus:
    """One that runs, and that the log has never heard of."""
    return node(n, role="learner", leader=None, term=0, last_index=0, commit_index=0)


def status(*nodes: NodeStatus, membership: Membership | None = THREE) -> ClusterStatus:
    term = max(node.term for node in nodes)
    return ClusterStatus(
        cluster="c", supervisor_pid=1, leader=1, term=term, nodes=list(nodes), membership=membership
    )


# -- quorums ---------------------------------------------------------------------------------------


def test_a_quorum_is_a_majority_of_the_voters() -> None:
    three = status(node(1), node(2), down(3))
    assert three.has_quorum([1, 2])
    assert not three.has_quorum([1, 4, 5])
    assert three.quorum_without()
    assert not three.quorum_without(2)
    assert three.quorum_without(3)


def test_a_quorum_of_a_joint_configuration_is_a_majority_of_both_halves() -> None:
    joint = status(down(1), node(2), node(3), node(4), node(5), membership=JOINT)
    assert joint.quorum_without()
    assert joint.quorum_without(4)
    assert not joint.quorum_without(2), "of the old voters only n3 would be left, though 3 of 5 are"


def test_without_a_membership_nothing_is_a_quorum() -> None:
    assert not status(node(1), node(2), membership=None).has_quorum([1, 2])


@pytest.mark.parametrize(
    ("membership", "ids", "may"),
    [
        (THREE, {1, 2}, True),
        (THREE, {1, 4}, False),
        (JOINT, {1, 2}, True),
        (JOINT, {3, 4, 5}, False),
        (None, {1}, True),
    ],
)
def test_what_may_become_a_quorum(
    membership: Membership | None, ids: set[NodeId], may: bool
) -> None:
    """The old voters alone, as long as a joint configuration may be truncated."""
    assert status(node(1), membership=membership).may_become_quorum(ids) is may


def test_quorums_are_told_truthfully() -> None:
    assert counted(THREE, {1, 4}, "are up") == "1 of 3 voters are up and it takes 2"
    assert counted(JOINT, {1, 3, 4, 5}, "would be up") == (
        "2 of 3 old voters (n1, n2, n3) and 3 of 3 new voters (n3, n4, n5) would be up, and it "
        "takes 2 and 2"
    )


# -- served, settled, converged --------------------------------------------------------------------


def test_settled_and_converged() -> None:
    everybody = status(node(1), node(2), node(3))
    assert everybody.served
    assert everybody.settled
    assert everybody.converged
    assert status(node(1), node(2), down(3)).converged
    assert not status(node(1), node(2), node(3, leader=None)).settled
    assert not status(node(1), node(2), node(3, term=1)).settled
    assert not status(node(1), node(2), node(3, term=3)).settled
    assert not status(node(1), node(2, state="paused"), down(3)).settled
    behind = status(node(1), node(2), node(3, applied_index=4))
    assert behind.settled
    assert not behind.converged
    assert not status(node(1, last_index=6), node(2), node(3)).converged


def test_a_quorum_that_follows_serves_whatever_the_others_do() -> None:
    assert status(node(1), node(2), node(3, leader=None)).served
    assert not status(node(1), node(2, leader=None), node(3, leader=None)).served
    assert not status(node(1), node(2), membership=None).served
    of_both = [node(2), node(3), node(4), down(5)]
    assert status(node(1), *of_both, membership=JOINT).served
    assert not status(node(1, leader=None), down(2), *of_both[1:], membership=JOINT).served


def test_a_learner_need_not_follow_and_has_the_same_log() -> None:
    learner = node(4, role="learner", voter=False, leader=None, term=0)
    with_learner = status(node(1), node(2), node(3), learner, membership=LEARNING)
    assert with_learner.settled
    assert with_learner.converged
    behind = msgspec.structs.replace(learner, last_index=3, commit_index=3, applied_index=3)
    with_learner = status(node(1), node(2), node(3), behind, membership=LEARNING)
    assert with_learner.settled
    assert not with_learner.converged


def test_a_node_that_is_no_member_does_not_count() -> None:
    with_stranger = status(node(1), node(2), node(3), unknown(4))
    assert with_stranger.settled
    assert with_stranger.converged


def test_a_learner_does_not_make_a_quorum() -> None:
    assert not status(node(1), down(2), down(3), node(4), membership=LEARNING).served


# -- from what nodes say ---------------------------------------------------------------------------


def said(n: int, **fields: object) -> Status:
    usual = Status(
        role="follower",
        term=2,
        leader=1,
        voter=True,
        membership=stable([n]),
        membership_committed=True,
        first_index=1,
        last_index=5,
        commit_index=5,
        commit_term=2,
        applied_index=5,
        snapshot_index=0,
        digest="",
    )
    return msgspec.structs.replace(usual, **fields)


def gathered(*words: Status) -> ClusterStatus:
    by_id = dict(enumerate(words, 1))
    nodes = [
        with_word_of(NodeStatus(id=n, state="up"), word, answers=True) for n, word in by_id.items()
    ]
    return cluster_status("c", 1, nodes, by_id)


def test_the_membership_is_the_leaders() -> None:
    found = gathered(said(1), said(2, role="leader", membership_committed=False), said(3, term=9))
    assert (found.leader, found.term) == (2, 9)
    assert (found.membership, found.membership_committed) == (stable([2]), False)


def test_of_two_leaders_the_newer_ones_membership_counts() -> None:
    found = gathered(said(1, role="leader"), said(2, role="leader", term=3))
    assert (found.leader, found.membership) == (2, stable([2]))


@pytest.mark.parametrize("newer", [{"term": 3}, {"commit_index": 6}, {"last_index": 6}])
def test_without_a_leader_the_newest_log_knows_best(newer: dict[str, int]) -> None:
    found = gathered(said(1), said(2, **newer), said(3))
    assert (found.leader, found.membership) == (None, stable([2]))


def test_nobody_has_said_anything() -> None:
    found = cluster_status("c", 1, [NodeStatus(id=1, state="up")], {})
    assert (found.leader, found.membership, found.membership_committed) == (None, None, False)


def test_the_word_of_a_process_that_is_gone_gives_no_role() -> None:
    known = with_word_of(NodeStatus(id=1, state="down"), said(1, role="leader"), answers=False)
    assert (known.role, known.leader, known.last_index) == (None, None, 5)


# -- shown -----------------------------------------------------------------------------------------


def test_json_names_the_parts_of_a_membership() -> None:
    shown = status_json(status(node(1), membership=JOINT))
    assert shown["membership"] == {
        "voters": (3, 4, 5),
        "target": (3, 4, 5),
        "outgoing": (1, 2, 3),
    }
    assert status_json(status(node(1), membership=None))["membership"] is None


def test_how_many_nodes_are_up() -> None:
    assert nodes_up(status(node(1), node(2))) == "2 nodes up"
    assert nodes_up(status(node(1), down(2))) == "1 of 2 nodes up"
    assert nodes_up(status(node(1))) == "1 node up"


def test_a_deposed_leader_is_not_named_while_the_new_one_is_paused() -> None:
    nodes = [
        node(1, role="leader", term=1, leader=1),
        node(2, role="leader", term=2, leader=2, state="paused"),
        node(3, term=2, leader=2),
    ]

    assert find_leader(nodes, led_term=2) is None
    assert find_leader([nodes[0], node(2, role="leader", leader=2)], led_term=2) == 2


# -- nodes that hang, or have diverged -------------------------------------------------------------


def test_a_node_that_hangs_does_not_follow_and_is_named() -> None:
    three = status(node(1), node(2), node(3, responding=False, last_answer_s=12.3))

    assert three.followers == [1, 2]
    assert not three.settled
    assert three.missing() == "n3 is not responding (for 12 s)"


def test_a_node_that_has_just_been_started_does_not_hang() -> None:
    assert not node(3, responding=False, last_answer_s=None).hangs


def test_a_leader_that_hangs_is_none_when_another_leads_a_newer_term() -> None:
    old = node(1, term=1, responding=False, last_answer_s=12.3)
    new = node(2, role="leader", leader=2)
    words = {1: said(1), 2: said(2)}

    alone = cluster_status("c", 1, [old], words)
    both = cluster_status("c", 1, [old, new], words)

    assert alone.leader == 1
    assert (alone.node(1).role, both.node(1).role) == ("leader", None)
    assert (both.leader, both.node(1).state) == (2, "up")


def test_a_cluster_whose_machines_differ_has_not_converged() -> None:
    mark = Divergence(kind="answers", after=4, up_to=5, others=[1, 2], odd=True)
    alike = status(node(1), node(2), node(3))
    differ = status(node(1), node(2), node(3, diverged=mark))

    assert (alike.converged, differ.converged) == (True, False)
    check_alike(alike)
    with pytest.raises(LauncherError, match=r"n3 has diverged: its answers differ .* by entry 5"):
        check_alike(differ)


def test_whatever_a_machine_says_the_table_has_one_line_a_node() -> None:
    shown = status_table(
        status(node(1, reason="a\nb\x1b[31m"), node(2, snapshot="c\r\nd"), down(3)), colour=False
    )

    assert len(shown.splitlines()) == 4
    assert "\x1b" not in shown


@pytest.mark.parametrize("colour", [False, True])
def test_a_violation_of_safety_stands_above_the_table_and_in_red(colour: bool) -> None:
    one = Violation(
        promise="election safety",
        subject="leaders of term 5",
        found="n1, n3 have both led term 5",
        reports=[Report(1, 2, "12:00Z", "n1 leads term 5")],
    )
    status = ClusterStatus(
        cluster="c",
        supervisor_pid=1,
        leader=None,
        term=5,
        nodes=[NodeStatus(id=1, state="paused")],
        frozen=True,
        frozen_because=FROZEN_FOR_SAFETY,
        violations=[one],
    )

    said, frozen, *_ = shown(status, colour=colour, width=None).splitlines()

    plain = (str(one), FROZEN_FOR_SAFETY)
    assert (said, frozen) == (
        tuple(click.style(line, fg="red") for line in plain) if colour else plain
    )
    assert "`:ps`" in summary(status)
    assert status_json(status)["violations"] == [msgspec.to_builtins(one)]
