"""What is watched of who votes: each property breaks when a server is made to believe otherwise."""

from __future__ import annotations

import msgspec
import pytest

from launcher.simulation.memberships import MembershipWatch, is_quorum
from launcher.simulation.stage.cores import Network
from node.raft.invariants import InvariantBroken
from node.raft.membership import Configuration, stable
from node.raft.messages import Membership
from node.raft.settings import Limits
from node.raft.state import Role


def changed() -> tuple[Network, MembershipWatch]:
    """A cluster of three that has taken in a fourth, as it was watched."""
    net = Network(4, members=(1, 2, 3), limits=Limits(max_trailing_bytes=0))
    watch = MembershipWatch(stable((1, 2, 3)))
    net.elect(1)
    net[1].change_membership((1, 2, 3, 4), net.now)
    net.collect(1)
    net.run(1.0)
    watch.committed(net[1].state.log.batches_from(1))
    return net, watch


def test_a_change_and_its_snapshots_are_in_order() -> None:
    net, watch = changed()
    for node_id in net.voters:
        watch.look(net[node_id].state)
    net.take_snapshot(1)
    net.crash(2)
    net.start(2)
    for node_id in net.voters:
        watch.look(net[node_id].state)


def test_a_configuration_that_the_log_does_not_hold() -> None:
    net, watch = changed()
    state = net[2].state
    watch.look(state)
    state.configurations.append((state.log.last_index, Configuration(stable((1, 2)))))
    state.truncations += 1
    with pytest.raises(InvariantBroken, match="and its log has another"):
        watch.look(state)


def test_a_configuration_behind_the_end_of_the_log() -> None:
    net, watch = changed()
    state = net[2].state
    state.configurations.append((state.log.last_index + 1, Configuration(stable((1, 2)))))
    with pytest.raises(InvariantBroken, match="and its log has another"):
        watch.look(state)


def test_a_snapshot_that_brings_another_membership() -> None:
    net, watch = changed()
    snapshot = net.take_snapshot(3)
    state = net[3].state
    watch.look(state)
    state.snapshot = msgspec.structs.replace(snapshot, membership=stable((1, 2, 3)))
    with pytest.raises(InvariantBroken, match="n3: its snapshot says"):
        watch.look(state)


def test_a_server_that_began_from_a_snapshot_and_goes_by_another_membership() -> None:
    net, watch = changed()
    net.take_snapshot(3)
    state = net[3].state
    state.configurations = [(state.log.base_index, Configuration(stable((1, 2, 3))))]
    with pytest.raises(InvariantBroken, match="n3: it uses"):
        watch.look(state)


def test_a_candidate_that_is_no_voter() -> None:
    net = Network(4, members=(1, 2, 3))
    watch = MembershipWatch(stable((1, 2, 3)))
    state = net[4].state
    watch.look(state)
    state.role = Role.CANDIDATE
    with pytest.raises(InvariantBroken, match="no configuration lets it vote"):
        watch.look(state)


@pytest.mark.parametrize(
    ("membership", "nodes", "enough"),
    [
        (stable((1, 2, 3)), [1, 2], True),
        (stable((1, 2, 3)), [1, 4, 5], False),
        (stable((1, 2, 3, 4)), [1, 2], False),
        (Membership((1, 4, 5), (1, 4, 5), (1, 2, 3)), [1, 4, 5], False),
        (Membership((1, 4, 5), (1, 4, 5), (1, 2, 3)), [1, 2, 4], True),
        (stable(()), [1, 2], False),
    ],
)
def test_a_quorum_is_a_majority_of_each_half(
    membership: Membership, nodes: list[int], enough: bool
) -> None:
    assert is_quorum(membership, nodes) is enough
