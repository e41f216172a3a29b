"""Replication beyond the paper's rules: pipelines, bounds, and the field's stories.

The rules themselves are in `test_paper_replication.py`.
"""

from __future__ import annotations

import pytest

from launcher.simulation.stage.cores import Network, batches
from node.errors import Busy, NotLeader
from node.raft.messages import AppendEntries, AppendEntriesReply, Batch, BatchKind
from node.raft.progress import PROBE, REPLICATE
from node.raft.settings import Limits
from node.raft.state import Role
from tests.node.raft.by_hand import follower, persist, sent_to

C = BatchKind.COMMANDS


def replies(net: Network) -> list[AppendEntriesReply]:
    persist(net, 2)
    return [m for _, to, m in net.mail if to == 1 and isinstance(m, AppendEntriesReply)]


def test_a_proposal_reaches_every_log_and_is_applied_everywhere() -> None:
    net = Network(5)
    net.elect(1)
    first = net.propose(b"abc", count=3)
    net.settle()
    net.run(0.2)
    for n in net.voters:
        assert net[n].state.commit_index == first + 2
        assert net.servers[n].applied[-1] == Batch(first, 1, C, 3, b"abc")


def test_a_leader_begins_its_term_with_a_no_op() -> None:
    net = Network(3, logs={1: [1, 1]}, terms={1: 1})
    net.elect(1)
    assert net.servers[1].applied[-1].kind is BatchKind.NOOP
    assert net[1].state.commit_index == 3


def test_only_the_leader_takes_proposals() -> None:
    net = Network(3)
    net.elect(1)
    with pytest.raises(NotLeader) as refused:
        net[2].propose(1, b"x", net.now)
    assert refused.value.leader_id == 1


def test_a_heartbeat_is_answered_while_the_disk_is_busy_but_claims_only_what_is_on_it() -> None:
    """Heartbeats never wait for a disk; what is not on it does not count."""
    net = follower(term=1, log=[1])
    net[2].step(1, AppendEntries(1, 1, 1, 1, (Batch(2, 1, C, 1, b"x"),), 0), net.now)
    net.collect(2)
    net[2].step(1, AppendEntries(1, 1, 2, 1, (), 0, round=7), net.now)
    net.collect(2)
    (reply,) = [m for _, to, m in net.mail if to == 1 and isinstance(m, AppendEntriesReply)]
    assert reply.success
    assert reply.round == 7
    assert reply.match_index == 1


def test_a_majority_of_disks_commits_without_the_leaders() -> None:
    net = Network(3)
    net.elect(1)
    index = net.propose()
    while net.deliver() or net.persist(2) or net.persist(3):
        pass
    assert net[1].state.persisted_index < index
    assert net[1].state.commit_index == index


def test_a_lost_append_is_repaired_by_the_next_heartbeat() -> None:
    net = Network(3)
    net.elect(1)
    net.propose(b"lost")
    net.mail.clear()
    index = net.propose(b"arrives, and does not fit")
    net.settle()
    net.run(0.3)
    assert net[2].state.commit_index == index
    assert net[3].state.commit_index == index


def test_lost_acknowledgements_are_made_up_for() -> None:
    net = Network(3)
    net.elect(1)
    index = net.propose()
    net.cut = {(2, 1), (3, 1)}
    net.settle()
    assert net[1].state.commit_index < index
    net.heal()
    net.run(0.2)
    assert net[1].state.commit_index == index


def test_appends_follow_each_other_without_waiting() -> None:
    net = Network(3)
    net.elect(1)
    for _ in range(5):
        net.propose()
    assert len([m for m in sent_to(net, 2) if m.batches]) == 5


