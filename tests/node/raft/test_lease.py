"""Leases: reads without a round, and what voters promise for them (thesis §6.4.1)."""

from __future__ import annotations

from typing import Any

import pytest

from launcher.simulation.stage.cores import Network
from node.raft.lease import CLOCK_DRIFT_BOUND
from node.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    ReadIndex,
    ReadIndexReply,
    RequestVote,
    RequestVoteReply,
    TimeoutNow,
)
from node.raft.settings import Timing
from node.raft.state import Role
from tests.node.raft.by_hand import led, persist

LEASE = Timing(0.1, 0.5, 1.0, failure_hint=False, lease=True)
LASTS_S = 0.5 / CLOCK_DRIFT_BOUND


def leased(size: int = 3, *, timing: Timing = LEASE, **options: Any) -> Network:
    """Server 1 leads; all started long ago, and a round has just been answered."""
    return led(size, at_s=1.0, run_s=0.1001, timing=timing, **options)


def reads_at_once(net: Network, node_id: int = 1) -> bool:
    """Whether a read is answered before anything is delivered."""
    before = len(net.servers[node_id].reads)
    net[node_id].read(99, net.now)
    net.collect(node_id)
    return len(net.servers[node_id].reads) > before


def asks_for_a_vote(net: Network, term: int, *, pre_vote: bool = False) -> RequestVote:
    last = net[1].state.log.last_index
    return RequestVote(term, 3, last, 1, pre_vote=pre_vote)


def granted(net: Network, voter: int, message: RequestVote) -> bool:
    net.mail.clear()
    net[voter].step(3, message, net.now)
    net.collect(voter)
    persist(net, voter)
    return any(isinstance(m, RequestVoteReply) and m.vote_granted for _, _, m in net.mail)


def test_there_is_none_by_default() -> None:
    assert not Timing().lease
    assert not reads_at_once(leased(timing=Timing(0.1, 0.5, 1.0, failure_hint=False)))


def test_a_leader_that_was_just_heard_reads_without_a_round() -> None:
    net = leased()
    rounds = net[1].state.round
    assert reads_at_once(net)
    assert net.servers[1].reads[-1] == (net[1].state.commit_index, [99])
    assert net[1].state.round == rounds
    assert not net.mail


def test_a_lease_is_counted_from_the_beginning_of_the_round() -> None:
    """Not from when its answers came, nor from when anything else was heard."""
    net = leased()
    began = net[1].state.heartbeat_deadline = net.now
    net.elapse(1)
    net.now = began + 0.3
    while net.mail:
        net.deliver()
    assert net[1].state.lease.since == began
    net.now = began + LASTS_S - 0.001
    assert reads_at_once(net)
    net.now = began + LASTS_S
    assert not reads_at_once(net)


def test_a_minority_grants_no_lease() -> None:
    net = leased(5)
    net.isolate(1, 2)
    net.run(LASTS_S, only={1, 2})
    assert net[1].state.role is Role.LEADER
    assert not reads_at_once(net)


def test_it_is_over_before_any_voter_may_elect_another() -> None:
    net = leased()
    net.isolate(1)
    held_until = net[1].state.lease.since + LASTS_S
    for voter in (2, 3):
        heard = net[voter].state.leader_heard_at
        assert heard + LEASE.election_timeout_min_s > held_until
        assert net[voter].state.election_deadline > held_until


def test_a_new_leader_holds_none_and_reads_only_when_it_has_committed_in_its_term() -> None:
    net = leased()
    net.isolate(1)
    net.time_out(2)
    net.until(lambda: net[2].state.role is Role.LEADER)
    assert net[2].state.lease.since == float("-inf")
    net[2].state.lease.since = net.now  # as if a round had been answered already
    assert not reads_at_once(net, 2), "it does not know what is committed"
    net.settle()
    net.elapse(2)
    net.run(0.1)
    assert reads_at_once(net, 2)


def test_a_follower_is_answered_by_lease_at_once() -> None:
    net = leased()
    rounds = net[1].state.round
    net[2].read(5, net.now, follower=True)
    net.collect(2)
    assert [type(m) for _, _, m in net.mail] == [ReadIndex]
    net.deliver()
    assert [type(m) for _, _, m in net.mail] == [ReadIndexReply]
    net.settle()
    assert net.servers[2].reads[-1][1] == [5]
    assert net[1].state.round == rounds


