"""Other timers while a server runs, and elections by command. `Network` checks the invariants at
every step of these tests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from launcher.simulation.stage.cores import Network
from node.errors import ImpossibleElection
from node.raft.settings import Timing
from node.raft.state import Role

FAST = Timing(0.1, 0.5, 1.0)
SLOW = Timing(2.0, 10.0, 20.0)
PAPER = Timing(0.1, 0.5, 1.0, failure_hint=False, pre_vote=False)
LEASE = Timing(0.1, 0.5, 1.0, failure_hint=False, lease=True)


def led(timing: Timing, size: int = 3) -> Network:
    """Server 1 leads, and what it has proposed is committed everywhere."""
    net = Network(size, timing=timing)
    net.elect(1)
    net.propose()
    net.settle()
    net.run(3 * timing.heartbeat_interval_s)
    return net


def retime(net: Network, timing: Timing, *ids: int) -> None:
    for node in ids or net.voters:
        net[node].change_timing(timing, net.now)
        net.collect(node)


@pytest.mark.parametrize(("before", "after"), [(FAST, SLOW), (SLOW, FAST)])
def test_a_change_of_the_timers_costs_no_election(before: Timing, after: Timing) -> None:
    net = led(before)
    net.run(0.9 * before.heartbeat_interval_s)  # the peers were last heard long ago, by FAST
    retime(net, after)
    net.run(3 * after.election_timeout_max_s)
    assert net.leader == 1
    assert net[1].state.current_term == 1


def test_the_election_timer_is_drawn_anew_from_the_new_range() -> None:
    net = led(FAST)
    retime(net, SLOW)
    for node in (2, 3):
        waits_s = net[node].state.election_deadline - net.now
        assert SLOW.election_timeout_min_s <= waits_s <= SLOW.election_timeout_max_s
    retime(net, FAST)
    for node in (2, 3):
        waits_s = net[node].state.election_deadline - net.now
        assert FAST.election_timeout_min_s <= waits_s <= FAST.election_timeout_max_s


def test_a_leader_sends_a_heartbeat_at_once() -> None:
    net = led(SLOW)
    retime(net, FAST, 1)
    assert net[1].deadline <= net.now
    net[1].elapse(net.now)
    assert net[1].deadline <= net.now + FAST.heartbeat_interval_s


def test_a_leader_that_is_cut_off_steps_down_by_the_new_timers() -> None:
    net = led(SLOW)
    net.isolate(1)
    retime(net, FAST)
    net.run(3 * FAST.election_timeout_max_s)
    assert net[1].state.role is not Role.LEADER
    assert net.leader in (2, 3)


def test_servers_with_different_timers_still_have_one_leader() -> None:
    """In the moment of a change, or while one of them is paused, they do."""
    net = led(FAST, size=5)
    retime(net, SLOW, 2, 3)
    net.run(5.0)
    net.isolate(1)
    net.run(60.0)
    net.heal()
    net.run(60.0)
    assert len({net[n].state.leader_id for n in net.voters}) == 1


def test_turning_the_failure_hint_off_ends_hastened_elections() -> None:
    net = Network(3, timing=FAST)  # all have just started, and are hastened
    assert net[1].state.hinted_elections > 0
    retime(net, replace(FAST, failure_hint=False))
    assert net[1].state.hinted_elections == 0
    assert net[1].state.election_deadline >= net.now + FAST.election_timeout_min_s


def test_a_handover_under_way_gets_a_deadline_by_the_new_timers() -> None:
    net = led(SLOW)
    net.isolate(3)
    net[1].transfer(3, net.now)
    retime(net, FAST)
    net.run(2 * FAST.election_timeout_min_s)
    assert net[1].state.transfer is None
    assert net[1].state.transfer_failure == "it was told to campaign, and was not elected in time"


def test_leases_bind_the_shortest_timeout() -> None:
    net = led(LEASE)
    with pytest.raises(AssertionError, match="promise"):
        net[1].change_timing(replace(LEASE, election_timeout_min_s=0.4), net.now)
    with pytest.raises(AssertionError, match="restart"):
        net[1].change_timing(replace(LEASE, lease=False), net.now)
    net[1].change_timing(replace(LEASE, pre_vote=False), net.now)


# -- an election by command ----------------------------------------------------------------------


def test_a_follower_that_is_timed_out_begins_a_term() -> None:
    net = led(PAPER)
    net[2].time_out(net.now)
    net.collect(2)
    assert net[2].state.role is Role.CANDIDATE
    assert net[2].state.current_term == 2
    assert "election.timed_out" in net.servers[2].events


def test_with_pre_votes_it_only_asks() -> None:
    net = led(FAST)
    net[2].time_out(net.now)
    net.collect(2)
    assert net[2].state.pre_vote
    assert net[2].state.current_term == 1
    net.run(3.0)
    assert net.leader == 1, "the others hear a leader, and deny their pre-votes"


def test_two_that_are_timed_out_together_split_the_vote() -> None:
    net = Network(4, timing=PAPER)
    for node in (1, 2):
        net[node].time_out(net.now)
        net.collect(node)
    assert [net[node].state.voted_for for node in (1, 2)] == [1, 2]
    assert [net[node].state.current_term for node in (1, 2)] == [1, 1]


def test_a_leader_has_no_election_timer() -> None:
    net = led(PAPER)
    with pytest.raises(ImpossibleElection, match="n1 leads"):
        net[1].time_out(net.now)
    assert net.leader == 1


def test_a_server_that_a_lease_binds_is_not_timed_out() -> None:
    net = led(LEASE)
    net.run(0.2)
    with pytest.raises(ImpossibleElection, match="lease"):
        net[2].time_out(net.now)


def test_a_learner_and_a_hanging_disk_do_not_campaign() -> None:
    net = Network(4, timing=PAPER, members=(1, 2, 3))
    with pytest.raises(ImpossibleElection, match="no vote"):
        net[4].time_out(net.now)
    net[2].state.disk.stalled = True
    with pytest.raises(ImpossibleElection, match="hangs"):
        net[2].time_out(net.now)
