"""Elections: §5.2, §5.4.1, pre-vote (thesis §9.6), and who may depose a leader (thesis §4.2.3)."""

from __future__ import annotations

import pytest

from node.raft.messages import AppendEntries, HardState, RequestVote, RequestVoteReply
from node.raft.state import Role, Timing
from tests.node.raft.network import Network

HINT = Timing(0.1, 0.5, 1.0, failure_hint=True)


def test_a_cluster_elects_one_leader() -> None:
    net = Network(5)
    net.run(2.0)
    leaders = [n for n in net.voters if net[n].state.role is Role.LEADER]
    assert len(leaders) == 1
    assert {net[n].state.leader_id for n in net.voters} == set(leaders)
    assert {net[n].state.current_term for n in net.voters} == {1}


def test_a_single_server_elects_itself_and_commits() -> None:
    net = Network(1)
    net.elect(1)
    index = net.propose()
    net.settle()
    assert net[1].state.commit_index == index


def test_a_vote_leaves_only_when_it_is_on_disk() -> None:
    """Pitfall 1: nothing is said that a crash could take back."""
    net = Network(3)
    net[2].step(1, RequestVote(1, 1, 0, 0), net.now)
    net.collect(2)
    assert not [m for _, to, m in net.mail if to == 1]
    while net.persist(2):
        pass
    assert net.disks[2].hard_state == HardState(1, 1)
    assert (2, 1, RequestVoteReply(1, True)) in net.mail


def test_one_vote_a_term_even_after_a_restart() -> None:
    """Found in the field 1: vote, crash, restart, be asked again in the same term."""
    net = Network(3)
    net[2].step(1, RequestVote(1, 1, 0, 0), net.now)
    net.collect(2)
    while net.persist(2):
        pass
    net.mail.clear()
    net.crash(2)
    net.start(2)
    net[2].step(3, RequestVote(1, 3, 0, 0), net.now)
    net.settle()
    assert net[2].state.voted_for == 1
    assert not net.cut
    assert net[3].state.role is Role.FOLLOWER


@pytest.mark.parametrize(
    ("ours", "theirs", "granted"),
    [
        ([1, 1, 1], (2, 1), False),  # shorter, same term
        ([1, 1, 1], (3, 1), True),
        ([1, 1, 1], (2, 2), True),  # shorter, later term
        ([1, 1, 2], (9, 1), False),  # longer, earlier term
        ([], (0, 0), True),
    ],
)
def test_only_a_log_as_recent_as_ours_gets_a_vote(
    ours: list[int], theirs: tuple[int, int], granted: bool
) -> None:
    """§5.4.1: terms decide, then lengths."""
    net = Network(3, logs={2: ours})
    for pre_vote in (True, False):
        net[2].step(1, RequestVote(5, 1, *theirs, pre_vote=pre_vote), net.now)
        net.collect(2)
        while net.persist(2):
            pass
        replies = [m for _, to, m in net.mail if to == 1 and isinstance(m, RequestVoteReply)]
        assert replies[-1].vote_granted is granted
        assert replies[-1].pre_vote is pre_vote


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


def test_a_server_that_hears_a_leader_grants_no_vote_and_learns_no_term() -> None:
    """Thesis §4.2.3; pitfall 9: nobody deposes a leader that is heard."""
    net = Network(3)
    net.elect(1)
    net[2].step(3, RequestVote(9, 3, 99, 9), net.now)
    net[1].step(3, RequestVote(9, 3, 99, 9), net.now)
    net.settle()
    assert net.leader == 1
    assert net[2].state.current_term == 1


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
    while net[3].state.current_term == 1:
        assert net.deliver() or net.persist_all()
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


def test_denied_votes_do_not_restart_the_timer() -> None:
    """Pitfall 19: a candidate that cannot win must not keep the others from trying."""
    net = Network(3, logs={2: [1], 3: [1]}, terms={1: 1})
    deadline = net[2].state.election_deadline
    for term in range(2, 6):
        net[2].step(1, RequestVote(term, 1, 0, 0), net.now)
    assert net[2].state.election_deadline == deadline


def test_a_stale_leader_does_not_restart_the_timer() -> None:
    net = Network(3, terms={2: 5})
    deadline = net[2].state.election_deadline
    net[2].step(1, AppendEntries(4, 1, 0, 0, (), 0), net.now)
    net.collect(2)
    assert net[2].state.election_deadline == deadline
    assert net[2].state.leader_id is None


def test_timeouts_differ_between_servers_and_between_elections() -> None:
    """Pitfall 20, Figure 16's first line: identical timeouts split votes without end."""
    net = Network(5)
    deadlines = {net[n].state.election_deadline for n in net.voters}
    assert len(deadlines) == 5
    net.time_out(1)
    assert net[1].state.election_deadline - net.now not in deadlines


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