def test_a_leader_that_has_told_another_to_stand_holds_none_in_this_term() -> None:
    """The TimeoutNow may take any time, and who hears of it votes."""
    net = leased()
    net[1].transfer(2, net.now)
    net.collect(1)
    assert any(isinstance(m, TimeoutNow) for _, _, m in net.mail)
    assert not reads_at_once(net)
    net.mail.clear()
    net.cut = {(1, 2)}
    net.run(0.7)
    assert net[1].state.transfer is None
    assert net[1].state.role is Role.LEADER
    assert not reads_at_once(net), "it may be on its way still"


def test_who_was_told_to_stand_is_elected_though_all_have_heard_the_leader() -> None:
    net = leased()
    net[1].transfer(2, net.now)
    net.collect(1)
    net.settle()
    assert net.leader == 2


@pytest.mark.parametrize("pre_vote", [False, True])
def test_who_has_heard_a_leader_votes_for_nobody(pre_vote: bool) -> None:
    net = leased()
    net.now += 0.49
    assert not granted(net, 2, asks_for_a_vote(net, 2, pre_vote=pre_vote))
    assert net[2].state.current_term == 1
    net.now += 0.02
    assert granted(net, 2, asks_for_a_vote(net, 2, pre_vote=pre_vote))


def test_a_voter_keeps_its_promise_when_a_later_term_reaches_it_otherwise() -> None:
    """A refused candidate's answer: the voter forgets its leader, and not that it has heard it."""
    net = leased()
    net[2].step(3, RequestVoteReply(2, vote_granted=False), net.now)
    net.collect(2)
    assert (net[2].state.current_term, net[2].state.leader_id) == (2, None)
    assert not granted(net, 2, asks_for_a_vote(net, 2))
    assert not granted(net, 2, asks_for_a_vote(net, 3))
    net.now += 0.51
    assert granted(net, 2, asks_for_a_vote(net, 3))


@pytest.mark.parametrize("pre_vote", [False, True])
def test_who_starts_again_votes_for_nobody_and_stands_not_for_as_long(pre_vote: bool) -> None:
    net = leased()
    began = net.now
    net.crash(2)
    net.start(2)
    net.now = began + 0.49
    assert not granted(net, 2, asks_for_a_vote(net, 2, pre_vote=pre_vote))
    assert net[2].state.election_deadline >= began + 0.5
    net.now = began + 0.51
    assert granted(net, 2, asks_for_a_vote(net, 2, pre_vote=pre_vote))


def test_leases_go_without_the_failure_hint() -> None:
    with pytest.raises(AssertionError):
        Timing(failure_hint=True, lease=True)
    net = leased()
    net[2].hint_failure(1, net.now)
    net.collect(2)
    assert not granted(net, 2, asks_for_a_vote(net, 2))


def test_answers_to_entries_extend_a_lease_no_further_than_their_round() -> None:
    net = leased()
    before = net[1].state.lease.since
    net.now += 0.05
    net.propose()
    net.settle()
    assert net[1].state.lease.since == before


def test_an_answer_of_an_earlier_round_extends_nothing() -> None:
    net = leased()
    before, round_before = net[1].state.lease.since, net[1].state.round
    net.now += 0.09
    net[1].state.heartbeat_deadline = net.now
    net.elapse(1)
    net.mail.clear()
    last = net[1].state.log.last_index
    net[1].step(2, AppendEntriesReply(1, True, last, last, round=round_before), net.now)
    assert net[1].state.lease.since == before
    net[1].step(2, AppendEntriesReply(1, True, last, last, round=round_before + 1), net.now)
    assert net[1].state.lease.since == net.now


def test_a_leader_that_follows_again_answers_nothing_by_its_lease() -> None:
    net = leased()
    last = net[1].state.log.last_index
    net[1].read(7, net.now)
    net[1].step(2, AppendEntries(2, 2, last, 1, (), last), net.now)
    net.collect(1)
    assert net.servers[1].reads == [], "the server has sent who asked elsewhere"
