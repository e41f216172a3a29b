"""Leadership transfer (thesis §3.10), and a leader whose disk hangs: cores moved by hand."""

from __future__ import annotations

import pytest

from launcher.simulation.stage.cores import Network
from node.errors import Busy, ImpossibleTransfer, NotLeader
from node.raft.messages import AppendEntries, Message, NodeId, RequestVote, TimeoutNow
from node.raft.settings import Limits
from node.raft.state import Role
from tests.node.raft.by_hand import led, persist


def transfer(net: Network, target: NodeId | None, leader: NodeId = 1) -> None:
    net[leader].transfer(target, net.now)
    net.collect(leader)


def sent(net: Network, kind: type[Message]) -> list[tuple[NodeId, NodeId, Message]]:
    return [item for item in net.mail if isinstance(item[2], kind)]


def lose(net: Network, kind: type[Message]) -> None:
    for item in sent(net, kind):
        net.mail.remove(item)


def events(net: Network, node_id: NodeId) -> list[str]:
    return net.servers[node_id].events


# -- handing over --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 3, 5])
def test_the_target_leads_without_a_timeout(size: int) -> None:
    net = led(size)
    began, term = net.now, net[1].state.current_term
    transfer(net, 2)
    net.settle()
    assert net.leader == 2
    assert net.now == began
    assert net[2].state.current_term == term + 1
    assert net[1].state.role is Role.FOLLOWER
    assert net[1].state.transfer is None
    assert net[1].state.transfer_failure == ""
    assert "transfer.done" in events(net, 1)
    net.propose()
    net.settle()
    assert net[2].state.commit_index == net[2].state.log.last_index


def test_the_target_asks_for_no_pre_votes_and_says_that_its_leader_wants_it() -> None:
    net = led()
    transfer(net, 2)
    net.settle(only=())
    (told,) = sent(net, TimeoutNow)
    assert told == (1, 2, TimeoutNow(1, 1))
    net.deliver()
    net.persist(2)
    asked = [message for _, _, message in sent(net, RequestVote)]
    assert asked == [RequestVote(2, 2, 2, 1, leadership_transfer=True)] * 2


def test_the_target_follows_nobody_while_it_campaigns() -> None:
    """Or it would send clients to the leader of the term before."""
    net = led()
    assert net[2].state.leader_id == 1
    transfer(net, 2)
    net.settle(only=())
    net.deliver()
    state = net[2].state
    assert (state.role, state.current_term, state.leader_id) == (Role.CANDIDATE, 2, None)


def test_a_voter_that_hears_the_leader_votes_only_for_whom_that_leader_wants() -> None:
    """Thesis §4.2.3: a RequestVote with the flag passes the rule that protects a heard leader."""
    net = led()
    assert net[3].state.hears_a_leader
    net[3].step(2, RequestVote(2, 2, 2, 1), net.now)
    assert net[3].state.current_term == 1
    net[3].step(2, RequestVote(2, 2, 2, 1, leadership_transfer=True), net.now)
    assert net[3].state.hard_state == net[2].state.hard_state.__class__(2, 2)


def test_a_log_that_is_behind_wins_no_vote_by_the_flag() -> None:
    net = led()
    net[3].step(2, RequestVote(2, 2, 1, 1, leadership_transfer=True), net.now)
    assert (net[3].state.current_term, net[3].state.voted_for) == (2, None)


def test_the_flag_does_not_outlive_the_election_that_was_asked_for() -> None:
    net = led(5)
    transfer(net, 2)
    net.deliver()
    net.mail.clear()
    net.time_out(2)
    for _, _, message in sent(net, RequestVote):
        assert isinstance(message, RequestVote)
        assert message.pre_vote
        assert not message.leadership_transfer
    assert not net[2].state.asked_to_campaign


def test_without_a_target_whoever_has_most_of_the_log_leads() -> None:
    net = led(5)
    for peer in (2, 3, 5):
        net.cut.add((1, peer))
    net.propose()
    net.settle()
    net.heal()
    transfer(net, None)
    assert net[1].state.transfer is not None
    assert net[1].state.transfer.target == 4


