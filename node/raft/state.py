"""A server's state: Figure 2's variables, and what the server is about to tell its caller.

`RaftState` is data, and the questions about it that every part of the core asks. Its names are
those of Figure 2. Beside them stand the timers, which are times compared with `now`, and the
messages and events that the next `Ready` will carry. What one part alone works with has a class of
its own (`Transfer`, `Reads`, ...); the module that its docstring names changes it.
"""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from node.raft.log import Log
from node.raft.membership import Configuration
from node.raft.messages import (
    AppendEntriesReply,
    Floor,
    HardState,
    InstallSnapshot,
    InstallSnapshotReply,
    Membership,
    Message,
    NodeId,
    Snapshot,
)
from node.raft.progress import Progress
from node.raft.ready import Note
from node.raft.settings import Limits, Randomness, Timing
from node.raft.streaks import Streaks


class Role(enum.Enum):
    """What a server is (Figure 4); `roles.py` has what each means and how one becomes another."""

    FOLLOWER = "follower"
    CANDIDATE = "candidate"
    LEADER = "leader"


# Looking up a member of an Enum takes ten times as long as a name.
FOLLOWER: Final = Role.FOLLOWER
CANDIDATE: Final = Role.CANDIDATE
LEADER: Final = Role.LEADER


@dataclass(slots=True)
class Transfer:
    """A leader's attempt to hand over to `target` (`transfer.py`, thesis §3.10). It ends when
    another leader is heard, or at `deadline`.

    told: the target has been sent TimeoutNow since the last heartbeat
    """

    target: NodeId
    deadline: float
    told: bool = False


@dataclass(slots=True)
class DiskAtWork:
    """What a server knows of the write that is under way (`stall.py`).

    since: when it began; None when no write is under way
    due: from when on it counts as stalled; infinity when there is none, or it is stalled already
    stalled: it takes too long
    gave_way: this leader has tried to hand over because of it
    """

    since: float | None = None
    due: float = float("inf")
    stalled: bool = False
    gave_way: bool = False


@dataclass(slots=True)
class ReadRound:
    """A leader's reads that wait until a majority confirms that it led when they arrived.

    contexts: its own reads
    questions: the peers that asked as well, and the tickets of their questions
    """

    round: int
    read_index: int
    contexts: list[int]
    questions: dict[NodeId, int]


@dataclass(slots=True)
class Question:
    """What a follower has asked its leader, for the reads `contexts`, and has no answer to yet.

    ask_again_at: from then on the question, or its answer, counts as lost
    patience_s: how long it waited for this answer at most
    """

    ticket: int
    contexts: list[int]
    ask_again_at: float
    patience_s: float


@dataclass(slots=True)
class Reads:
    """Linearizable reads that wait (`reads.py`).

    waiting: contexts of reads for which neither a round nor a question is under way
    ready: commit index and contexts of reads for the next Ready

    A leader's:
    round: the reads of the round under way, if there is one
    questions: the ticket of the last question of each peer that waits for the next round

    A follower's:
    under: the term and its leader in which the reads were taken; None when there are none
    question: the one under way, if there is one
    last_ticket: of the last question asked; 0 before the first
    """

    waiting: list[int] = field(default_factory=list)
    ready: list[tuple[int, list[int]]] = field(default_factory=list)
    round: ReadRound | None = None
    questions: dict[NodeId, int] = field(default_factory=dict)
    under: tuple[int, NodeId | None] | None = None
    question: Question | None = None
    last_ticket: int = 0

    def end_leadership(self) -> None:
        """Forget the reads of this leader and of those who asked it."""
        self.waiting, self.ready = [], []
        self.round = None
        self.questions = {}

    def end_following(self) -> None:
        """Forget the reads that were taken under a leader which is followed no more."""
        self.waiting, self.ready = [], []
        self.question = None
        self.under = None


@dataclass(slots=True)
class Lease:
    """What a leader knows of its lease (`lease.py`).

    rounds: the rounds that no majority has replied to yet, and when each began
    since: when the last round began that a majority has replied to
    forgone: in this term it has told another server to campaign
    """

    rounds: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=64))
    since: float = float("-inf")
    forgone: bool = False


