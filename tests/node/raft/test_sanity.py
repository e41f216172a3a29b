"""A message that makes no sense is skipped: it ends no server, and changes nothing.

The fuzz test hands one server anything that can be said in its peers' language, near what would be
right and far from it, and holds it to the invariants of a server. What its peers could truly have
said it may believe: nothing here is about servers that lie with care.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TypeAlias

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.simulation.stage.cores import Network, batches
from node.errors import Nonsense
from node.raft import membership
from node.raft.invariants import ServerWatch
from node.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Batch,
    BatchKind,
    HardState,
    InstallSnapshot,
    InstallSnapshotReply,
    Membership,
    Message,
    NodeId,
    ReadIndex,
    ReadIndexReply,
    RequestVote,
    RequestVoteReply,
    Snapshot,
    TimeoutNow,
)
from node.raft.raft import Raft
from node.raft.sanity import MOST, MOST_TERM_JUMP
from node.raft.settings import Limits, Timing
from node.raft.state import RaftState

C = BatchKind.COMMANDS
EVERYBODY = Membership((1, 2, 3), (1, 2, 3))


def snapshot(
    index: int = 20, term: int = 2, size: int = 100, members: Membership = EVERYBODY
) -> Snapshot:
    return Snapshot(index, term, 0, members, size, 7)


def describe(raft: RaftState) -> tuple[object, ...]:
    """All of a server's state that a message could change."""
    return (
        raft.current_term, raft.voted_for, raft.role, raft.leader_id, raft.commit_index,
        raft.log.last_index, raft.log.last_term, raft.truncations, raft.configurations[-1],
        len(raft.messages), len(raft.messages_after_persist), len(raft.notes), dict(raft.votes),
        raft.election_deadline, {peer: repr(p) for peer, p in raft.progress.items()},
        len(raft.reads.ready), len(raft.chunks_received),
    )  # fmt: skip


# -- one by one ----------------------------------------------------------------------------------


def a_follower() -> Raft:
    """In term 3; a batch of three entries at 4..6, all up to 3 committed."""
    net = Network(3, logs={1: [1, 1, 2], 2: [1, 1, 2], 3: [1, 1, 2]}, terms={1: 3})
    net[1].step(2, AppendEntries(3, 2, 3, 2, (Batch(4, 3, C, 3, b""),), 3), net.now)
    while net[1].ready() is not None:
        pass
    assert net[1].state.commit_index == 3
    return net[1]


def a_leader() -> Raft:
    """Of term 1; the log has five entries, the last three of which are one batch."""
    net = Network(3)
    net.elect(1)
    net.propose(b"x")
    net.propose(b"y", count=3)
    while net[1].ready() is not None:
        pass
    assert net[1].state.log.last_index == 5
    return net[1]