def test_without_a_target_the_dead_do_not_count() -> None:
    net = led(3)
    net.crash(2)
    net.run(0.6)
    net.propose()
    net.settle()
    transfer(net, None)
    net.settle()
    assert net.leader == 3


# -- who cannot be handed the lead ---------------------------------------------------------------


def test_only_a_leader_hands_over() -> None:
    net = led()
    with pytest.raises(NotLeader):
        net[2].transfer(3, net.now)


@pytest.mark.parametrize(("target", "said"), [(1, "n1 leads already"), (9, "n9 is no voter")])
def test_an_impossible_target(target: NodeId, said: str) -> None:
    net = led()
    with pytest.raises(ImpossibleTransfer, match=said):
        net[1].transfer(target, net.now)
    net.propose()


def test_alone_there_is_nobody_to_hand_over_to() -> None:
    net = Network(1)
    net.elect(1)
    with pytest.raises(ImpossibleTransfer, match="no other voter"):
        net[1].transfer(None, net.now)


def test_a_learner_is_no_target() -> None:
    net = Network(4, members=(1, 2, 3))
    net.elect(1)
    net.run(0.2)
    net.isolate(4)
    net[1].change_membership((1, 2, 3, 4), net.now)
    net.collect(1)
    assert 4 in net[1].state.progress
    with pytest.raises(ImpossibleTransfer, match="n4 is no voter"):
        net[1].transfer(4, net.now)


# -- pitfalls ------------------------------------------------------------------------------------


def test_a_target_that_lags_is_not_told_before_it_has_caught_up() -> None:
    net = led(limits=Limits(max_append_bytes=1, inflight_batches=1))
    net.isolate(2)
    for _ in range(5):
        net.propose()
        net.settle()
    net.heal()
    last_index = net[1].state.log.last_index
    transfer(net, 2)
    while not sent(net, TimeoutNow):
        assert net[1].state.progress[2].match_index < last_index
        if not net.deliver() and not net.persist_all():
            net.now = net[1].deadline
            net.elapse(1)
    assert net.disks[2].batches[-1].last_index == last_index
    net.settle()
    assert net.leader == 2
    assert net.log_terms(2) == [1] * last_index + [2]


def test_in_memory_is_not_caught_up() -> None:
    """The target's disk must hold it all, not only its log."""
    net = led()
    net.propose()
    transfer(net, 2)
    net.settle(only=(1, 3))
    while net.mail:
        net.deliver()
    assert not sent(net, TimeoutNow)
    net.persist(2)
    net.deliver()
    assert sent(net, TimeoutNow)


def test_nothing_is_proposed_meanwhile_and_reads_go_on() -> None:
    net = led()
    net.isolate(2)
    transfer(net, 2)
    with pytest.raises(Busy, match="n2 is about to lead"):
        net[1].propose(1, b"x", net.now)
    before = net[1].state.log.last_index
    net[1].tick(net.now)
    assert net[1].state.log.last_index == before
    net[1].read(7, net.now)
    net.collect(1)
    net.settle()
    assert net.servers[1].reads == [(before, [7])]


@pytest.mark.parametrize("lags", [False, True])
def test_what_takes_too_long_is_given_up_and_writes_go_on(lags: bool) -> None:
    net = led()
    net.isolate(2)
    if lags:
        net.propose()
        net.settle()
    began = net.now
    transfer(net, 2)
    net.run(net.timing.election_timeout_min_s - 0.001, only=(1, 3))
    assert net[1].state.transfer is not None
    net.run(0.002, only=(1, 3))
    assert net[1].state.transfer is None
    assert net.now - began < net.timing.election_timeout_min_s + 0.01
    assert ("lacked" if lags else "was told") in net[1].state.transfer_failure
    assert net.leader == 1
    net.propose()
    net.settle()
    assert net[1].state.commit_index == net[1].state.log.last_index


@pytest.mark.parametrize("again", [False, True])
def test_a_target_that_dies_is_given_up_at_once(again: bool) -> None:
    net = led()
    net.crash(2)
    transfer(net, 2)
    if again:
        net.start(2)
    else:
        net[1].hint_failure(2, net.now)
    assert net[1].state.transfer is None
    assert "process" in net[1].state.transfer_failure
    net.propose()


