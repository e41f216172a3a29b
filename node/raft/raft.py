"""The door to the core: one server's side of Raft, as a deterministic machine.

It reads no clock, disk, link or randomness: time is an argument, in seconds on any monotonic
scale; randomness is handed in; and what is to be done in the world comes back from `ready()`. The
same calls give the same answers.

The caller's duties:

1. After any call, take `ready()` until it is None, and do what each `Ready` says, in order.
2. Make `hard_state` and `batches` durable, in the order of the Readys, then call `persisted`.
   A batch that begins at or below the end of what is stored replaces everything from there on.
3. Send `messages` at once; that is safe before anything is durable. Send
   `messages_after_persist` only when this Ready and all before it are durable.
4. When a Ready has a `snapshot`, make that durable in place of the whole stored log, before its
   batches, and restore the machine from it. Apply `committed` in order. Answer `reads` when
   everything up to their index is applied.
5. Read `chunks_to_send` from the snapshot that they name, send them, and say so with `chunk_sent`.
   Store `chunks_received`, then say so with `chunk_taken`, or `snapshot_received`.
6. Call `elapse` when `deadline` has come. Hand messages to `step` as they come; losing,
   delaying, doubling or reordering them is safe. What `step` calls Nonsense counts as lost.

Nobody may know of a term, a vote or an entry that a crash could take back: duty 3 is what keeps
that promise, and `messages` holds only what does not depend on it. A leader's AppendEntries may
leave before its own disk has the entries, because a leader counts itself only once it is told so
through `persisted` (thesis §10.2.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from node.errors import Busy, NotLeader
from node.raft import (
    election,
    lease,
    reads,
    reconfiguration,
    replication,
    sanity,
    stall,
    transfer,
)
from node.raft import membership as memberships
from node.raft import snapshot as snapshots
from node.raft.log import Log
from node.raft.messages import (
    COMMANDS,
    CONFIGURATION,
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
from node.raft.state import CANDIDATE, LEADER, Limits, RaftState, Randomness, Ready, Timing


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
        """A server that starts, or starts again with what it had made durable.

        `voters` is where a cluster begins, the same on all of them; whoever joins later is given
        none. What the log and the snapshot say of the membership counts more.

        `hard_state`, `batches` and `snapshot` are what storage recovered, and the batches follow
        the snapshot; nothing but what that stands for is known to be committed. `floor` is where
        the log of a server whose data was removed has to get to at the least.
        """
        self.state = RaftState(
            node_id,
            memberships.stable(voters) if snapshot is None else snapshot.membership,
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
            self.state.advance_term(floor.term)
        election.hint_start(self.state)

    # -- what goes in ----------------------------------------------------------------------------

    def step(self, sender: NodeId, message: Message, now: float) -> None:
        """A message of `sender` has arrived.

        Nobody is a stranger: who leads, or asks for a vote, may be a member by a configuration
        that has not come here yet (§6). Raises Nonsense for a message that no correct peer sends;
        then nothing has changed.
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
        match message:  # what comes most often first
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
                    replication.become_leader(raft)
            case InstallSnapshot():
                self._hear_leader(message.leader_id)
                snapshots.on_install_snapshot(raft, sender, message)
            case InstallSnapshotReply():
                if raft.role is LEADER:
                    if snapshots.on_install_snapshot_reply(raft, sender, message):
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
        """Put `count` commands, encoded together as `data`, into the log: the first one's index.

        Raises NotLeader; Busy when the uncommitted tail has no room for them, or while the lead is
        being handed over.
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
        """Begin to make `target` the voters (§6); nothing when that is what is being done.

        Raises NotLeader; Busy while another change may not be replaced, or nothing of this term is
        committed.
        """
        raft = self.state
        raft.now = now
        if raft.role is not LEADER:
            raise NotLeader(raft.leader_id)
        change = reconfiguration.request(raft, target)
        if change is not None:
            replication.append(raft, CONFIGURATION, 1, memberships.encode(change))

    def tick(self, now: float) -> None:
        """Put an entry into the log that only bears the time; not while the lead is being handed
        over. Raises NotLeader."""
        raft = self.state
        raft.now = now
        if raft.role is not LEADER:
            raise NotLeader(raft.leader_id)
        if raft.transfer is not None:
            return
        replication.append(raft, TICK, 1, b"")

    def read(self, context: int, now: float, *, follower: bool = False) -> None:
        """A linearizable read: a later Ready names `context` and the index to answer it at.

        follower: also where another leads; then that leader is asked

        Raises NotLeader. When this server stops leading, or following that leader, reads not yet
        answered are forgotten. `now` must be no older than the read.
        """
        raft = self.state
        raft.now = now
        if raft.role is not LEADER and (raft.leader_id is None or not follower):
            raise NotLeader(raft.leader_id)
        reads.take(raft, context)

    def transfer(self, target: NodeId | None, now: float) -> None:
        """Hand the lead over to `target`, or to whoever has most of the log (thesis §3.10).

        It is over when `state.transfer` is None again, within the shortest election timeout;
        `state.transfer_failure` then says why it failed, if it did. Raises NotLeader, and
        ImpossibleTransfer for a target that cannot be one.
        """
        raft = self.state
        raft.now = now
        if raft.role is not LEADER:
            raise NotLeader(raft.leader_id)
        transfer.begin(raft, target)

    def disk_at_work(self, since: float | None) -> None:
        """Since when the disk has been at the write that is under way; None when at none."""
        stall.at_work(self.state, since)

    def elapse(self, now: float) -> None:
        """Time has passed: act on every timer that is due."""
        raft = self.state
        raft.now = now
        stall.look(raft)
        transfer.look(raft)
        if raft.role is not LEADER:
            if now >= raft.election_deadline:
                if raft.disk.stalled:
                    raft.reset_election_timer()  # it could neither vote nor lead
                else:
                    election.on_election_timeout(raft)
            return
        if now - raft.quorum_contact > raft.timing.election_timeout_max_s:
            # We cannot commit anything; whoever waits here had better look elsewhere.
            raft.become_follower(None, "no quorum is heard")
            return
        if raft.disk.stalled and stall.give_way(raft):
            return
        if now >= raft.heartbeat_deadline:
            replication.broadcast_heartbeat(raft)
            snapshots.trim(raft)
            if raft.transfer is not None:
                raft.transfer.told = False  # what was said may have been lost: say it again
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
        """`peer` has started (again): what was believed of its log no longer holds."""
        raft = self.state
        raft.now = now
        transfer.on_lost(raft, peer, "its process has started anew")
        if raft.role is LEADER and peer in raft.progress:
            replication.greet(raft, peer)

    def persisted(self, ready: Ready) -> None:
        """What `ready` asked to make durable is durable, and so is all before it."""
        raft = self.state
        if ready.hard_state is not None:
            raft.persisted_hard_state = ready.hard_state
            if raft.role is CANDIDATE and election.count_votes(raft):
                replication.become_leader(raft)  # our own vote was the last that it took
        # A conflict since then has taken back what this Ready was the proof of, even where the same
        # entries have come again: the disk may be about to lose them. A later Ready tells.
        if ready.truncations == raft.truncations and ready.last_index > raft.persisted_index:
            raft.persisted_index = ready.last_index
            if raft.role is LEADER:
                replication.advance_commit(raft)

    def compact(self, snapshot: Snapshot, now: float) -> None:
        """`snapshot`, of this server's own state, is durable here."""
        self.state.now = now
        snapshots.compact(self.state, snapshot)

    def chunk_sent(self, peer: NodeId, message: InstallSnapshot) -> None:
        """A chunk of `chunks_to_send` has left, or cannot be read."""
        snapshots.chunk_sent(self.state, peer, message)

    def chunk_taken(
        self, sender: NodeId, message: InstallSnapshot, offset: int, now: float
    ) -> None:
        """Of the snapshot in `message` so many bytes are here (not durably) after it."""
        self.state.now = now
        snapshots.chunk_taken(self.state, sender, message, offset)

    def snapshot_received(self, sender: NodeId, message: InstallSnapshot, now: float) -> bool:
        """All of the snapshot in `message` is here, durable and intact: whether it is to be
        installed, by way of the next Ready. If not, it is of no use any more."""
        self.state.now = now
        return snapshots.received(self.state, sender, message)

    # -- what comes out --------------------------------------------------------------------------

    def ready(self) -> Ready | None:
        """What the caller must do now, or None. Each thing is said once."""
        raft = self.state
        if raft.reads_under is not None:
            reads.forget_lost(raft)
        if raft.role is LEADER and not (raft.configuration.is_stable and raft.is_voter):
            replication.change_membership(raft)
            if reconfiguration.is_done_with_us(raft):
                transfer.leave(raft)
        if raft.role is LEADER:
            replication.replicate(raft)
            if raft.reads_waiting or raft.questions:
                reads.begin_round(raft)
            if raft.transfer is not None:
                transfer.hand_over(raft, raft.transfer)
        if raft.reads_under is not None:
            reads.ask(raft)
        handed, last_index = raft.handed_hard_state, raft.log.last_index
        changed = handed.current_term != raft.current_term or handed.voted_for != raft.voted_for
        if not (
            changed
            or raft.handed_index < last_index
            or raft.last_applied != raft.commit_index
            or raft.messages
            or raft.messages_after_persist
            or raft.reads_ready
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
            reads=raft.reads_ready,
            notes=raft.notes,
            snapshot=raft.snapshot_to_install,
            chunks_to_send=raft.chunks_to_send,
            chunks_received=raft.chunks_received,
        )
        raft.messages, raft.messages_after_persist, raft.reads_ready, raft.notes = [], [], [], []
        raft.snapshot_to_install, raft.chunks_to_send, raft.chunks_received = None, [], []
        if hard_state is not None:
            raft.handed_hard_state = hard_state
        raft.handed_index = last_index
        return ready

    @property
    def deadline(self) -> float:
        """When `elapse` is due next, unless something happens before."""
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

    def _count_round(self) -> None:
        lease.extend(self.state)
        reads.confirm(self.state)

    def _enter_term(self, sender: NodeId, message: Message) -> bool:
        """A message of a later term: whether it is to be looked at, in that term (§5.1)."""
        raft = self.state
        if isinstance(message, RequestVote):
            heard = raft.hears_a_leader or raft.is_bound_by_a_lease
            if heard and not message.leadership_transfer:
                if message.pre_vote:
                    election.deny(raft, message, "a leader is heard")
                return False
            if message.pre_vote:
                election.on_request_vote(raft, message)
                return False
        if isinstance(message, RequestVoteReply) and message.pre_vote and message.vote_granted:
            # The term is the one we asked about, not one that anybody is in. At most it begins
            # now, and is won when our vote in it is on disk.
            election.on_request_vote_reply(raft, sender, message)
            return False
        raft.become_follower(None, f"term {message.term} has begun")
        raft.advance_term(message.term)
        return True

    def _answer_stale(self, sender: NodeId, message: Message) -> None:
        """Tell a sender of an earlier term which one it is; its answers mean nothing any more."""
        raft = self.state
        if isinstance(message, RequestVote):
            election.deny(raft, message, "its term is stale")
        elif isinstance(message, AppendEntries):
            raft.send_after_persist(sender, replication.refuse(raft, message))
        elif isinstance(message, InstallSnapshot):
            raft.send_after_persist(sender, snapshots.refuse(raft, message))

    def _hear_leader(self, leader_id: NodeId) -> None:
        raft = self.state
        assert raft.role is not LEADER, "a term has one leader (Election Safety, §5.2)"
        raft.become_follower(leader_id, "a leader is heard")
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
