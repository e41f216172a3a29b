"""A server's state: Figure 2's variables, and what the server is about to tell its caller.

`RaftState` is data and the few transitions that every part of the core shares. Its names are
those of Figure 2; under it stand the timers, which are points in time compared with `now`, and the
outbox: messages, batches and events that the next `Ready` will carry.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass, field
from typing import Final, Protocol

import msgspec

from node.raft.log import Log
from node.raft.membership import Configuration
from node.raft.messages import (
    AppendEntriesReply,
    Batch,
    Floor,
    HardState,
    InstallSnapshot,
    InstallSnapshotReply,
    Membership,
    Message,
    NodeId,
    Snapshot,
)


class Role(enum.Enum):
    """What a server is (Figure 4). A candidate may still be asking for pre-votes."""

    FOLLOWER = "follower"
    CANDIDATE = "candidate"
    LEADER = "leader"


# Looking up a member of an Enum takes ten times as long as a name, and these are asked for all the
# time.
FOLLOWER: Final = Role.FOLLOWER
CANDIDATE: Final = Role.CANDIDATE
LEADER: Final = Role.LEADER


class Randomness(Protocol):
    """Handed in: `random.Random` is one."""

    def uniform(self, a: float, b: float) -> float: ...


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. Election timeouts are drawn anew each time, from min to max (§5.2).

    failure_hint: whether `hint_failure` shortens the wait for a leader known to be dead
    hint_delay_s: how long such a shortened wait is at the most
    commit_notice_s: how long followers may be left unaware of a commit when nothing else is sent
    pre_vote: whether a server asks before it begins a term (thesis §9.6); without it, it begins one
        as soon as it hears no leader, as the paper has it (§5.2)
    lease: whether a leader that holds a lease answers reads without a round (`lease.py`). It goes
        without the hint: a voter that a lease binds may not take a closed pipe for its end
    """

    heartbeat_interval_s: float = 0.1
    election_timeout_min_s: float = 0.5
    election_timeout_max_s: float = 1.0
    failure_hint: bool = True
    hint_delay_s: float = 0.02
    commit_notice_s: float = 0.01
    pre_vote: bool = True
    lease: bool = False

    def __post_init__(self) -> None:
        assert 0 < self.heartbeat_interval_s < self.election_timeout_min_s
        assert self.election_timeout_min_s < self.election_timeout_max_s
        assert not (self.lease and self.failure_hint)


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds the leader's memory and each message. Sizes in bytes.

    max_append_bytes: of batches in one AppendEntries, unless a single batch is larger
    max_inflight_messages, max_inflight_bytes: sent to one peer and not yet acknowledged
    max_uncommitted_bytes: of the log's uncommitted tail; proposals beyond it are refused
    max_apply_bytes: of batches handed out for applying in one Ready
    max_chunk_bytes: of a snapshot in one InstallSnapshot
    max_trailing_bytes: of the log that a snapshot stands for and that is kept all the same, for
        peers that are a little behind
    max_log_bytes: of the log in memory, above which no peer's transfer of a snapshot holds any of
        it back
    """

    max_append_bytes: int = 1 << 20
    max_inflight_messages: int = 64
    max_inflight_bytes: int = 8 << 20
    max_uncommitted_bytes: int = 64 << 20
    max_apply_bytes: int = 1 << 20
    max_chunk_bytes: int = 1 << 20
    max_trailing_bytes: int = 16 << 20
    max_log_bytes: int = 256 << 20


@dataclass(slots=True)
class Progress:
    """What a leader believes of one peer (§5.3), and what it may send it.

    `next_index` is a guess and moves both ways; `match_index` is a proof and only rises while the
    peer lives. While `probing` the guess is unconfirmed, and one message at a time is sent.
    """

    next_index: int
    last_contact: float
    match_index: int = 0
    probing: bool = True
    probe_sent: bool = False
    first_round: int = 0
    """answers to earlier rounds are not its own: who was removed, forgot everything and is back has
    not got what it acknowledged before"""
    round_acked: int = 0
    commit_sent: int = 0
    inflight: deque[tuple[int, int]] = field(default_factory=deque)
    """last index and bytes of each AppendEntries sent and not yet acknowledged"""
    inflight_bytes: int = 0
    snapshot: Snapshot | None = None
    """it is being sent this instead of the log"""
    snapshot_offset: int = 0
    """so much of the snapshot the peer is known to hold"""
    chunk_read: bool = False
    """a chunk is being read for it"""
    chunk_round: int | None = None
    """the round in which the last chunk left; None: none has yet"""
    died: bool = False
    """its process is known to be dead, and nothing has come from another since"""
    caught_up: bool = False
    """a learner's: a round of replication to it was short enough (thesis §4.2.1)"""
    round_end: int = 0
    round_began: float = 0.0
    """the round under way ends when it holds this entry, and began then"""

    def heard(self, now: float, acked: int) -> None:
        """The peer has answered, in this term, the question of round `acked` or a later one."""
        self.last_contact = now
        self.round_acked = max(self.round_acked, acked)
        self.died = False

    def probe_from(self, next_index: int) -> None:
        """Forget what is in flight and find out where the peer's log agrees with ours."""
        self.next_index = next_index
        self.probing = True
        self.probe_sent = False
        self.inflight.clear()
        self.inflight_bytes = 0
        self.snapshot = None

    def acknowledge(self, match_index: int) -> None:
        """The peer's disk agrees with our log up to `match_index`."""
        self.match_index = max(self.match_index, match_index)
        self.next_index = max(self.next_index, self.match_index + 1)
        while self.inflight and self.inflight[0][0] <= self.match_index:
            self.inflight_bytes -= self.inflight.popleft()[1]