def test_what_is_in_flight_to_one_peer_is_bounded() -> None:
    """Pitfall 15: a follower that does not answer costs the leader a bounded amount."""
    limits = Limits(inflight_batches=4, inflight_bytes=1000)
    net = Network(3, limits=limits)
    net.elect(1)
    for _ in range(50):
        net.propose(b"x")
    assert len([m for m in sent_to(net, 2) if m.batches]) == 4
    net.settle()
    net.propose(b"y" * 900)
    net.propose(b"y" * 900)
    net.propose(b"y" * 900)
    assert len([m for m in sent_to(net, 2) if m.batches]) == 2, "bytes count too"
    net.settle()
    net.run(0.2)
    assert net[2].state.log.last_index == net[1].state.log.last_index


def test_a_message_carries_many_batches_but_not_too_many_bytes() -> None:
    net = Network(3, limits=Limits(max_append_bytes=1000, inflight_batches=1))
    net.elect(1)
    for _ in range(10):
        net.propose(b"z" * 300)
    net.settle()
    net.run(0.1)
    assert net[2].state.log.last_index == 11
    for _, _, m in net.mail:
        if isinstance(m, AppendEntries):
            assert sum(len(b.data) for b in m.batches) <= 1000


def test_the_uncommitted_tail_is_bounded() -> None:
    """Field story 13: without a quorum the tail must not grow for ever."""
    net = Network(3, limits=Limits(max_uncommitted_bytes=1000))
    net.elect(1)
    net.isolate(1)
    net.propose(b"a" * 600)
    with pytest.raises(Busy):
        net.propose(b"b" * 600)
    net.heal()
    net.run(0.3)
    net.propose(b"b" * 600)


def test_uncommitted_entries_of_a_deposed_leader_are_replaced() -> None:
    net = Network(5)
    net.elect(1)
    net.isolate(1, 2)
    net.propose(b"never committed")
    net.settle()
    net.elect(3)
    kept = net.propose(b"committed")
    net.settle()
    net.heal()
    net.run(3.0)
    terms = net.log_terms(1)
    assert all(net.log_terms(n) == terms for n in net.voters)
    assert all(net[n].state.commit_index >= kept for n in net.voters)
    assert all(b.data != b"never committed" for b in net.servers[1].applied)


def test_a_follower_learns_of_a_commit_soon() -> None:
    """Not only with the next heartbeat."""
    net = Network(3)
    net.elect(1)
    net.run(0.1)
    index = net.propose()
    net.settle()
    net.run(net.timing.commit_notice_s * 2)
    assert net[2].state.commit_index == index


def test_a_peer_is_told_of_a_commit_between_heartbeats_only_while_entries_flow() -> None:
    """One that is probed is told with the next probe: a notice would count as another one."""
    net = Network(3)
    net.elect(1)
    net.run(0.1)
    net[1].link_opened(3, net.now)
    net.propose()
    net.settle(only=(1, 2))
    assert net[1].state.progress[3].commit_sent < net[1].state.commit_index
    net.mail.clear()
    net.now = net[1].deadline
    net.elapse(1)
    assert len(sent_to(net, 2)) == 1
    assert sent_to(net, 3) == []


def test_a_leader_greets_a_new_process_from_the_end_of_its_log() -> None:
    net = Network(3)
    net.elect(1)
    last = net.propose()
    net.settle()
    net.mail.clear()
    net[1].link_opened(3, net.now)
    net.collect(1)
    (greeting,) = sent_to(net, 3)
    assert (greeting.prev_log_index, greeting.batches) == (last, ())


def test_a_new_leader_sends_its_next_heartbeat_one_interval_after_its_election() -> None:
    net = Network(3)
    net.elect(1)
    assert net[1].state.heartbeat_deadline == net.now + net.timing.heartbeat_interval_s


def test_a_write_that_was_overtaken_proves_nothing() -> None:
    """Entries replaced in memory while they were being written do not count as ours."""
    net = follower(term=1, log=[])
    net[2].step(1, AppendEntries(1, 1, 0, 0, tuple(batches([1, 1])), 0), net.now)
    net.collect(2)
    net[2].step(3, AppendEntries(2, 3, 0, 0, (Batch(1, 2, C, 1, b"new"),), 0), net.now)
    net.collect(2)
    while not net.servers[2].unsaved[0].batches:
        net.persist(2)
    net.persist(2)
    assert net[2].state.persisted_index == 0
    persist(net, 2)
    assert net[2].state.persisted_index == 1


