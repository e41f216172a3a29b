"""Snapshots in the core: compaction, sending, installing (§7, Figure 13); stories of the field."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from launcher.simulation.stage.cores import CHUNK_BYTES, Network, batches
from node.raft.log import Log
from node.raft.membership import stable
from node.raft.messages import (
    COMMANDS,
    AppendEntries,
    AppendEntriesReply,
    Batch,
    InstallSnapshot,
    InstallSnapshotReply,
    Message,
    NodeId,
    Snapshot,
)
from node.raft.settings import Limits
from node.raft.snapshot import begin_sending
from node.raft.state import Role
from tests.node.raft.by_hand import persist

ALL = stable((1, 2, 3))

TIGHT = Limits(max_trailing_bytes=0)
"""Nothing that a snapshot stands for is kept."""


def lagging(limits: Limits = TIGHT, entries: int = 10) -> Network:
    """Server 3 was cut off; the others have gone on, and the leader 1 has compacted its log."""
    net = Network(3, limits=limits)
    net.elect(1)
    net.run(0.2)
    net.isolate(3)
    for _ in range(entries):
        net.propose(b"x" * 10)
        net.settle()
    net.run(0.2)
    net.take_snapshot(1)
    return net


def sent(net: Network, kind: type[Message], to: NodeId) -> list[Message]:
    return [m for _, receiver, m in net.mail if receiver == to and isinstance(m, kind)]


# -- compaction ----------------------------------------------------------------------------------


def test_a_log_is_forgotten_up_to_the_snapshot() -> None:
    net = lagging()
    log = net[1].state.log
    assert (log.base_index, log.first_index, log.last_index) == (11, 12, 11)
    assert log.base_term == log.last_term == 1
    index = net.propose()
    net.settle()
    assert net[1].state.commit_index == index == 12


def test_a_bounded_rest_is_kept_for_those_who_are_a_little_behind() -> None:
    net = lagging(Limits(max_trailing_bytes=35))
    assert net[1].state.log.base_index == 8, "three entries of ten bytes"
    net.heal()
    net.run(0.5)
    assert "snapshot.sending" in net.servers[1].events, "one who lacks more"
    other = Network(3, limits=Limits(max_trailing_bytes=1000))
    other.elect(1)
    other.isolate(3)
    other.propose(b"x" * 10)
    other.settle(only=(1, 2))
    other.take_snapshot(1)
    other.heal()
    other.run(0.5)
    assert "snapshot.sending" not in other.servers[1].events
    assert other[3].state.commit_index == other[1].state.commit_index


def test_a_log_knows_the_term_of_the_entry_that_its_snapshot_ends_with() -> None:
    """It agrees with any leader's log in front of that one, since all of it is committed."""
    log = Log([], Snapshot(5, 2, 70, ALL, 100, 5))
    assert log.matches(5, 2)
    assert not log.matches(5, 1)
    assert not log.matches(5, 3)
    assert log.matches(4, 1)
    assert not log.matches(6, 2)
    assert (log.term_at(5), log.time_at(5), log.last_time_us) == (2, 70, 70)


def replaced() -> Log:
    log = Log(batches([1] * 5, b"x" * 30))
    log.restart(Snapshot(7, 1, 0, ALL, 100, 7))
    return log


def compacted() -> Log:
    log = Log(batches([1] * 7, b"x" * 30))
    log.compact(7)
    return log


def truncated() -> Log:
    log = Log(batches([1] * 12, b"x" * 30))
    log.splice([Batch(8, 2, COMMANDS, 1, b"x" * 30)])
    log.compact(7)
    log.splice([Batch(8, 3, COMMANDS, 1, b"x" * 10)])
    return log


@pytest.mark.parametrize("begun", [replaced, compacted, truncated])
def test_a_log_counts_the_bytes_that_it_holds_whatever_it_has_lost(
    begun: Callable[[], Log],
) -> None:
    log = begun()
    while log.last_index < 10:
        log.append(Batch(log.last_index + 1, 3, COMMANDS, 1, b"x" * 10))
    assert [log.bytes_after(index) for index in (7, 8, 9, 10)] == [30, 20, 10, 0]
    assert [one.first_index for one in log.batches_from(8, 20)] == [8, 9]
    assert [one.first_index for one in log.batches_from(9, 20)] == [9, 10]
    assert [log.compaction_point(10, room) for room in (0, 10, 19, 20, 30)] == [10, 9, 9, 8, 7]


