"""How long a cluster is without a leader, in simulated time: the paper's experiment on our core.

A trial is §9.3 of the paper: the leader of five servers tells the other four at the same moment
that it leads, and crashes at a moment that is uniformly random within its heartbeat interval, which
is half of the shortest election timeout. The four have logs of different lengths, so that two of
them can win and two cannot. The downtime is from the crash until one of them has won.

The four are real cores (`node/raft/raft.py`). Simulated are the time, and how long it takes: a
message that asks (RequestVote) and one that answers have delays of their own, and making something
durable may take a while, in which a server goes on deciding but lets nothing out that depends on
it. The dead leader is no core: all that it does in a trial is that one heartbeat.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from random import Random
from typing import TypeAlias

import msgspec

from node.raft.messages import (
    AppendEntries,
    Batch,
    BatchKind,
    HardState,
    Message,
    NodeId,
    RequestVoteReply,
)
from node.raft.raft import Raft
from node.raft.ready import Ready
from node.raft.settings import Limits, Timing
from node.raft.state import Role

LEADER: NodeId = 5
DIFFERENT_LOGS = (1, 2, 3, 4)
"""The number of entries of each of the four. With these, two of them can block the election."""

GIVE_UP_S = 10.0
"""A trial that takes longer is not followed to its end; the paper does not say how much longer
than this it takes without randomness, either."""

NO_RANDOMNESS_S = 1e-6
"""Equal timeouts differ by this much at most: our settings refuse equal ones."""

_Due: TypeAlias = "tuple[float, int, NodeId, NodeId, Message | Ready]"
"""When, in which order of all, at whom, from whom, and what: a message, or a Ready now durable."""


class Timeouts(msgspec.Struct, frozen=True):
    """Election timeouts are drawn uniformly from this range, in milliseconds."""

    min_ms: float
    max_ms: float

    def __str__(self) -> str:
        return f"{self.min_ms:g}-{self.max_ms:g} ms"

    @property
    def min_s(self) -> float:
        return self.min_ms / 1000

    @property
    def max_s(self) -> float:
        """Of equal timeouts, a trace above the shortest."""
        return max(self.max_ms / 1000, self.min_s + NO_RANDOMNESS_S)

    @property
    def heartbeat_s(self) -> float:
        """Half of the shortest timeout, "for all tests"."""
        return self.min_s / 2


class Delays(msgspec.Struct, frozen=True):
    """How long a question takes to be heard, and its answer to come back, in seconds.

    The two together are the broadcast time. How they share it matters: a server that has not heard
    the question yet may begin an election of its own, and split the vote.
    """

    question_s: float = 0.0025
    answer_s: float = 0.0125

    @property
    def broadcast_s(self) -> float:
        return self.question_s + self.answer_s


class Trial:
    """One crash, and what follows. The heartbeat has just arrived everywhere: that is time 0."""

    def __init__(
        self,
        timeouts: Timeouts,
        delays: Delays,
        random: Random,
        *,
        logs: Sequence[int] = DIFFERENT_LOGS,
        pre_vote: bool = False,
        disk_s: float = 0.0,
    ) -> None:
        """logs: how many entries each of the four has; disk_s: how long a write takes"""
        timing = Timing(
            timeouts.heartbeat_s,
            timeouts.min_s,
            timeouts.max_s,
            failure_hint=False,
            pre_vote=pre_vote,
        )
        self._delays = delays
        self._disk_s = disk_s
        self._due: list[_Due] = []
        self._order = 0
        self.servers = {
            node_id: _server(node_id, length, timing, random)
            for node_id, length in enumerate(logs, 1)
        }
        self._disk_free_at = dict.fromkeys(self.servers, 0.0)
        self._crash_at = random.uniform(0, timeouts.heartbeat_s)
        heartbeat = AppendEntries(
            term=1,
            leader_id=LEADER,
            prev_log_index=0,
            prev_log_term=0,
            batches=(),
            leader_commit=0,
            round=1,
        )
        for node_id, raft in self.servers.items():
            raft.step(LEADER, heartbeat, 0.0)
            self._collect(node_id, 0.0)

    def downtime_s(self) -> float:
        """From the crash to the next leader; GIVE_UP_S when there is none by then."""
        give_up_at = self._crash_at + GIVE_UP_S
        while True:
            due_at, node_id = min((raft.deadline, n) for n, raft in self.servers.items())
            if self._due and self._due[0][0] <= due_at:
                due_at, node_id = self._happen()
            else:
                self.servers[node_id].elapse(due_at)
            if due_at >= give_up_at:
                return GIVE_UP_S
            self._collect(node_id, due_at)
            if self.servers[node_id].state.role is Role.LEADER:
                return due_at - self._crash_at

    def _happen(self) -> tuple[float, NodeId]:
        """A message arrives, or something is durable; when, and at whom."""
        now, _, node_id, sender, what = heapq.heappop(self._due)
        if isinstance(what, Ready):
            self.servers[node_id].persisted(what)
            self._send(node_id, what.messages_after_persist, now)
        else:
            self.servers[node_id].step(sender, what, now)
        return now, node_id

    def _collect(self, node_id: NodeId, now: float) -> None:
        while (ready := self.servers[node_id].ready()) is not None:
            self._send(node_id, ready.messages, now)
            durable_at = max(now, self._disk_free_at[node_id])
            if ready.must_persist:
                durable_at += self._disk_s
            self._disk_free_at[node_id] = durable_at
            self._push(durable_at, node_id, node_id, ready)

    def _send(self, sender: NodeId, messages: Sequence[tuple[NodeId, Message]], now: float) -> None:
        for to, message in messages:
            if to in self.servers:  # what is sent to the dead is lost
                is_answer = isinstance(message, RequestVoteReply)
                delay_s = self._delays.answer_s if is_answer else self._delays.question_s
                self._push(now + delay_s, to, sender, message)

    def _push(self, at: float, node_id: NodeId, sender: NodeId, what: Message | Ready) -> None:
        self._order += 1
        heapq.heappush(self._due, (at, self._order, node_id, sender, what))


def _server(node_id: NodeId, length: int, timing: Timing, random: Random) -> Raft:
    """A server with `length` entries of term 1, in which the leader led."""
    return Raft(
        node_id,
        range(1, LEADER + 1),
        hard_state=HardState(1),
        batches=[Batch(index, 1, BatchKind.COMMANDS, 1, b"x") for index in range(1, length + 1)],
        timing=timing,
        limits=Limits(),
        random=random,
        now=0.0,
    )