def test_the_death_of_another_does_not_matter() -> None:
    net = led()
    transfer(net, 2)
    net[1].hint_failure(3, net.now)
    assert net[1].state.transfer is not None


def test_another_target_takes_the_place_of_the_first() -> None:
    net = led(5)
    net.isolate(2)
    transfer(net, 2)
    transfer(net, 2)
    assert events(net, 1).count("transfer.started") == 1
    transfer(net, 3)
    assert events(net, 1)[-2:] == ["transfer.aborted", "transfer.started"]
    transfer(net, None)
    assert events(net, 1)[-1] == "transfer.started", "whoever leads will do"
    net.settle()
    assert net.leader == 3


def test_a_lost_timeout_now_is_said_again() -> None:
    net = led()
    transfer(net, 2)
    lose(net, TimeoutNow)
    net.run(net.timing.heartbeat_interval_s)
    assert net.leader == 2


def test_a_late_duplicate_of_an_old_term_does_nothing() -> None:
    net = led(5)
    transfer(net, 2)
    late = next(message for _, _, message in net.mail if isinstance(message, TimeoutNow))
    net.settle()
    assert net.leader == 2
    transfer(net, 3, leader=2)
    net.settle()
    for server in (1, 2, 4, 5):
        net[server].step(1, late, net.now)
        net.collect(server)
    assert not net.mail
    assert net.leader == 3
    assert net[3].state.current_term == 3


def test_a_duplicate_in_the_election_that_it_began_does_nothing() -> None:
    net = led()
    transfer(net, 2)
    net.mail.append(net.mail[-1])
    net.settle()
    assert net.leader == 2
    assert net[2].state.current_term == 2


def test_a_timeout_now_that_was_given_up_may_still_be_obeyed() -> None:
    """Safety is by votes alone: what was proposed meanwhile is not lost."""
    net = led()
    transfer(net, 2)
    (late,) = (item for item in net.mail if isinstance(item[2], TimeoutNow))
    lose(net, TimeoutNow)
    net[1].hint_failure(2, net.now)
    net.propose()
    net.settle(only=(1, 3))
    net[2].step(1, late[2], net.now)
    net.collect(2)
    net.settle()
    assert net.leader != 2
    net.run(3.0)
    assert net.leader is not None
    assert b"x" in [batch.data for batch in net.servers[net.leader].applied]


def test_a_deposed_leader_says_what_became_of_it() -> None:
    net = led(5)
    net.isolate(2)
    transfer(net, 2)
    net[1].step(3, AppendEntries(7, 3, 0, 0, (), 0), net.now)
    assert net[1].state.transfer is None
    assert net[1].state.transfer_failure == "n3 was elected instead"


# -- a disk that hangs ---------------------------------------------------------------------------


def hang(net: Network, node_id: NodeId = 1) -> None:
    """The server's disk is at a write from now on, and everybody else's is well."""
    net.propose()
    net[node_id].disk_at_work(net.now)
    others = [voter for voter in net.voters if voter != node_id]
    for _ in range(100):
        moved = net.deliver()
        if not any(net.persist(other) for other in others) and not moved:
            return


def run_beside_a_hung_disk(
    net: Network, duration_s: float, hung: NodeId = 1, losing: type[Message] | None = None
) -> None:
    """Everything happens but what needs that disk."""
    end = net.now + duration_s
    others = [voter for voter in net.voters if voter != hung]
    while True:
        due = min(net[voter].deadline for voter in net.voters)
        if due > end:
            net.now = end
            return
        net.now = max(net.now, due)
        for voter in net.voters:
            if net[voter].deadline <= net.now:
                net.elapse(voter)
        moved = True
        while moved:
            if losing is not None:
                lose(net, losing)
            moved = net.deliver() or any(net.persist(other) for other in others)


def test_a_leader_whose_disk_hangs_hands_over() -> None:
    net = led(5)
    hang(net)
    began = net.now
    run_beside_a_hung_disk(net, net.timing.election_timeout_min_s - 0.01)
    assert net.leader == 1
    run_beside_a_hung_disk(net, 0.02)
    assert net.leader not in (1, None)
    assert net.now - began < net.timing.election_timeout_max_s
    assert events(net, 1).count("disk.stalled") == 1


