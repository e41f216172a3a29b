"""A cluster of cores, wired in memory and moved by hand.

Each server is a real `Raft` between two buffers: the messages it has sent, and what it has to make
durable. Nothing moves by itself. The caller delivers, persists, drops and crashes step by step, or
calls `settle`, which delivers and persists until nothing is left to do. Every call into a core is
followed by a check of its invariants and of the cluster's. A `Witness` is told of every step.

What does not depend on the disk is sent at once, as in `node/server/server.py`. Everything else
waits for `persist`, in the order of the Readys."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from random import Random

import msgspec

from node.raft.invariants import ClusterWatch, ServerWatch
from node.raft.messages import (
    COMMANDS,
    Batch,
    Floor,
    HardState,
    InstallSnapshot,
    Message,
    NodeId,
    Snapshot,
)
from node.raft.raft import Raft
from node.raft.ready import Note, Ready
from node.raft.settings import Limits, Timing
from node.raft.state import LEADER

TIMING = Timing(0.1, 0.5, 1.0, failure_hint=False)
"""Without the failure hint, an election begins only when a test or a script asks for it."""

CHUNK_BYTES = 100
"""The size of a snapshot's chunk in one InstallSnapshot."""

MOST_STEPS = 100_000
"""More steps than any cluster needs to settle."""


def batches(terms: Iterable[int], data: bytes = b"") -> list[Batch]:
    """A log of single entries with these terms, from index 1."""
    return [
        Batch(index, term, COMMANDS, 1, data or b"%d@%d" % (index, term))
        for index, term in enumerate(terms, 1)
    ]


class Witness:
    """Receives what happens, step by step. This one ignores it."""

    def noted(self, node_id: NodeId, note: Note) -> None:
        """A server has emitted an event."""

    def sent(self, sender: NodeId, to: NodeId, message: Message) -> None:
        """A server has sent a message."""

    def delivered(self, sender: NodeId, to: NodeId, message: Message) -> None:
        """A message has arrived, and the receiver is about to handle it."""

    def lost(self, sender: NodeId, to: NodeId, message: Message, reason: str) -> None:
        """A message will never arrive."""

    def persisted(self, node_id: NodeId, ready: Ready, stored: Stored) -> None:
        """A Ready is about to be written to a disk, which holds `stored`."""

    def applied(self, node_id: NodeId, batch: Batch) -> None:
        """A server has been told to apply a batch."""

    def read(self, node_id: NodeId, index: int, contexts: list[int]) -> None:
        """A server may answer these reads from its state at `index`."""

    def elapsed(self, now: float) -> None:
        """Time has passed, and a timer is due.

        now: seconds
        """


@dataclass
class Stored:
    """The content of a server's disk."""

    hard_state: HardState = field(default_factory=HardState)
    batches: list[Batch] = field(default_factory=list)
    snapshot: Snapshot | None = None

    def write(self, ready: Ready) -> None:
        """Writes what a Ready asks to be made durable."""
        if ready.snapshot is not None:
            self.snapshot, self.batches = ready.snapshot, []
        if ready.hard_state is not None:
            self.hard_state = ready.hard_state
        for batch in ready.batches:
            self.batches = [b for b in self.batches if b.first_index < batch.first_index]
            self.batches.append(batch)


