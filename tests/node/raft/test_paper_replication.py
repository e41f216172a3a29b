"""The paper as tests, second half: how logs are replicated, committed and applied.

A test for each rule of Figure 2 that concerns entries, for each claim of §5.3, §5.4.2, §5.4.3 and
§5.5, and Figures 7 and 8. The first half is `test_paper_elections.py`. Where our Raft does more
than the paper (batches, pipelines, hints), `test_replication.py` has the tests.
"""

from __future__ import annotations

import pytest

from launcher.simulation.stage.cores import Network, batches
from node.errors import Nonsense
from node.raft import replication
from node.raft.invariants import InvariantBroken, ServerWatch
from node.raft.messages import AppendEntries, AppendEntriesReply, Batch, BatchKind, Message
from node.raft.progress import PROBE
from node.raft.state import RaftState, Role
from tests.node.raft.by_hand import follower, persist, sent_to

C = BatchKind.COMMANDS


def append(
    net: Network, term: int, prev: tuple[int, int], new: list[Batch], commit: int = 0
) -> AppendEntriesReply:
    """Server 1 sends AppendEntries to server 2; its answer, all being on disk."""
    already = len(net.mail)
    net[2].step(1, AppendEntries(term, 1, *prev, tuple(new), commit), net.now)
    net.collect(2)
    persist(net, 2)
    (reply,) = [m for a, b, m in list(net.mail)[already:] if (a, b) == (2, 1)]
    assert isinstance(reply, AppendEntriesReply)
    return reply


def entry(index: int, term: int, data: bytes = b"new") -> Batch:
    return Batch(index, term, C, 1, data)


def leader(size: int = 3, log: list[int] | None = None) -> Network:
    """A cluster whose server 1 leads; all have its log, and its no-op is all that is new to it."""
    net = Network(size, logs={n: log or [] for n in range(1, size + 1)})
    net.time_out(1)
    net.until(lambda: net.leader is not None)
    net.mail.clear()
    return net


def acknowledge(net: Network, peer: int, match_index: int) -> None:
    term = net[1].state.current_term
    net[1].step(peer, AppendEntriesReply(term, True, match_index, match_index), net.now)
    net.collect(1)


# -- Figure 2, AppendEntries ---------------------------------------------------------------------


def test_append_entries_1_a_stale_leader_is_refused() -> None:
    """Figure 2, AppendEntries step 1: with our term; its entries and commit index are not taken."""
    net = follower(term=5, log=[1])
    reply = append(net, 4, (1, 1), [entry(2, 4)], commit=1)
    assert (reply.success, reply.term) == (False, 5)
    assert net.log_terms(2) == [1]
    assert net[2].state.commit_index == 0


@pytest.mark.parametrize("prev", [(3, 2), (5, 2), (2, 3), (1, 2)])
def test_append_entries_2_what_does_not_fit_is_refused(prev: tuple[int, int]) -> None:
    """Figure 2, AppendEntries step 2: no entry at that index, or one of another term."""
    net = follower(term=3, log=[1, 2])
    reply = append(net, 3, prev, [entry(prev[0] + 1, 3)], commit=9)
    assert (reply.success, reply.prev_log_index) == (False, prev[0])
    assert net.log_terms(2) == [1, 2], "a refusal changes no log"
    assert net[2].state.commit_index == 0


def test_append_entries_3_a_conflict_deletes_all_that_follows() -> None:
    """Figure 2, AppendEntries step 3: the same index with another term, in memory and on disk."""
    net = follower(term=3, log=[1, 2, 2, 2])
    reply = append(net, 3, (1, 1), [entry(2, 3)])
    assert (reply.success, reply.match_index) == (True, 2)
    assert net.log_terms(2) == [1, 3]
    assert [b.term for b in net.disks[2].batches] == [1, 3]


def test_append_entries_3_only_a_conflict_deletes() -> None:
    """Figure 2, AppendEntries step 3: a late, shorter message leaves what was acknowledged."""
    net = follower(term=2, log=[1, 1, 2])
    reply = append(net, 2, (0, 0), batches([1, 1, 2])[:1], commit=3)
    assert reply.match_index == 1
    assert net.log_terms(2) == [1, 1, 2]
    append(net, 2, (1, 1), [])
    assert net.log_terms(2) == [1, 1, 2], "nor does a heartbeat"


