"""Elections beyond the paper's rules: pre-vote, check-quorum, hints, and the field's stories.

The rules themselves are in `test_paper_elections.py`.
"""

from __future__ import annotations

import pytest

from launcher.simulation.stage.cores import Network
from node.raft.election import HINTED_RETRIES, on_election_timeout
from node.raft.membership import stable
from node.raft.messages import (
    AppendEntries,
    HardState,
    InstallSnapshot,
    Message,
    RequestVote,
    RequestVoteReply,
    Snapshot,
)
from node.raft.settings import Timing
from node.raft.state import Role
from tests.node.raft.by_hand import persist

HINT = Timing(0.1, 0.5, 1.0, failure_hint=True)


def test_a_cluster_elects_one_leader() -> None:
    net = Network(5)
    net.run(2.0)
    leaders = [n for n in net.voters if net[n].state.role is Role.LEADER]
    assert len(leaders) == 1
    assert {net[n].state.leader_id for n in net.voters} == set(leaders)
    assert {net[n].state.current_term for n in net.voters} == {1}


STALE = Snapshot(3, 1, 0, stable((1, 2, 3)), 300, 3)


@pytest.mark.parametrize(
    "message",
    [
        pytest.param(RequestVote(4, 3, 0, 0), id="a stale request for a vote"),
        pytest.param(RequestVote(5, 3, 9, 4, pre_vote=True), id="a pre-vote that is refused"),
        pytest.param(RequestVote(6, 3, 9, 4, pre_vote=True), id="a pre-vote while a leader lives"),
        pytest.param(AppendEntries(4, 3, 0, 0, (), 0), id="a stale heartbeat"),
        pytest.param(InstallSnapshot(4, 3, STALE, 0, b""), id="a stale chunk"),
    ],
)
def test_nobody_learns_of_a_term_that_is_not_on_disk(message: Message) -> None:
    """A crash would take the term back, and the sender would have entered it (§5.1)."""
    net = Network(3, terms={1: 5, 2: 1, 3: 4})
    net[2].step(1, AppendEntries(5, 1, 0, 0, (), 0), net.now)
    net.collect(2)
    net[2].step(3, message, net.now)
    net.collect(2)
    assert not net.mail
    net.persist(2)
    assert [reply.term for _, to, reply in net.mail if to == 3] == [5]


def test_a_single_server_elects_itself_and_commits() -> None:
    net = Network(1)
    net.elect(1)
    index = net.propose()
    net.settle()
    assert net[1].state.commit_index == index


def test_a_pre_vote_changes_nobodys_term() -> None:
    """Thesis §9.6: an isolated server comes back without having raised its term."""
    net = Network(3)
    net.elect(1)
    net.isolate(3)
    net.run(5.0)
    assert net.servers[3].events.count("election.started") >= 4
    assert net[3].state.current_term == 1
    net.heal()
    net.run(1.0)
    assert net.leader == 1
    assert net[3].state.leader_id == 1
    assert net[1].state.current_term == 1


def test_without_pre_votes_who_comes_back_deposes_the_leader() -> None:
    """As the paper has it (§5.2): the terms of an isolated server rise, and end the leader's."""
    timing = Timing(0.1, 0.5, 1.0, failure_hint=False, pre_vote=False)
    net = Network(3, timing=timing)
    net.elect(1)
    net.isolate(3)
    net.run(5.0)
    assert net[3].state.current_term >= 5
    net.heal()
    net.run(2.0)
    assert net.leader is not None
    assert net[net.leader].state.current_term > 5
    assert net.servers[1].events.count("leader.stepped_down") == 1


def test_without_pre_votes_an_election_is_one_round() -> None:
    net = Network(3, timing=Timing(0.1, 0.5, 1.0, failure_hint=False, pre_vote=False))
    net.time_out(1)
    assert net[1].state.current_term == 1
    net.until(lambda: net.leader is not None)
    asked = [event for event in net.servers[1].events if event == "election.started"]
    assert len(asked) == 1


def test_without_pre_votes_a_hint_hastens_only_a_few_elections() -> None:
    net = Network(3, timing=Timing(0.1, 0.5, 1.0, failure_hint=True, pre_vote=False))
    net.elect(1)
    net.isolate(3)
    net[3].hint_failure(1, net.now)
    began = net[3].state.current_term
    net.run(0.4)
    assert 1 <= net[3].state.current_term - began <= HINTED_RETRIES


def test_a_leader_without_a_quorum_steps_down() -> None:
    """Check-quorum; pitfall 17: a leader that can send but not receive makes way."""
    net = Network(3)
    net.elect(1)
    net.cut = {(2, 1), (3, 1)}
    net.run(4.0)
    assert net[1].state.role is not Role.LEADER
    assert net.leader in (2, 3)


def test_a_partition_with_a_majority_elects_and_the_rest_does_not() -> None:
    net = Network(5)
    net.elect(1)
    net.isolate(1, 2)
    net.run(4.0)
    assert net.leader in (3, 4, 5)
    assert net[1].state.role is not Role.LEADER
    assert net[1].state.current_term == 1
    net.heal()
    net.run(2.0)
    assert len({net[n].state.leader_id for n in net.voters}) == 1


