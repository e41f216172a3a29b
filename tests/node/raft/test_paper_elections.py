"""The paper as tests, first half: roles, terms and elections.

A test for each rule of Figure 2 that concerns terms, votes and roles, and for each claim of §5.1,
§5.2, §5.4.1 and §5.6 (with the §6 rule that a heard leader is not deposed). The other half is
`test_paper_replication.py`. Where we do more than the paper (pre-votes), the test says so.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest

from launcher.config import parse
from launcher.errors import ConfigError
from launcher.simulation.stage.cores import Network
from node.raft.membership import Configuration, majority, stable
from node.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    HardState,
    Message,
    RequestVote,
    RequestVoteReply,
)
from node.raft.settings import Timing
from node.raft.state import Role
from tests.node.raft.by_hand import persist


def step(net: Network, to: int, sender: int, message: Message) -> list[Message]:
    """Delivers `message`; what the receiver then says to the sender, all being on disk."""
    already = len(net.mail)
    net[to].step(sender, message, net.now)
    net.collect(to)
    persist(net, to)
    return [m for a, b, m in list(net.mail)[already:] if (a, b) == (to, sender)]


def role(net: Network, node_id: int) -> Role:
    return net[node_id].state.role


def candidate(size: int = 3, *, logs: dict[int, list[int]] | None = None) -> Network:
    """A cluster whose server 1 has won its pre-votes and asks for votes."""
    net = Network(size, logs=logs)
    net.time_out(1)
    asked = net[1].state.current_term + 1
    for peer in net.voters[1:]:
        if net[1].state.pre_vote:
            step(net, 1, peer, RequestVoteReply(asked, True, pre_vote=True))
    persist(net, 1)
    assert role(net, 1) is Role.CANDIDATE
    assert not net[1].state.pre_vote
    return net


def heartbeat(term: int, leader_id: int) -> AppendEntries:
    return AppendEntries(term, leader_id, 0, 0, (), 0)


# -- Figure 2, State -----------------------------------------------------------------------------


def test_a_first_start_knows_nothing() -> None:
    """Figure 2, State: term 0, no vote, an empty log whose first index will be 1."""
    state = Network(3)[1].state
    assert (state.current_term, state.voted_for) == (0, None)
    assert (state.log.last_index, state.log.first_index) == (0, 1)
    assert (state.commit_index, state.last_applied) == (0, 0)


def test_term_vote_and_log_survive_a_crash_and_the_rest_does_not() -> None:
    """Figure 2, State: three things are persistent; commit_index and last_applied begin at 0."""
    net = Network(3)
    net.elect(1)
    net.propose()
    net.settle()
    net.run(0.2)
    before = net[2].state
    assert before.commit_index == 2
    net.crash(2)
    net.start(2)
    after = net[2].state
    assert (after.current_term, after.voted_for) == (before.current_term, before.voted_for)
    assert after.log.batches_from(1) == before.log.batches_from(1)
    assert (after.commit_index, after.last_applied, after.leader_id) == (0, 0, None)


def test_a_vote_leaves_only_when_it_is_on_disk() -> None:
    """Figure 2, State: what is persistent is on stable storage before an answer (pitfall 1)."""
    net = Network(3)
    net[2].step(1, RequestVote(1, 1, 0, 0), net.now)
    net.collect(2)
    assert not net.mail
    persist(net, 2)
    assert net.disks[2].hard_state == HardState(1, 1)
    assert list(net.mail) == [(2, 1, RequestVoteReply(1, True))]


def test_an_elected_leader_knows_nothing_of_the_others() -> None:
    """Figure 2, State, leaders: next_index begins behind the leader's last entry, match_index at 0,
    at each election anew."""
    net = candidate(logs={1: [1, 1]})
    net[1].step(2, RequestVoteReply(2, True), net.now)
    for progress in net[1].state.progress.values():
        assert (progress.next_index, progress.match_index) == (3, 0)


# -- Figure 2, RequestVote -----------------------------------------------------------------------


def test_request_vote_1_a_stale_term_gets_no_vote() -> None:
    """Figure 2, RequestVote step 1: no, and the voter's term; the vote remains to be given."""
    net = Network(3, terms={2: 5})
    assert step(net, 2, 1, RequestVote(4, 1, 9, 4)) == [RequestVoteReply(5, False)]
    assert net[2].state.voted_for is None


