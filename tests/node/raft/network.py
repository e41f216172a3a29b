"""A cluster of cores wired in memory: the vocabulary of the core's tests.

Each server is a real `Raft` between two buffers: what it has sent, and what it has been told to
make durable. Nothing moves by itself: a test delivers, persists, loses and crashes by name, or
asks for `settle`, which does it all until nothing is left to do. Every call into a core is
followed by its invariants, and the cluster's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from random import Random

from node.raft.invariants import ClusterWatch, ServerWatch
from node.raft.messages import Batch, BatchKind, HardState, Message, NodeId
from node.raft.raft import Raft
from node.raft.state import Limits, Ready, Role, Timing

TIMING = Timing(0.1, 0.5, 1.0, failure_hint=False)


def batches(terms: Iterable[int], data: bytes = b"") -> list[Batch]:
    """A log of single entries with these terms, from index 1 on."""
    return [
        Batch(index, term, BatchKind.COMMANDS, 1, data or b"%d@%d" % (index, term))
        for index, term in enumerate(terms, 1)
    ]


@dataclass
class Stored:
    """What a server's disk holds."""

    hard_state: HardState = field(default_factory=HardState)
    batches: list[Batch] = field(default_factory=list)

    def write(self, ready: Ready) -> None:
        if ready.hard_state is not None:
            self.hard_state = ready.hard_state
        for batch in ready.batches:
            self.batches = [b for b in self.batches if b.first_index < batch.first_index]
            self.batches.append(batch)


@dataclass
class Server:
    raft: Raft
    stored: Stored
    watch: ServerWatch
    unsaved: deque[Ready] = field(default_factory=deque)
    applied: list[Batch] = field(default_factory=list)
    reads: list[tuple[int, list[int]]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)