def test_late_refusals_change_nothing() -> None:
    net = Network(3)
    net.elect(1)
    net.propose()
    net.settle()
    progress = net[1].state.progress[2]
    match_index, next_index = progress.match_index, progress.next_index
    net[1].step(2, AppendEntriesReply(1, False, 0, match_index), net.now)
    assert (progress.match_index, progress.next_index) == (match_index, next_index)
    assert progress.mode is REPLICATE


def test_a_restarted_follower_is_sent_what_it_lacks() -> None:
    net = Network(3)
    net.elect(1)
    net.crash(3)
    for _ in range(20):
        net.propose()
    net.settle()
    net.start(3)
    net.settle()
    net.run(0.3)
    assert net.log_terms(3) == net.log_terms(1)


def test_all_restart_and_nothing_committed_is_lost() -> None:
    net = Network(3)
    net.elect(2)
    for _ in range(5):
        net.propose()
    net.settle()
    committed = net[2].state.commit_index
    for n in net.voters:
        net.crash(n)
    for n in net.voters:
        net.start(n)
    net.run(3.0)
    assert net.leader is not None
    assert net[net.leader].state.commit_index > committed


def test_applying_is_handed_out_in_portions() -> None:
    net = Network(1, limits=Limits(max_apply_bytes=1000))
    net.elect(1)
    for _ in range(10):
        net[1].propose(1, b"x" * 400, net.now)
    ready = net[1].ready()
    assert ready is not None
    net[1].persisted(ready)
    portions = []
    while (ready := net[1].ready()) is not None:
        portions.append(len(ready.committed))
    assert sum(portions) == 10
    assert max(portions) == 2
    assert net[1].state.role is Role.LEADER


def test_a_doubled_refusal_neither_probes_twice_nor_takes_the_guess_back() -> None:
    logs = {1: [1] * 10, 3: [1] * 10}
    net = Network(3, logs=logs)
    net.isolate(2)
    net.elect(1)
    progress = net[1].state.progress[2]

    def refuse(prev_log_index: int, hint_index: int) -> tuple[int, int]:
        """next_index after it, and how many AppendEntries leave for server 2."""
        net.mail.clear()
        refusal = AppendEntriesReply(2, False, 0, prev_log_index, hint_index, hint_term=1)
        net[1].step(2, refusal, net.now)
        net.collect(1)
        return progress.next_index, len(sent_to(net, 2))

    assert refuse(10, 4) == (5, 1)
    assert refuse(10, 4) == (5, 0)
    assert refuse(4, 2) == (3, 1)
    assert refuse(10, 4) == (3, 0)


def test_a_reply_that_overtakes_the_one_to_the_probe_does_not_stop_replication() -> None:
    """A link that reorders: the entries were refused for a gap, then a late message filled it."""
    net = Network(3, logs={1: [1] * 10, 3: [1] * 10})
    net.isolate(2)
    net.elect(1)
    progress = net[1].state.progress[2]
    net[1].step(2, AppendEntriesReply(2, False, 0, 10, 4, hint_term=1), net.now)
    net.collect(1)
    assert (progress.mode, progress.next_index) == (PROBE, 5), "the probe is on its way"
    net.mail.clear()

    net[1].step(2, AppendEntriesReply(2, True, 8, 2), net.now)
    net[1].step(2, AppendEntriesReply(2, True, 8, 4), net.now)
    assert progress.mode is REPLICATE
    net.propose()
    net.collect(1)
    assert [m.prev_log_index for m in sent_to(net, 2)][:1] == [8], "before the next heartbeat"