def test_request_vote_2_the_first_who_asks_gets_the_vote() -> None:
    """Figure 2, RequestVote step 2; §5.2: one vote in a term, first come, first served."""
    net = Network(3)
    assert step(net, 3, 1, RequestVote(1, 1, 0, 0)) == [RequestVoteReply(1, True)]
    assert step(net, 3, 2, RequestVote(1, 2, 0, 0)) == [RequestVoteReply(1, False)]
    assert net[3].state.voted_for == 1


def test_request_vote_2_who_has_the_vote_is_told_so_again() -> None:
    """Figure 2, RequestVote step 2: the answer may have been lost on its way."""
    net = Network(3)
    for _ in range(2):
        assert step(net, 3, 1, RequestVote(1, 1, 0, 0)) == [RequestVoteReply(1, True)]


def test_request_vote_2_one_vote_a_term_even_after_a_restart() -> None:
    """Figure 2, RequestVote step 2 and State: vote, crash, restart, be asked by another."""
    net = Network(3)
    step(net, 2, 1, RequestVote(1, 1, 0, 0))
    net.crash(2)
    net.start(2)
    assert step(net, 2, 3, RequestVote(1, 3, 0, 0)) == [RequestVoteReply(1, False)]
    assert step(net, 2, 1, RequestVote(1, 1, 0, 0)) == [RequestVoteReply(1, True)]


def test_request_vote_2_a_new_term_is_a_new_vote() -> None:
    """Figure 2, RequestVote step 2: voted_for is of the current term."""
    net = Network(3)
    step(net, 2, 1, RequestVote(1, 1, 0, 0))
    assert step(net, 2, 3, RequestVote(2, 3, 0, 0)) == [RequestVoteReply(2, True)]


@pytest.mark.parametrize(
    ("ours", "theirs", "granted"),
    [
        ([1, 1, 1], (2, 1), False),  # shorter, same term
        ([1, 1, 1], (3, 1), True),  # the same
        ([1, 1, 1], (4, 1), True),  # longer, same term
        ([1, 1, 1], (2, 2), True),  # shorter, later term
        ([1, 1, 2], (9, 1), False),  # longer, earlier term
        ([], (0, 0), True),
    ],
)
def test_request_vote_2_only_a_log_as_recent_as_ours_gets_a_vote(
    ours: list[int], theirs: tuple[int, int], granted: bool
) -> None:
    """Figure 2, RequestVote step 2; §5.4.1: last terms decide, then lengths; for pre-votes too."""
    for pre_vote in (True, False):
        net = Network(3, logs={2: ours})
        request = RequestVote(5, 1, *theirs, pre_vote=pre_vote)
        (reply,) = step(net, 2, 1, request)
        assert isinstance(reply, RequestVoteReply)
        assert (reply.vote_granted, reply.pre_vote) == (granted, pre_vote)
        assert net[2].state.voted_for == (1 if granted and not pre_vote else None)


# -- Figure 2, all servers; §5.1 -----------------------------------------------------------------

LATER: list[Message] = [
    RequestVote(7, 2, 9, 7),
    RequestVoteReply(7, False),
    AppendEntries(7, 2, 0, 0, (), 0),
    AppendEntriesReply(7, False, 0, 0),
]


@pytest.mark.parametrize("message", LATER, ids=lambda message: type(message).__name__)
@pytest.mark.parametrize("before", Role)
def test_a_later_term_makes_everyone_its_follower(before: Role, message: Message) -> None:
    """Figure 2, all servers; §5.1: in a request or a reply, to a candidate or a leader alike.

    A leader that hears a quorum takes no note of a RequestVote (§6): here it has heard none lately.
    """
    net = Network(3)
    if before is Role.LEADER:
        net.elect(1)
        net.now += net.timing.election_timeout_min_s
    elif before is Role.CANDIDATE:
        net = candidate()
    assert role(net, 1) is before
    net[1].step(2, message, net.now)
    net.collect(1)
    assert net[1].state.current_term == 7
    assert role(net, 1) is Role.FOLLOWER