def test_a_server_starts_from_its_snapshot_and_the_log_behind_it() -> None:
    net = lagging()
    net.propose(b"y")
    net.settle()
    net.crash(1)
    net.start(1)
    state = net[1].state
    assert (state.commit_index, state.last_applied, state.log.last_index) == (11, 11, 12)
    net.elect(2)
    net.run(0.2)
    assert net[1].state.commit_index == net[2].state.commit_index


def test_an_older_snapshot_of_our_own_changes_nothing() -> None:
    net = lagging()
    base = net[1].state.log.base_index
    net[1].compact(Snapshot(5, 1, 0, ALL, 300, 5), net.now)
    assert net[1].state.log.base_index == base
    assert net[1].state.snapshot == Snapshot(11, 1, 0, ALL, 3 * CHUNK_BYTES, 11)


# -- sending and installing ----------------------------------------------------------------------


def test_who_lacks_what_is_gone_gets_the_snapshot_then_the_log() -> None:
    net = lagging()
    net.propose(b"after")
    net.settle()
    net.heal()
    net.run(0.5)
    state = net[3].state
    assert state.commit_index == state.last_applied == state.log.last_index == 12
    assert state.log.base_index == 11
    assert net.servers[3].stored.snapshot == net[1].state.snapshot
    assert [b.first_index for b in net.servers[3].applied[-1:]] == [12]
    assert "snapshot.installed" in net.servers[3].events


def test_chunks_come_one_at_a_time_each_for_an_acknowledgement() -> None:
    net = lagging()
    net.heal()
    net.now = net[1].state.heartbeat_deadline
    net.elapse(1)
    most = 0
    for _ in range(200):
        chunks = [m for m in sent(net, InstallSnapshot, 3) if isinstance(m, InstallSnapshot)]
        most = max(most, sum(bool(chunk.data) for chunk in chunks))
        if not net.deliver() and not net.persist_all():
            break
    assert most == 1
    assert net[3].state.log.base_index == 11


def test_a_lost_chunk_costs_that_chunk() -> None:
    net = lagging()
    net.heal()
    lost: list[int] = []
    offsets: list[int] = []
    for _ in range(1000):
        if net[3].state.log.base_index == 11:
            break
        if not net.mail and not net.persist_all():
            net.now = min(s.raft.deadline for s in net.servers.values())
            for node_id in net.servers:
                if net[node_id].deadline <= net.now:
                    net.elapse(node_id)
            continue
        if not net.mail:
            continue
        message = net.mail[0][2]
        if isinstance(message, InstallSnapshot) and message.data:
            if message.offset == CHUNK_BYTES and len(lost) < 2:
                lost.append(message.offset)
                net.mail.popleft()
                continue
            offsets.append(message.offset)
        net.deliver()
    assert net[3].state.log.base_index == 11
    assert len(lost) == 2
    assert offsets == [0, CHUNK_BYTES, 2 * CHUNK_BYTES], "nothing is sent from the beginning again"
    assert net.servers[1].events.count("snapshot.resumed") == 2, "it is told each time"


def test_a_transfer_that_nothing_breaks_off_is_not_said_to_be_resumed() -> None:
    net = lagging()
    net.heal()
    net.run(0.5)
    assert net[3].state.log.base_index == 11
    assert "snapshot.resumed" not in net.servers[1].events


def test_a_new_leader_resumes_what_an_earlier_one_has_begun() -> None:
    """The snapshots of all servers are the same, so what has arrived of one counts for another."""
    net = lagging()
    net.take_snapshot(2)
    net.heal()
    net.now = net[1].state.heartbeat_deadline
    net.elapse(1)
    net.until(lambda: (net.servers[3].received or (None, 0))[1] >= CHUNK_BYTES)
    net.crash(1)
    net.elect(2)
    net.run(1.0)
    assert net[3].state.log.base_index >= 11
    assert "snapshot.resumed" in net.servers[2].events


def test_a_restarted_receiver_begins_anew_and_gets_it_all() -> None:
    net = lagging()
    net.heal()
    net.now = net[1].state.heartbeat_deadline
    net.elapse(1)
    net.until(lambda: (net.servers[3].received or (None, 0))[1] >= CHUNK_BYTES)
    net.crash(3)
    net.start(3)
    net.run(1.0)
    assert net[3].state.commit_index == net[1].state.commit_index == 11