@dataclass(slots=True)
class Transfer:
    """A leader's attempt to hand over (thesis §3.10), until another leader is heard or `deadline`.

    told: the target has been sent TimeoutNow since the last heartbeat
    """

    target: NodeId
    deadline: float
    told: bool = False


@dataclass(slots=True)
class DiskAtWork:
    """What a server knows of the write that is under way (`stall.py`).

    since: when it began; None when there is none
    due: by when it will have taken too long; infinity when there is none, or it has
    stalled: it takes too long
    gave_way: that has made this leader hand over already
    """

    since: float | None = None
    due: float = float("inf")
    stalled: bool = False
    gave_way: bool = False


class Note(msgspec.Struct, frozen=True):
    """Something that happened, for the event log: the server's view at that moment, and fields."""

    level: str
    event: str
    term: int
    role: str
    commit: int
    fields: dict[str, object]


class Ready(msgspec.Struct, frozen=True):
    """What the caller must do now; `node/raft/raft.py` says in which order.

    snapshot: it has been received and is to be made durable, in place of the whole log that is
        stored; and the machine is to be restored from it before anything else is applied
    hard_state, batches: to be made durable together, behind the snapshot; a batch at or below the
        end of what is stored replaces everything from there on
    last_index, truncations: of the log when this was made, for `Raft.persisted`
    messages: to be sent at once
    messages_after_persist: to be sent when this Ready, and all before it, are durable
    committed: to be applied in order
    reads: contexts that may be answered once `index` is applied
    chunks_to_send: to be sent at once, with the data that stands at their offset, as much as
        `Limits.max_chunk_bytes` allows
    chunks_received: by whom, and what; for `Raft.chunk_taken` or `Raft.snapshot_received`
    """

    hard_state: HardState | None
    batches: list[Batch]
    last_index: int
    truncations: int
    messages: list[tuple[NodeId, Message]]
    messages_after_persist: list[tuple[NodeId, Message]]
    committed: list[Batch]
    reads: list[tuple[int, list[int]]]
    notes: list[Note]
    snapshot: Snapshot | None = None
    chunks_to_send: list[tuple[NodeId, InstallSnapshot]] = []
    chunks_received: list[tuple[NodeId, InstallSnapshot]] = []

    @property
    def must_persist(self) -> bool:
        return self.hard_state is not None or bool(self.batches) or self.snapshot is not None