OF_A_LEADER: list[tuple[Message, str]] = [
    (AppendEntries(-1, 2, 6, 3, (), 0), "its term is -1, and this server is in term 3"),
    (TimeoutNow(-1, 2), "its term is -1, and this server is in term 3"),
    (AppendEntries(4 + MOST_TERM_JUMP, 2, 6, 3, (), 0), "and this server is in term 3"),
    (AppendEntries(3, 3, 6, 3, (), 0), "it names n3 as its sender"),
    (AppendEntries(3, 2, -6, 3, (), 0), "-6 where an index"),
    (AppendEntries(3, 2, 6, 3, (), MOST), "where an index"),
    (AppendEntries(3, 2, 6, 3, (), 0, round=-1), "where an index"),
    (AppendEntries(3, 2, 6, 4, (), 0), "entries after one of term 4, in term 3"),
    (AppendEntries(3, 2, 5, 3, (), 0), "entries after 5, where no batch ends"),
    (AppendEntries(3, 2, 6, 3, (Batch(8, 3, C, 1, b""),), 0), "a batch of 1 at 8, after 6"),
    (AppendEntries(3, 2, 6, 3, (Batch(7, 3, C, 0, b""),), 0), "a batch of 0 at 7"),
    (AppendEntries(3, 2, 6, 3, (Batch(7, 3, C, MOST - 1, b""),), 0), "where an index"),
    (AppendEntries(3, 2, 6, 3, (Batch(7, 2, C, 1, b""),), 0), "a batch of term 2 after one of 3"),
    (AppendEntries(3, 2, 6, 3, (Batch(7, 4, C, 1, b""),), 0), "a batch of term 4"),
    (
        AppendEntries(3, 2, 6, 3, (Batch(7, 3, C, 1, b"", 5), Batch(8, 3, C, 1, b"", 4)), 0),
        "or an earlier time",
    ),
    (AppendEntries(3, 2, 6, 3, (Batch(7, 3, BatchKind.NOOP, 2, b""),), 0), "one entry to a batch"),
    (
        AppendEntries(3, 2, 6, 3, (Batch(7, 3, BatchKind.CONFIGURATION, 1, b"none"),), 0),
        "a configuration that cannot be read",
    ),
    *(
        (
            AppendEntries(
                3, 2, 6, 3,
                (Batch(7, 3, BatchKind.CONFIGURATION, 1, membership.encode(said)),), 0,
            ),
            "a membership",
        )
        for said in (
            Membership((), (1,)), Membership((1,), ()), Membership((2, 1), (1, 2)),
            Membership((1, 1), (1,)), Membership((0,), (1,)), Membership((1,), (MOST,)),
            Membership((1,), (1,), tuple(range(1, 1002))),
        )
    ),
    (
        AppendEntries(3, 2, 2, 1, (Batch(3, 3, C, 1, b""),), 0),
        "a different entry 3, and the one of this log is committed",
    ),
    (AppendEntries(3, 2, 3, 2, (Batch(4, 3, C, 2, b""),), 0), "from 4 to 5, and this log has"),
    (AppendEntries(3, 2, 3, 2, (Batch(4, 3, C, 5, b""),), 0), "from 4 to 8, and this log has"),
    (AppendEntries(3, 2, 6, 3, (Batch(7, 3, C, 3, b""),), 8), "8 is committed, and none of its"),
    (AppendEntries(3, 2, 6, 3, (), 5), "entry 5 is committed, where no batch ends"),
    (AppendEntries(3, 2, 6, 3, (Batch(7, 3, C, 1, b"", 1 << 60),), 0), "has the time 1152"),
    (InstallSnapshot(3, 2, Snapshot(20, 2, 1 << 60, EVERYBODY, 9, 7), 0, b""), "of the time 1152"),
    (InstallSnapshot(3, 3, snapshot(), 0, b""), "it names n3 as its sender"),
    (InstallSnapshot(3, 2, snapshot(0), 0, b""), "a snapshot of entry 0"),
    (InstallSnapshot(3, 2, snapshot(term=4), 0, b""), "of term 4, in term 3"),
    (InstallSnapshot(3, 2, snapshot(size=-1), 0, b""), "where an index"),
    (InstallSnapshot(3, 2, snapshot(), 99, b"xx"), "beyond the end of a snapshot of 100 bytes"),
    (InstallSnapshot(3, 2, snapshot(), -1, b"xx"), "where an index"),
    (InstallSnapshot(3, 2, snapshot(5, 3), 0, b""), "a snapshot of entry 5, where no batch ends"),
    (InstallSnapshot(3, 2, snapshot(members=Membership((), ())), 0, b""), "without voters"),
    (TimeoutNow(3, 3), "it names n3 as its sender"),
    (RequestVote(4, 3, 9, 3), "it names n3 as its sender"),
    (RequestVote(4, 2, 9, 5), "its log ends in term 5, its term is 4"),
    (RequestVote(4, 2, -9, 3), "where an index"),
    (ReadIndex(3, -1), "where an index"),
    (ReadIndexReply(3, 1, MOST), "where an index"),
]  # fmt: skip


@pytest.mark.parametrize(("message", "reason"), OF_A_LEADER)
def test_a_follower_skips_what_no_correct_peer_sends(message: Message, reason: str) -> None:
    raft = a_follower()
    before = describe(raft.state)
    with pytest.raises(Nonsense) as skipped:
        raft.step(2, message, 1e9)
    assert reason in str(skipped.value)
    assert describe(raft.state) == before


def test_a_follower_skips_entries_of_a_term_before_that_of_its_snapshot() -> None:
    """What is in front of them is covered by the snapshot, so it is not compared."""
    raft = Raft(
        1,
        (1, 2, 3),
        hard_state=HardState(3),
        batches=[],
        snapshot=snapshot(5, 2),
        timing=Timing(),
        limits=Limits(),
        random=random.Random(1),
        now=0.0,
    )
    covered = Batch(4, 1, C, 2, b"")
    with pytest.raises(Nonsense, match="entry 6 has term 1, after one of term 2"):
        raft.step(2, AppendEntries(3, 2, 3, 1, (covered, Batch(6, 1, C, 1, b"")), 0), 0.0)
    raft.step(2, AppendEntries(3, 2, 3, 1, (covered, Batch(6, 2, C, 1, b"")), 0), 0.0)
    assert (raft.state.log.last_index, raft.state.log.last_term) == (6, 2)