def test_a_new_term_is_entered_without_a_vote_or_a_leader() -> None:
    """Figure 2, all servers: the vote and the leader of one term mean nothing in another."""
    net = Network(3)
    net.elect(1)
    step(net, 2, 3, AppendEntriesReply(5, False, 0, 0))
    state = net[2].state
    assert (state.current_term, state.voted_for, state.leader_id) == (5, None, None)


def test_a_request_of_a_stale_term_is_refused_with_ours() -> None:
    """§5.1: servers exchange terms whenever they speak; who is behind learns it from the answer."""
    net = Network(3, terms={2: 5})
    requests: list[Message] = [RequestVote(4, 1, 0, 0), heartbeat(4, 1)]
    for request in requests:
        (reply,) = step(net, 2, 1, request)
        assert isinstance(reply, RequestVoteReply | AppendEntriesReply)
        assert reply.term == 5
    assert net[2].state.leader_id is None
    assert net[2].state.current_term == 5


def test_a_reply_of_a_stale_term_counts_for_nothing() -> None:
    """§5.1: an answer of an earlier term says nothing of this one."""
    net = candidate()
    net.time_out(1)
    step(net, 1, 2, RequestVoteReply(2, True, pre_vote=True))
    assert net[1].state.current_term == 2
    step(net, 1, 3, RequestVoteReply(1, True))
    assert role(net, 1) is Role.CANDIDATE
    step(net, 1, 3, RequestVoteReply(2, True))
    assert role(net, 1) is Role.LEADER


def test_a_reply_to_an_earlier_question_counts_for_nothing() -> None:
    """§5.1, thesis §9.6: a pre-vote for a term that has begun is none for the next."""
    net = candidate()
    net.time_out(1)
    assert role(net, 1) is Role.CANDIDATE
    assert net[1].state.pre_vote
    step(net, 1, 3, RequestVoteReply(1, True, pre_vote=True))
    assert net[1].state.current_term == 1
    step(net, 1, 3, RequestVoteReply(2, True, pre_vote=True))
    assert net[1].state.current_term == 2


def test_terms_are_consecutive_and_each_begins_with_an_election() -> None:
    """§5.1: each number one higher than the last."""
    net = Network(3)
    terms = []
    for leader in (1, 2, 3, 1):
        net.elect(leader)
        terms.append(net[leader].state.current_term)
    assert terms == [1, 2, 3, 4]


def test_messages_are_all_that_is_needed() -> None:
    """§5.1: two kinds of requests carry consensus, and their replies; nobody else speaks up."""
    net = Network(3)
    net.elect(1)
    kinds: set[type] = set()
    net.propose()
    for _ in range(50):
        kinds |= {type(message) for _, _, message in net.mail}
        if not net.deliver():
            net.persist_all()
    net.time_out(2)
    net.deliver()
    kinds |= {type(message) for _, _, message in net.mail}
    assert kinds == {RequestVote, RequestVoteReply, AppendEntries, AppendEntriesReply}


def test_nobody_is_a_stranger_but_oneself() -> None:
    """§6: who asks may be a voter by a configuration that has not come here yet."""
    net = Network(3)
    assert step(net, 1, 1, RequestVote(5, 1, 9, 4)) == []
    assert net[1].state.current_term == 0
    (granted,) = step(net, 1, 9, RequestVote(5, 9, 9, 4))
    assert granted == RequestVoteReply(5, vote_granted=True)


# -- Figure 2, followers -------------------------------------------------------------------------


def test_servers_start_as_followers() -> None:
    """§5.2, Figure 4: also one that led before it crashed."""
    net = Network(3)
    assert {net[n].state.role for n in net.voters} == {Role.FOLLOWER}
    net.elect(1)
    net.crash(1)
    net.start(1)
    assert role(net, 1) is Role.FOLLOWER