def test_append_entries_4_what_is_new_is_appended() -> None:
    """Figure 2, AppendEntries step 4: and what is held already is not appended twice."""
    net = follower(term=2, log=[1, 1])
    new = [*batches([1, 1])[1:], entry(3, 2), entry(4, 2)]
    assert append(net, 2, (1, 1), new).match_index == 4
    assert net.log_terms(2) == [1, 1, 2, 2]
    assert append(net, 2, (1, 1), new).match_index == 4
    assert net.log_terms(2) == [1, 1, 2, 2]


@pytest.mark.parametrize(("leader_commit", "expected"), [(0, 0), (1, 1), (2, 2), (3, 2), (9, 2)])
def test_append_entries_5_the_commit_index_follows(leader_commit: int, expected: int) -> None:
    """Figure 2, AppendEntries step 5: at most to the last new entry of this message."""
    net = follower(term=2, log=[1])
    append(net, 2, (1, 1), [entry(2, 2)], commit=leader_commit)
    assert net[2].state.commit_index == expected


def test_append_entries_5_a_message_vouches_only_for_its_own_entries() -> None:
    """Figure 2, AppendEntries step 5: our tail may be another leader's, and is not committed."""
    net = follower(term=3, log=[1, 2, 2])
    append(net, 3, (1, 1), [], commit=3)
    assert net[2].state.commit_index == 1


def test_append_entries_5_the_commit_index_never_goes_back() -> None:
    """Figure 2, AppendEntries step 5: a late message with a smaller one changes nothing."""
    net = follower(term=1, log=[1, 1])
    append(net, 1, (2, 1), [], commit=2)
    append(net, 1, (2, 1), [], commit=1)
    append(net, 1, (1, 1), [], commit=2)
    assert net[2].state.commit_index == 2


def test_an_acknowledgement_waits_for_the_disk() -> None:
    """Figure 2, State: the log is on stable storage before an answer is given."""
    net = follower(term=1, log=[])
    net[2].step(1, AppendEntries(1, 1, 0, 0, tuple(batches([1])), 0), net.now)
    net.collect(2)
    assert not net.mail
    persist(net, 2)
    assert list(net.mail) == [(2, 1, AppendEntriesReply(1, True, 1, 0))]


# -- Figure 2, all servers and leaders -----------------------------------------------------------


def test_what_is_committed_is_applied_in_order_and_once() -> None:
    """Figure 2, all servers; §5.3: last_applied follows commit_index, one by one."""
    net = follower(term=1, log=[1, 1, 1])
    append(net, 1, (3, 1), [], commit=2)
    assert [b.first_index for b in net.servers[2].applied] == [1, 2]
    append(net, 1, (3, 1), [], commit=3)
    append(net, 1, (3, 1), [], commit=3)
    assert [b.first_index for b in net.servers[2].applied] == [1, 2, 3]
    assert net[2].state.last_applied == 3


def test_a_command_is_appended_sent_committed_and_only_then_applied() -> None:
    """Figure 2, leaders; §5.3: the life of a client's request."""
    net = leader()
    net.settle()
    net.run(0.2)
    index = net.propose(b"x")
    (appended,) = net[1].state.log.batches_from(index)
    assert appended == Batch(index, 1, C, 1, b"x", appended.time_us)
    assert [m.batches[-1].data for m in sent_to(net, 2)] == [b"x"]
    persist(net, 1)
    assert net.servers[1].applied[-1].data != b"x"
    acknowledge(net, 2, index)
    assert net[1].state.commit_index == index
    assert net.servers[1].applied[-1].data == b"x"


def test_who_lacks_entries_is_sent_them_from_next_index_on() -> None:
    """Figure 2, leaders: with the entry before them, and the leader's commit index."""
    net = leader(log=[1, 1])
    acknowledge(net, 2, 2)
    net.mail.clear()
    net.propose(b"x")
    (message,) = sent_to(net, 2)
    assert (message.prev_log_index, message.prev_log_term) == (3, 2)
    assert [b.first_index for b in message.batches] == [4]
    assert message.leader_commit == net[1].state.commit_index