OF_A_FOLLOWER: list[tuple[Message, str]] = [
    (AppendEntries(1, 2, 1, 1, (), 0), "it leads term 1, and so does this server"),
    (InstallSnapshot(1, 2, snapshot(1, 1), 0, b""), "it leads term 1"),
    (TimeoutNow(1, 2), "it leads term 1"),
    (AppendEntriesReply(1, True, 6, 5), "it acknowledges 6, and this log ends with 5"),
    (AppendEntriesReply(2, True, 5, 5), "an answer to term 2, and this server is in term 1"),
    (InstallSnapshotReply(2, 5, 0, True), "an answer to term 2"),
    (AppendEntriesReply(1, True, 4, 5), "it acknowledges 4, where no batch ends"),
    (AppendEntriesReply(1, True, 5, 5, round=10**6), "an answer to round 1000000"),
    (AppendEntriesReply(1, False, 0, -1), "-1 where an index"),
    (AppendEntriesReply(1, False, 0, 3, hint_index=MOST), "where an index"),
    (InstallSnapshotReply(1, 5, -1, False), "-1 where an index"),
    (InstallSnapshotReply(1, 5, 0, False, round=10**6), "an answer to round 1000000"),
]


@pytest.mark.parametrize(("message", "reason"), OF_A_FOLLOWER)
def test_a_leader_skips_what_no_correct_peer_sends(message: Message, reason: str) -> None:
    raft = a_leader()
    before = describe(raft.state)
    with pytest.raises(Nonsense) as skipped:
        raft.step(2, message, raft.state.now)
    assert reason in str(skipped.value)
    assert describe(raft.state) == before


def test_time_may_be_ten_years_ahead_and_no_more() -> None:
    ten_years_us = 315_360_000_000_000
    raft = a_follower()
    for ahead_us in (ten_years_us, ten_years_us + 1):
        ahead = msgspec.structs.replace(snapshot(), time_us=raft.state.log.last_time_us + ahead_us)
        message = InstallSnapshot(3, 2, ahead, 0, b"")
        if ahead_us == ten_years_us:
            raft.step(2, message, raft.state.now)
        else:
            with pytest.raises(Nonsense):
                raft.step(2, message, raft.state.now)


def test_a_leader_is_not_told_of_more_of_a_snapshot_than_there_is() -> None:
    raft = a_leader()
    progress = raft.state.progress[2]
    progress.become_snapshot(snapshot(1, 1))
    with pytest.raises(Nonsense, match="101 bytes of a snapshot of 100"):
        raft.step(2, InstallSnapshotReply(1, 1, 101, False), raft.state.now)


def test_the_answer_to_a_question_comes_from_whom_it_was_asked() -> None:
    raft = a_follower()
    raft.read(1, raft.state.now, follower=True)
    while raft.ready() is not None:
        pass
    assert raft.state.reads.question is not None
    ticket = raft.state.reads.question.ticket
    with pytest.raises(Nonsense, match="it answers a question that another node was asked"):
        raft.step(3, ReadIndexReply(3, ticket, 3), raft.state.now)


def test_what_is_stale_is_answered_as_stale_however_it_is_cut() -> None:
    """Its entries are not looked at: its sender has to hear of the term that it has missed."""
    raft = a_follower()
    raft.step(3, AppendEntries(2, 3, 5, 2, (), 0), raft.state.now)
    ready = raft.ready()
    assert ready is not None
    assert [type(one) for _, one in ready.messages_after_persist] == [AppendEntriesReply]


# -- anything at all -----------------------------------------------------------------------------

near = st.integers(0, 10)
numbers = near | near | st.integers(-(2**63), 2**64 - 1)
terms = st.integers(0, 6) | st.integers(0, 6) | numbers
ids = st.sampled_from([1, 2, 3]) | st.integers(-1, 5)
memberships = st.sampled_from(
    [
        EVERYBODY,
        Membership((1, 2), (1, 2, 3)),
        Membership((1, 2), (1, 2), (1, 2, 3)),
        Membership((), ()),
    ]
)
data = st.binary(max_size=3) | memberships.filter(lambda m: 1 in m.voters).map(membership.encode)
single_batches = st.builds(
    Batch, numbers, terms, st.sampled_from(BatchKind), st.integers(1, 4) | numbers, data, numbers
)