def test_followers_only_answer() -> None:
    """Figure 2, followers; §5.1: they send nothing of themselves while they hear a leader."""
    net = Network(3)
    net.elect(1)
    net.settle()
    for _ in range(50):
        net.run(0.1, settle=False)
        assert {sender for sender, _, _ in net.mail} <= {1}
        net.settle()
    assert net.leader == 1


def test_a_follower_that_hears_nobody_becomes_a_candidate() -> None:
    """Figure 2, followers; §5.2: after an election timeout, and not before."""
    net = Network(3)
    due = net[2].state.election_deadline
    assert net.timing.election_timeout_min_s <= due <= net.timing.election_timeout_max_s
    net.now = due - 0.001
    net.elapse(2)
    assert role(net, 2) is Role.FOLLOWER
    net.now = due
    net.elapse(2)
    assert role(net, 2) is Role.CANDIDATE


def test_a_leaders_message_and_a_vote_given_restart_the_timer() -> None:
    """Figure 2, followers: these two, each with a full timeout drawn anew."""
    for message in (heartbeat(1, 1), RequestVote(1, 1, 0, 0)):
        net = Network(3)
        net[2].state.election_deadline = 0.5
        net.now = 0.4
        net[2].step(1, message, net.now)
        assert net[2].state.election_deadline >= 0.4 + net.timing.election_timeout_min_s


def test_nothing_else_restarts_the_timer() -> None:
    """Figure 2, followers: no vote denied, no pre-vote, no stale leader (pitfall 19)."""
    net = Network(3, logs={2: [3]})
    due = net[2].state.election_deadline
    for message in (
        RequestVote(4, 1, 0, 0),
        RequestVote(5, 1, 9, 3, pre_vote=True),
        heartbeat(2, 1),
        RequestVoteReply(4, True),
        AppendEntriesReply(4, True, 0, 0),
    ):
        net[2].step(1, message, net.now)
        net.collect(2)
    assert net[2].state.election_deadline == due


# -- Figure 2, candidates; §5.2 ------------------------------------------------------------------


def test_a_candidate_begins_a_term_votes_for_itself_and_asks_everyone() -> None:
    """Figure 2, candidates: and it restarts its timer. Its own vote is on disk before it asks."""
    net = Network(5, logs={1: [1, 1]})
    net.now = 1.0
    net[1].state.election_deadline = 1.0
    net.elapse(1)
    net.mail.clear()
    net.now = 1.4
    for peer in (2, 3):
        net[1].step(peer, RequestVoteReply(2, True, pre_vote=True), net.now)
    net.collect(1)
    state = net[1].state
    assert (state.current_term, state.voted_for, state.role) == (2, 1, Role.CANDIDATE)
    assert state.election_deadline >= 1.4 + net.timing.election_timeout_min_s
    assert not net.mail, "the vote for itself is not on disk yet"
    persist(net, 1)
    request = RequestVote(2, 1, 2, 1)
    assert list(net.mail) == [(1, n, request) for n in (2, 3, 4, 5)]


def test_a_candidate_asks_first_whether_it_would_win() -> None:
    """Thesis §9.6, not in the paper: without a majority's pre-votes no term begins."""
    net = Network(5)
    net.time_out(1)
    request = RequestVote(1, 1, 0, 0, pre_vote=True)
    assert list(net.mail) == [(1, n, request) for n in (2, 3, 4, 5)]
    step(net, 1, 2, RequestVoteReply(1, True, pre_vote=True))
    assert net[1].state.hard_state == HardState(0, None)
    step(net, 1, 3, RequestVoteReply(1, True, pre_vote=True))
    assert net[1].state.hard_state == HardState(1, 1)