def test_if_that_fails_it_steps_down_and_does_not_stand_again() -> None:
    net = led(5)
    hang(net)
    began = net.now
    while net[1].state.role is Role.LEADER:
        run_beside_a_hung_disk(net, 0.05, losing=TimeoutNow)
        assert net.now - began < 2 * net.timing.election_timeout_min_s + 0.1
    assert events(net, 1).count("transfer.aborted") == 1
    while net.leader is None:
        run_beside_a_hung_disk(net, 0.05)
        assert net.now - began < 2 * net.timing.election_timeout_max_s
    net.isolate(1)
    run_beside_a_hung_disk(net, 10.0)
    assert net[1].state.role is Role.FOLLOWER
    assert net.leader not in (1, None)
    elections = events(net, 1).count("election.started")
    persist(net, 1)
    net[1].disk_at_work(None)
    net.collect(1)
    assert "disk.recovered" in events(net, 1)
    net.run(3.0)
    assert events(net, 1).count("election.started") > elections


def test_alone_it_leads_on_without_flapping() -> None:
    net = Network(1)
    net.elect(1)
    net.propose()
    net[1].disk_at_work(net.now)
    run_beside_a_hung_disk(net, 5.0)
    assert net.leader == 1
    assert events(net, 1).count("disk.stalled") == 1


@pytest.mark.parametrize("size", [2, 3])
def test_where_no_majority_of_disks_is_better_it_leads_on(size: int) -> None:
    net = led(size)
    if size == 3:
        net.crash(3)
    net.propose()
    net[1].disk_at_work(net.now)
    term = net[1].state.current_term
    for _ in range(50):
        net.now += 0.1
        net.elapse(1)
        while net.deliver() or net.persist(2):
            pass
    assert net.leader == 1
    assert net[1].state.current_term == term
    assert "transfer.started" not in events(net, 1)


def test_all_disks_slow_alike_keep_their_leader() -> None:
    net = led(5)
    net.propose()
    for voter in net.voters:
        net[voter].disk_at_work(net.now)
    for _ in range(20):
        net.now += 0.1
        for voter in net.voters:
            net.elapse(voter)
        while net.deliver():
            pass
    assert net.leader == 1
    assert "transfer.started" not in events(net, 1)


def test_who_is_told_to_stand_while_its_disk_hangs_does_not() -> None:
    net = led()
    net[2].disk_at_work(net.now)
    net.run(0.6)
    assert net[2].state.disk.stalled
    net[2].step(1, TimeoutNow(1, 1), net.now)
    assert net[2].state.role is Role.FOLLOWER
    assert net[2].state.current_term == 1


def test_a_disk_that_hangs_has_recovered_only_when_no_write_is_under_way() -> None:
    net = led()
    net[2].disk_at_work(net.now)
    net.run(0.6)
    net[2].disk_at_work(net.now)
    assert net[2].state.disk.stalled
    net[2].disk_at_work(None)
    assert not net[2].state.disk.stalled


def test_a_short_write_is_no_stall() -> None:
    net = led()
    for _ in range(10):
        net[1].disk_at_work(net.now)
        net.run(0.4)
        net[1].disk_at_work(None)
    assert "disk.stalled" not in events(net, 1)


def test_who_has_just_died_is_no_heir() -> None:
    """It was heard a moment ago, and may hold the most: but a pipe that closes is certain."""
    net = Network(3)
    net.elect(1)
    net.run(0.2)
    net.crash(2)
    net[1].hint_failure(2, net.now)
    net[1].transfer(None, net.now)
    net.collect(1)
    assert net[1].state.transfer is not None
    assert net[1].state.transfer.target == 3


def test_a_server_that_is_no_voter_does_not_campaign_though_it_is_told_to() -> None:
    """Its leader may know of a configuration that has not arrived here yet."""
    net = Network(4, members=(1, 2, 3))
    net.elect(1)
    net[4].step(1, TimeoutNow(1, 1), net.now)
    state = net[4].state
    assert not state.may_campaign
    assert (state.role, state.current_term) == (Role.FOLLOWER, 1)
