"""Linearizable reads that cost no log entry: ReadIndex (§8, thesis §6.4).

A leader may have been deposed without knowing it, so its own state may be old. Before it answers
a read it notes its commit index, then learns from a majority that it still led *after* the read
had arrived; the read is answered from the state at that index or later. One round of heartbeats
serves every read that waits when it begins; those that come meanwhile share the next.

A new leader does not know what is committed until it has committed an entry of its own term
(§5.4.2): until then reads wait. A leader with a lease (`lease.py`) needs no round.

A follower asks its leader for such an index (ReadIndex), and answers when it has applied that
much. All that wait share one question; those that come meanwhile share the next. A question that
stays without an answer is asked anew under another ticket, for old and new reads alike, and only
the answer to the ticket that is open counts: an earlier answer says nothing of the reads that came
since. What the follower waits for is over with the leader that it asked.
"""

from __future__ import annotations

from node.raft import lease
from node.raft.messages import NodeId, ReadIndex, ReadIndexReply
from node.raft.replication import broadcast_heartbeat
from node.raft.state import LEADER, Question, RaftState, ReadRound

TICKETS = 1 << 52
"""A server's first ticket is drawn from so many, so that no life uses those of another."""


def take(raft: RaftState, context: int) -> None:
    """A read has come, and `now` is no earlier."""
    forget_lost(raft)
    if raft.role is not LEADER:
        raft.reads_under = (raft.current_term, raft.leader_id)
    elif raft.knows_what_is_committed and lease.is_held(raft):
        raft.reads_ready.append((raft.commit_index, [context]))
        return
    raft.reads_waiting.append(context)


# -- the leader ----------------------------------------------------------------------------------


def on_read_index(raft: RaftState, sender: NodeId, message: ReadIndex) -> None:
    """A follower's question waits for a round like a read of our own."""
    if raft.knows_what_is_committed and lease.is_held(raft):
        raft.questions.pop(sender, None)
        _answer(raft, sender, message.ticket, raft.commit_index)
    else:
        raft.questions[sender] = message.ticket


def begin_round(raft: RaftState) -> None:
    """Send a round for the reads that wait, unless one is under way or none may be sent yet."""
    if raft.read_round is not None or not (raft.reads_waiting or raft.questions):
        return
    if not raft.knows_what_is_committed:
        return
    broadcast_heartbeat(raft)
    raft.read_round = ReadRound(raft.round, raft.commit_index, raft.reads_waiting, raft.questions)
    raft.reads_waiting, raft.questions = [], {}
    confirm(raft)


def confirm(raft: RaftState) -> None:
    """Release the reads whose round, or a later one, a majority has answered."""
    if raft.read_round is None:
        return
    if raft.quorum_round >= raft.read_round.round:
        done, raft.read_round = raft.read_round, None
        if done.contexts:
            raft.reads_ready.append((done.read_index, done.contexts))
        for peer, ticket in done.questions.items():
            _answer(raft, peer, ticket, done.read_index)


def _answer(raft: RaftState, peer: NodeId, ticket: int, index: int) -> None:
    raft.send(peer, ReadIndexReply(raft.current_term, ticket, index))


# -- the follower --------------------------------------------------------------------------------


def ask(raft: RaftState) -> None:
    """Send a question for the reads that wait, unless one is under way; one that took too long is
    sent anew, for them all. Heartbeats come often enough to look at the time."""
    question = raft.question
    if question is not None and raft.now < question.ask_again_at:
        return
    contexts = raft.reads_waiting
    patience_s = raft.timing.heartbeat_interval_s
    if question is not None:
        contexts = question.contexts + contexts
        patience_s = question.patience_s * 2  # or a slow answer would be overtaken for ever
    if not contexts:
        return
    assert raft.leader_id is not None
    if raft.last_ticket == 0:
        raft.last_ticket = int(raft.random.uniform(0, TICKETS))
    raft.last_ticket += 1
    raft.question = Question(raft.last_ticket, contexts, raft.now + patience_s, patience_s)
    raft.reads_waiting = []
    raft.send(raft.leader_id, ReadIndex(raft.current_term, raft.last_ticket))


def on_read_index_reply(raft: RaftState, sender: NodeId, message: ReadIndexReply) -> None:
    """Release the reads of the open question. `step` has dealt with terms."""
    question = raft.question
    if question is None or message.ticket != question.ticket:
        return
    assert raft.reads_under == (raft.current_term, sender), "only who was asked knows the ticket"
    raft.reads_ready.append((message.index, question.contexts))
    raft.question = None


def forget_lost(raft: RaftState) -> None:
    """Forget what was taken under another leader; the server has sent those who asked elsewhere."""
    under = raft.reads_under
    if under is None or under == (raft.current_term, raft.leader_id):
        return
    raft.reads_waiting = []
    raft.question = None
    raft.reads_ready = []
    raft.reads_under = None
