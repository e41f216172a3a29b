"""TARGET and SPEC: what an operator may write, and whom it means."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.control.status import ClusterStatus, NodeState, NodeStatus
from launcher.control.targets import WORDS, Action, parse_partition, resolve
from launcher.errors import LauncherError, UsageError


def cluster(*states: NodeState, leader: int | None = 1) -> ClusterStatus:
    nodes = [
        NodeStatus(id=n, state=state, role="leader" if n == leader else "follower", term=3)
        for n, state in enumerate(states, 1)
    ]
    return ClusterStatus(cluster="c", supervisor_pid=1, leader=leader, term=3, nodes=nodes)


FIVE = cluster("up", "up", "up", "up", "up")


def chosen(
    *targets: str, status: ClusterStatus = FIVE, action: Action = "kill", seed: int = 0
) -> list[int]:
    return resolve(targets, status, action, Random(seed))


@pytest.mark.parametrize(
    ("targets", "ids"),
    [
        (["2"], [2]),
        (["n2"], [2]),
        (["N2"], [2]),
        (["1", "2"], [1, 2]),
        (["1,2"], [1, 2]),
        (["3, 1", "n3"], [1, 3]),
        (["leader"], [1]),
        (["Leader", "4"], [1, 4]),
        (["followers"], [2, 3, 4, 5]),
        (["all"], [1, 2, 3, 4, 5]),
        (["02"], [2]),
    ],
)
def test_targets(targets: list[str], ids: list[int]) -> None:
    assert chosen(*targets) == ids


@pytest.mark.parametrize(("word", "count"), [("minority", 2), ("majority", 3), ("random", 1)])
def test_words_that_choose_at_random(word: str, count: int) -> None:
    seen = {tuple(chosen(word, seed=seed)) for seed in range(200)}

    assert {len(ids) for ids in seen} == {count}
    assert {node for ids in seen for node in ids} == {1, 2, 3, 4, 5}


def test_follower_is_one_of_them_and_never_the_leader() -> None:
    assert {tuple(chosen("follower", seed=seed)) for seed in range(100)} == {(2,), (3,), (4,), (5,)}


def test_a_disk_that_fails_at_random_is_one_in_use_and_all_are_mended() -> None:
    some = cluster("down", "up", "failed", "paused", leader=2)

    assert {tuple(chosen("random", status=some, action="disk", seed=s)) for s in range(50)} == {
        (2,),
        (4,),
    }
    assert chosen("all", status=some, action="disk") == [2, 4]
    assert chosen("3", status=some, action="disk") == [3]
    assert chosen("all", status=some, action="disk ok") == [1, 2, 3, 4]


def test_the_same_seed_chooses_the_same() -> None:
    assert chosen("minority", seed=7) == chosen("minority", seed=7)


@pytest.mark.parametrize("target", ["0", "6", "-1", "n", "n0", "nn2", "five", "²", "1.0", "1|2"])
def test_an_unknown_target_is_refused_with_what_is_allowed(target: str) -> None:
    with pytest.raises(UsageError, match="a target is an id from 1 to 5, or leader, follower"):
        chosen(target)


@pytest.mark.parametrize("targets", [[], [""], [","], ["  "]])
def test_no_target_is_refused(targets: list[str]) -> None:
    with pytest.raises(UsageError, match="no target"):
        chosen(*targets)


def test_no_leader_now_is_no_usage_error() -> None:
    with pytest.raises(LauncherError, match="there is no leader now") as caught:
        chosen("leader", status=cluster("up", "up", "up", leader=None))

    assert caught.value.exit_status == 1


MIXED = cluster("up", "paused", "down", "failed", "up")


@pytest.mark.parametrize(
    ("action", "ids"),
    [
        ("kill", [1, 2, 5]),
        ("stop", [1, 2, 5]),
        ("pause", [1, 5]),
        ("resume", [2]),
        ("start", [3, 4]),
        ("restart", [1, 2, 3, 4, 5]),
    ],
)
def test_words_choose_whom_the_action_does_something_to(action: Action, ids: list[int]) -> None:
    assert chosen("all", status=MIXED, action=action) == ids
    assert set(chosen("random", status=MIXED, action=action)) <= set(ids)
    assert set(chosen("minority", status=MIXED, action=action)) <= set(ids)


def test_the_lead_is_handed_to_one_other_node_that_is_up() -> None:
    status = cluster("up", "paused", "down", "up", "up")
    for word in ("random", "follower"):
        found = {tuple(chosen(word, status=status, action="transfer", seed=s)) for s in range(50)}
        assert found == {(4,), (5,)}, "node 1 leads already"
    assert chosen("leader", status=status, action="transfer") == [1]
    for word in ("followers", "minority", "majority", "all"):
        with pytest.raises(UsageError, match=f"transfer {word}: one node leads"):
            chosen(word, status=status, action="transfer")
    with pytest.raises(LauncherError, match="no other node is up"):
        chosen("random", status=cluster("up", "down", "paused"), action="transfer")


def test_ids_mean_the_node_whatever_its_state() -> None:
    assert chosen("3", status=MIXED, action="kill") == [3]


@pytest.mark.parametrize("word", ["leader", "follower", "followers"])
@pytest.mark.parametrize("action", ["start", "resume"])
def test_who_is_down_has_no_role(word: str, action: Action) -> None:
    with pytest.raises(UsageError, match="has no role"):
        chosen(word, status=MIXED, action=action)


@pytest.mark.parametrize("action", ["start", "resume"])
def test_nothing_to_do_is_said(action: Action) -> None:
    with pytest.raises(LauncherError, match=f"{action} random: ") as caught:
        chosen("random", action=action)

    assert caught.value.exit_status == 1


@pytest.mark.parametrize("action", ["start", "resume"])
def test_all_may_be_so_already(action: Action) -> None:
    """`start all` in a script is no failure where nothing is down."""
    assert chosen("all", action=action) == []


def test_a_single_node_has_no_minority() -> None:
    with pytest.raises(LauncherError, match="no minority"):
        chosen("minority", status=cluster("up"))


@given(st.integers(1, 9), st.integers(), st.sampled_from(WORDS))
def test_what_is_chosen_exists_once_and_in_order(size: int, seed: int, word: str) -> None:
    states: list[NodeState] = ["up"] * size
    status = cluster(*states)
    try:
        ids = chosen(word, status=status, seed=seed)
    except LauncherError:
        assert size <= 2
        return
    assert ids == sorted(set(ids))
    assert set(ids) <= set(range(1, size + 1))
    if word == "minority":
        assert len(ids) * 2 < size
    if word == "majority":
        assert len(ids) * 2 > size


def groups(spec: str, status: ClusterStatus = FIVE, seed: int = 0) -> list[list[int]]:
    return parse_partition(spec, status, Random(seed))


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("1,2|3,4,5", [[1, 2], [3, 4, 5]]),
        (" n1 2 | 3 , 4 ", [[1, 2], [3, 4], [5]]),
        ("2", [[2], [1], [3], [4], [5]]),
        ("1|2|3|4|5", [[1], [2], [3], [4], [5]]),
        ("leader,3|followers", [[1, 3], [2, 4, 5]]),
        ("followers|leader", [[2, 3, 4, 5], [1]]),
        ("all|3", [[1, 2, 4, 5], [3]]),
    ],
)
def test_partitions(spec: str, expected: list[list[int]]) -> None:
    assert groups(spec) == expected


def test_minority_against_majority() -> None:
    for seed in range(50):
        small, large = groups("minority|majority", seed=seed)
        assert (len(small), len(large)) == (2, 3)
        assert sorted(small + large) == [1, 2, 3, 4, 5]


def test_a_partition_holds_for_nodes_that_are_down() -> None:
    assert groups("leader|followers", MIXED) == [[1], [2, 3, 4, 5]]


@pytest.mark.parametrize("spec", ["", "|", "1,2|", "|1", "1||2", "1,2|2,3", "1,1|2", "9|1", "x|1"])
def test_a_wrong_partition_is_refused(spec: str) -> None:
    with pytest.raises(UsageError):
        groups(spec)


@pytest.mark.parametrize("spec", ["1,2,3,4,5", "all"])
def test_a_partition_that_cuts_nothing_is_refused(spec: str) -> None:
    with pytest.raises(UsageError, match="cuts no link"):
        groups(spec)


def test_the_leader_cannot_be_on_both_sides() -> None:
    with pytest.raises(LauncherError, match="in another group"):
        groups("1|leader")