class RaftState:
    """One server's state. `now` is the time of the step that is being taken.

    configuration: the last in the log, committed or not: a server uses it from then on (§6)
    configurations: the last one that is committed and all after it, each with its entry's index
    snapshot: the newest that is durable here
    floor: how far the log of a server whose data was removed must reach before it helps to elect
    last_applied: how far committed batches were handed out for applying
    pre_vote: this candidate asks for pre-votes
    votes: the replies to this candidate, its own vote included
    asked_to_campaign: the leader has asked for this election (thesis §3.10)
    hinted_elections: how many more elections a hint may hasten
    progress: a leader's view of each peer
    elected_at, elected_time_us: when this leader was elected, and cluster time then
    round: the number of the last round of heartbeats
    transfer: a handover under way; it may outlast the leadership that it gives away
    transfer_failure: why the last handover failed, if it did
    leaving: this leader is no member any more, and has tried to hand over
    handed_index, handed_hard_state: what was handed out to be made durable
    persisted_index, persisted_hard_state: what is known to be durable
    truncations: how often the log lost entries to a conflict or a snapshot
    leader_heard_at: when a leader was last heard, of whatever term
    streaks: what repeats in elections (`streaks.py`)
    """

    # More than thirty attributes would be kept in a dict, and each is asked for many times a step.
    __slots__ = (
        "asked_to_campaign",
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
        "leader_heard_at",
        "leader_id",
        "lease",
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
        "random",
        "reads",
        "role",
        "round",
        "snapshot",
        "snapshot_to_install",
        "streaks",
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
        self.configurations = [(log.base_index, self.configuration)]
        self.timing = timing
        self.limits = limits
        self.random = random
        self.now = now

        # Persistent on all servers (Figure 2).
        self.current_term = hard_state.current_term
        self.voted_for = hard_state.voted_for
        self.log = log
        self.snapshot = snapshot
        self.floor = floor

        # Volatile on all servers.
        self.commit_index = log.base_index
        self.last_applied = log.base_index
        self.role = FOLLOWER
        self.leader_id: NodeId | None = None

        # Volatile on candidates.
        self.pre_vote = False
        self.votes: dict[NodeId, bool] = {}
        self.asked_to_campaign = False
        self.streaks = Streaks()

        # Volatile on leaders; reinitialised after election.
        self.progress: dict[NodeId, Progress] = {}
        self.elected_at = 0.0
        self.elected_time_us = 0
        self.round = 0
        self.reads = Reads()
        self.lease = Lease()

        self.transfer: Transfer | None = None
        self.transfer_failure = ""
        self.leaving = False

        # How far the disk has caught up with memory.
        self.handed_index = log.last_index
        self.persisted_index = log.last_index
        self.truncations = 0
        self.disk = DiskAtWork()
        self.handed_hard_state = hard_state
        self.persisted_hard_state = hard_state

        self._begin_timers()
        self._begin_outbox()

    def _begin_timers(self) -> None:
        self.election_deadline = 0.0
        self.heartbeat_deadline = 0.0
        self.notice_deadline: float | None = None
        # A server that restarts forgets its promise to a leader: it acts as if it had made one.
        self.leader_heard_at = self.now if self.timing.lease else float("-inf")
        self.hinted_elections = 0

    def _begin_outbox(self) -> None:
        # What the next Ready will carry, with `reads.ready`.
        self.messages: list[tuple[NodeId, Message]] = []
        self.messages_after_persist: list[tuple[NodeId, Message]] = []
        self.notes: list[Note] = []
        self.chunks_to_send: list[tuple[NodeId, InstallSnapshot]] = []
        self.chunks_received: list[tuple[NodeId, InstallSnapshot]] = []
        self.snapshot_to_install: Snapshot | None = None

    # -- what is true now ------------------------------------------------------------------------

    @property
    def hard_state(self) -> HardState:
        return HardState(self.current_term, self.voted_for)

    @property
    def may_campaign(self) -> bool:
        """Whether it may become a leader: a voter of the configuration in force, or of an earlier
        one that may still count. For a server that is left out by an entry which is not committed
        may be the only one whose log holds that entry, and can be elected (thesis §4.2.2, Figure
        4.6).

        Learners, and servers that are in no configuration, do not campaign; nor does a server whose
        log has not reached its floor. But every server votes: a learner may already be a voter by
        an entry that it has not received yet.
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
    def peers(self) -> set[NodeId]:
        """Everybody else in a configuration that may still count: a leader replicates to them, so
        that a server which is removed hears of it."""
        everybody = {node for _, one in self.configurations for node in one.everybody}
        return everybody - {self.node_id}

    @property
    def cluster_time_us(self) -> int:
        """The time that a leader puts into its entries, in microseconds: that at the end of the log
        when it was elected, and how long it leads. It stands still while a clock catches up."""
        led_us = int((self.now - self.elected_at) * 1e6)
        return max(self.elected_time_us + led_us, self.log.last_time_us)

    @property
    def role_name(self) -> str:
        """Its role in words: a candidate in the paper's sense has begun a term (thesis §9.6)."""
        return "pre-candidate" if self.pre_vote else self.role.value

    @property
    def hears_a_leader(self) -> bool:
        """A leader was heard within the shortest election timeout: no vote against it then (§6,
        thesis §4.2.3). A leader counts as heard by itself while it hears a quorum."""
        if self.role is LEADER:
            return self.now - self.quorum_contact < self.timing.election_timeout_min_s
        return (
            self.leader_id is not None
            and self.now - self.leader_heard_at < self.timing.election_timeout_min_s
        )

    @property
    def is_bound_by_a_lease(self) -> bool:
        """Some leader, of whatever term, may hold a lease because this server has heard it: then
        this server votes for nobody, unless that leader asks for it (thesis §6.4.1)."""
        since = self.now - self.leader_heard_at
        return self.timing.lease and since < self.timing.election_timeout_min_s

    def is_as_recent(self, last_log_index: int, last_log_term: int) -> bool:
        """Whether a log with this last entry holds all that may be committed, as far as this
        server knows (§5.4.1)."""
        ends = Floor(last_log_term, last_log_index)
        return ends >= self.floor and self.log.is_as_recent(last_log_index, last_log_term)

    @property
    def committed(self) -> Floor:
        """The last entry that is known to be committed."""
        return Floor(self.log.term_at(self.commit_index) or 0, self.commit_index)

    @property
    def knows_what_is_committed(self) -> bool:
        """A leader does once it has committed an entry of its own term (§5.4.2, §8)."""
        return self.log.term_at(self.commit_index) == self.current_term

    @property
    def quorum_contact(self) -> float:
        """Until when this leader had heard from a majority, itself included."""

        def last_contact(node_id: NodeId) -> float:
            return self.now if node_id == self.node_id else self.progress[node_id].last_contact

        return self.configuration.quorum_value(last_contact)

    @property
    def quorum_round(self) -> int:
        """The last round that a majority has replied to, this leader included."""

        def round_acked(node_id: NodeId) -> int:
            return self.round if node_id == self.node_id else self.progress[node_id].round_acked

        return self.configuration.quorum_value(round_acked)

    # -- the outbox ------------------------------------------------------------------------------

    def send(self, to: NodeId, message: Message) -> None:
        """Send `message` at once: it claims nothing that is not on disk."""
        self.messages.append((to, message))

    def send_after_persist(self, to: NodeId, message: Message) -> None:
        """Send `message` when everything handed out until then is on disk."""
        self.messages_after_persist.append((to, message))

    def reply_by_hard_state(
        self, to: NodeId, reply: AppendEntriesReply | InstallSnapshotReply
    ) -> None:
        """Send a reply that claims no entries but those on disk: it waits for nothing unless the
        term that it bears is still being written."""
        if self.hard_state == self.persisted_hard_state:
            self.send(to, reply)
        else:
            self.send_after_persist(to, reply)

    def note(self, level: str, event: str, **fields: object) -> None:
        """Record an event for the event log."""
        role, commit = self.role_name, self.commit_index
        self.notes.append(Note(level, event, self.current_term, role, commit, fields))

    # -- the election timer ----------------------------------------------------------------------

    def reset_election_timer(self) -> None:
        """Wait a full timeout, drawn anew (§5.2)."""
        timing = self.timing
        self.election_deadline = self.now + self.random.uniform(
            timing.election_timeout_min_s, timing.election_timeout_max_s
        )

    def shorten_election_timer(self, least: float, most: float) -> None:
        """Wait between `least` and `most` hint delays, or less if the timeout is due before."""
        delay = self.timing.hint_delay_s
        hinted = self.now + self.random.uniform(least * delay, most * delay)
        self.election_deadline = min(self.election_deadline, hinted)