def test_who_is_late_proven_to_have_it_all_gets_the_log() -> None:
    """Seed 254 of 5 s: answers overtook each other, and the guess fell below the proof."""
    net = lagging()
    net.heal()
    net.now = net[1].state.heartbeat_deadline
    net.elapse(1)
    net.until(lambda: net[1].state.progress[3].snapshot is not None)
    net.mail.clear()
    net.propose()
    net.settle(only=(1, 2))
    last = net[1].state.log.last_index
    net.mail.clear()
    net[1].step(3, AppendEntriesReply(1, True, last, last), net.now)
    net.collect(1)
    net.take_snapshot(1)
    net.now = net[1].state.heartbeat_deadline
    net.elapse(1)
    progress = net[1].state.progress[3]
    assert (progress.snapshot, progress.match_index, progress.next_index) == (None, last, last + 1)


def test_a_snapshot_never_takes_back_what_is_committed() -> None:
    """Raft itself 14: an old leader's, or a duplicate, older than what was applied."""
    net = lagging()
    net.heal()
    net.run(0.5)
    for _ in range(3):
        net.propose()
    net.settle()
    net.run(0.3)
    before = net[3].state.commit_index
    term = net[1].state.current_term
    old = Snapshot(11, 1, 0, ALL, 300, 11)
    net[3].step(1, InstallSnapshot(term, 1, old, 0, bytes(300)), net.now)
    net.collect(3)
    assert net[3].state.commit_index == net[3].state.last_applied == before
    assert sent(net, InstallSnapshotReply, 1) == [InstallSnapshotReply(term, 11, 300, True, 0)]


def test_a_log_that_holds_the_last_included_entry_is_kept() -> None:
    """Figure 13, step 6."""
    net = Network(3, logs={2: [1, 1, 1, 1]}, terms={1: 1, 2: 1, 3: 1})
    net[2].step(1, InstallSnapshot(1, 1, Snapshot(3, 1, 0, ALL, 300, 3), 0, b""), net.now)
    net.collect(2)
    state = net[2].state
    assert (state.log.last_index, state.commit_index, state.log.base_index) == (4, 3, 0)


def test_a_conflicting_log_is_replaced_whole() -> None:
    """hashicorp/raft #697: what conflicts at the snapshot's end must not make it come for ever."""
    logs = {1: [1, 2, 2], 2: [1, 1, 1, 1, 1, 1], 3: [1, 2, 2]}
    net = Network(3, logs=logs, limits=TIGHT)
    net.isolate(2)
    net.elect(1)
    net.run(0.2)
    net.take_snapshot(1)
    net.heal()
    net.run(1.0)
    state = net[2].state
    assert (state.log.base_index, state.log.last_index, state.commit_index) == (4, 4, 4)
    assert state.log.base_term == 3
    assert net.servers[2].stored.batches == []
    assert net.servers[1].events.count("snapshot.sending") == 1


def test_it_is_not_acknowledged_before_it_is_durable() -> None:
    net = lagging()
    net.heal()
    while not any(ready.snapshot for ready in net.servers[3].unsaved):
        if not net.deliver():
            net.persist_all()
            net.now = max(net.now, min(s.raft.deadline for s in net.servers.values()))
            net.elapse(1)
    installed = [m for m in replies_of_3(net) if m.installed]
    assert installed == []
    assert net[3].state.persisted_index < 11
    persist(net, 3)
    assert net[3].state.persisted_index == 11
    assert [m.installed for m in replies_of_3(net)][-1:] == [True]


def replies_of_3(net: Network) -> list[InstallSnapshotReply]:
    return [m for s, _, m in net.mail if s == 3 and isinstance(m, InstallSnapshotReply)]


def test_a_stale_leader_s_snapshot_is_answered_with_the_term() -> None:
    net = Network(3, terms={1: 1, 2: 5, 3: 5})
    net[2].step(1, InstallSnapshot(1, 1, Snapshot(3, 1, 0, ALL, 300, 3), 0, b"", 9), net.now)
    net.collect(2)
    (reply,) = sent(net, InstallSnapshotReply, 1)
    assert isinstance(reply, InstallSnapshotReply)
    assert reply.term == 5
    assert reply.round == 0, "its rounds are not those of the term that this reply names"
    assert net.servers[2].received is None