def test_pre_vote_and_check_quorum_do_not_deadlock() -> None:
    """Pitfall 10, field story 9: a server at a higher term, a leader at a lower one."""
    net = Network(3)
    net.elect(1)
    # 3 wins pre-votes while 1 is away, begins a term, and its requests are lost.
    net.isolate(1)
    net.time_out(3)
    net.until(lambda: net[3].state.current_term > 1)
    net.mail.clear()
    net.isolate(3)
    net.cut -= {(1, 2), (2, 1)}
    net.run(0.3)
    assert net[3].state.current_term > 1
    net.heal()
    net.run(4.0)
    assert net.leader is not None
    assert len({net[n].state.leader_id for n in net.voters}) == 1
    assert len({net[n].state.current_term for n in net.voters}) == 1


def test_late_pre_votes_do_not_elect() -> None:
    """An answer counts only for the question that was asked last."""
    net = Network(3)
    net.time_out(1)
    for _ in range(3):
        net.persist(1)
    term = net[1].state.current_term
    net[1].step(2, RequestVoteReply(term + 1, True, pre_vote=True), net.now)
    assert net[1].state.current_term == term + 1
    net[1].step(3, RequestVoteReply(term + 1, True, pre_vote=True), net.now)
    assert net[1].state.role is Role.CANDIDATE


def test_a_hint_starts_an_election_at_once() -> None:
    net = Network(5, timing=HINT)
    net.elect(1)
    net.run(1.0)
    net.crash(1)
    died_at = net.now
    for n in (2, 3, 4, 5):
        net[n].hint_failure(1, net.now)
        net.collect(n)
    while net.leader is None:
        net.run(0.001)
        assert net.now < died_at + 0.4, "well before any election timeout"


def test_a_hint_hastens_from_the_moment_at_which_it_comes() -> None:
    net = Network(3, timing=HINT)
    net.elect(1)
    net.now += 0.4
    net[2].hint_failure(1, net.now)
    assert net.now <= net[2].state.election_deadline <= net.now + HINT.hint_delay_s


def test_the_first_election_after_a_start_is_hastened() -> None:
    """And comes late enough to hear of a leader that there is."""
    net = Network(5, timing=HINT)
    for n in net.voters:
        assert 2.5 <= net[n].state.election_deadline / HINT.hint_delay_s <= 7.5
    slow = Network(5)
    for n in slow.voters:
        assert 0.5 <= slow[n].state.election_deadline <= 1.0


class Most:
    """Always draws the most."""

    def uniform(self, least: float, most: float) -> float:
        return most


def test_rivals_that_are_hastened_draw_from_a_wide_window() -> None:
    """So that one of them is through before the other begins."""
    net = Network(3, timing=HINT)
    state = net[2].state
    state.random = Most()
    state.hinted_elections = 1
    on_election_timeout(state)
    assert (state.election_deadline - net.now) / HINT.hint_delay_s == pytest.approx(5)


@pytest.mark.parametrize("retries", [1, HINTED_RETRIES])
def test_who_grants_a_pre_vote_gives_the_other_time_before_it_hastens(retries: int) -> None:
    net = Network(3, timing=HINT)
    state = net[2].state
    state.hinted_elections = retries
    state.election_deadline = net.now
    net[2].step(1, RequestVote(1, 1, 0, 0, pre_vote=True), net.now)
    assert 1 <= (state.election_deadline - net.now) / HINT.hint_delay_s <= 2


def test_who_grants_a_pre_vote_without_a_hint_waits_no_longer_than_before() -> None:
    net = Network(3, timing=HINT)
    state = net[2].state
    state.hinted_elections = 0
    state.election_deadline = net.now
    net[2].step(1, RequestVote(1, 1, 0, 0, pre_vote=True), net.now)
    assert state.election_deadline == net.now


def test_a_hint_about_a_follower_changes_nothing() -> None:
    net = Network(3, timing=HINT)
    net.elect(1)
    deadline = net[2].state.election_deadline
    net[2].hint_failure(3, net.now)
    assert net[2].state.election_deadline == deadline
    assert net[2].state.leader_id == 1


def test_without_a_quorum_hints_do_not_hasten_for_ever() -> None:
    net = Network(5, timing=HINT)
    net.elect(1)
    for n in (1, 2, 3):
        net.crash(n)
    net[4].hint_failure(1, net.now)
    net.collect(4)
    net.servers[4].events.clear()
    net.run(10.0)
    assert net.servers[4].events.count("election.started") <= 25


def test_who_follows_a_leader_does_not_vote_in_its_term() -> None:
    """The loser's request may come late, to a server that has not voted but heard the winner."""
    net = Network(3)
    net[3].step(1, AppendEntries(5, 1, 0, 0, (), 0), net.now)
    net.collect(3)
    net[3].step(2, RequestVote(5, 2, 0, 0), net.now)
    net.collect(3)
    assert net[3].state.voted_for is None
    assert net[3].state.leader_id == 1


def test_a_vote_in_a_term_that_is_known_already_survives_a_crash() -> None:
    """Nothing else of the hard state changes: it is the vote that must be written (Figure 2)."""
    net = Network(3, terms={2: 5})
    net[2].step(1, RequestVote(5, 1, 0, 0), net.now)
    net.collect(2)
    persist(net, 2)
    net.crash(2)
    net.start(2)
    assert net[2].state.hard_state == HardState(5, 1)