@pytest.mark.parametrize("size", [2, 3, 4, 5, 7])
def test_a_majority_of_votes_makes_a_leader_and_one_less_does_not(size: int) -> None:
    """Figure 2, candidates; §5.2: a majority of all servers, itself included."""
    net = candidate(size)
    for needed, peer in enumerate(range(2, size // 2 + 2), 2):
        assert role(net, 1) is Role.CANDIDATE, f"{needed - 1} of {size}"
        step(net, 1, peer, RequestVoteReply(1, True))
        step(net, 1, peer, RequestVoteReply(1, True))  # a voter counts once
    assert role(net, 1) is Role.LEADER


def test_a_candidate_gives_way_to_the_leader_of_its_term() -> None:
    """Figure 2, candidates; §5.2: another has won; whatever else the message says."""
    net = candidate()
    step(net, 1, 2, AppendEntries(1, 2, 9, 1, (), 0))
    assert (net[1].state.role, net[1].state.leader_id) == (Role.FOLLOWER, 2)


def test_a_candidate_does_not_give_way_to_a_leader_of_an_earlier_term() -> None:
    """§5.2: it refuses, and goes on."""
    net = candidate(logs={1: [3]})
    (reply,) = step(net, 1, 2, heartbeat(3, 2))
    assert isinstance(reply, AppendEntriesReply)
    assert (reply.success, reply.term) == (False, 4)
    assert role(net, 1) is Role.CANDIDATE


def test_a_candidate_that_hears_no_more_tries_again_in_a_new_term() -> None:
    """Figure 2, candidates; §5.2: votes of the split term do not count in the next."""
    net = candidate(5)
    step(net, 1, 2, RequestVoteReply(1, True))
    net.time_out(1)
    assert net[1].state.pre_vote, "in our Raft it asks for pre-votes first, every time"
    for peer in (3, 4):
        step(net, 1, peer, RequestVoteReply(2, True, pre_vote=True))
    assert net[1].state.current_term == 2
    step(net, 1, 3, RequestVoteReply(2, True))
    assert role(net, 1) is Role.CANDIDATE
    step(net, 1, 4, RequestVoteReply(2, True))
    assert role(net, 1) is Role.LEADER


def test_a_split_vote_elects_nobody_and_is_soon_over() -> None:
    """§5.2: four servers, two candidates, two votes each; random timeouts decide the next term."""
    net = candidate(4)
    net[2].state.election_deadline = net.now
    net.elapse(2)
    for peer in (3, 4):
        step(net, 2, peer, RequestVoteReply(1, True, pre_vote=True))
    net.mail.clear()
    step(net, 3, 1, RequestVote(1, 1, 0, 0))
    step(net, 4, 2, RequestVote(1, 2, 0, 0))
    net.settle()
    assert [net[n].state.voted_for for n in net.voters] == [1, 2, 1, 2]
    assert net.leader is None
    net.run(5.0)
    assert net.leader is not None


def test_election_timeouts_are_drawn_anew_from_the_interval() -> None:
    """§5.2: servers differ, and so do one server's elections (pitfall 20, Figure 16)."""
    net = Network(5)
    first = [net[n].state.election_deadline for n in net.voters]
    assert len(set(first)) == 5
    draws = []
    for _ in range(50):
        net[1].step(2, heartbeat(1, 2), net.now)
        draws.append(net[1].state.election_deadline - net.now)
    assert len(set(draws)) == 50
    assert min(draws) >= net.timing.election_timeout_min_s
    assert max(draws) <= net.timing.election_timeout_max_s


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5])
def test_two_majorities_share_a_server(size: int) -> None:
    """§5.2, Election Safety, §5.4.3: which is why two cannot be elected, nor a commit be missed."""
    configuration = Configuration(stable(range(1, size + 1)))
    quorums = [
        set(chosen)
        for count in range(size + 1)
        for chosen in combinations(range(1, size + 1), count)
        if configuration.has_quorum(chosen)
    ]
    assert all(one & other for one in quorums for other in quorums)
    assert min(map(len, quorums)) == majority(configuration.voters) == size // 2 + 1


def test_a_leader_tells_everyone_at_once_and_goes_on_telling() -> None:
    """Figure 2, leaders; §5.2: upon election, then at every interval while all is idle."""
    net = Network(3)
    net.elect(1)
    assert {net[n].state.leader_id for n in net.voters} == {1}
    for _ in range(10):
        net.run(net.timing.heartbeat_interval_s, settle=False)
        beats = [(to, m.batches) for _, to, m in net.mail if isinstance(m, AppendEntries)]
        assert (2, ()) in beats
        assert (3, ()) in beats
        net.settle()
    assert net[1].state.current_term == 1