def test_success_moves_both_indexes() -> None:
    """Figure 2, leaders: next_index and match_index of that follower."""
    net = leader(log=[1, 1])
    acknowledge(net, 2, 3)
    progress = net[1].state.progress
    assert (progress[2].match_index, progress[2].next_index) == (3, 4)
    assert progress[3].match_index == 0


def test_a_refusal_moves_next_index_back_and_is_tried_again() -> None:
    """Figure 2, leaders; §5.3: here by what the follower says that it has."""
    net = leader(log=[1, 1, 1])
    refusal = AppendEntriesReply(2, False, 0, prev_log_index=3, hint_index=1, hint_term=1)
    net[1].step(2, refusal, net.now)
    net.collect(1)
    assert net[1].state.progress[2].match_index == 0
    (message,) = sent_to(net, 2)
    assert (message.prev_log_index, message.prev_log_term) == (1, 1)
    assert [b.first_index for b in message.batches] == [2, 3, 4]


@pytest.mark.parametrize("size", [2, 3, 4, 5, 7])
def test_a_leader_commits_what_a_majority_holds(size: int) -> None:
    """Figure 2, leaders; §5.3: itself included, once its own disk has it, and not one earlier."""
    net = leader(size)
    persist(net, 1)
    for peer in range(2, size // 2 + 2):
        assert net[1].state.commit_index == 0
        acknowledge(net, peer, 1)
    assert net[1].state.commit_index == 1


def test_the_leader_counts_itself_only_when_its_own_disk_has_it() -> None:
    """Figure 2, State and leaders; thesis §10.2.1: it sends while it writes."""
    net = leader()
    acknowledge(net, 2, 1)
    assert net[1].state.commit_index == 0, "one of three disks has it"
    persist(net, 1)
    assert net[1].state.commit_index == 1


def test_an_earlier_terms_entry_is_not_committed_by_counting() -> None:
    """Figure 2, leaders; §5.4.2: it is committed below an entry of the leader's own term."""
    net = leader(log=[1, 1])
    persist(net, 1)
    acknowledge(net, 2, 2)
    acknowledge(net, 3, 2)
    assert net[1].state.commit_index == 0, "all disks hold entry 2, which is of term 1"
    acknowledge(net, 3, 3)
    assert net[1].state.commit_index == 3, "and with it all that came before"


# -- §5.3 ----------------------------------------------------------------------------------------


def test_an_index_and_a_term_name_an_entry() -> None:
    """§5.3, Log Matching: a leader gives an index in its term once, and entries never move."""
    net = Network(5)
    seen: dict[tuple[int, int], Batch] = {}
    for leader_id in (1, 2, 3, 1):
        net.elect(leader_id)
        net.isolate(leader_id)
        net.propose(b"by %d" % leader_id)
        net.settle()
        net.heal()
        for n in net.voters:
            for batch in net[n].state.log.batches_from(1):
                assert seen.setdefault((batch.first_index, batch.term), batch) == batch


def test_who_accepts_agrees_with_all_before() -> None:
    """§5.3, Log Matching: a success says that the logs are the same up to there; by induction."""
    net = leader(log=[1, 1, 1])
    net[2].step(1, AppendEntries(2, 1, 3, 1, tuple(net[1].state.log.batches_from(4)), 0), net.now)
    net.collect(2)
    assert net[2].state.log.batches_from(1) == net[1].state.log.batches_from(1)


def test_a_leader_only_appends() -> None:
    """§5.3, Leader Append-Only: whatever it is told, it keeps what it has."""
    net = leader(log=[1, 1])
    held = net[1].state.log.batches_from(1)
    messages: list[Message] = [
        AppendEntriesReply(2, False, 0, 2, hint_index=0, hint_term=0),
        AppendEntriesReply(1, True, 2, 2),
        AppendEntries(1, 3, 0, 0, (entry(1, 1),), 0),
    ]
    for message in messages:
        net[1].step(3, message, net.now)
        net.collect(1)
    assert net[1].state.log.batches_from(1) == held


def test_a_leader_makes_followers_logs_its_own() -> None:
    """§5.3: what a follower has in conflict goes; the leader's log is not touched for it."""
    net = Network(3, logs={1: [1, 3, 3], 2: [1, 2, 2, 2, 2], 3: [1]}, terms={1: 3})
    net.elect(1)
    net.settle()
    assert net.log_terms(1) == [1, 3, 3, 4]
    assert net.log_terms(2) == net.log_terms(3) == [1, 3, 3, 4]


def test_a_follower_that_is_silent_is_tried_for_ever_and_delays_nobody() -> None:
    """§5.3: a majority is enough to commit; the rest is sent it again until it has it all."""
    net = Network(3)
    net.elect(1)
    net.isolate(3)
    for _ in range(5):
        index = net.propose()
        net.settle()
        assert net[1].state.commit_index == index
    net.run(20.0)
    assert net[3].state.log.last_index < index
    net.heal()
    net.run(2.0)
    assert net[3].state.commit_index >= index
    assert net.log_terms(3) == net.log_terms(1)


def test_followers_learn_what_is_committed_from_the_leader() -> None:
    """§5.3: each AppendEntries says it, heartbeats included."""
    net = Network(3)
    net.elect(1)
    assert net[2].state.commit_index == 0
    net.run(net.timing.heartbeat_interval_s)
    assert {net[n].state.commit_index for n in net.voters} == {1}


def test_a_new_leader_does_nothing_to_restore_the_logs() -> None:
    """§5.3: it begins with normal operation, and what it sends first does all that is needed."""
    net = leader(log=[1, 1])
    (message,) = [m for _, to, m in _first_words(log=[1, 1]) if to == 2]
    assert isinstance(message, AppendEntries)
    assert (message.prev_log_index, message.batches[0].kind) == (2, BatchKind.NOOP)
    assert net[1].state.progress[2].mode is PROBE


def _first_words(log: list[int]) -> list[tuple[int, int, Message]]:
    net = Network(3, logs=dict.fromkeys((1, 2, 3), log))
    net.time_out(1)
    net.until(lambda: net.leader is not None)
    return [mail for mail in net.mail if mail[0] == 1]


FIGURE_7 = {
    "a": [1, 1, 1, 4, 4, 5, 5, 6, 6],
    "b": [1, 1, 1, 4],
    "c": [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 6],
    "d": [1, 1, 1, 4, 4, 5, 5, 6, 6, 6, 7, 7],
    "e": [1, 1, 1, 4, 4, 4, 4],
    "f": [1, 1, 1, 2, 2, 2, 3, 3, 3, 3, 3],
}


@pytest.mark.parametrize("case", sorted(FIGURE_7))
def test_figure_7_every_follower_comes_to_agree(case: str) -> None:
    """Figure 7, §5.3: missing entries, extra entries, both; a round trip for each clashing term."""
    leader_log = [1, 1, 1, 4, 4, 5, 5, 6, 6, 6]
    net = Network(
        3, logs={1: leader_log, 2: FIGURE_7[case], 3: leader_log}, terms={1: 7, 2: 7, 3: 7}
    )
    net.isolate(2)
    net.elect(1)
    net.heal()
    refusals = 0
    while net.log_terms(2) != net.log_terms(1):
        if net.mail:
            sender, _, message = net.mail[0]
            refusals += (
                sender == 2 and isinstance(message, AppendEntriesReply) and not message.success
            )
        if not net.deliver():
            net.run(0.1, settle=False)
        net.persist_all()
    assert net.log_terms(2) == [*leader_log, 8]
    clashing = {term for n, term in enumerate(FIGURE_7[case]) if leader_log[n : n + 1] != [term]}
    assert refusals <= max(1, len(clashing)), "each refusal skips at least a term"


def test_figure_7_the_leader_is_elected_by_those_whose_logs_are_no_later() -> None:
    """Figure 7, §5.4.1: with a, b, e and f it has a majority; c and d say no."""
    logs = dict(enumerate([[1, 1, 1, 4, 4, 5, 5, 6, 6, 6], *FIGURE_7.values()], 1))
    net = Network(7, logs=logs, terms={1: 7})
    net.elect(1)
    votes = {case: net[n].state.voted_for for n, case in enumerate(FIGURE_7, 2)}
    assert votes == {"a": 1, "b": 1, "c": None, "d": None, "e": 1, "f": 1}
    net.run(0.5)
    assert {tuple(net.log_terms(n)) for n in net.voters} == {(*logs[1], 8)}


# -- §5.4.2, Figure 8 ----------------------------------------------------------------------------


def figure_8_to_c() -> Network:
    """Figure 8, (a) to (c): S1 leads term 4, and entry 2, of term 2, is on S1, S2 and S3.

    S1 wrote it as the leader of term 2, S5 wrote another entry 2 as the leader of term 3. S1's
    entry of term 4 is on no disk but its own.
    """
    logs = {1: [1, 2], 2: [1, 2], 3: [1], 4: [1], 5: [1, 3]}
    net = Network(5, logs=logs, terms={1: 3, 2: 3, 3: 3, 4: 3})
    net.crash(5)
    net.time_out(1)
    net.until(lambda: net.leader is not None)
    assert net[1].state.current_term == 4
    net.mail.clear()
    # What S2 and S3 have of S1's log, they have from messages that ended at entry 2.
    for peer, prev in ((2, (2, 2)), (3, (1, 1))):
        new = net[1].state.log.batches_from(prev[0] + 1)[: 2 - prev[0]]
        net[peer].step(1, AppendEntries(4, 1, *prev, tuple(new), 0), net.now)
        net.collect(peer)
    for n in (1, 2, 3):
        persist(net, n)
    while net.mail:
        sender, to, _ = net.mail[0]
        if to == 1 and sender in (2, 3):
            net.deliver()
        else:
            net.mail.popleft()
    for n in (1, 2, 3):
        assert net.disks[n].batches[1].term == 2
    return net


def figure_8_d(net: Network) -> None:
    """Figure 8, (d): S1 crashes; S5 is elected by S2, S3 and S4, and sends its own entry 2."""
    net.crash(1)
    net.start(5)
    net.time_out(5)
    net.settle()  # learns that there was a term 4
    net.elect(5)
    net.run(0.2)


def test_figure_8_nothing_committed_is_overwritten() -> None:
    """Figure 8, (c) and (d), §5.4.2: entry 2 is on a majority, and yet not committed; it goes."""
    net = figure_8_to_c()
    assert net[1].state.progress[3].match_index == 2
    assert net[1].state.commit_index == 0
    figure_8_d(net)
    assert net.log_terms(2) == net.log_terms(3) == [1, 3, 5]
    assert all(batch.term != 2 for server in net.servers.values() for batch in server.applied)


def test_figure_8_an_entry_of_its_own_term_settles_it() -> None:
    """Figure 8, (e), §5.4.2: with entry 3, of term 4, on a majority, S5 cannot be elected."""
    net = figure_8_to_c()
    net.run(0.1)
    assert net[1].state.commit_index == 3
    assert net.log_terms(3) == [1, 2, 4]
    net.crash(1)
    net.mail.clear()
    net.start(5)
    for _ in range(3):
        net.time_out(5)
        net.settle()
        assert net.leader is None
    net.run(5.0)
    assert net.leader in (2, 3)
    assert all(net.log_terms(n)[:3] == [1, 2, 4] for n in (2, 3, 4, 5))


def advance_commit_by_counting_alone(raft: RaftState) -> None:
    """`replication.advance_commit` without the rule of §5.4.2."""

    def held(node_id: int) -> int:
        if node_id == raft.node_id:
            return raft.persisted_index
        return raft.progress[node_id].match_index

    raft.commit_index = max(raft.commit_index, raft.configuration.quorum_value(held))


def test_figure_8_without_the_rule_a_committed_entry_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Figure 8, (d), §5.4.2: the other way; counting alone commits what S5 then overwrites."""
    monkeypatch.setattr(replication, "advance_commit", advance_commit_by_counting_alone)
    with pytest.raises(InvariantBroken, match=r"commit-rule: a leader of term 4 .* of term 2"):
        figure_8_to_c()
    monkeypatch.setattr(ServerWatch, "_check_leader", lambda self, commits: None)  # look away
    net = figure_8_to_c()
    assert net[1].state.commit_index == 2
    assert net.servers[1].applied[-1].term == 2, "and its client has been told so"
    with pytest.raises(InvariantBroken, match="leader-completeness"):
        figure_8_d(net)


# -- §5.4.3 --------------------------------------------------------------------------------------


def test_what_one_term_commits_every_later_leader_holds() -> None:
    """§5.4.3, Leader Completeness: through twelve terms, each leader cut off in turn."""
    net = Network(5)
    committed: list[bytes] = []
    leader_id = 5
    for turn in range(12):
        for candidate_id in sorted(set(net.voters) - {leader_id}):
            net.time_out(candidate_id)
            net.settle()
            if net.leader == candidate_id:
                break
        assert net.leader not in (None, leader_id)
        leader_id = net.leader or 0
        held = [batch.data for batch in net[leader_id].state.log.batches_from(1)]
        assert [data for data in held if data in committed] == committed
        committed.append(b"of turn %d" % turn)
        index = net.propose(committed[-1])
        net.settle()
        assert net[leader_id].state.commit_index == index
        net.heal()
        net.isolate(leader_id)
        net.propose(b"lost in turn %d" % turn)
        net.settle()


def test_no_two_servers_apply_another_entry_at_an_index() -> None:
    """§5.4.3, State Machine Safety: what was applied anywhere is what is applied everywhere."""
    net = Network(3)
    net.elect(1)
    net.propose(b"one")
    net.settle()
    net.isolate(1)
    net.propose(b"never")
    net.settle()
    net.elect(2)
    net.propose(b"two")
    net.settle()
    net.heal()
    net.run(3.0)
    applied = [[b for b in net.servers[n].applied if b.kind is C] for n in net.voters]
    assert [b.data for b in applied[0]] == [b"one", b"two"]
    assert applied[0] == applied[1] == applied[2]


def test_a_second_leader_of_a_term_is_not_believed() -> None:
    """§5.4.3, Election Safety: there cannot be one; a message that says so is somebody's bug."""
    net = leader()
    with pytest.raises(Nonsense, match="it leads term 1, and so does this server"):
        net[1].step(2, AppendEntries(1, 2, 0, 0, (), 0), net.now)


# -- §5.5 ----------------------------------------------------------------------------------------


def test_requests_may_come_twice() -> None:
    """§5.5: a follower that has done what it is asked says yes again, and does nothing."""
    net = follower(term=1, log=[1])
    first = append(net, 1, (1, 1), [entry(2, 1)], commit=1)
    again = append(net, 1, (1, 1), [entry(2, 1)], commit=1)
    assert first == again
    assert net.log_terms(2) == [1, 1]
    assert [b.first_index for b in net.servers[2].applied] == [1]


def test_a_follower_that_crashes_before_it_answers_is_asked_again() -> None:
    """§5.5: what it had on disk it has; the leader repeats itself, and that does no harm."""
    net = Network(3)
    net.elect(1)
    index = net.propose(b"x")
    net.deliver()
    persist(net, 2)
    net.mail.clear()
    net.crash(2)
    net.crash(3)
    net.start(2)
    assert net[2].state.log.last_index == index
    net.settle()
    net.run(0.3)
    assert net[1].state.commit_index == index
    assert [b.data for b in net.servers[2].applied if b.kind is C] == [b"x"]


def test_candidates_and_followers_may_be_down_meanwhile() -> None:
    """§5.5, §5.4: as long as a majority runs, whichever that is, there is progress."""
    net = Network(5)
    for down in ((1, 2), (3, 4), (5, 1), (2, 3)):
        for n in down:
            net.crash(n)
        net.run(5.0)
        assert net.leader is not None
        index = net.propose()
        net.settle()
        assert net[net.leader].state.commit_index == index
        assert net[net.leader].state.role is Role.LEADER
        for n in down:
            net.start(n)
        net.run(1.0)
    assert len({tuple(net.log_terms(n)) for n in net.voters}) == 1
