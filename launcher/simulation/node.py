"""A simulated process around the product's own server: what `node/process.py` is in the world.

It hands the server what comes, calls `pump` a moment later, once everything else that came
meanwhile is handed over too, and lets go what was sent. It is killed, loses its power, is stopped
and goes on; its clock runs fast or slow; its disk takes its time. The write-ahead log, its recovery
and the order of *persist, send, apply* are the product's own.

A crash finds a disk at work: what it was doing is then done up to some operation and no further
(`PowerCut`), within a write too. After a SIGKILL the page cache is still there; after a loss of
power only what the disk of `disk.py` lets survive.
"""

from __future__ import annotations

import contextlib
import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from launcher import lives
from launcher.lives import NodeRecord
from launcher.simulation.clock import Clock
from launcher.simulation.disk import PowerCut, SimulatedDisk
from launcher.simulation.disk_work import DiskWork
from launcher.simulation.network import Connection, Network, ServerEnd, Time
from launcher.simulation.situation import CLUSTER_ID, Situation
from launcher.simulation.timer import Waiting
from node.errors import DamagedLog, DiskFailed, LostData, MachineError, RaftError
from node.events import HybridClock
from node.machines.protocol import Machine
from node.raft.invariants import InvariantBroken
from node.raft.messages import Floor, NodeId
from node.raft.state import LEADER
from node.server import Server
from node.storage.mark import read_mark
from node.storage.segment import Identity
from node.storage.store import examine

EPOCH_NS = 1_000_000_000 * 10**9
"""The wall clock's time, in nanoseconds, when a simulation begins."""

CRASH = "crash"
"""No server dies of an error of its own."""

RECOVERY = "recovery"
"""What a crash has left, a server recovers."""

Done = Callable[[BaseException | None], None]
ForkDone = Callable[[bytes | None, BaseException | None], None]
ForkWork = Callable[[Callable[[], None]], bytes]


class Observer(Protocol):
    """Who is told what a node does."""

    def machine(self, node: SimulatedNode) -> Machine:
        """A new state machine for a new life."""
        ...

    def started(self, node: SimulatedNode) -> None:
        """A new life has recovered its log, and has said nothing yet."""
        ...

    def stepped(self, node: SimulatedNode) -> None:
        """The server has done all that was to be done."""
        ...

    def sending(self, node: SimulatedNode, peer: NodeId, frame: bytes) -> None:
        """A frame leaves."""
        ...

    def died(self, node: SimulatedNode, reason: str) -> None:
        """This life is over."""
        ...

    def happened(
        self, node: SimulatedNode, level: str, event: str, term: int, role: str, commit: int,
        fields: dict[str, object],
    ) -> None:  # fmt: skip
        """An event for the log."""
        ...