def test_a_leader_never_votes_for_another_of_its_term() -> None:
    """§5.2: it has voted for itself."""
    net = Network(3)
    net.elect(1)
    net.now += 10
    (reply,) = step(net, 1, 2, RequestVote(1, 2, 99, 1))
    assert reply == RequestVoteReply(1, False)
    assert net.leader == 1


def test_a_heard_leader_is_not_deposed() -> None:
    """§6, third issue: within the shortest timeout of hearing a leader, no vote and no new term."""
    net = Network(3)
    net.elect(1)
    for listener in (1, 2):
        step(net, listener, 3, RequestVote(9, 3, 99, 9))
        assert net[listener].state.current_term == 1
    net.now += net.timing.election_timeout_min_s
    assert step(net, 2, 3, RequestVote(9, 3, 99, 9)) == [RequestVoteReply(9, True)]


# -- §5.4.1 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("holders", list(combinations(range(1, 6), 3)))
def test_no_candidate_without_a_committed_entry_can_win(holders: tuple[int, ...]) -> None:
    """§5.4.1, §5.4.3: whatever majority holds it, who lacks it cannot gather another majority.

    The committed entry is 2, of term 2. Those who lack it hold only entry 1, or have more entries
    of term 1 after it.
    """
    for lacking in ([1], [1, 1, 1, 1]):
        for candidate_id in set(range(1, 6)) - set(holders):
            logs = {n: [1, 2] if n in holders else lacking for n in range(1, 6)}
            net = Network(5, logs=logs)
            request = RequestVote(3, candidate_id, len(lacking), 1)
            votes = 1
            for voter in set(net.voters) - {candidate_id}:
                (reply,) = step(net, voter, candidate_id, request)
                assert isinstance(reply, RequestVoteReply)
                votes += reply.vote_granted
            assert votes == 2, "itself, and the other who lacks it"


# -- §5.6 ----------------------------------------------------------------------------------------


def test_heartbeats_are_far_more_frequent_than_election_timeouts() -> None:
    """§5.6: the broadcast time has to be far below the election timeout: ours by configuration."""
    timing = Timing()
    assert timing.heartbeat_interval_s * 5 <= timing.election_timeout_min_s
    assert timing.hint_delay_s < timing.heartbeat_interval_s
    assert timing.commit_notice_s < timing.heartbeat_interval_s
    with pytest.raises(AssertionError):
        Timing(0.5, 0.5, 1.0)
    with pytest.raises(AssertionError):
        Timing(0.1, 1.0, 1.0)


def test_a_cluster_file_cannot_say_otherwise(tmp_path: Path) -> None:
    """§5.6: three heartbeats fit in the shortest timeout, and the defaults keep far away."""
    config = parse(b"", source=None, directory=tmp_path)
    assert config.heartbeat_interval_s * 5 <= config.election_timeout_min_s
    assert config.election_timeout_min_s < config.election_timeout_max_s
    with pytest.raises(ConfigError, match="heartbeat"):
        parse(b"raft: {heartbeat_interval: 400ms}", source=None, directory=tmp_path)


def test_a_leader_is_kept_while_messages_take_less_than_the_timeout() -> None:
    """§5.6: with every message 50 ms under way, nobody starts an election for a minute."""
    net = Network(5)
    net.elect(1)
    for _ in range(60):
        for _ in range(len(net.mail)):
            net.deliver()
        net.persist_all()
        net.run(0.05, settle=False)
    assert net.leader == 1
    assert net[1].state.current_term == 1


def test_a_majority_of_one_leads_only_once_its_vote_is_on_disk() -> None:
    """Figure 2, persistent state; found by the simulation, in a single node whose disk failed.

    A term that was led, and is then lost in a crash, would be led again, with other entries.
    """
    net = Network(1)
    net.time_out(1)
    assert net[1].state.role is Role.CANDIDATE
    assert net.leader is None

    net.crash(1)  # before anything was written
    net.start(1)
    net.time_out(1)
    assert net[1].state.current_term == 1
    net.persist(1)
    assert net.leader == 1
    assert net.disks[1].hard_state == HardState(1, 1)
