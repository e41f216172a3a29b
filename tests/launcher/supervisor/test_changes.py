"""Changes of the membership: their steps, and what is made of one that was broken off."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import pytest

from launcher.control.status import ClusterStatus, NodeStatus
from launcher.folders.records import Change
from launcher.supervisor.changes import (
    Act,
    Beside,
    Deed,
    Standing,
    Step,
    Verdict,
    Voters,
    advanced,
    all_voters,
    beside,
    next_step,
    not_yet,
    reason,
    resumed,
    standing,
    stay_down,
    superseded,
    under_way,
    verdict,
    with_reasons,
)
from node.raft.membership import stable
from node.raft.messages import Membership
from node.wire import Status

ADD = Change("add", [4, 5])
REMOVE = Change("remove", [1, 3])
REBUILD = Change("rebuild", [2])
THREE = stable([1, 2, 3])


def said(
    membership: Membership,
    *,
    committed: bool = True,
    term: int = 1,
    commit_term: int | None = None,
    role: str = "leader",
) -> Status:
    """What a node says. commit_term: the same as its term by default"""
    return Status(
        role=role,
        term=term,
        leader=1,
        voter=True,
        membership=membership,
        membership_committed=committed,
        first_index=1,
        last_index=1,
        commit_index=1,
        commit_term=term if commit_term is None else commit_term,
        applied_index=1,
        snapshot_index=0,
        digest="",
    )


def after(change: Change, steps: int) -> Change:
    for _ in range(steps):
        further = advanced(change)
        assert further is not None
        change = further
    return change


def all_steps(change: Change | None) -> Iterator[Step]:
    """What is done from first to last."""
    while change is not None:
        step = next_step(change)
        assert step is not None
        yield step
        change = advanced(change)


# -- steps ---------------------------------------------------------------------------------------


def test_new_nodes_run_before_they_are_to_vote() -> None:
    assert list(all_steps(ADD)) == [
        Act(Deed.START, 4),
        Act(Deed.START, 5),
        Voters("caught up", join=(4, 5)),
    ]


def test_nodes_are_off_the_record_only_when_they_are_no_voters_any_more() -> None:
    assert list(all_steps(REMOVE)) == [
        Voters("been removed", leave=(1, 3)),
        Act(Deed.STOP, 1),
        Act(Deed.DISMISS, 1),
        Act(Deed.STOP, 3),
        Act(Deed.DISMISS, 3),
    ]


def test_the_data_goes_only_while_the_node_is_set_aside_and_does_not_run() -> None:
    assert list(all_steps(REBUILD)) == [
        Voters("been set aside", leave=(2,)),
        Act(Deed.STOP, 2),
        Act(Deed.FORGET, 2),
        Act(Deed.START, 2),
        Voters("caught up", join=(2,)),
    ]


def test_nodes_are_rebuilt_one_after_the_other_and_those_that_are_done_are_off_the_record() -> None:
    both = Change("rebuild", [2, 3])
    assert list(all_steps(both)) == [*all_steps(REBUILD), *all_steps(Change("rebuild", [3]))]
    assert after(both, 5) == Change("rebuild", [3])


@pytest.mark.parametrize("change", [ADD, REMOVE, REBUILD])
def test_after_the_last_step_the_record_has_no_change_or_the_one_that_waits(change: Change) -> None:
    count = len(list(all_steps(change)))
    assert advanced(after(change, count - 1)) is None

    waits = Change("add", [9])
    change = msgspec.structs.replace(change, then=waits)
    assert advanced(after(change, count - 1)) == waits


def test_who_votes_in_between_and_in_the_end() -> None:
    assert all_voters(ADD, [1, 2]) == [(1, 2, 4, 5)]
    assert all_voters(REMOVE, [1, 2, 3]) == [(2,)]
    assert all_voters(Change("rebuild", [2, 3]), [1, 2, 3]) == [
        (1, 3),
        (1, 2, 3),
        (1, 2),
        (1, 2, 3),
    ]
    assert all_voters(after(REBUILD, 4), [1, 3]) == [(1, 2, 3)]
    assert all_voters(superseded(ADD, [5]), [1, 2]) == [(1, 2), (1, 2, 4)]


# -- what the leader says ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("leader", "found"),
    [
        (said(stable([1, 3])), Standing.MADE),
        (said(Membership((1, 3), (1, 3, 4))), Standing.MADE),
        (said(stable([1, 3]), committed=False), Standing.UNDER_WAY),
        (said(stable([1, 3]), term=5, commit_term=4), Standing.UNDER_WAY),
        (said(Membership((1, 3), (1, 3), (1, 2, 3))), Standing.UNDER_WAY),
        (said(Membership((1, 2, 3), (1, 3))), Standing.UNDER_WAY),
        (said(THREE), Standing.UNKNOWN),
    ],
)
def test_a_node_has_left_when_no_entry_that_names_it_can_count_any_more(
    leader: Status, found: Standing
) -> None:
    assert standing(Voters("left", leave=(2,)), leader) is found


@pytest.mark.parametrize(
    ("leader", "found"),
    [
        (said(THREE), Standing.MADE),
        (said(Membership((1, 2, 3), (1, 2, 3, 4))), Standing.MADE),
        (said(THREE, committed=False), Standing.UNDER_WAY),
        (said(THREE, term=5, commit_term=4), Standing.UNDER_WAY),
        (said(Membership((1, 2, 3), (1, 2, 3), (1, 3))), Standing.UNDER_WAY),
        (said(Membership((1, 3), (1, 2, 3))), Standing.UNDER_WAY),
        (said(stable([1, 3])), Standing.UNKNOWN),
    ],
)
def test_a_node_has_joined_when_it_votes_for_good(leader: Status, found: Standing) -> None:
    assert standing(Voters("joined", join=(2,)), leader) is found


def test_what_is_asked_for_leaves_all_others_as_they_are() -> None:
    assert Voters("", leave=(2,)).among([3, 2, 1]) == (1, 3)
    assert Voters("", join=(2, 4)).among([3, 2, 1]) == (1, 2, 3, 4)


# -- one change at a time ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "kind", "nodes", "found"),
    [
        (None, "add", [], Beside.BEGIN),
        (ADD, "add", [], Beside.REFUSE),
        (ADD, "remove", [2], Beside.REFUSE),
        (ADD, "remove", [2, 5], Beside.GIVE_UP),
        (ADD, "rebuild", [4], Beside.REFUSE),
        (REBUILD, "rebuild", [2], Beside.JOIN),
        (REBUILD, "rebuild", [2, 3], Beside.REFUSE),
        (REBUILD, "remove", [2], Beside.GIVE_UP),
        (REMOVE, "remove", [3], Beside.JOIN),
        (REMOVE, "remove", [1, 2], Beside.REFUSE),
        (REMOVE, "rebuild", [1], Beside.REFUSE),
    ],
)
def test_a_second_request_joins_gives_up_or_is_refused(
    change: Change | None, kind: str, nodes: list[int], found: Beside
) -> None:
    assert beside(change, kind, nodes) is found


def test_to_remove_what_is_being_added_gives_that_up() -> None:
    assert superseded(after(ADD, 2), [5, 4]) == Change("remove", [5, 4])


def test_what_was_begun_for_other_nodes_goes_on_after_the_removal() -> None:
    assert superseded(after(ADD, 2), [5, 1]) == Change("remove", [5, 1], then=Change("add", [4]))


@pytest.mark.parametrize(("done", "kept"), [(0, 0), (2, 0), (3, 3), (4, 4)])
def test_a_node_that_has_forgotten_does_not_forget_again_when_another_is_removed(
    done: int, kept: int
) -> None:
    change = after(Change("rebuild", [2, 3]), done)
    assert superseded(change, [3]).then == Change("rebuild", [2], kept)
    assert superseded(change, [2]).then == Change("rebuild", [3])


# -- changes that were broken off ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("leader", "found"),
    [
        (None, Verdict.WAIT),
        (said(THREE), Verdict.UNDO),
        (said(THREE, term=5, commit_term=4), Verdict.WAIT),
        (said(Membership((1, 2, 3), (1, 2, 3, 4, 5))), Verdict.FINISH),
        (said(Membership((1, 2, 3), (1, 2, 3, 4, 5)), committed=False), Verdict.FINISH),
        (said(Membership((1, 2, 3), (1, 2, 3, 4)), term=5, commit_term=4), Verdict.FINISH),
        (said(Membership((1, 2, 3), (1, 2, 3), (1, 2, 3, 4, 5))), Verdict.FINISH),
        (said(stable([1, 2, 3, 4, 5])), Verdict.FINISH),
    ],
)
def test_an_add_is_undone_only_when_no_log_will_ever_hold_it(
    leader: Status | None, found: Verdict
) -> None:
    for done in range(3):
        assert verdict(after(ADD, done), leader) is found


@pytest.mark.parametrize("change", [REMOVE, REBUILD])
def test_a_remove_and_a_rebuild_are_finished(change: Change) -> None:
    assert verdict(change, None) is Verdict.FINISH
    assert verdict(change, said(THREE)) is Verdict.FINISH


@pytest.mark.parametrize(("done", "goes_on_from"), [(0, 0), (1, 0), (2, 0), (3, 3), (4, 4)])
def test_a_rebuild_goes_on_from_the_front_until_the_node_has_forgotten(
    done: int, goes_on_from: int
) -> None:
    """What is committed by then, its floor, the one that was killed has taken with it."""
    assert resumed(after(REBUILD, done)).done == goes_on_from


def test_other_changes_go_on_where_they_were() -> None:
    assert resumed(after(ADD, 2)) == after(ADD, 2)
    assert resumed(after(REMOVE, 3)) == after(REMOVE, 3)


def test_a_supervisor_does_not_start_nodes_whose_data_is_about_to_go() -> None:
    assert stay_down(None) == []
    assert [stay_down(after(ADD, done)) for done in range(3)] == [[], [], []]
    assert [stay_down(after(REMOVE, done)) for done in range(3)] == [[], [1, 3], [1, 3]]
    both = Change("rebuild", [2, 3])
    assert [stay_down(after(both, done)) for done in range(6)] == [[], [2], [2], [], [], []]


# -- in words ------------------------------------------------------------------------------------


def test_what_is_under_way_and_what_it_waits_for() -> None:
    assert under_way(ADD) == "n4, n5 are being added"
    assert under_way(REBUILD) == "n2 is being rebuilt"
    assert not_yet(ADD) == "n4, n5 have not caught up"
    assert not_yet(REMOVE) == "n1, n3 have not been removed"
    assert not_yet(after(REMOVE, 2)) == "n1, n3 have not been removed"
    assert not_yet(Change("rebuild", [2, 3])) == "n2 has not been set aside"
    assert not_yet(after(REBUILD, 1)) == "n2 has not caught up"


LEARNS = Membership((1, 2, 3), (1, 2, 3, 4, 5))


@pytest.mark.parametrize(
    ("change", "node", "membership", "expected"),
    [
        (None, 1, THREE, ""),
        (ADD, 1, LEARNS, ""),
        (ADD, 4, THREE, "being added: starts"),
        (ADD, 4, LEARNS, "being added: learns the log"),
        (ADD, 4, stable([1, 2, 3, 4, 5]), ""),
        (ADD, 4, None, "being added: starts"),
        (REMOVE, 3, THREE, "being removed"),
        (REBUILD, 2, THREE, "being rebuilt: is to be set aside"),
        (REBUILD, 2, None, "being rebuilt: is to be set aside"),
        (REBUILD, 2, stable([1, 3]), "set aside: its rebuild goes on"),
        (after(REBUILD, 1), 2, stable([1, 3]), "set aside: its rebuild goes on"),
        (after(REBUILD, 4), 2, stable([1, 3]), "being rebuilt: learns the log"),
        (after(REBUILD, 4), 2, THREE, ""),
        (Change("rebuild", [2, 3]), 3, THREE, "to be rebuilt after n2"),
        (Change("remove", [5], then=Change("add", [4])), 4, LEARNS, "being added: learns the log"),
    ],
)
def test_why_a_node_has_no_vote(
    change: Change | None, node: int, membership: Membership | None, expected: str
) -> None:
    assert reason(change, node, membership) == expected


def cluster(membership: Membership | None, leader: int | None = 1) -> ClusterStatus:
    nodes = [NodeStatus(id=number, state="up") for number in range(1, 6)]
    return ClusterStatus(
        cluster="c", supervisor_pid=1, leader=leader, term=1, nodes=nodes, membership=membership
    )


def test_the_status_says_why_and_what_the_change_waits_for() -> None:
    told = with_reasons(cluster(LEARNS), ADD, "there is no leader")
    assert [node.change for node in told.nodes] == [
        *[""] * 3,
        *["being added: learns the log; there is no leader"] * 2,
    ]


def test_a_node_that_nobody_has_made_a_member_says_what_to_do() -> None:
    told = with_reasons(cluster(THREE), None, "")
    assert [bool(node.change) for node in told.nodes] == [False] * 3 + [True] * 2
    assert "`launcher rebuild 4` or `launcher remove 4`" in told.node(4).change
    unknown = [cluster(None, None), cluster(Membership((), ()), None), cluster(THREE, None)]
    assert [with_reasons(one, None, "").node(4).change for one in unknown] == ["", "", ""]