def test_one_who_installs_for_long_is_not_left_without_a_leader() -> None:
    """Raft itself 16: chunks, and the questions between them, are heard as heartbeats are."""
    net = lagging()
    net.heal()
    net.run(0.1)
    term = net[1].state.current_term
    net.cut = {(3, 1)}  # it hears and is not heard: the transfer stands still
    net.run(5.0)
    assert net[3].state.current_term == term
    assert net[3].state.role is Role.FOLLOWER
    assert net[1].state.role is Role.LEADER


def test_while_one_is_sent_what_follows_it_is_kept_as_long_as_the_peer_answers() -> None:
    net = lagging()
    net.heal()
    net.now = net[1].state.heartbeat_deadline
    net.elapse(1)
    net.until(lambda: net.servers[3].received is not None)
    net.until(lambda: net[1].state.progress[3].snapshot_offset > 0)
    net.mail.clear()
    for _ in range(5):
        net.propose()
        net.settle(only=(1, 2))
    net.take_snapshot(1)
    assert net[1].state.log.base_index == 11, "the log behind the one that is being sent"
    net.run(1.0)
    assert net[3].state.log.base_index == 11
    assert net[3].state.commit_index == 16
    assert net[1].state.log.base_index == 16, "and then it goes"


def test_nothing_is_kept_for_a_peer_that_is_sent_a_snapshot_and_has_fallen_silent() -> None:
    net = lagging()
    net.heal()
    net.now = net[1].state.heartbeat_deadline
    net.elapse(1)
    net.until(lambda: net[1].state.progress[3].snapshot_offset > 0)
    net.mail.clear()
    net.isolate(3)
    for _ in range(5):
        net.propose()
        net.settle(only=(1, 2))
    net.run(net.timing.election_timeout_max_s, only=(1, 2))
    net.take_snapshot(1)
    assert net[1].state.progress[3].snapshot is not None
    assert net[1].state.log.base_index == 16


def test_a_log_beyond_its_bound_is_cut_though_a_peer_will_need_another_snapshot() -> None:
    net = lagging(Limits(max_trailing_bytes=0, max_log_bytes=100))
    net.heal()
    net.now = net[1].state.heartbeat_deadline
    net.elapse(1)
    net.until(lambda: net[1].state.progress[3].snapshot_offset > 0)
    net.mail.clear()
    for _ in range(5):
        net.propose(b"x" * 30)
        net.settle(only=(1, 2))
    net.take_snapshot(1)
    assert net[1].state.log.base_index == 16
    net.run(1.0)
    assert net[3].state.commit_index == 16


def test_a_late_reply_about_an_earlier_snapshot_says_nothing_of_this_one() -> None:
    net = lagging()
    net.propose()
    net.settle(only=(1, 2))
    net.take_snapshot(1)
    net.heal()
    net.now = net[1].state.heartbeat_deadline
    net.elapse(1)
    state = net[1].state
    net.until(lambda: state.progress[3].snapshot is not None)
    held = state.progress[3].match_index
    net[1].step(3, InstallSnapshotReply(1, 11, 300, True, state.round), net.now)
    assert state.progress[3].snapshot == state.snapshot
    assert state.progress[3].match_index == held < 11


def test_a_reply_of_a_server_that_was_removed_meanwhile_says_nothing() -> None:
    """Nor when it has been added again since: its disk may be another one."""
    net = lagging()
    net.heal()
    net.now = net[1].state.heartbeat_deadline
    net.elapse(1)
    state = net[1].state
    net.until(lambda: state.progress[3].snapshot is not None)
    snapshot = state.progress[3].snapshot
    assert snapshot is not None
    late = InstallSnapshotReply(1, snapshot.last_included_index, snapshot.size, True, state.round)
    net.mail.clear()
    net.isolate(3)
    net[1].change_membership((1, 2), net.now)
    net.collect(1)
    net.settle(only=(1, 2))
    assert 3 not in state.progress
    net[1].step(3, late, net.now)

    net[1].change_membership((1, 2, 3), net.now)
    net.collect(1)
    progress = state.progress[3]
    begin_sending(state, 3, progress)
    assert progress.snapshot == snapshot
    net[1].step(3, late, net.now)
    assert (progress.match_index, progress.round_acked) == (0, 0)
    assert progress.snapshot == snapshot


