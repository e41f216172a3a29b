"""What a fault strikes, by the status of the moment, the budget, and what is in force."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from launcher.control.status import ClusterStatus, LinkStatus
from launcher.lab.chaos.aiming import Aim, View, aim, where
from launcher.lab.chaos.budget import holds
from launcher.lab.chaos.kinds import KINDS
from launcher.lab.chaos.schedule import Fault, make
from node.raft.membership import stable
from node.raft.messages import Membership
from tests.launcher.lab.chaos.test_budget import status, up


def five(**fields: Any) -> ClusterStatus:
    """Five nodes, of which n1 leads."""
    return status(up(1, role="leader"), *map(up, (2, 3, 4, 5)), **fields)


def fault(kind: str, target: str = "any", words: str = "", draw: int = 1) -> Fault:
    return Fault(
        number=1, at_s=0.0, duration_s=1.0, kind=kind, target=target, words=words, draw=draw
    )


def view(found: ClusterStatus | None = None, *in_force: Aim, **fields: Any) -> View:
    found = five() if found is None else found
    return View(found, in_force, **{"began_with": len(found.nodes), **fields})


def struck(given: Fault, seen: View | None = None) -> Aim:
    found = aim(given, view() if seen is None else seen)
    assert isinstance(found, Aim), found
    return found


def refused(given: Fault, seen: View) -> str:
    found = aim(given, seen)
    assert isinstance(found, str), found
    return found


# -- the budget ----------------------------------------------------------------------------------


@pytest.mark.parametrize("nodes", [2, 3, 4, 5, 7])
def test_whatever_is_in_force_at_once_a_majority_remains(nodes: int) -> None:
    """Faults of many seeds, one after the other, the last three or so in force together."""
    found = status(up(1, role="leader"), *(up(n) for n in range(2, nodes + 1)))
    taken = 0
    for seed in range(40):
        in_force: list[Aim] = []
        for given in make(seed, tuple(KINDS), 60.0).faults:
            seen = view(found, *in_force)
            one = aim(given, seen)
            if isinstance(one, str):
                assert one
                continue
            taken += 1
            others = [slot for other in in_force for slot in other.slots]
            assert one.slots.isdisjoint(others)
            in_force = [*in_force, one][-3:]
            assert holds(view(found, *in_force).state), (given, in_force)
    assert taken > 150


def test_beyond_the_quorum_the_budget_does_not_count() -> None:
    everybody = struck(fault("kill-all", "all"), view(beyond_quorum=True))
    assert everybody.nodes == (1, 2, 3, 4, 5)
    assert len(struck(fault("kill-all", "all")).nodes) == 2
    assert len(struck(fault("blackout", "all"), view(status(*map(up, (1, 2, 3))))).nodes) == 1


def test_what_others_have_broken_counts() -> None:
    found = five()
    nodes = [msgspec.structs.replace(node, state="paused") for node in found.nodes[3:]]
    found = msgspec.structs.replace(found, nodes=[*found.nodes[:3], *nodes])
    assert refused(fault("kill", "leader"), view(found)) == (
        "no majority would remain: n1, n4, n5 are out"
    )
    assert "no majority would remain" in refused(fault("isolate", "leader"), view(found))


@pytest.mark.parametrize("kind", ["freeze", "supervisor"])
def test_what_takes_all_nodes_down_is_only_for_beyond_the_quorum(kind: str) -> None:
    assert "no majority would remain" in refused(fault(kind, "all"), view())
    assert struck(fault(kind, "all"), view(beyond_quorum=True)).nodes == (1, 2, 3, 4, 5)


def test_the_ring_of_majorities_is_only_for_beyond_the_quorum() -> None:
    ring = fault("partition", "all", "majorities-ring")
    assert "no majority would remain" in refused(ring, view())
    assert len(struck(ring, view(beyond_quorum=True)).links) == 10


# -- nodes ---------------------------------------------------------------------------------------


def test_a_target_means_the_nodes_of_the_moment() -> None:
    assert struck(fault("kill", "leader")).nodes == (1,)
    followers = {struck(fault("kill", "follower", draw=draw)).nodes for draw in range(40)}
    assert followers == {(2,), (3,), (4,), (5,)}
    assert len({struck(fault("kill", "any", draw=draw)).nodes for draw in range(60)}) == 5
    assert refused(fault("kill", "leader"), view(five(leader=None))) == "there is no leader now"


def test_the_same_fault_takes_the_same_node_of_the_same_cluster() -> None:
    assert struck(fault("kill", draw=9)) == struck(fault("kill", draw=9))


def test_a_node_that_does_not_run_is_not_struck() -> None:
    found = five()
    nodes = [msgspec.structs.replace(one, state="down") for one in found.nodes[1:3]]
    found = msgspec.structs.replace(found, nodes=[found.nodes[0], *nodes, *found.nodes[3:]])
    slow = fault("slow-disk", "all", "slow 5ms")
    assert struck(slow, view(found)).nodes == (1, 4, 5)


@pytest.mark.parametrize("exclude", [("n2", "3", "leader"), ("1,2,3",)])
def test_excluded_nodes_are_never_struck(exclude: tuple[str, ...]) -> None:
    if exclude == ("1,2,3",):
        exclude = ("1", "2", "3")
    for seed in range(15):
        for given in make(seed, tuple(KINDS), 60.0).faults:
            if given.kind in ("freeze", "supervisor"):
                continue
            one = aim(given, view(exclude=exclude, beyond_quorum=True))
            if isinstance(one, Aim) and given.kind not in ("isolate", "deafen", "mute", "rate"):
                assert not {1, 2, 3} & set(one.nodes), given
            if isinstance(one, Aim) and not one.nodes:
                assert not {1, 2, 3} & {end for link in one.links for end in link}, given


def test_a_node_that_dies_of_the_fault_is_out_and_one_that_is_late_is_not() -> None:
    assert struck(fault("kill", "leader")).effect.out == {1}
    assert struck(fault("point", "leader", "before-sync kill")).effect.out == {1}
    assert struck(fault("full-disk", "leader", "full")).effect.out == {1}
    assert struck(fault("throttle", "leader", "50%")).effect.out == {1}
    assert not struck(fault("slow-disk", "leader", "slow 150ms")).effect.out
    assert not struck(fault("clock", "any", "rate 5")).effect.out


# -- links ---------------------------------------------------------------------------------------


def test_a_node_is_isolated_deafened_or_muted() -> None:
    to = {(n, 1) for n in (2, 3, 4, 5)}
    from_ = {(1, n) for n in (2, 3, 4, 5)}
    assert set(struck(fault("isolate", "leader")).links) == to | from_
    assert set(struck(fault("deafen", "leader")).links) == to
    assert set(struck(fault("mute", "leader")).links) == from_


def test_a_partition_into_groups_is_given_as_groups_and_a_bridge_as_links() -> None:
    split = struck(fault("partition", "all", "leader"))
    assert split.spec == "1|2,3,4,5"
    bridge = struck(fault("partition", "all", "bridge"))
    assert not bridge.spec
    assert len(bridge.links) == 8


def test_links_that_another_fault_has_are_left_to_it() -> None:
    isolated = struck(fault("isolate", "leader"))
    also = struck(fault("isolate", "follower"), view(None, isolated))
    assert isolated.slots.isdisjoint(also.slots)
    assert len(also.links) == 6
    follower = struck(fault("isolate", "follower"))
    split = struck(fault("partition", "all", "leader"), view(None, follower))
    assert not split.spec, "the end of a partition would end the other fault, too"
    assert len(split.links) == 6


def test_a_little_delay_takes_no_link_away_and_much_does() -> None:
    assert not struck(fault("slow-link", "any", "delay 50ms 20ms")).effect.cut
    assert len(struck(fault("slow-link", "any", "delay 300ms")).effect.cut) == 8
    assert not struck(fault("flaky", "all", "loss 25% duplicate 20%")).effect.cut


# -- what is there already -----------------------------------------------------------------------


def test_a_fault_of_this_run_is_not_replaced() -> None:
    first = struck(fault("hang-disk", "leader", "hang"))
    said = refused(fault("slow-disk", "leader", "slow 5ms"), view(None, first))
    assert said == "another fault of this run is there: disk n1"
    other = struck(fault("slow-disk", "all", "slow 5ms"), view(None, first))
    assert other.nodes == (2, 3, 4, 5)


@pytest.mark.parametrize(
    ("given", "fields"),
    [
        (fault("slow-disk", "leader", "slow 5ms"), {"disk": "slow-disk 10ms"}),
        (fault("clock", "leader", "rate 2"), {"clock": "rate 1.05"}),
        (fault("point", "leader", "before-sync kill"), {"points": "armed: after-vote kill"}),
        (fault("throttle", "leader", "50%"), {"throttle": 0.2}),
    ],
)
def test_nor_is_one_of_somebody_else(given: Fault, fields: dict[str, Any]) -> None:
    assert isinstance(aim(msgspec.structs.replace(given, target="leader"), view()), Aim)
    found = status(up(1, role="leader", **fields), *map(up, (2, 3, 4, 5)))
    assert refused(given, view(found)).startswith("somebody else's fault is there: ")


def test_nor_one_of_a_link() -> None:
    found = five(links=[LinkStatus(1, 2, "delay 5ms, loss 1%")])
    said = refused(fault("flaky", "all", "loss 2%"), view(found))
    assert said == "somebody else's fault is there: link n1>n2 loss"
    assert struck(fault("reorder", "all", "reorder 2%"), view(found))


# -- members -------------------------------------------------------------------------------------


def test_a_change_of_the_membership_needs_a_majority_of_the_voters_to_come() -> None:
    """Of three nodes, all have to be there when a fourth is added: it may not be of use yet."""
    three = status(*map(up, (1, 2, 3)))
    adding = struck(fault("add", "all", "1 node"), view(three))
    assert "no majority would remain" in refused(fault("kill"), view(three, adding))
    killed = struck(fault("kill"), view(three))
    assert "no majority would remain" in refused(fault("add", "all", "1 node"), view(three, killed))
    wiped = struck(fault("wipe", "leader"), view(three))
    assert "no majority" in refused(fault("pause", "follower"), view(three, wiped))


def test_one_change_at_a_time() -> None:
    changing = five(membership=Membership((1, 2, 3, 4, 5), (1, 2, 3, 4, 5, 6)))
    assert refused(fault("remove"), view(changing)) == "the membership is changing"
    removing = struck(fault("remove", "follower"))
    assert "another fault of this run is there: membership" in refused(
        fault("rebuild"), view(None, removing)
    )


def test_no_node_leaves_that_has_a_fault_and_none_gets_one_that_leaves() -> None:
    """The command that ends a fault refuses the id of a node that is gone."""
    slow = struck(fault("slow-disk", "leader", "slow 5ms"))
    left = {struck(fault("remove", draw=draw), view(None, slow)).nodes for draw in range(40)}
    assert left == {(2,), (3,), (4,), (5,)}
    leaving = struck(fault("remove", "leader"))
    assert struck(fault("slow-disk", "all", "slow 5ms"), view(None, leaving)).nodes == (2, 3, 4, 5)


def test_a_cluster_becomes_neither_much_larger_nor_small() -> None:
    assert struck(fault("add", "all", "2 nodes"))
    assert refused(fault("add", "all", "2 nodes"), view(began_with=4)) == (
        "there are 5 nodes, and at most 6 are wanted"
    )
    assert refused(fault("remove"), view(began_with=6)) == (
        "4 nodes would be left, and at least 5 are wanted"
    )
    assert "at least 3 are wanted" in refused(fault("remove"), view(status(*map(up, (1, 2, 3)))))


def test_only_members_are_struck() -> None:
    found = five(membership=stable([1, 2, 3, 4]))
    nodes = {struck(fault("pause", draw=draw), view(found)).nodes for draw in range(40)}
    assert nodes == {(1,), (2,), (3,), (4,)}


# -- leases --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "steady"),
    [("rate 1.04", True), ("bump 5s wall", True), ("rate 2", False), ("bump 10ms", False)],
)
def test_with_leases_clocks_stay_steady(words: str, steady: bool) -> None:
    found = aim(fault("clock", "any", words), view(leases=True))
    assert isinstance(found, Aim) == steady
    if not steady:
        assert found == "leases assume steady clocks"
    assert isinstance(aim(fault("clock", "any", words), view()), Aim)


def names(aims: Sequence[Aim]) -> list[str]:
    return [where(one) for one in aims]


def test_where_a_fault_is_is_told_in_few_words() -> None:
    told = [
        struck(fault("kill-all", "all", draw=3)),
        struck(fault("partition", "all", "leader")),
        struck(fault("flaky", "all", "loss 2%")),
        struck(fault("hunt", "all", "kill")),
    ]
    assert names(told)[1:] == ["1|2,3,4,5", "20 links", ""]
    assert names(told)[0].count("n") == 2