class SimulatedNode(Waiting):
    """One node through all its lives. Ports of the server: Links, Fork, EventSink."""

    __slots__ = (
        "_background",
        "_chance",
        "_connections",
        "_failures_before",
        "_log_work",
        "_observer",
        "_outbox",
        "_pump_due",
        "_situation",
        "_turn_s",
        "_waiting",
        "_wall",
        "clock",
        "cluster_id",
        "disk",
        "disk_hangs_until",
        "epoch",
        "flipped",
        "life",
        "lost",
        "network",
        "node_id",
        "paused",
        "peers",
        "record",
        "renewed",
        "server",
        "slow_disk_s",
        "tampered",
        "unflushed",
        "withheld",
    )

    def __init__(
        self, node_id: NodeId, situation: Situation, time: Time, observer: Observer
    ) -> None:
        super().__init__(time)
        self.node_id = node_id
        self.cluster_id = CLUSTER_ID
        self.life = 0
        self.epoch = 0
        """another at each start and at each end: what was meant for one finds no other"""
        self.server: Server | None = None
        self.lost = False
        """its disk is beyond repair: it never starts again"""
        self.flipped = False
        """a bit of its disk has flipped, and it has not recovered since"""
        self.tampered = False
        """its data was removed, or set back, and it has not started since"""
        self.record = NodeRecord()
        """what its supervisor has on record of it"""
        self.renewed: Floor | None = None
        """its data has been removed: it learns everything from its peers, the voters too"""
        self.withheld = False
        """its supervisor does not let it start, or there is none"""
        self.clock = Clock()
        self.disk = SimulatedDisk(situation.chance(f"disk {node_id}"), keeps_history=False)
        self.unflushed: list[Connection] = []
        self.paused = False
        self.slow_disk_s = 0.0
        self.disk_hangs_until = 0.0
        self.network: Network
        self.peers: list[SimulatedNode] = []

        self._situation = situation
        self._turn_s = situation.turn_s
        self._observer = observer
        self._chance = situation.chance(f"process {node_id}")
        self._wall = HybridClock(self._read_wall_clock)
        self._outbox: dict[NodeId, list[bytes]] = {}
        self._connections: dict[Connection, ServerEnd] = {}
        self._log_work = DiskWork(self)
        self._background = DiskWork(self)
        self._waiting: deque[tuple[Callable[..., None], tuple[object, ...]]] = deque()
        """what has come for this life while it is paused"""
        self._pump_due = False
        self._failures_before = 0

    @property
    def is_doubtful(self) -> bool:
        """Nobody can tell what its disk holds."""
        return self.lost or self.flipped or self.tampered

    @property
    def leads(self) -> bool:
        return self.server is not None and self.server.state.role is LEADER

    @property
    def local_now(self) -> float:
        return self.clock.read(self.time.now)

    # -- lives -----------------------------------------------------------------------------------

    def start(self, interrupted_at: int = 0) -> None:
        """Begins a life, unless one is under way; at that operation of the disk it ends again."""
        if self.server is not None or self.lost or self.withheld:
            return
        known = self.record.known
        self.record = lives.started(self.record, token=self.life)
        self.life = self.record.started
        self.epoch += 1
        self.paused = self._pump_due = False
        self._log_work.begin_life()
        self._background.begin_life()
        disk = self.disk
        disk.restart()
        disk.crash_at = interrupted_at
        self._failures_before = disk.failures
        try:
            self.server = Server(
                self._situation.node_config(
                    self.node_id,
                    self.record.life,
                    known,
                    renewed=self.renewed,
                    cluster_id=self.cluster_id,
                ),
                machine=lambda: self._observer.machine(self),
                disk=disk,
                disk_queue=self._log_work,
                background=self._background,
                fork=self,
                links=self,
                events=self,
                clock=self._wall,
                random=self._situation.chance(f"core {self.node_id} {self.life}"),
                now=self.local_now,
            )
        except PowerCut:
            disk.restart()
            self.time.at(self.time.now + 0.05, self.start)
            return
        except (DamagedLog, LostData) as error:
            if not (self.flipped or self.tampered):
                raise InvariantBroken(RECOVERY, f"n{self.node_id} refuses: {error}") from error
            self.lost = True
            return
        except (DiskFailed, MachineError) as error:
            self._fail(error)
            return
        disk.crash_at = 0
        self.flipped = self.tampered = False
        self.record = lives.confirmed(self.record, self.record.life, self.server.sequence)
        self._observer.started(self)
        for peer in self.peers:
            if peer.server is not None:
                self.server.link_opened(peer.node_id, self.local_now)
                peer.meet(self.node_id)
        self._schedule_pump()

    def crash(self, *, power: bool, reason: str) -> None:
        """Ends a life as SIGKILL does, or as the end of the power does.

        A disk that has just rotted keeps its page cache: without the mark that is in there nobody
        could tell a rotten last record from a torn one (`node/storage/mark.py`).
        """
        self._end(reason)
        if not power:
            self._record_end()
        elif not self.flipped:
            self.disk.lose_power()

    def _record_end(self) -> None:
        """The supervisor looks how far the log reaches, as `launcher/claim.py: Claim.look`."""
        mark = read_mark(
            self.disk, self.disk.list(), Identity(self.cluster_id, self.node_id).salt()
        )
        if mark is not None:
            self.record = lives.reaching(self.record, mark.sequence)

    def wipe(self) -> None:
        """Its folder is emptied behind everybody's back."""
        assert self.server is None, "it has been stopped"
        self.disk.erase()
        self.tampered = True

    def set_back(self, copy: SimulatedDisk) -> None:
        """A copy of its folder is put in the place of what it has, which may be newer."""
        assert self.server is None, "it has been stopped"
        self.disk.take_from(copy)
        known = self.record.known
        try:
            kept = examine(self.disk, Identity(self.cluster_id, self.node_id))
        except DamagedLog:
            self.tampered = True  # it was damaged when it was copied
        else:
            self.tampered = kept.life != known.life or kept.sequence < known.sequence

    def forget(self, floor: Floor) -> None:
        """Its data is removed, for good: what was rotten, and all that it has promised. So much is
        committed, and it is told so ever after."""
        self.is_to_forget()
        self.renewed = floor
        self.erase()

    def is_to_forget(self) -> None:
        """It is on record that its data may be gone."""
        self.record = lives.emptied(self.record)

    def erase(self) -> None:
        """Its data is removed by whoever administers it."""
        assert self.server is None, "it has been stopped"
        self.disk.erase()
        self.lost = self.flipped = self.tampered = False

    def _end(self, reason: str) -> None:
        was, self.server = self.server, None
        if was is None:
            return
        self._log_work.interrupt(self._chance)
        self._background.interrupt(self._chance)
        self._observer.died(self, reason)
        self.epoch += 1
        self._outbox.clear()
        self._waiting.clear()
        self.unflushed.clear()
        self.paused = self._pump_due = False
        for connection in self._connections:
            connection.end()
        self._connections.clear()
        for peer in self.peers:
            if not self.network.is_cut(self.node_id, peer.node_id):
                when = self.network.next_arrival(self.node_id, peer.node_id)
                self.time.at(when, peer.hear_of_death, self.node_id)
        vars(was).clear()  # nothing of it may be used any more

    def _fail(self, error: BaseException) -> None:
        """The server has raised: the process ends, and whoever looks after it starts it again."""
        excused = isinstance(error, DiskFailed) and self.disk.failures > self._failures_before
        if not excused:
            cause = error.__cause__ if isinstance(error, MachineError) else error
            if isinstance(cause, InvariantBroken):
                raise cause
            belief = f"n{self.node_id} died of {type(error).__name__}: {error}"
            raise InvariantBroken(CRASH, belief) from error
        self._log_work.begin_life()
        self._background.begin_life()
        self._end(str(error))
        self._record_end()
        self.time.at(self.time.now + self._chance.uniform(0.1, 0.4), self.start)

    def pause(self) -> None:
        """SIGSTOP."""
        self.paused = self.server is not None

    def resume(self) -> None:
        """SIGCONT: what has come meanwhile is there, all at once.

        The process may die of any of it. The end of a life empties the queue, so that what comes
        after is handed to no dead server.
        """
        if not self.paused:
            return
        self.paused = False
        while self._waiting:
            what, arguments = self._waiting.popleft()
            what(*arguments)
        self._schedule_pump()

    # -- what comes in ---------------------------------------------------------------------------

    def receive(self, peer: NodeId, frames: list[bytes]) -> None:
        """The Process port."""
        server = self.server
        if server is None:
            return
        if self.paused:
            self._waiting.append((self.receive, (peer, frames)))
            return
        now = self.clock.read(self.time.now)
        try:
            for frame in frames:
                server.receive(peer, frame, now)
        except Exception as error:
            self._fail(error)
            return
        self._schedule_pump()

    def meet(self, peer: NodeId) -> None:
        """There is a new life of a peer."""
        self._tell(lambda server: server.link_opened(peer, self.local_now))

    def hear_of_death(self, peer: NodeId) -> None:
        """A peer's process has died, and the link was whole when it did."""
        if not self.network.is_cut(peer, self.node_id):
            self._tell(lambda server: server.peer_died(peer, self.local_now))

    def transfer(self, target: NodeId | None) -> None:
        """An operator asks it to hand over; it may refuse."""

        def ask(server: Server) -> None:
            with contextlib.suppress(RaftError):
                server.transfer(target, self.local_now)

        self._tell(ask)

    def connect(self, connection: Connection) -> None:
        """A client has connected."""
        self._connections[connection] = ServerEnd(connection)

    def take_requests(self, connection: Connection, bodies: list[bytes] | None) -> None:
        """The Process port."""
        if bodies is None:
            self._hang_up(connection)
            return

        def take(server: Server) -> None:
            server_end = self._connections[connection]
            for body in bodies:
                server.request(server_end, body)

        self._tell(take)

    def _hang_up(self, connection: Connection) -> None:
        """A client has: nobody waits for that to be acted on, as in `node/process.py`."""
        if self.server is None:
            return
        if self.paused:
            self._waiting.append((self._hang_up, (connection,)))
        else:
            self.server.client_gone(self._connections.pop(connection))

    def _tell(self, what: Callable[[Server], None]) -> None:
        if self.server is None:
            return
        if self.paused:
            self._waiting.append((self._tell, (what,)))
            return
        try:
            what(self.server)
        except Exception as error:
            self._fail(error)
            return
        self._schedule_pump()

    # -- the pump --------------------------------------------------------------------------------

    def _schedule_pump(self) -> None:
        if not self._pump_due and self.server is not None:
            self._pump_due = True
            self.time.at(self.time.now + self._turn_s, self._on_turn, self.epoch)

    def _on_turn(self, epoch: int) -> None:
        if epoch == self.epoch and self._pump_due:  # a finished write has not pumped meanwhile
            self._pump()

    def _pump(self) -> None:
        server = self.server
        self._pump_due = False
        if self.paused or server is None:
            return  # `resume` schedules another
        now = self.clock.read(self.time.now)
        try:
            more = server.pump(now)
        except Exception as error:
            self._fail(error)
            return
        if self._outbox:
            outbox, self._outbox = self._outbox, {}
            for peer, frames in outbox.items():
                self.network.send(self.node_id, peer, frames)
        if self.unflushed:
            unflushed, self.unflushed = self.unflushed, []
            for connection in unflushed:
                connection.flush()
        server.begin_write(now)
        self._observer.stepped(self)
        if more:
            self._schedule_pump()
        self.arm_timer()

    def due_s(self) -> float:
        """When its server has to be pumped, by its own clock."""
        if self.server is None:
            return math.inf
        return self.clock.when(self.server.deadline) + 1e-7

    act = _schedule_pump

    # -- the server's ports ----------------------------------------------------------------------

    def send(self, peer: NodeId, frame: bytes) -> None:
        """The Links port."""
        self._observer.sending(self, peer, frame)
        frames = self._outbox.get(peer)
        if frames is None:
            self._outbox[peer] = [frame]
        else:
            frames.append(frame)

    def run(self, work: ForkWork, done: ForkDone) -> None:
        """The Fork port: what is done is done now, and told of later."""
        result: bytes | None = None
        failure: BaseException | None = None
        try:
            result = work(lambda: None)
        except Exception as error:
            failure = error
        takes_s = self.disk_takes_s() * (1 + 10 * self._chance.random())
        self.time.at(self.time.now + takes_s, self._end_fork, self.epoch, done, result, failure)

    def _end_fork(
        self, epoch: int, done: ForkDone, result: bytes | None, failure: BaseException | None
    ) -> None:
        if epoch == self.epoch and self.server is not None:
            self.report(lambda _: done(result, failure), None)

    def take_snapshot(self) -> None:
        """Somebody asks it to."""
        self._tell(lambda server: server.take_snapshot())

    def change_membership(self, target: list[NodeId], term: int | None = None) -> None:
        """Somebody asks it to, in that term."""

        def ask(server: Server) -> None:
            with contextlib.suppress(RaftError):
                server.change_membership(target, self.local_now, term)

        self._tell(ask)

    def disk_takes_s(self) -> float:
        """How long something takes on its disk now."""
        least_s, most_s = self._situation.sync_s
        takes_s = least_s + (most_s - least_s) * self._chance.random()
        if self.slow_disk_s:
            takes_s += self.slow_disk_s * self._chance.random()
        return takes_s

    def go_on_with_disk(self) -> None:
        """Its disk does not hang any more: what hung goes on now."""
        self.disk_hangs_until = 0.0
        self._log_work.go_on()
        self._background.go_on()

    def report(self, done: Done, failure: BaseException | None) -> None:
        """Work beside the loop is done; the server that asked for it must still live."""
        assert self.server is not None, f"n{self.node_id} is dead, and its work is reported to it"
        if self.paused:
            self._waiting.append((self.report, (done, failure)))
            return
        try:
            done(failure)
        except Exception as error:
            self._fail(error)
            return
        self._pump()

    def emit(
        self, level: str, event: str, term: int, role: str, commit: int, **fields: object
    ) -> None:
        """The EventSink port."""
        self._observer.happened(self, level, event, term, role, commit, fields)

    def tick(self) -> int:
        """The time of something that happens here now, on the hybrid logical clock."""
        return self._wall.tick()

    def _read_wall_clock(self) -> int:
        seconds = self.clock.read(self.time.now) + self.clock.wall_offset_s
        return EPOCH_NS + int(seconds * 1e9)


def link(nodes: Iterable[SimulatedNode], network: Network) -> None:
    """Makes nodes each other's peers."""
    everyone = list(nodes)
    for node in everyone:
        node.network = network
        node.peers = [peer for peer in everyone if peer is not node]