def test_a_write_from_before_a_snapshot_proves_nothing_after_it() -> None:
    """The disk holds those entries now, and loses them when the snapshot is installed."""
    net = Network(3, terms={1: 2, 2: 2, 3: 2})
    raft = net[2]
    raft.step(1, AppendEntries(2, 1, 0, 0, tuple(batches([1] * 5)), 0), net.now)
    under_way = raft.ready()
    assert under_way is not None
    assert under_way.last_index == 5
    whole = InstallSnapshot(2, 1, Snapshot(3, 2, 0, ALL, CHUNK_BYTES, 3), 0, bytes(CHUNK_BYTES))
    assert raft.snapshot_received(1, whole, net.now)
    raft.persisted(under_way)
    assert raft.state.persisted_index == 0


def test_a_peer_that_has_not_begun_gets_the_newest() -> None:
    net = lagging()
    net.heal()
    net.now = net[1].state.heartbeat_deadline
    net.elapse(1)
    net.until(lambda: net[1].state.progress[3].snapshot is not None)
    net.mail.clear()
    net.isolate(3)
    for _ in range(5):
        net.propose()
        net.settle(only=(1, 2))
    net.take_snapshot(1)
    net.heal()
    net.run(0.5)
    assert net[3].state.log.base_index == 16


def test_a_late_append_entries_from_before_the_snapshot_is_a_duplicate() -> None:
    net = lagging()
    net.heal()
    net.run(0.5)
    term = net[1].state.current_term
    held = net[3].state.log.last_index
    batch = net.servers[2].stored.batches[3]
    late = AppendEntries(term, 1, batch.first_index - 1, 1, (batch,), 11)
    net[3].step(1, late, net.now)
    net.collect(3)
    assert net[3].state.log.last_index == held
    assert net[3].state.log.base_index == 11
    persist(net, 3)
    replies = [m for _, to, m in net.mail if to == 1 and isinstance(m, AppendEntriesReply)]
    assert [reply.success for reply in replies] == [True]


def test_counting_goes_on_while_one_is_sent() -> None:
    """openraft #1802: what a peer will hold once it is installed does not count yet."""
    net = lagging()
    net.heal()
    net.now = net[1].state.heartbeat_deadline
    net.elapse(1)
    net.until(lambda: net[1].state.progress[3].snapshot is not None)
    net.isolate(2)
    before = net[1].state.commit_index
    net.propose()
    for _ in range(4):
        net.deliver()
    assert net[1].state.progress[3].match_index == 1
    assert net[1].state.commit_index == before


def test_who_stands_and_is_left_out_by_a_snapshot_stands_no_longer() -> None:
    """Seed 478 of 60 s: its disk was at the last chunk while it had a timeout."""
    net = Network(3)
    net.time_out(3)
    assert net[3].state.role is Role.CANDIDATE
    snapshot = Snapshot(11, 1, 0, stable((1, 2)), CHUNK_BYTES, 11)
    whole = InstallSnapshot(net[3].state.current_term, 1, snapshot, 0, b"x" * CHUNK_BYTES)
    assert net[3].snapshot_received(1, whole, net.now)
    assert not net[3].state.may_campaign
    assert net.servers[3].raft.state.role is Role.FOLLOWER


def test_who_stands_though_it_is_left_out_stands_no_longer_when_that_is_committed() -> None:
    net = Network(3)
    net.elect(1)
    net.run(0.2)
    net[1].change_membership((1, 2), net.now)
    net.collect(1)
    net.until(lambda: net[3].state.configuration.membership == stable((1, 2)))
    net.isolate(3)
    net.time_out(3)
    state = net[3].state
    assert state.role is Role.CANDIDATE, "it may be the only one that can be elected"
    snapshot = Snapshot(state.log.last_index, 1, 0, stable((1, 2)), CHUNK_BYTES, 11)
    whole = InstallSnapshot(state.current_term, 1, snapshot, 0, b"x" * CHUNK_BYTES)
    assert not net[3].snapshot_received(1, whole, net.now), "it has all that"
    assert not state.may_campaign
    assert net[3].state.role is Role.FOLLOWER
