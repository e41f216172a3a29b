"""The shapes of a partition, for clusters of every small size."""

from __future__ import annotations

from random import Random

import pytest

from launcher.control.partitions import SHAPES, Split, parse
from launcher.control.status import ClusterStatus, NodeStatus
from launcher.errors import LauncherError, UsageError
from node.raft.messages import NodeId


def status(count: int, leader: NodeId | None = 1) -> ClusterStatus:
    nodes = [NodeStatus(id=node, state="up") for node in range(1, count + 1)]
    return ClusterStatus(cluster="lab", supervisor_pid=1, leader=leader, term=1, nodes=nodes)


def hears(partition: Split, count: int) -> dict[NodeId, set[NodeId]]:
    """From whom each node hears, itself included."""
    cut = {(one.source, one.target) for one in partition.cuts if one.cut}
    ids = range(1, count + 1)
    return {node: {one for one in ids if (one, node) not in cut} for node in ids}


@pytest.mark.parametrize("count", [2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("seed", range(5))
def test_halves_and_the_leader_are_two_groups(count: int, seed: int) -> None:
    halves = parse("halves", status(count), Random(seed))
    sizes = sorted(map(len, halves.groups))
    assert sizes == [count // 2, count - count // 2]
    assert {frozenset(one) for one in hears(halves, count).values()} == set(
        map(frozenset, halves.groups)
    )
    alone = parse("Leader", status(count, leader=2), Random(seed))
    assert alone.groups == [[2], [node for node in range(1, count + 1) if node != 2]]
    assert str(alone).startswith("2|1")


@pytest.mark.parametrize(("count", "size"), [(3, 1), (4, 1), (5, 2), (7, 3)])
def test_a_minority_is_cut_off_from_the_rest_which_holds_together(count: int, size: int) -> None:
    found = parse("minority", status(count), Random(1))
    assert [len(group) for group in found.groups] == [size, count - size]


@pytest.mark.parametrize("count", [3, 4, 5, 6, 7])
def test_one_node_of_a_bridge_reaches_both_halves(count: int) -> None:
    found = parse("bridge", status(count), Random(2))
    one, other = map(set, found.groups)
    (bridge,) = one & other
    for node, heard in hears(found, count).items():
        assert heard == (one | other if node == bridge else one if node in one else other)
    assert one | other == set(range(1, count + 1))


@pytest.mark.parametrize("count", [3, 4, 5, 6, 7])
@pytest.mark.parametrize("seed", range(5))
def test_in_a_ring_each_hears_a_majority_and_no_two_the_same(count: int, seed: int) -> None:
    heard = hears(parse("majorities-ring", status(count), Random(seed)), count)
    assert all(len(one) == count // 2 + 1 and node in one for node, one in heard.items())
    assert len({frozenset(one) for one in heard.values()}) == count


def test_a_ring_of_five_is_cut_in_both_directions() -> None:
    found = parse("majorities-ring", status(5), Random(3))
    cut = {(one.source, one.target) for one in found.cuts}
    assert cut == {(b, a) for a, b in cut}
    assert found.groups == []
    assert str(found).count(">") == 10


def test_shapes_are_drawn_at_random() -> None:
    for shape in ("halves", "minority", "bridge", "majorities-ring"):
        drawn = {str(parse(shape, status(5), Random(seed))) for seed in range(20)}
        assert len(drawn) > 5, shape


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_that_a_cluster_is_too_small_for_is_refused(shape: str) -> None:
    with pytest.raises(LauncherError, match=f"partition {shape} takes [23] nodes, not 1"):
        parse(shape, status(1), Random(1))


def test_without_a_leader_nothing_is_cut_off_from_the_others() -> None:
    with pytest.raises(LauncherError, match="there is no leader now"):
        parse("leader", status(3, leader=None), Random(1))


def test_groups_are_as_ever() -> None:
    assert parse("1,2|3", status(4), Random(1)).groups == [[1, 2], [3], [4]]
    assert parse("leader,2|Followers", status(3), Random(1)).groups == [[1, 2], [3]]
    assert parse("majority", status(3), Random(1)).groups[0] in ([1, 2], [1, 3], [2, 3])
    with pytest.raises(UsageError, match="unknown target 'ring'"):
        parse("ring|1", status(3), Random(1))
    with pytest.raises(UsageError, match="there is no node 9"):
        parse("n9", status(3), Random(1))


@pytest.mark.parametrize("spec", ["ring", " hlaves", "majority-ring"])
def test_a_shape_with_a_typing_error_is_told_the_shapes_that_there_are(spec: str) -> None:
    said = rf"no partition is called '{spec.strip()}': there are halves, .*-ring; or write groups"
    with pytest.raises(UsageError, match=said):
        parse(spec, status(3), Random(1))