class Network:
    """Servers 1..n and the messages between them."""

    def __init__(
        self,
        size: int = 3,
        *,
        logs: dict[NodeId, list[int]] | None = None,
        terms: dict[NodeId, int] | None = None,
        timing: Timing = TIMING,
        limits: Limits | None = None,
        seed: int = 1,
    ) -> None:
        self.now = 0.0
        self.timing = timing
        self.limits = limits or Limits()
        self.random = Random(seed)
        self.voters = tuple(range(1, size + 1))
        self.servers: dict[NodeId, Server] = {}
        self.mail: deque[tuple[NodeId, NodeId, Message]] = deque()
        self.cut: set[tuple[NodeId, NodeId]] = set()
        self.cluster_watch = ClusterWatch()
        self.disks: dict[NodeId, Stored] = {}
        for node_id in self.voters:
            log = batches((logs or {}).get(node_id, []))
            term = (terms or {}).get(node_id, log[-1].term if log else 0)
            self.disks[node_id] = Stored(HardState(term), log)
            self.start(node_id)

    # -- lives -----------------------------------------------------------------------------------

    def start(self, node_id: NodeId) -> None:
        """Starts a server with what its disk holds."""
        disk = self.disks[node_id]
        raft = Raft(
            node_id,
            self.voters,
            hard_state=disk.hard_state,
            batches=list(disk.batches),
            timing=self.timing,
            limits=self.limits,
            random=self.random,
            now=self.now,
        )
        self.servers[node_id] = Server(raft, disk, ServerWatch(raft.state))
        for peer in self.servers:
            if peer != node_id:
                self.servers[peer].raft.link_opened(node_id, self.now)
                self.collect(peer)

    def crash(self, node_id: NodeId) -> None:
        """What was not persisted is gone, and so is what was sent to it."""
        del self.servers[node_id]
        self.mail = deque(item for item in self.mail if item[1] != node_id)

    # -- one step at a time ----------------------------------------------------------------------

    def __getitem__(self, node_id: NodeId) -> Raft:
        return self.servers[node_id].raft

    def collect(self, node_id: NodeId) -> None:
        """Takes the server's Readys: messages into the mail, the rest into its buffers."""
        server = self.servers[node_id]
        server.watch.check()
        while (ready := server.raft.ready()) is not None:
            server.watch.check()
            server.watch.check_ready(ready)
            server.events += [note.event for note in ready.notes]
            self.mail.extend((node_id, to, message) for to, message in ready.messages)
            for batch in ready.committed:
                self.cluster_watch.applied(node_id, batch)
                server.applied.append(batch)
            server.reads += ready.reads
            server.unsaved.append(ready)
        self.cluster_watch.check(s.raft.state for s in self.servers.values())

    def persist(self, node_id: NodeId) -> bool:
        """Makes the oldest unsaved Ready durable; whether there was one."""
        server = self.servers[node_id]
        if not server.unsaved:
            return False
        ready = server.unsaved.popleft()
        server.stored.write(ready)
        if ready.must_persist:
            server.raft.persisted(ready)
        self.mail.extend((node_id, to, message) for to, message in ready.messages_after_persist)
        self.collect(node_id)
        return True

    def persist_all(self) -> bool:
        """`persist` for every server; whether there was anything."""
        return sum(self.persist(node_id) for node_id in list(self.servers)) > 0

    def deliver(self, position: int = 0) -> bool:
        """Delivers one message of the mail, unless its link is cut; whether there was one."""
        if not self.mail:
            return False
        sender, to, message = self.mail[position]
        del self.mail[position]
        if (sender, to) not in self.cut and to in self.servers:
            self.servers[to].raft.step(sender, message, self.now)
            self.collect(to)
        return True

    def elapse(self, node_id: NodeId) -> None:
        """Lets a server see the time."""
        self.servers[node_id].raft.elapse(self.now)
        self.collect(node_id)

    # -- many steps ------------------------------------------------------------------------------

    def settle(self) -> None:
        """Delivers and persists until there is nothing left to do."""
        for _ in range(100_000):
            delivered = self.deliver()
            if not self.persist_all() and not delivered:
                return
        raise AssertionError("the messages never end")

    def run(self, duration_s: float, settle: bool = True) -> None:
        """Lets time pass, timer by timer, everything settling in between."""
        end = self.now + duration_s
        while True:
            due = min(server.raft.deadline for server in self.servers.values())
            if due > end:
                self.now = end
                return
            self.now = max(self.now, due)
            for node_id in list(self.servers):
                if self.servers[node_id].raft.deadline <= self.now:
                    self.elapse(node_id)
            if settle:
                self.settle()

    def time_out(self, node_id: NodeId) -> None:
        """Brings the moment at which this server has heard no leader for long enough."""
        self.now += self.timing.election_timeout_max_s
        self[node_id].state.election_deadline = self.now
        self.elapse(node_id)

    def elect(self, node_id: NodeId) -> None:
        """Has this server elected, everything settling."""
        self.time_out(node_id)
        self.settle()
        assert self.leader == node_id, f"{node_id} was not elected"

    def propose(self, data: bytes = b"x", count: int = 1) -> int:
        """Proposes to the leader; the index of the first entry."""
        leader = self.leader
        assert leader is not None
        index = self[leader].propose(count, data, self.now)
        self.collect(leader)
        return index

    def isolate(self, *group: NodeId) -> None:
        """Cuts every link between this group and the rest."""
        rest = [n for n in self.voters if n not in group]
        for a in group:
            for b in rest:
                self.cut |= {(a, b), (b, a)}

    def heal(self) -> None:
        self.cut.clear()

    # -- what is true ----------------------------------------------------------------------------

    @property
    def leader(self) -> NodeId | None:
        """The leader of the newest term that has one."""
        leading = [
            (s.raft.state.current_term, n)
            for n, s in self.servers.items()
            if s.raft.state.role is Role.LEADER
        ]
        return max(leading)[1] if leading else None

    def log_terms(self, node_id: NodeId) -> list[int]:
        """The terms of a server's entries."""
        return [
            batch.term
            for batch in self[node_id].state.log.batches_from(1)
            for _ in range(batch.count)
        ]