@st.composite
def runs_of_batches(draw: st.DrawFn, first: int) -> tuple[Batch, ...]:
    """Batches that follow each other, mostly."""
    found = []
    term, time_us = draw(st.integers(1, 5)), 0
    for _ in range(draw(st.integers(0, 3))):
        if draw(st.integers(0, 9)) == 0:
            found.append(draw(single_batches))
            continue
        kind = draw(st.sampled_from([C, C, *BatchKind]))
        count = draw(st.integers(1, 3)) if kind is C else 1
        found.append(Batch(first, term, kind, count, draw(data), time_us))
        first += count
        term += draw(st.sampled_from([0, 0, 1]))
        time_us += draw(st.sampled_from([0, 5]))
    return tuple(found)


@st.composite
def appends(draw: st.DrawFn) -> AppendEntries:
    prev = draw(numbers)
    return AppendEntries(
        draw(terms), draw(ids), prev, draw(terms), draw(runs_of_batches(prev + 1)), draw(numbers),
        draw(numbers),
    )  # fmt: skip


snapshots = st.builds(Snapshot, numbers, terms, numbers, memberships, numbers, numbers)
messages = st.one_of(
    appends(),
    appends(),
    st.builds(AppendEntriesReply, terms, st.booleans(), numbers, numbers, numbers, terms, numbers),
    st.builds(RequestVote, terms, ids, numbers, terms, st.booleans(), st.booleans()),
    st.builds(RequestVoteReply, terms, st.booleans(), st.booleans()),
    st.builds(InstallSnapshot, terms, ids, snapshots, numbers, st.binary(max_size=5), numbers),
    st.builds(InstallSnapshotReply, terms, numbers, numbers, st.booleans(), numbers),
    st.builds(TimeoutNow, terms, ids),
    st.builds(ReadIndex, terms, numbers),
    st.builds(ReadIndexReply, terms, numbers, numbers),
)


@dataclass(frozen=True)
class NearAppend:
    """An AppendEntries that fits the log it meets, but for what is said here."""

    term_ahead: int
    prev: int
    prev_term: int | None
    batches: list[tuple[BatchKind, int, int, bytes]]
    commit: int

    def made_for(self, raft: RaftState, sender: NodeId) -> Message:
        held = raft.log.term_at(self.prev)
        term = raft.current_term + self.term_ahead
        prev_term = held if held is not None and self.prev_term is None else self.prev_term or 0
        first, of_term, made = self.prev + 1, prev_term, []
        for kind, count, rises, content in self.batches:
            of_term = min(of_term + rises, max(term, prev_term))
            made.append(Batch(first, of_term, kind, count, content, raft.log.last_time_us))
            first += count
        return AppendEntries(term, sender, self.prev, prev_term, tuple(made), self.commit)


@dataclass(frozen=True)
class NearReply:
    """An answer to what a leader may have asked, but for what is said here."""

    success: bool
    match_index: int
    prev: int
    hint_index: int
    rounds_ahead: int

    def made_for(self, raft: RaftState, sender: NodeId) -> Message:
        return AppendEntriesReply(
            raft.current_term, self.success, self.match_index, self.prev, self.hint_index, 1,
            max(0, raft.round + self.rounds_ahead),
        )  # fmt: skip


@dataclass(frozen=True)
class NearChunk:
    """A chunk of a snapshot near the end of the log."""

    term_ahead: int
    index: int
    term: int | None
    size: int

    def made_for(self, raft: RaftState, sender: NodeId) -> Message:
        held = raft.log.term_at(self.index)
        of_term = held if held is not None and self.term is None else self.term or 1
        term = raft.current_term + self.term_ahead
        return InstallSnapshot(term, sender, snapshot(self.index, of_term, self.size), 0, b"xx")


@dataclass(frozen=True)
class NearQuestion:
    """The answer to the question that is open."""

    index: int

    def made_for(self, raft: RaftState, sender: NodeId) -> Message:
        ticket = 0 if raft.reads.question is None else raft.reads.question.ticket
        return ReadIndexReply(raft.current_term, ticket, self.index)


mostly_none = st.none() | st.none() | st.integers(1, 5)
ahead = st.sampled_from([0, 0, 0, 1, -1])
cut = st.tuples(
    st.sampled_from([C, C, C, BatchKind.NOOP, BatchKind.CONFIGURATION]), st.integers(1, 3),
    st.sampled_from([0, 0, 1]), st.just(membership.encode(EVERYBODY)),
)  # fmt: skip
nearly = st.one_of(
    st.builds(NearAppend, ahead, near, mostly_none, st.lists(cut, max_size=3), near),
    st.builds(NearAppend, ahead, near, mostly_none, st.lists(cut, max_size=3), near),
    st.builds(NearReply, st.booleans(), near, near, near, st.sampled_from([0, 0, -1, 1])),
    st.builds(NearChunk, ahead, near, mostly_none, st.integers(0, 4)),
    st.builds(NearQuestion, near),
)
Near: TypeAlias = NearAppend | NearReply | NearChunk | NearQuestion
Step: TypeAlias = Message | Near | str


