"""The door to the core: one server's side of Raft, as a deterministic machine.

It reads no clock, disk, link or randomness: time is an argument, in seconds on any monotonic scale;
randomness is handed in; `ready()` returns what is to be done outside. The same calls give the same
results.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from node.errors import Busy, NotLeader
from node.raft import (
    election,
    lease,
    membership,
    pace,
    reads,
    reconfiguration,
    replication,
    roles,
    sanity,
    snapshot,
    stall,
    transfer,
)
from node.raft.log import Log
from node.raft.messages import (
    COMMANDS,
    CONFIGURATION,
    NOOP,
    TICK,
    AppendEntries,
    AppendEntriesReply,
    Batch,
    Floor,
    HardState,
    InstallSnapshot,
    InstallSnapshotReply,
    Message,
    NodeId,
    ReadIndex,
    ReadIndexReply,
    RequestVote,
    RequestVoteReply,
    Snapshot,
    TimeoutNow,
)
from node.raft.ready import Ready
from node.raft.settings import Limits, Randomness, Timing
from node.raft.state import CANDIDATE, LEADER, RaftState


class Raft:
    """One server. Not thread-safe."""

    def __init__(
        self,
        node_id: NodeId,
        voters: Iterable[NodeId],
        *,
        hard_state: HardState = HardState(),  # noqa: B008 (frozen)
        batches: Sequence[Batch] = (),
        snapshot: Snapshot | None = None,
        floor: Floor = Floor(),  # noqa: B008 (frozen)
        timing: Timing,
        limits: Limits,
        random: Randomness,
        now: float,
    ) -> None:
        """A server that starts, or restarts with what it had made durable.

        voters: of a new cluster, the same on all of them; none on a server that joins later. A
            membership in the log or in the snapshot replaces them
        hard_state, batches, snapshot: what storage recovered. The batches follow the snapshot, and
            only what the snapshot covers is known to be committed
        floor: how far the log of a server whose data was removed must reach before it helps to
            elect anybody
        timing, limits: `node/raft/settings.py`
        now: in seconds, on the scale of all later calls
        """
        self.state = RaftState(
            node_id,
            membership.stable(voters) if snapshot is None else snapshot.membership,
            hard_state,
            Log(batches, snapshot),
            timing,
            limits,
            random,
            now,
            snapshot,
            floor,
        )
        reconfiguration.adopt(self.state, batches)
        if floor.term > self.state.current_term:
            roles.advance_term(self.state, floor.term)
        election.hint_start(self.state)

    # -- what goes in ----------------------------------------------------------------------------

    def step(self, sender: NodeId, message: Message, now: float) -> None:
        """A message from `sender` has arrived.

        A sender that is no member is heard as well: a leader or a candidate may be a member by a
        configuration that has not arrived here yet (§6). Raises Nonsense for a message that no
        correct peer sends; then nothing has changed.
        """
        raft = self.state
        if sender == raft.node_id:
            return
        sanity.check(raft, sender, message)
        raft.now = now
        if message.term > raft.current_term and not self._enter_term(sender, message):
            return
        if message.term < raft.current_term:
            self._answer_stale(sender, message)
            return
        match message:  # the most frequent first
            case AppendEntries():
                self._hear_leader(message.leader_id)
                replication.on_append_entries(raft, message)
            case AppendEntriesReply():
                if raft.role is LEADER:
                    replication.on_append_entries_reply(raft, sender, message)
                    self._count_round()
            case RequestVote():
                election.on_request_vote(raft, message)
            case RequestVoteReply():
                if election.on_request_vote_reply(raft, sender, message):
                    self._lead()
            case InstallSnapshot():
                self._hear_leader(message.leader_id)
                snapshot.on_install_snapshot(raft, sender, message)
            case InstallSnapshotReply():
                if raft.role is LEADER:
                    if snapshot.on_install_snapshot_reply(raft, sender, message):
                        replication.advance_commit(raft)
                    self._count_round()
            case TimeoutNow():
                transfer.on_timeout_now(raft, message)
            case ReadIndex():
                if raft.role is LEADER:
                    reads.on_read_index(raft, sender, message)
            case ReadIndexReply():
                reads.on_read_index_reply(raft, sender, message)

    def propose(self, count: int, data: bytes, now: float) -> int:
        """Put `count` commands, encoded together as `data`, into the log. Returns the index of the
        first. They may still be lost until they are committed.

        Raises NotLeader; Busy when the uncommitted tail has no room for them, or while leadership
        is being handed over.
        """
        raft = self.state
        raft.now = now
        if raft.role is not LEADER:
            raise NotLeader(raft.leader_id)
        if raft.transfer is not None:
            raise Busy(f"n{raft.transfer.target} is about to lead; try again in a moment")
        tail = raft.log.bytes_after(raft.commit_index)
        if tail and tail + len(data) > raft.limits.max_uncommitted_bytes:
            raise Busy(f"{tail} bytes are proposed and not yet committed; try again in a moment")
        return replication.append(raft, COMMANDS, count, data)

    def change_membership(self, target: Iterable[NodeId], now: float) -> None:
        """Begin to make `target` the voters (§6); nothing when that is under way already.

        Raises NotLeader; Busy while another change may not be replaced, or nothing of this term is
        committed.
        """
        raft = self.state
        raft.now = now
        if raft.role is not LEADER:
            raise NotLeader(raft.leader_id)
        change = reconfiguration.request(raft, target)
        if change is not None:
            replication.append(raft, CONFIGURATION, 1, membership.encode(change))

    def tick(self, now: float) -> None:
        """Put an entry into the log that does nothing but advance cluster time; not while
        leadership is being handed over. Raises NotLeader."""
        raft = self.state
        raft.now = now
        if raft.role is not LEADER:
            raise NotLeader(raft.leader_id)
        if raft.transfer is not None:
            return
        replication.append(raft, TICK, 1, b"")

    def read(self, context: int, now: float, *, follower: bool = False) -> None:
        """A linearizable read: a later Ready names `context`, and the index to be applied first.

        follower: whether a follower takes it too; it then asks its leader
        now: no older than the read

        Raises NotLeader. When this server stops leading, or following that leader, the reads that
        no Ready has named are forgotten.
        """
        raft = self.state
        raft.now = now
        if raft.role is not LEADER and (raft.leader_id is None or not follower):
            raise NotLeader(raft.leader_id)
        reads.take(raft, context)

    def transfer(self, target: NodeId | None, now: float) -> None:
        """Hand leadership over to `target`, or to the voter that holds most of the log (thesis
        §3.10).

        The attempt ends when `state.transfer` is None again, within the shortest election timeout;
        `state.transfer_failure` then says why it failed, if it did. Raises NotLeader, and
        ImpossibleTransfer for a target that cannot lead.
        """
        raft = self.state
        raft.now = now
        if raft.role is not LEADER:
            raise NotLeader(raft.leader_id)
        transfer.begin(raft, target)

    def change_timing(self, timing: Timing, now: float) -> None:
        """Use other timers from now on; leases stay as they are."""
        self.state.now = now
        pace.change(self.state, timing)

    def time_out(self, now: float) -> None:
        """As if the election timer had fired. Raises ImpossibleElection."""
        self.state.now = now
        pace.time_out(self.state)

    def disk_at_work(self, since: float | None) -> None:
        """When the write that is under way began; None when there is none."""
        stall.at_work(self.state, since)

    def elapse(self, now: float) -> None:
        """Time has passed: act on every timer that is due."""
        raft = self.state
        raft.now = now
        stall.check(raft)
        transfer.check(raft)
        if raft.role is not LEADER:
            if now >= raft.election_deadline:
                if raft.disk.stalled:
                    raft.reset_election_timer()  # it could neither vote nor lead
                else:
                    election.on_election_timeout(raft)
            return
        if now - raft.quorum_contact > raft.timing.election_timeout_max_s:
            election.step_down_unheard(raft)  # it can commit nothing: clients are redirected
            return
        if raft.disk.stalled and stall.give_way(raft):
            return
        if now >= raft.heartbeat_deadline:
            replication.broadcast_heartbeat(raft)
            snapshot.trim(raft)
            if raft.transfer is not None:
                raft.transfer.told = False  # TimeoutNow may have been lost: send it again
        if raft.notice_deadline is not None and now >= raft.notice_deadline:
            replication.send_commit_notices(raft)

    def hint_failure(self, peer: NodeId, now: float) -> None:
        """The process of `peer` is known to be dead (not merely silent)."""
        self.state.now = now
        if (progress := self.state.progress.get(peer)) is not None:
            progress.died = True
        transfer.on_lost(self.state, peer, "its process has died")
        election.hint_failure(self.state, peer)

    def link_opened(self, peer: NodeId, now: float) -> None:
        """The process of `peer` is a new one: what its former one acknowledged no longer holds."""
        raft = self.state
        raft.now = now
        transfer.on_lost(raft, peer, "its process has restarted")
        if raft.role is LEADER and peer in raft.progress:
            replication.greet(raft, peer)

    def persisted(self, ready: Ready) -> None:
        """All that `ready`, and the Readys before it, asked to make durable is durable."""
        raft = self.state
        if ready.hard_state is not None:
            raft.persisted_hard_state = ready.hard_state
            if raft.role is CANDIDATE and election.count_votes(raft):
                self._lead()  # our own vote was the last that was missing
        # If a conflict has truncated the log since then, this Ready proves nothing, even where the
        # same entries have come again: the disk may be about to lose them. A later Ready will.
        if ready.truncations == raft.truncations and ready.last_index > raft.persisted_index:
            raft.persisted_index = ready.last_index
            if raft.role is LEADER:
                replication.advance_commit(raft)

    def compact(self, taken: Snapshot, now: float) -> None:
        """`taken`, a snapshot of this server's own state, is durable here."""
        self.state.now = now
        snapshot.compact(self.state, taken)

    def chunk_sent(self, peer: NodeId, message: InstallSnapshot) -> None:
        """A chunk of `chunks_to_send` has left, or cannot be read."""
        snapshot.chunk_sent(self.state, peer, message)

    def chunk_taken(
        self, sender: NodeId, message: InstallSnapshot, offset: int, now: float
    ) -> None:
        """After `message`, the first `offset` bytes of its snapshot are here (not durably)."""
        self.state.now = now
        snapshot.chunk_taken(self.state, sender, message, offset)

    def snapshot_received(self, sender: NodeId, message: InstallSnapshot, now: float) -> bool:
        """All of the snapshot in `message` is here, durable and intact: whether it is to be
        installed, through the next Ready. If not, it is of no use any more."""
        self.state.now = now
        return snapshot.received(self.state, sender, message)

    # -- what comes out --------------------------------------------------------------------------

    def ready(self) -> Ready | None:
        """What the caller must do now, or None. Nothing is told twice."""
        raft = self.state
        pending = raft.reads
        if pending.under is not None:
            reads.forget_lost(raft)
        if raft.role is LEADER and not (raft.configuration.is_stable and raft.is_voter):
            replication.change_membership(raft)
            if reconfiguration.has_removed_us(raft):
                transfer.leave(raft)
        if raft.role is LEADER:
            replication.replicate(raft)
            if pending.waiting or pending.questions:
                reads.begin_round(raft)
            if raft.transfer is not None:
                transfer.hand_over(raft, raft.transfer)
        if pending.under is not None:
            reads.ask(raft)
        handed, last_index = raft.handed_hard_state, raft.log.last_index
        changed = handed.current_term != raft.current_term or handed.voted_for != raft.voted_for
        if not (
            changed
            or raft.handed_index < last_index
            or raft.last_applied != raft.commit_index
            or raft.messages
            or raft.messages_after_persist
            or pending.ready
            or raft.notes
            or raft.snapshot_to_install
            or raft.chunks_to_send
            or raft.chunks_received
        ):
            return None
        hard_state = raft.hard_state if changed else None
        batches: list[Batch] = []
        if raft.handed_index < last_index:
            batches = raft.log.batches_from(raft.handed_index + 1)
        committed: list[Batch] = []
        if raft.last_applied != raft.commit_index:
            committed = self._take_committed()
        ready = Ready(
            hard_state=hard_state,
            batches=batches,
            last_index=last_index,
            truncations=raft.truncations,
            messages=raft.messages,
            messages_after_persist=raft.messages_after_persist,
            committed=committed,
            reads=pending.ready,
            notes=raft.notes,
            snapshot=raft.snapshot_to_install,
            chunks_to_send=raft.chunks_to_send,
            chunks_received=raft.chunks_received,
        )
        raft.messages, raft.messages_after_persist, pending.ready, raft.notes = [], [], [], []
        raft.snapshot_to_install, raft.chunks_to_send, raft.chunks_received = None, [], []
        if hard_state is not None:
            raft.handed_hard_state = hard_state
        raft.handed_index = last_index
        return ready

    @property
    def deadline(self) -> float:
        """When `elapse` is due next, unless another call moves it."""
        raft = self.state
        if raft.role is not LEADER:
            deadline = raft.election_deadline
        else:
            deadline = raft.heartbeat_deadline
            if raft.notice_deadline is not None and raft.notice_deadline < deadline:
                deadline = raft.notice_deadline
        if raft.disk.due < deadline:
            deadline = raft.disk.due
        if raft.transfer is not None and raft.transfer.deadline < deadline:
            deadline = raft.transfer.deadline
        return deadline

    # -- control flow ----------------------------------------------------------------------------

    def _lead(self) -> None:
        """The election is won: lead, and append a no-op of the new term, which commits all that
        came before it (§5.4.2, §8)."""
        roles.become_leader(self.state)
        replication.append(self.state, NOOP, 1, b"")

    def _count_round(self) -> None:
        lease.extend(self.state)
        reads.confirm(self.state)

    def _enter_term(self, sender: NodeId, message: Message) -> bool:
        """A message of a later term: enter that term, unless it is a vote that nothing has come of
        yet (§5.1); whether `step` goes on with the message."""
        raft = self.state
        if isinstance(message, RequestVote):
            heard = raft.hears_a_leader or raft.is_bound_by_a_lease
            if heard and not message.leadership_transfer:
                if not message.pre_vote:
                    election.ignore(raft, message)
                else:
                    election.deny(raft, message, "a leader is heard")
                return False
            if message.pre_vote:
                election.on_request_vote(raft, message)
                return False
        if isinstance(message, RequestVoteReply) and message.pre_vote and message.vote_granted:
            # It bears the term that we asked about, in which nobody is yet. Ours begins now if this
            # pre-vote was the last that was missing; it is won when our vote is on disk.
            election.on_request_vote_reply(raft, sender, message)
            return False
        roles.become_follower(raft, None, f"term {message.term} has begun", by=sender)
        roles.advance_term(raft, message.term, by=sender)
        return True

    def _answer_stale(self, sender: NodeId, message: Message) -> None:
        """Tell the current term to the sender of an earlier one's request; ignore its replies."""
        raft = self.state
        if isinstance(message, RequestVote):
            election.deny(raft, message, "that term is over")
        elif isinstance(message, AppendEntries):
            raft.send_after_persist(sender, replication.refuse(raft, message))
        elif isinstance(message, InstallSnapshot):
            raft.send_after_persist(sender, snapshot.refuse(raft, message))

    def _hear_leader(self, leader_id: NodeId) -> None:
        raft = self.state
        assert raft.role is not LEADER, "a term has one leader (Election Safety, §5.2)"
        roles.become_follower(raft, leader_id, "a leader is heard")
        transfer.on_leader(raft, leader_id)
        raft.leader_heard_at = raft.now
        raft.hinted_elections = 0
        raft.reset_election_timer()

    def _take_committed(self) -> list[Batch]:
        raft = self.state
        batches = raft.log.batches_from(raft.last_applied + 1, raft.limits.max_apply_bytes)
        committed = [batch for batch in batches if batch.last_index <= raft.commit_index]
        raft.last_applied = committed[-1].last_index
        return committed
