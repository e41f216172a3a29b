"""Does a majority remain? Held against a search of all sets of nodes, and by example."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, combinations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.control.status import ClusterStatus, LinkStatus, NodeStatus
from launcher.lab.chaos.budget import (
    SOMEBODY_NEW,
    Effect,
    State,
    disk_works,
    holds,
    is_broken_link,
    links_between,
    may,
    state_of,
)
from node.raft.membership import stable
from node.raft.messages import Membership

Link = tuple[int, int]


def subsets(items: Iterable[Any]) -> Iterator[frozenset[Any]]:
    known = sorted(items)
    sizes = range(len(known) + 1)
    return map(frozenset, chain.from_iterable(combinations(known, size) for size in sizes))


def holds_by_search(state: State) -> bool:
    """Some set of voters: all of them work, reach each other, and are most of each half."""
    voters = {voter for half in state.halves for voter in half}

    def remains(out: frozenset[int]) -> bool:
        return any(
            all(2 * len(chosen & set(half)) > len(half) for half in state.halves)
            and not any((a, b) in state.cut for a in chosen for b in chosen)
            for chosen in subsets(voters - out)
        )

    return bool(state.halves) and all(
        remains(state.out | {gone}) for gone in (SOMEBODY_NEW, *state.next_out)
    )


def up(node_id: int, **fields: Any) -> NodeStatus:
    return NodeStatus(**{"id": node_id, "state": "up", "role": "follower", "term": 1, **fields})


def status(*nodes: NodeStatus, **fields: Any) -> ClusterStatus:
    ids = tuple(node.id for node in nodes)
    told = {"cluster": "lab", "supervisor_pid": 1, "leader": 1, "term": 1}
    return ClusterStatus(nodes=list(nodes), **{**told, "membership": stable(ids), **fields})


FIVE = (1, 2, 3, 4, 5)


# -- the question --------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 3])
def test_on_small_clusters_it_agrees_with_a_search_of_every_case(count: int) -> None:
    """Every set of nodes that are out, every set of directed links that are cut, and every set of
    nodes that may be next."""
    ids = tuple(range(1, count + 1))
    seen = set()
    for out in subsets(ids):
        for cut in subsets(links_between(ids, ids)):
            for next_out in subsets(ids):
                state = State((ids,), out, cut, next_out)
                seen.add(holds(state))
                assert holds(state) == holds_by_search(state), state
    assert seen == {True, False}


def test_on_four_nodes_it_agrees_with_a_search_of_every_set_of_cuts() -> None:
    ids = (1, 2, 3, 4)
    for cut in subsets(links_between(ids, ids)):
        state = State((ids,), cut=cut)
        assert holds(state) == holds_by_search(state), state


NODES = st.integers(1, 7)


@given(
    st.lists(st.frozensets(NODES, min_size=1), min_size=1, max_size=3),
    st.frozensets(NODES, max_size=4),
    st.frozensets(st.tuples(NODES, NODES).filter(lambda link: link[0] != link[1]), max_size=16),
    st.frozensets(NODES, max_size=3),
)
def test_on_larger_clusters_with_several_halves_too(
    halves: list[frozenset[int]], out: frozenset[int], cut: frozenset[Link], after: frozenset[int]
) -> None:
    state = State(tuple(tuple(sorted(half)) for half in halves), out, cut, after)
    assert holds(state) == holds_by_search(state)


@given(st.frozensets(NODES, min_size=1), st.frozensets(NODES), st.frozensets(NODES))
def test_what_may_be_taken_leaves_a_majority_and_what_may_not_leaves_none(
    voters: frozenset[int], out: frozenset[int], more: frozenset[int]
) -> None:
    state, effect = State((tuple(sorted(voters)),), out), Effect(more)
    assert (may(effect, state) is None) == holds_by_search(state.after(effect))


def test_a_leader_in_the_middle_of_a_star_is_no_majority_that_is_connected() -> None:
    spokes = links_between((2, 3, 4, 5), (2, 3, 4, 5))
    assert not holds(State((FIVE,), cut=spokes))
    assert holds(State((FIVE,), cut=spokes - links_between((2, 3), (2, 3))))


def test_a_cut_in_one_direction_counts() -> None:
    assert holds(State(((1, 2, 3),), cut=frozenset({(1, 2)})))
    assert not holds(State(((1, 2, 3),), cut=frozenset({(1, 2), (3, 2), (1, 3)})))


def test_both_halves_of_a_joint_configuration_need_a_majority() -> None:
    joint = State(((1, 2, 3), (3, 4, 5)))
    assert holds(joint)
    assert holds(joint.after(Effect(frozenset({1, 4}))))
    assert not holds(joint.after(Effect(frozenset({1, 2}))))
    assert not holds(joint.after(Effect(frozenset({4, 5}))))


def test_a_node_that_is_being_added_counts_as_one_that_is_not_there() -> None:
    three = State(((1, 2, 3),))
    adding = Effect(halves=((1, 2, 3, SOMEBODY_NEW),))
    assert may(adding, three) is None
    assert may(Effect(frozenset({1})), three.after(adding)) is not None


def test_during_a_rolling_restart_of_three_nodes_nothing_else_may_go() -> None:
    rolling = State(((1, 2, 3),)).after(Effect(next_out=frozenset({1, 2, 3})))
    assert holds(rolling)
    assert may(Effect(frozenset({2})), rolling) == (
        "no majority would remain: n2 is out, a rolling restart is under way"
    )
    assert may(Effect(frozenset({2})), State((FIVE,), next_out=frozenset(FIVE))) is None


def test_the_reason_names_what_is_missing() -> None:
    state = State(((1, 2, 3),), frozenset({1}))
    assert may(Effect(frozenset({2})), state) == "no majority would remain: n1, n2 are out"
    cut = Effect(cut=frozenset({(2, 3)}))
    assert may(cut, state) == "no majority would remain: n1 is out, n2>n3 is cut"
    assert may(Effect(), State(())) == "nobody knows who votes"
    broken = State(((1, 2, 3),), frozenset({1, 2}))
    assert may(Effect(frozenset({3})), broken) == (
        "no majority could spare anything: n1, n2 are out"
    )


# -- from what a cluster says --------------------------------------------------------------------

OUT = {
    "down": {"state": "down"},
    "paused": {"state": "paused"},
    "failed": {"state": "failed"},
    "throttled": {"throttle": 0.5},
    "with a disk that hangs": {"disk": "hang-disk"},
    "with a full disk": {"disk": "full-disk"},
    "with a disk that is to fail": {"disk": "fail-sync"},
    "with a disk that stalls in turn": {"disk": "cycle-disk 1s 5s"},
    "with a very slow disk": {"disk": "slow-disk 200ms"},
    "with a write that hangs": {"disk": "a write hangs"},
    "cut off at a point": {"points": "cut off at the point before-sync"},
}


@pytest.mark.parametrize("fields", OUT.values(), ids=OUT.keys())
def test_a_node_is_out_that_is(fields: dict[str, Any]) -> None:
    found = status(up(1), up(2), up(3, **fields))
    assert state_of(found, strict=False).out == {3}
    assert 3 in state_of(found).out


def test_a_node_that_is_well_is_not_out() -> None:
    assert state_of(status(up(1), up(2), up(3))) == State(((1, 2, 3),))


def test_strictly_a_node_is_out_that_does_not_answer_or_has_not_answered_yet() -> None:
    found = status(up(1), up(2, role=None), up(3, responding=False, last_answer_s=4.0))
    assert state_of(found).out == {2, 3}
    assert state_of(found, strict=False).out == frozenset()


def test_a_frozen_cluster_has_nobody() -> None:
    assert state_of(status(up(1), up(2), frozen=True), strict=False).out == {1, 2}


def test_a_voter_without_a_row_is_out() -> None:
    found = status(up(1), up(2), membership=stable([1, 2, 3]))
    assert state_of(found, strict=False).out == {3}


def test_the_halves_are_those_in_force_and_strictly_those_to_come() -> None:
    membership = Membership((2, 3, 4), (2, 3, 4, 5), (1, 2, 3))
    found = status(*map(up, FIVE), membership=membership)
    assert state_of(found, strict=False).halves == ((2, 3, 4), (1, 2, 3))
    assert state_of(found).halves == ((2, 3, 4), (1, 2, 3), (2, 3, 4, 5))
    assert state_of(msgspec.structs.replace(found, membership=None)).halves == ()
    assert not holds(state_of(msgspec.structs.replace(found, membership=None)))


@pytest.mark.parametrize(
    ("does", "broken"),
    [
        ("ok", False),
        ("", False),
        ("cut", True),
        ("hold", True),
        ("cut, delay 5ms", True),
        ("delay 50ms 10ms", False),
        ("delay 90ms 20ms", True),
        ("delay 5ms, loss 5%", False),
        ("loss 31%", True),
        ("loss 30%, duplicate 20%, reorder 40%", False),
        ("rate 500kbit", True),
        ("rate 1mbit", False),
        ("what nobody understands", True),
    ],
)
def test_a_link_counts_as_cut_that(does: str, broken: bool) -> None:
    assert is_broken_link(does) == broken
    found = status(up(1), up(2), links=[LinkStatus(1, 2, does)])
    assert state_of(found).cut == ({(1, 2)} if broken else frozenset())


@pytest.mark.parametrize(
    ("ailment", "works"),
    [
        ("", True),
        ("slow-disk 150ms", True),
        ("slow-disk 151ms", False),
        ("slow-disk soon", False),
        ("slow-disk 5ms, a write hangs", False),
        ("full-disk", False),
    ],
)
def test_a_disk_works_that_is_slow_by_little(ailment: str, works: bool) -> None:
    assert disk_works(ailment) == works