class Hermit:
    """One server, among peers of which nobody is real."""

    def __init__(self, seed: int, role: str) -> None:
        log = [1, 1, 2, 2, 3]
        net = Network(3, logs={1: log}, terms={1: 3}, limits=Limits(inflight_batches=2))
        self.raft = Raft(
            1, (1, 2, 3),
            hard_state=net.disks[1].hard_state,
            batches=[*batches(log), Batch(6, 3, C, 3, b"three")],
            timing=net.timing, limits=net.limits, random=random.Random(seed), now=0.0,
        )  # fmt: skip
        self.watch = ServerWatch(self.raft.state)
        self.now = 0.0
        self.settle()
        for what in ROLES[role]:
            self.do(what, 2)
            self.settle()

    def settle(self) -> None:
        self.watch.check()
        while (ready := self.raft.ready()) is not None:
            self.watch.check()
            self.watch.check_ready(ready)
            if ready.must_persist:
                self.raft.persisted(ready)
            for sender, chunk in ready.chunks_received:
                size = chunk.snapshot.size
                if chunk.offset + len(chunk.data) == size:
                    self.raft.snapshot_received(sender, chunk, self.now)
                else:
                    self.raft.chunk_taken(sender, chunk, chunk.offset + len(chunk.data), self.now)
            for peer, chunk in ready.chunks_to_send:
                assert 0 <= chunk.offset <= chunk.snapshot.size
                self.raft.chunk_sent(peer, chunk)
            for _, message in [*ready.messages, *ready.messages_after_persist]:
                assert message.term < MOST
            assert len(ready.messages) < 1000
        self.watch.check()

    def do(self, what: Step, sender: NodeId) -> None:
        raft = self.raft
        if isinstance(what, Near):
            self.step(sender, what.made_for(raft.state, sender))
        elif what == "time":
            self.now = max(self.now, raft.deadline) + 1e-6
            raft.elapse(self.now)
        elif what == "voted":
            state = raft.state
            asked = state.current_term + 1 if state.pre_vote else state.current_term
            self.step(sender, RequestVoteReply(asked, True, state.pre_vote))
        elif what == "propose":
            if raft.state.role.value == "leader" and raft.state.transfer is None:
                raft.propose(2, b"xx", self.now)
        elif what == "read":
            if raft.state.leader_id is not None:
                raft.read(raft.state.round, self.now, follower=True)
        elif what == "acknowledged":
            state = raft.state
            self.step(
                sender,
                AppendEntriesReply(
                    state.current_term, True, state.log.last_index, state.log.last_index,
                    round=state.round,
                ),
            )  # fmt: skip
        else:
            assert not isinstance(what, str)
            self.step(sender, what)

    def step(self, sender: NodeId, message: Message) -> None:
        before = describe(self.raft.state)
        try:
            self.raft.step(sender, message, self.now)
        except Nonsense:
            assert describe(self.raft.state) == before


ROLES: dict[str, list[Step]] = {
    "just started": [],
    "follower": [NearAppend(0, 8, None, [], 4)],
    "candidate": ["time", "voted"],
    "leader": ["time", "voted", "voted", "propose"],
    "leader that has committed": ["time", "voted", "voted", "propose", "acknowledged", "propose"],
}

steps = st.tuples(
    nearly
    | nearly
    | messages
    | st.sampled_from(["time", "voted", "propose", "read", "acknowledged"]),
    st.sampled_from([2, 3]),
)


def hold_out(seed: int, role: str, story: list[tuple[Step, NodeId]]) -> None:
    hermit = Hermit(seed, role)
    for what, sender in story:
        hermit.do(what, sender)
        hermit.settle()


SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=400, suppress_health_check=SLOW)
@given(st.integers(0, 9), st.sampled_from(sorted(ROLES)), st.lists(steps, max_size=40))
def test_no_message_whatever_ends_a_server(
    seed: int, role: str, story: list[tuple[Step, NodeId]]
) -> None:
    hold_out(seed, role, story)


@pytest.mark.soak
@settings(max_examples=100_000, suppress_health_check=SLOW)
@given(st.integers(0, 9), st.sampled_from(sorted(ROLES)), st.lists(steps, max_size=80))
def test_no_message_whatever_ends_a_server_in_many_tries(
    seed: int, role: str, story: list[tuple[Step, NodeId]]
) -> None:
    hold_out(seed, role, story)