@dataclass
class RunningCore:
    """One life of one server: its core, and the buffers around it.

    unsaved: the Readys that are not durable yet, oldest first
    applied, reads, events: all batches it has applied, reads it has answered, events it has emitted
    received: the snapshot that it is receiving, and how many bytes of it have arrived
    """

    raft: Raft
    stored: Stored
    watch: ServerWatch
    unsaved: deque[Ready] = field(default_factory=deque)
    applied: list[Batch] = field(default_factory=list)
    reads: list[tuple[int, list[int]]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    received: tuple[Snapshot, int] | None = None


class Network:
    """Servers 1..n and the messages between them.

    mail: the messages in flight, (sender, receiver, message), in the order of sending
    cut: the links, (sender, receiver), that lose everything
    disks: what each server finds when it restarts
    renewed: servers whose disks have been emptied, and what their leader knew to be committed then.
        They learn everything from their peers, the voters too
    """

    def __init__(
        self,
        size: int = 3,
        *,
        logs: dict[NodeId, list[int]] | None = None,
        terms: dict[NodeId, int] | None = None,
        timing: Timing = TIMING,
        limits: Limits | None = None,
        seed: int = 1,
        witness: Witness | None = None,
        members: Collection[NodeId] | None = None,
    ) -> None:
        """logs: the terms of the entries that a server starts with, one number for each entry

        members: the first members; None for all
        """
        self.now = 0.0
        self.timing = timing
        self.limits = limits or Limits()
        self.random = Random(seed)
        self.voters = tuple(range(1, size + 1))
        self.members = self.voters if members is None else tuple(members)
        self.servers: dict[NodeId, RunningCore] = {}
        self.mail: deque[tuple[NodeId, NodeId, Message]] = deque()
        self.cut: set[tuple[NodeId, NodeId]] = set()
        self.cluster_watch = ClusterWatch()
        self.witness = witness or Witness()
        self.disks: dict[NodeId, Stored] = {}
        self.renewed: dict[NodeId, Floor] = {}
        for node_id in self.voters:
            log = batches((logs or {}).get(node_id, []))
            term = (terms or {}).get(node_id, log[-1].term if log else 0)
            self.disks[node_id] = Stored(HardState(term), log)
            self.start(node_id)

    # -- lives -----------------------------------------------------------------------------------

    def start(self, node_id: NodeId) -> None:
        """Starts a server with what its disk holds."""
        disk = self.disks[node_id]
        begins = node_id in self.members and node_id not in self.renewed
        raft = Raft(
            node_id,
            self.members if begins else (),
            hard_state=disk.hard_state,
            batches=list(disk.batches),
            snapshot=disk.snapshot,
            floor=self.renewed.get(node_id, Floor()),
            timing=self.timing,
            limits=self.limits,
            random=self.random,
            now=self.now,
        )
        self.servers[node_id] = RunningCore(raft, disk, ServerWatch(raft.state))
        for peer in self.servers:
            if peer != node_id:
                self.servers[peer].raft.link_opened(node_id, self.now)
                self.collect(peer)

    def crash(self, node_id: NodeId) -> None:
        """Ends a life: what was not persisted is lost, and so are the messages to the server."""
        del self.servers[node_id]
        for sender, to, message in self.mail:
            if to == node_id:
                self.witness.lost(sender, to, message, "it is down")
        self.mail = deque(item for item in self.mail if item[1] != node_id)

    def forget(self, node_id: NodeId) -> None:
        """Empties the disk of a server that is down."""
        assert node_id not in self.servers, "crash it first"
        self.disks[node_id] = Stored()
        leader = self.leader
        self.renewed[node_id] = Floor() if leader is None else self[leader].state.committed

    # -- one step at a time ----------------------------------------------------------------------

    def __getitem__(self, node_id: NodeId) -> Raft:
        return self.servers[node_id].raft

    def collect(self, node_id: NodeId) -> None:
        """Moves the server's Readys into the mail and into its buffers."""
        server = self.servers[node_id]
        server.watch.check()
        while (ready := server.raft.ready()) is not None:
            server.watch.check()
            server.watch.check_ready(ready)
            self._take(node_id, server, ready)
        self.cluster_watch.check(s.raft.state for s in self.servers.values())
        while server.unsaved and not server.unsaved[0].must_persist:
            self._send(node_id, server.unsaved.popleft().messages_after_persist)

    def persist(self, node_id: NodeId) -> bool:
        """Makes the oldest unsaved Ready durable. Returns whether there was one."""
        server = self.servers[node_id]
        if not server.unsaved:
            return False
        ready = server.unsaved.popleft()
        assert ready.must_persist, "everything else was sent at once"
        self.witness.persisted(node_id, ready, server.stored)
        server.stored.write(ready)
        server.raft.persisted(ready)
        self._send(node_id, ready.messages_after_persist)
        self.collect(node_id)
        return True

    def persist_all(self) -> bool:
        """Calls `persist` for every server. Returns whether there was anything to persist."""
        return sum(self.persist(node_id) for node_id in list(self.servers)) > 0

    def deliver(self, position: int = 0) -> bool:
        """Delivers one message of the mail, or drops it if its link is cut or its receiver is down.

        Returns whether there was one.
        """
        if not self.mail:
            return False
        sender, to, message = self.mail[position]
        del self.mail[position]
        if (sender, to) in self.cut:
            self.witness.lost(sender, to, message, "the link is cut")
        elif to not in self.servers:
            self.witness.lost(sender, to, message, "it is down")
        else:
            self.witness.delivered(sender, to, message)
            self.servers[to].raft.step(sender, message, self.now)
            self.collect(to)
        return True

    def elapse(self, node_id: NodeId) -> None:
        """Tells a server the time."""
        self.servers[node_id].raft.elapse(self.now)
        self.collect(node_id)

    # -- many steps ------------------------------------------------------------------------------

    def settle(self, only: Collection[NodeId] | None = None) -> None:
        """Delivers and persists until there is nothing left to do.

        only: the servers that take part; the others neither send, receive nor persist
        """
        group = self.voters if only is None else only
        for _ in range(MOST_STEPS):
            mail = enumerate(self.mail)
            near = next((at for at, (a, b, _) in mail if a in group and b in group), None)
            delivered = near is not None and self.deliver(near)
            persisted = [
                self.persist(node_id) for node_id in list(self.servers) if node_id in group
            ]
            if not delivered and not any(persisted):
                return
        raise AssertionError(f"the cluster does not settle in {MOST_STEPS} steps")

    def until(self, holds: Callable[[], bool]) -> None:
        """Delivers one message after another, and persists if there is none, until it holds."""
        while not holds():
            assert self.deliver() or self.persist_all(), "nothing is left to happen"

    def run(
        self, duration_s: float, settle: bool = True, only: Collection[NodeId] | None = None
    ) -> None:
        """Lets time pass, timer by timer.

        settle: everything settles after each timer
        only: the servers for which time passes; the others are as if paused
        """
        end = self.now + duration_s
        while True:
            seeing = [n for n in self.servers if only is None or n in only]
            due = min((self.servers[n].raft.deadline for n in seeing), default=end)
            if due > end or not seeing:
                self.now = end
                return
            self.now = max(self.now, due)
            self.witness.elapsed(self.now)
            for node_id in seeing:
                if self.servers[node_id].raft.deadline <= self.now:
                    self.elapse(node_id)
            if settle:
                self.settle()

    def time_out(self, node_id: NodeId) -> None:
        """Lets the longest election timeout pass, and this server's timer fire."""
        self.now += self.timing.election_timeout_max_s
        self[node_id].state.election_deadline = self.now
        self.elapse(node_id)

    def elect(self, node_id: NodeId) -> None:
        """Lets this server campaign, and settles. The server must win."""
        self.time_out(node_id)
        self.settle()
        assert self.leader == node_id, f"{node_id} was not elected"

    def propose(self, data: bytes = b"x", count: int = 1) -> int:
        """Proposes to the leader. Returns the index of the first entry."""
        leader = self.leader
        assert leader is not None
        index = self[leader].propose(count, data, self.now)
        self.collect(leader)
        return index

    def take_snapshot(self, node_id: NodeId, size: int = 3 * CHUNK_BYTES) -> Snapshot:
        """Lets a server take a snapshot of all that it has applied. It is durable at once."""
        server = self.servers[node_id]
        state = server.raft.state
        index = state.last_applied
        term = state.log.term_at(index)
        assert term is not None
        # The same on every node, as a snapshot's bytes are.
        membership = state.configurations[0][1].membership
        snapshot = Snapshot(index, term, 0, membership, size, index)
        server.stored.snapshot = snapshot
        server.stored.batches = [b for b in server.stored.batches if b.first_index > index]
        server.raft.compact(snapshot, self.now)
        self.collect(node_id)
        return snapshot

    def isolate(self, *group: NodeId) -> None:
        """Cuts every link between this group and the rest."""
        rest = [n for n in self.voters if n not in group]
        for a in group:
            for b in rest:
                self.cut |= {(a, b), (b, a)}

    def heal(self) -> None:
        """Mends every link."""
        self.cut.clear()

    # -- the state -------------------------------------------------------------------------------

    @property
    def leader(self) -> NodeId | None:
        """The leader of the newest term that has one."""
        leading = [
            (s.raft.state.current_term, n)
            for n, s in self.servers.items()
            if s.raft.state.role is LEADER
        ]
        return max(leading)[1] if leading else None

    def log_terms(self, node_id: NodeId) -> list[int]:
        """The terms of the entries in a server's log, one number for each entry."""
        log = self[node_id].state.log
        return terms_of(log.batches_from(log.first_index))

    # -- inside ----------------------------------------------------------------------------------

    def _take(self, node_id: NodeId, server: RunningCore, ready: Ready) -> None:
        for note in ready.notes:
            server.events.append(note.event)
            self.witness.noted(node_id, note)
        self._send(node_id, ready.messages)
        for to, chunk in ready.chunks_to_send:
            size = min(CHUNK_BYTES, chunk.snapshot.size - chunk.offset)
            self._send(node_id, [(to, msgspec.structs.replace(chunk, data=bytes(size)))])
            server.raft.chunk_sent(to, chunk)
        for sender, chunk in ready.chunks_received:
            self._receive(server, sender, chunk)
        for batch in ready.committed:
            self.cluster_watch.applied(node_id, batch)
            server.applied.append(batch)
            self.witness.applied(node_id, batch)
        server.reads += ready.reads
        for index, contexts in ready.reads:
            self.witness.read(node_id, index, contexts)
        server.unsaved.append(ready)

    def _receive(self, server: RunningCore, sender: NodeId, chunk: InstallSnapshot) -> None:
        snapshot, held = server.received or (chunk.snapshot, 0)
        if snapshot != chunk.snapshot:
            snapshot, held = chunk.snapshot, 0
        if chunk.offset == held:
            held += len(chunk.data)
        server.received = snapshot, held
        if held < snapshot.size or not chunk.data:
            server.raft.chunk_taken(sender, chunk, held, self.now)
        else:
            server.raft.snapshot_received(sender, chunk, self.now)

    def _send(self, sender: NodeId, messages: Iterable[tuple[NodeId, Message]]) -> None:
        for to, message in messages:
            self.witness.sent(sender, to, message)
            self.mail.append((sender, to, message))


def terms_of(log: Iterable[Batch]) -> list[int]:
    """The terms of the entries, one number for each entry."""
    return [batch.term for batch in log for _ in range(batch.count)]