@dataclass(slots=True)
class ReadRound:
    """Reads that wait for a majority to confirm that we led when they arrived (thesis §6.4).

    questions: who else asked, and the tickets of the questions
    """

    round: int
    read_index: int
    contexts: list[int]
    questions: dict[NodeId, int]


@dataclass(slots=True)
class Question:
    """What a follower has asked the leader, for the reads `contexts`, and has no answer to yet.

    ask_again_at: by then the question, or its answer, counts as lost
    """

    ticket: int
    contexts: list[int]
    ask_again_at: float
    patience_s: float


class RaftState:
    """One server's state. `now` is the time of the step that is being taken."""

    # An instance of more than thirty attributes would keep them in a dict, and each is asked for
    # many times in a step.
    __slots__ = (
        "asked_to_stand",
        "chunks_received",
        "chunks_to_send",
        "commit_index",
        "configuration",
        "configurations",
        "current_term",
        "disk",
        "elected_at",
        "elected_time_us",
        "election_deadline",
        "floor",
        "handed_hard_state",
        "handed_index",
        "heartbeat_deadline",
        "hinted_elections",
        "last_applied",
        "last_ticket",
        "leader_heard_at",
        "leader_id",
        "lease_forgone",
        "lease_from",
        "leaving",
        "limits",
        "log",
        "messages",
        "messages_after_persist",
        "node_id",
        "notes",
        "notice_deadline",
        "now",
        "persisted_hard_state",
        "persisted_index",
        "pre_vote",
        "progress",
        "question",
        "questions",
        "random",
        "read_round",
        "reads_ready",
        "reads_under",
        "reads_waiting",
        "role",
        "round",
        "rounds",
        "snapshot",
        "snapshot_to_install",
        "timing",
        "transfer",
        "transfer_failure",
        "truncations",
        "voted_for",
        "votes",
    )

    def __init__(
        self,
        node_id: NodeId,
        membership: Membership,
        hard_state: HardState,
        log: Log,
        timing: Timing,
        limits: Limits,
        random: Randomness,
        now: float,
        snapshot: Snapshot | None = None,
        floor: Floor = Floor(),  # noqa: B008 (frozen)
    ) -> None:
        assert log.last_term <= hard_state.current_term, "no entry is of a term to come"
        self.node_id = node_id
        self.configuration = Configuration(membership)
        """the last in the log, committed or not (§6)"""
        self.configurations = [(log.base_index, self.configuration)]
        """the last one that is committed, and all behind it, each with the index of its entry"""
        self.timing = timing
        self.limits = limits
        self.random = random
        self.now = now

        # Persistent on all servers (Figure 2).
        self.current_term = hard_state.current_term
        self.voted_for = hard_state.voted_for
        self.log = log
        self.snapshot = snapshot
        """the newest that is durable here"""
        self.floor = floor

        # Volatile on all servers. last_applied counts what was handed out for applying.
        self.commit_index = log.base_index
        self.last_applied = log.base_index
        self.role = FOLLOWER
        self.leader_id: NodeId | None = None

        # Volatile on candidates.
        self.pre_vote = False
        self.votes: dict[NodeId, bool] = {}
        self.asked_to_stand = False  # by the leader (thesis §3.10)

        # Volatile on leaders; reinitialised after election.
        self.progress: dict[NodeId, Progress] = {}
        self.elected_at = 0.0
        self.elected_time_us = 0
        self.round = 0
        self._begin_reads()

        # Handing over outlives the lead that it gives away; why the last attempt failed, if it did.
        self.transfer: Transfer | None = None
        self.leaving = False
        """it leads, is no member any more, and has tried to hand over"""
        self.transfer_failure = ""

        # How far the disk has caught up with memory: handed out, and confirmed.
        self.handed_index = log.last_index
        self.persisted_index = log.last_index
        self.truncations = 0
        self.disk = DiskAtWork()
        self.handed_hard_state = hard_state
        self.persisted_hard_state = hard_state

        self._begin_timers()
        self._begin_outbox()

    def _begin_reads(self) -> None:
        """Reads that wait: a leader's own, those of followers that ask it, and a follower's."""
        self.reads_waiting: list[int] = []
        self.read_round: ReadRound | None = None
        self.questions: dict[NodeId, int] = {}
        """the ticket of the last question of each peer that waits for a round"""
        self.reads_under: tuple[int, NodeId | None] | None = None
        """the term, and its leader, in which this follower has taken the reads that wait"""
        self.question: Question | None = None
        self.last_ticket = 0
        self.rounds: deque[tuple[int, float]] = deque(maxlen=64)
        """rounds that no majority has answered yet, and when each began"""
        self.lease_from = float("-inf")
        """when the last round began that a majority has answered"""
        self.lease_forgone = False
        """in this term it has told another to stand for election"""

    def _begin_timers(self) -> None:
        """Points in time."""
        self.election_deadline = 0.0
        self.heartbeat_deadline = 0.0
        self.notice_deadline: float | None = None
        # Who starts again does not know what it has promised a moment ago: as if it had heard one.
        self.leader_heard_at = self.now if self.timing.lease else float("-inf")
        self.hinted_elections = 0

    def _begin_outbox(self) -> None:
        """What the next Ready will carry."""
        self.messages: list[tuple[NodeId, Message]] = []
        self.messages_after_persist: list[tuple[NodeId, Message]] = []
        self.reads_ready: list[tuple[int, list[int]]] = []
        self.notes: list[Note] = []
        self.chunks_to_send: list[tuple[NodeId, InstallSnapshot]] = []
        self.chunks_received: list[tuple[NodeId, InstallSnapshot]] = []
        self.snapshot_to_install: Snapshot | None = None

    # -- what is true now ------------------------------------------------------------------------

    @property
    def hard_state(self) -> HardState:
        return HardState(self.current_term, self.voted_for)

    @property
    def may_stand(self) -> bool:
        """Whether it may become a leader: a voter of the configuration in force, or of one before
        it that may still count. For who is left out by an entry that is not committed may be the
        only one whose log holds that entry, and can be elected (thesis §4.2.2, Figure 4.6).

        Learners, and servers that no configuration has, do not stand; nor does one whose log has
        not reached its floor. But everybody votes, for who learns may be a voter and not know yet.
        """
        log = self.log
        return Floor(log.last_term, log.last_index) >= self.floor and any(
            one.may_vote(self.node_id) for _, one in self.configurations
        )

    @property
    def is_voter(self) -> bool:
        """Whether its vote and its disk count, by the configuration in force."""
        return self.configuration.may_vote(self.node_id)

    @property
    def cluster_time_us(self) -> int:
        """What a leader's entries bear: the time it found in its log, and how long it has led."""
        return self.elected_time_us + int((self.now - self.elected_at) * 1e6)

    @property
    def hears_a_leader(self) -> bool:
        """A live leader has been heard within the shortest election timeout: then this server
        helps nobody to depose it (§6, thesis §4.2.3). A leader hears itself while it hears a
        quorum."""
        if self.role is LEADER:
            return self.now - self.quorum_contact < self.timing.election_timeout_min_s
        return (
            self.leader_id is not None
            and self.now - self.leader_heard_at < self.timing.election_timeout_min_s
        )

    @property
    def is_bound_by_a_lease(self) -> bool:
        """Some leader, of whatever term, may hold a lease because this server has heard it: then
        nobody gets its vote, unless that leader wants it (thesis §6.4.1)."""
        since = self.now - self.leader_heard_at
        return self.timing.lease and since < self.timing.election_timeout_min_s

    def is_as_recent(self, last_log_index: int, last_log_term: int) -> bool:
        """Whether a log that ends so holds all that may be committed, for all this server knows
        (§5.4.1)."""
        ends = Floor(last_log_term, last_log_index)
        return ends >= self.floor and self.log.is_as_recent(last_log_index, last_log_term)

    @property
    def committed(self) -> Floor:
        """The last entry that is known to be committed; what binds a server that forgets all."""
        return Floor(self.log.term_at(self.commit_index) or 0, self.commit_index)

    @property
    def knows_what_is_committed(self) -> bool:
        """A leader does once it has committed an entry of its own term (§5.4.2, §8)."""
        return self.log.term_at(self.commit_index) == self.current_term

    @property
    def quorum_contact(self) -> float:
        """When this leader last had heard from a majority, itself included."""

        def last_contact(node_id: NodeId) -> float:
            return self.now if node_id == self.node_id else self.progress[node_id].last_contact

        return self.configuration.quorum_value(last_contact)

    @property
    def quorum_round(self) -> int:
        """The last round that a majority has answered, this leader included."""

        def round_acked(node_id: NodeId) -> int:
            return self.round if node_id == self.node_id else self.progress[node_id].round_acked

        return self.configuration.quorum_value(round_acked)

    # -- the outbox ------------------------------------------------------------------------------

    def send(self, to: NodeId, message: Message) -> None:
        """Leaves at once: it tells of nothing that is not on disk."""
        self.messages.append((to, message))

    def send_after_persist(self, to: NodeId, message: Message) -> None:
        """Leaves when all that it depends on is on disk."""
        self.messages_after_persist.append((to, message))

    def reply_by_hard_state(
        self, to: NodeId, reply: AppendEntriesReply | InstallSnapshotReply
    ) -> None:
        """This reply claims only what the disk holds, so it waits for no entries."""
        if self.hard_state == self.persisted_hard_state:
            self.send(to, reply)
        else:
            self.send_after_persist(to, reply)

    def note(self, level: str, event: str, **fields: object) -> None:
        """Tells the event log."""
        role, commit = self.role.value, self.commit_index
        self.notes.append(Note(level, event, self.current_term, role, commit, fields))

    # -- transitions -----------------------------------------------------------------------------

    def advance_term(self, term: int) -> None:
        """A new term: its vote is not yet cast, its leader not yet known."""
        assert term > self.current_term, "terms only rise"
        previous, self.current_term = self.current_term, term
        self.voted_for = None
        self.note("info", "term.advanced", previous=previous)

    def become_follower(self, leader_id: NodeId | None, reason: str) -> None:
        """Follow in the current term. Only a leader's election timer, which stood still, is set."""
        was, self.role = self.role, FOLLOWER
        self.pre_vote = False
        self.asked_to_stand = False
        self.votes = {}
        if was is LEADER:
            self.progress = {}
            self.chunks_to_send = []
            self.reads_waiting = []
            self.read_round = None
            self.questions = {}
            self.reads_ready = []  # the server has sent those who asked elsewhere
            self.notice_deadline = None
            self.reset_election_timer()
            self.note("info", "leader.stepped_down", reason=reason)
        if leader_id is not None and leader_id != self.leader_id:
            self.note("info", "leader.heard", leader=leader_id)
        self.leader_id = leader_id

    def reset_election_timer(self) -> None:
        """Wait a full timeout, drawn anew (§5.2)."""
        timing = self.timing
        self.election_deadline = self.now + self.random.uniform(
            timing.election_timeout_min_s, timing.election_timeout_max_s
        )

    def shorten_election_timer(self, least: float, most: float) -> None:
        """Wait at most that many hint delays: there is no leader to wait for."""
        delay = self.timing.hint_delay_s
        hinted = self.now + self.random.uniform(least * delay, most * delay)
        self.election_deadline = min(self.election_deadline, hinted)
