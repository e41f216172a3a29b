"""Linearizable reads that cost no log entry: ReadIndex (§8, thesis §6.4).

A leader may have been deposed without knowing it, so its own state may be old. Before it serves a
read it notes its commit index, then learns from a majority that it still led *after* the read had
arrived; the read is served from the state at that index or later. One round of heartbeats serves
every read that waits when it begins; reads that arrive meanwhile share the next round.

A new leader does not know what is committed until it has committed an entry of its own term
(§5.4.2): until then reads wait. A leader with a lease (`lease.py`) needs no round.

A follower asks its leader for such an index (ReadIndex), and serves the read when it has applied
the log up to there. All reads that wait share one question; reads that arrive meanwhile share the
next. A question that stays without a reply is asked again with another ticket, for old and new
reads alike, and only the reply with the open ticket counts: an earlier one says nothing of the
reads that came since. When the follower follows that leader no more, the reads are forgotten.
"""

from __future__ import annotations

from node.raft import lease
from node.raft.messages import NodeId, ReadIndex, ReadIndexReply
from node.raft.replication import broadcast_heartbeat
from node.raft.state import LEADER, Question, RaftState, ReadRound

TICKETS = 1 << 52
"""A server draws its first ticket from this range, so that no life uses those of another."""


def take(raft: RaftState, context: int) -> None:
    """A read has arrived, and `now` is no earlier."""
    forget_lost(raft)
    if raft.role is not LEADER:
        raft.reads.under = (raft.current_term, raft.leader_id)
    elif raft.knows_what_is_committed and lease.is_held(raft):
        raft.reads.ready.append((raft.commit_index, [context]))
        return
    raft.reads.waiting.append(context)


# -- the leader ----------------------------------------------------------------------------------


def on_read_index(raft: RaftState, sender: NodeId, message: ReadIndex) -> None:
    """A follower's question waits for a round like a read of our own."""
    if raft.knows_what_is_committed and lease.is_held(raft):
        raft.reads.questions.pop(sender, None)
        _answer(raft, sender, message.ticket, raft.commit_index)
    else:
        raft.reads.questions[sender] = message.ticket


def begin_round(raft: RaftState) -> None:
    """Send a round for the reads that wait, unless one is under way or none may be sent yet."""
    reads = raft.reads
    if reads.round is not None or not (reads.waiting or reads.questions):
        return
    if not raft.knows_what_is_committed:
        return
    broadcast_heartbeat(raft)
    reads.round = ReadRound(raft.round, raft.commit_index, reads.waiting, reads.questions)
    reads.waiting, reads.questions = [], {}
    confirm(raft)


def confirm(raft: RaftState) -> None:
    """Release the reads if a majority has replied to their round, or to a later one."""
    done = raft.reads.round
    if done is None:
        return
    if raft.quorum_round >= done.round:
        raft.reads.round = None
        if done.contexts:
            raft.reads.ready.append((done.read_index, done.contexts))
        for peer, ticket in done.questions.items():
            _answer(raft, peer, ticket, done.read_index)


def _answer(raft: RaftState, peer: NodeId, ticket: int, index: int) -> None:
    raft.send(peer, ReadIndexReply(raft.current_term, ticket, index))


# -- the follower --------------------------------------------------------------------------------


def ask(raft: RaftState) -> None:
    """Send a question for the reads that wait, unless one is under way; one that took too long is
    asked again, for all of them. Heartbeats come often enough to look at the time."""
    reads = raft.reads
    question = reads.question
    if question is not None and raft.now < question.ask_again_at:
        return
    contexts = reads.waiting
    patience_s = raft.timing.heartbeat_interval_s
    if question is not None:
        contexts = question.contexts + contexts
        patience_s = question.patience_s * 2  # or a slow reply would be overtaken for ever
    if not contexts:
        return
    assert raft.leader_id is not None
    if reads.last_ticket == 0:
        reads.last_ticket = int(raft.random.uniform(0, TICKETS))
    reads.last_ticket += 1
    reads.question = Question(reads.last_ticket, contexts, raft.now + patience_s, patience_s)
    reads.waiting = []
    raft.send(raft.leader_id, ReadIndex(raft.current_term, reads.last_ticket))


def on_read_index_reply(raft: RaftState, sender: NodeId, message: ReadIndexReply) -> None:
    """Release the reads of the open question. `step` has handled terms."""
    reads = raft.reads
    question = reads.question
    if question is None or message.ticket != question.ticket:
        return
    assert reads.under == (raft.current_term, sender), "only the leader asked knows the ticket"
    reads.ready.append((message.index, question.contexts))
    reads.question = None


def forget_lost(raft: RaftState) -> None:
    """Forget reads taken under another leader; the server has redirected those clients."""
    under = raft.reads.under
    if under is None or under == (raft.current_term, raft.leader_id):
        return
    raft.reads.end_following()
