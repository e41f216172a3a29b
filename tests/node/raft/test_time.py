"""Cluster time: what entries bear, and what everything that expires goes by (thesis §6.4.1)."""

from __future__ import annotations

import pytest

from launcher.simulation.stage.cores import Network
from node.errors import NotLeader
from node.raft.messages import BatchKind


def time_at(net: Network, node_id: int) -> int:
    return net[node_id].state.log.last_time_us


def test_it_passes_as_the_leader_s_clock_does() -> None:
    net = Network(3)
    net.elect(1)
    net.settle()
    begun = time_at(net, 1)
    net.run(2.5)
    net.propose(b"x")
    assert time_at(net, 1) - begun == pytest.approx(2.5e6, abs=2e5)


def test_it_stands_still_without_a_leader_and_never_goes_back() -> None:
    net = Network(3)
    net.elect(1)
    net.run(5.0)
    net.propose(b"x")
    net.settle()
    before = time_at(net, 2)
    net.crash(1)
    net.now += 1000.0
    net.elect(2)
    assert before <= time_at(net, 2) <= before + 1_000_000


def test_a_tick_bears_nothing_but_the_time() -> None:
    net = Network(3)
    net.elect(1)
    net.settle()
    net.run(1.0)
    net[1].tick(net.now)
    net.settle()
    net.run(0.2)
    for n in net.voters:
        assert net.servers[n].applied[-1].kind is BatchKind.TICK
    with pytest.raises(NotLeader):
        net[2].tick(net.now)


def test_it_stands_still_while_the_leader_s_clock_catches_up_after_a_step_back() -> None:
    net = Network(3)
    net.elect(1)
    net.run(5.0)
    net.propose(b"x")
    before, then = time_at(net, 1), net.now
    net.settle()
    net.now -= 2.0  # of all of them; only the leader's counts
    net.propose(b"y")
    net.settle()
    assert {time_at(net, node) for node in net.voters} == {before}
    net.now += 3.0
    net.propose(b"z")
    assert time_at(net, 1) - before == pytest.approx((net.now - then) * 1e6, abs=2)
