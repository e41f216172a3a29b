"""The clients' half of a server: what they ask for, and what they wait for.

A leader proposes what they submit, all that has come as one batch, and has the core confirm their
reads; who asks for one of a follower is served there. Everything else waits, for a moment, for a
leader to be sent to. What only a certain leader can give is given up with it: its clients are sent
to the next one, and ask again.

Who asks for little is not kept waiting by who asks for much: of what has come in one turn the
shortest requests are proposed first, and while more than `MOST_UNAPPLIED` entries of the log wait
to be applied only those clients are let in that wait for nothing yet.

What is held for them is bounded (docs/ARCHITECTURE.md, "What is bounded").
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from node import wire
from node.errors import Busy, WireError
from node.events import Note, Repeated
from node.machines.protocol import Machine
from node.machines.sessions import session_id
from node.ports import ClientConnection
from node.raft.messages import NodeId
from node.raft.raft import Raft
from node.raft.state import LEADER
from node.server import requests
from node.server.answering import Answering
from node.server.machine_watch import MachineWatch
from node.server.settings import MAX_HELD_READ_BYTES, read_bytes
from node.server.stretch import Stretch
from node.wire import MOST_COMMANDS, NodeConfig, Read, Submit, SubmitHere

_NEVER = float("inf")


MOST_UNAPPLIED = 1 << 17
"""When more entries wait to be applied, clients that have one among them are sent away. So much the
others may have to wait for, behind a client that submits as much as it can."""


class Clients:
    """Those of one server."""

    def __init__(self, config: NodeConfig, raft: Raft, note: Note, watch: MachineWatch) -> None:
        self._config = config
        self._raft = raft
        self._answering = Answering(watch)

        self._submits: list[tuple[ClientConnection, Submit, bytes]] = []
        self._reads: list[tuple[ClientConnection, Read]] = []
        self._here: list[tuple[ClientConnection, SubmitHere]] = []
        self._parked: dict[ClientConnection, float] = {}
        self._waiters: dict[int, tuple[list[ClientConnection], list[Submit]]] = {}
        """by the first index of a batch: who sent its requests, and the requests"""
        self._open_reads: dict[int, tuple[ClientConnection, Read]] = {}
        self._held_read_bytes = 0
        self._last_ticket = 0
        self._confirmed_reads: deque[tuple[int, list[int]]] = deque()
        self._under: tuple[int, NodeId | None] | None = None
        """the term, and its leader, in which what clients wait for was begun"""
        self._refused = Repeated("client.refused", note)

    def request(self, client: ClientConnection, body: bytes) -> None:
        """A client's request."""
        try:
            message = requests.decode(body, self._config.max_entry_bytes)
        except WireError as error:
            self._refuse(client, str(error))
            return
        if isinstance(message, Submit):
            self._submits.append((client, message, body))
        elif isinstance(message, SubmitHere):
            self._here.append((client, message))
        elif self._held_read_bytes >= MAX_HELD_READ_BYTES:
            self._redirect(client, None, "too many reads wait to be confirmed")
        else:
            self._held_read_bytes += read_bytes(message)
            if message.stale:
                self._answering.take(client, message)
            else:
                self._reads.append((client, message))

    def gone(self, client: ClientConnection) -> None:
        """Nobody waits for these answers any more."""
        self._parked.pop(client, None)
        self._here = [item for item in self._here if item[0] is not client]
        if self._submits:
            self._submits = [item for item in self._submits if item[0] is not client]
        if self._reads:
            self._held_read_bytes -= sum(read_bytes(read) for c, read in self._reads if c is client)
            self._reads = [item for item in self._reads if item[0] is not client]
        self._held_read_bytes -= self._answering.gone(client)

    @property
    def deadline(self) -> float:
        """Until when those wait who are to be sent to a leader; infinity when nobody does."""
        return min(self._parked.values()) if self._parked else _NEVER

    def begin(self, now: float, applied_index: int) -> None:
        """Acts on the requests that have come."""
        self._refused.tell(now)
        if not (self._submits or self._reads or self._here or self._under is None):
            return
        state = self._raft.state
        leads = state.role is LEADER
        under = (state.current_term, state.leader_id)
        if leads:
            self._under = under
            self._propose(now, applied_index)
        else:
            for client, _, _ in self._submits:
                self._park(client, now)
        for client, request in self._here:
            self._append_here(client, request, now)
        for client, read in self._reads:
            if leads or (read.follower and state.leader_id is not None):
                self._under = under
                self._last_ticket += 1
                self._open_reads[self._last_ticket] = (client, read)
                self._raft.read(self._last_ticket, now, follower=read.follower)
            else:
                self._park(client, now)
                self._held_read_bytes -= read_bytes(read)
        self._submits.clear()
        self._here.clear()
        self._reads.clear()

    def take_waiting(
        self, first_index: int
    ) -> tuple[Sequence[ClientConnection] | None, Sequence[Submit] | None]:
        """The clients that wait for the batch that begins there, by request, and the requests; they
        are to be answered now. None: no client waits."""
        return self._waiters.pop(first_index, (None, None))

    def confirmed(self, reads: Sequence[tuple[int, list[int]]]) -> None:
        """What the core says of reads: from which applied index on they may be answered."""
        self._confirmed_reads.extend(reads)

    @property
    def has_half_answered(self) -> bool:
        """Whether the machine's state must stay as it is: a read is answered from one point."""
        return self._answering.is_half_way

    @property
    def has_reads_due(self) -> bool:
        """Whether `answer_reads` would do anything now."""
        return self._answering.has_more

    def answer_reads(self, machine: Machine, index: int, term: int, stretch: Stretch) -> None:
        """Those that the machine can answer, as far as the stretch goes.

        index, term: of the last entry that it has applied
        """
        while self._confirmed_reads and self._confirmed_reads[0][0] <= index:
            _, tickets = self._confirmed_reads.popleft()
            for ticket in tickets:
                self._answering.take(*self._open_reads.pop(ticket))
        if self._answering.has_more:
            self._held_read_bytes -= self._answering.go_on(machine, index, term, stretch)

    def state_replaced(self) -> None:
        """The machine is another one: what is half answered is asked of it anew."""
        self._answering.begin_again()

    def give_up_lost_leader(self, now: float) -> None:
        """Redirects every client that waits on leadership that has ended: this server's own, or
        that of the leader that it followed."""
        under, state = self._under, self._raft.state
        if under is None or (under[0] == state.current_term and under[1] == state.leader_id):
            return
        self._under = None
        for clients, _ in self._waiters.values():
            for client in clients:
                self._park(client, now)
        for client, read in self._open_reads.values():
            self._park(client, now)
            self._held_read_bytes -= read_bytes(read)
        self._waiters.clear()
        self._open_reads.clear()
        self._confirmed_reads.clear()

    def send_away_parked(self, now: float) -> None:
        """Tell those who wait for a leader who it is; or, after a while, that nobody knows."""
        if not self._parked:
            return
        leader_id = None if self._raft.state.transfer is not None else self._raft.state.leader_id
        if leader_id is not None:
            due = list(self._parked)
        else:
            due = [client for client, deadline in self._parked.items() if now >= deadline]
        for client in due:
            del self._parked[client]
            self._redirect(client, leader_id, "not the leader")

    def _refuse(self, client: ClientConnection, reason: str) -> None:
        self._refused.add(reason)
        client.send(wire.encode_client(wire.Refused(reason)))

    def _propose(self, now: float, applied_index: int) -> None:
        """All that was submitted, as few batches as the limit on their size allows."""
        state = self._raft.state
        self._arrange(state.log.last_index - applied_index)
        start = 0
        while start < len(self._submits):
            stop, size = start, 0
            while stop < len(self._submits) and (
                stop == start
                or size + len(self._submits[stop][2]) <= self._config.limits.max_append_bytes
            ):
                size += len(self._submits[stop][2])
                stop += 1
            group = self._submits[start:stop]
            clients = [client for client, _, _ in group]
            submits = [request for _, request, _ in group]
            count = sum(len(request.commands) for request in submits)
            data = wire.join_submits(body for _, _, body in group)
            try:
                self._waiters[self._raft.propose(count, data, now)] = clients, submits
            except Busy as error:
                for client in clients:
                    if state.transfer is not None:
                        self._park(client, now)  # in a moment there is somebody to send it to
                    else:
                        self._redirect(client, None, str(error))
            start = stop

    def _append_here(self, client: ClientConnection, request: SubmitHere, now: float) -> None:
        """At once, or not at all: nobody waits here for a leader.

        The session is said to begin at the entry before it. No session that is gone was used later,
        so this one is not taken for one of those; and it need not be told from a retry, because it
        has none (`node/machines/sessions.py`).
        """
        state = self._raft.state
        if state.role is not LEADER:
            self._redirect(client, state.leader_id, "not the leader")
            return
        client_id = session_id(state.log.last_index, request.unique)
        submit = Submit(client_id, 1, 1, request.commands)
        data = wire.join_submits([wire.encode_client(submit)])
        try:
            first_index = self._raft.propose(len(request.commands), data, now)
        except Busy as error:
            self._redirect(client, None, str(error))
            return
        self._waiters[first_index] = [client], [submit]
        client.send(wire.encode_client(wire.Appended(first_index, state.current_term)))

    def _arrange(self, unapplied: int) -> None:
        """When much has come at once, small requests come first; each client's own requests stay in
        their order. When more would wait to be applied than may, clients that wait for something
        already are redirected, so that one client cannot keep the others out for good."""
        total = sum([len(request.commands) for _, request, _ in self._submits])
        if total > MOST_COMMANDS:
            asked: Counter[ClientConnection] = Counter()
            for client, request, _ in self._submits:
                asked[client] += len(request.commands)
            self._submits.sort(key=lambda item: asked[item[0]])
        if unapplied + total <= MOST_UNAPPLIED:
            return
        waiting = {client for clients, _ in self._waiters.values() for client in clients}
        let_in = []
        for client, request, body in self._submits:
            if client in waiting and unapplied > MOST_UNAPPLIED:
                reason = f"{unapplied} entries wait to be applied; try again in a moment"
                self._redirect(client, None, reason)
            else:
                let_in.append((client, request, body))
                unapplied += len(request.commands)
                waiting.add(client)
        self._submits = let_in

    def _park(self, client: ClientConnection, now: float) -> None:
        self._parked.setdefault(client, now + self._raft.state.timing.election_timeout_min_s)

    def _redirect(self, client: ClientConnection, leader_id: NodeId | None, reason: str) -> None:
        client.send(wire.encode_client(wire.Redirect(leader_id, reason)))
