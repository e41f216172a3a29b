"""A simulated process around the product's own server, as `node/process/process.py` is a real one.

The node hands the server whatever arrives. A moment later, when everything else that arrived
meanwhile is handed over too, it calls `pump` and sends what the server has to send. A fault can
kill the process, cut its power, stop and continue it, make its clock run fast or slow, or delay its
disk. The write-ahead log, its recovery and the order of *persist, send, apply* are the product's.

A crash interrupts the disk's work after any operation, or within a write: only what comes before
that point is done (`PowerCut`). A SIGKILL leaves the page cache as it is. A loss of power leaves
only what `disk.py` lets survive.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable

from launcher.folders import lives
from launcher.simulation.clock import SimulatedClock
from launcher.simulation.disk import PowerCut, SimulatedDisk
from launcher.simulation.disk_work import (
    DiskWork,
    Done,
    SimulatedFork,
    stalls_until,
    takes_s,
)
from launcher.simulation.network import Connection, ServerEnd, SimulatedLinks, Time
from launcher.simulation.node_data import NodeData
from launcher.simulation.observer import Observer
from launcher.simulation.point_port import SimulatedPoints, Struck
from launcher.simulation.properties import CRASH, RECOVERY
from launcher.simulation.situation import CLUSTER_ID, Situation
from launcher.simulation.stoppable import Stoppable, Told
from node.errors import DamagedLog, DiskFailed, LostData, MachineError, RaftError
from node.events import HybridClock
from node.raft.invariants import InvariantBroken
from node.raft.messages import NodeId
from node.raft.state import LEADER
from node.server.server import Server
from node.wire import DiskFault


class SimulatedNode(Stoppable):
    """One node through all its lives. Ports of its server: Links, EventSink.

    data: what stays from one life to the next
    epoch: changes at each start and at each end, so that what was meant for one life reaches no
        other
    withheld: the supervisor does not let the node start, or there is no supervisor
    unflushed: connections with replies that are sent at the end of the turn
    disk_hangs_until: until then the disk finishes nothing; simulated seconds
    disk_cycle: the fault by which the disk stalls in turn, and when that began
    slow_disk: the fault that makes its disk slow: each operation takes longer, at most by its delay
    """

    __slots__ = (
        "_background", "_connections", "_failures_before", "_fork", "_log_work", "_observer",
        "_outbox", "_pump_due", "_rng", "_situation", "_turn_s", "_wall", "clock",
        "data", "disk", "disk_cycle", "disk_hangs_until", "epoch", "life", "links", "node_id",
        "peers", "points", "server", "slow_disk", "unflushed", "withheld",
    )  # fmt: skip

    def __init__(
        self, node_id: NodeId, situation: Situation, time: Time, observer: Observer[SimulatedNode]
    ) -> None:
        super().__init__(time)
        self.node_id = node_id
        self.life = 0
        self.epoch = 0
        self.server: Server | None = None
        self.withheld = False
        self.clock = SimulatedClock()
        self.disk = SimulatedDisk(situation.rng(f"disk {node_id}"), keeps_history=False)
        self.data = NodeData(node_id, CLUSTER_ID, self.disk)
        self.points = SimulatedPoints(self, situation.rng(f"points {node_id}"))
        self.unflushed: list[Connection] = []
        self.slow_disk: DiskFault | None = None
        self.disk_hangs_until = 0.0
        self.disk_cycle: tuple[DiskFault, float] | None = None
        self.links: SimulatedLinks
        self.peers: list[SimulatedNode] = []

        self._situation = situation
        self._turn_s = situation.turn_s
        self._observer = observer
        self._rng = situation.rng(f"process {node_id}")
        self._wall = HybridClock(lambda: self.clock.wall_ns(self.time.now))
        self._outbox: dict[NodeId, list[bytes]] = {}
        self._connections: dict[Connection, ServerEnd] = {}
        self._log_work = DiskWork(self)
        self._background = DiskWork(self)
        self._fork = SimulatedFork(self, self._rng)
        self._pump_due = False
        self._failures_before = 0

    @property
    def cluster_id(self) -> str:
        return self.data.cluster_id

    @property
    def data_at_rest(self) -> NodeData:
        """The data, to be changed from outside: only while no process of the node runs."""
        assert self.server is None, f"n{self.node_id} runs: stop it first"
        return self.data

    @property
    def leads(self) -> bool:
        return self.server is not None and self.server.state.role is LEADER

    @property
    def local_now(self) -> float:
        return self.clock.read(self.time.now)

    def present(self, after: int) -> int:
        """What its hybrid logical clock shows, or would show after this time. Moves no clock."""
        return max(self.clock.wall_ns(self.time.now), self._wall.last, after)

    # -- lives -----------------------------------------------------------------------------------

    def start(self, interrupted_at: int = 0) -> None:
        """Begins a life, unless one is under way, or the node cannot or may not start.

        interrupted_at: the recovery is killed at this operation of the disk, from 1; 0 for never
        """
        data = self.data
        if self.server is not None or data.lost or self.withheld:
            return
        known = data.record.known
        data.record = lives.started(data.record, token=self.life)
        self.life = data.record.started
        self.epoch += 1
        self.paused = self.held = self._pump_due = False
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
                    data.record.life,
                    known,
                    renewed=data.renewed,
                    cluster_id=data.cluster_id,
                ),
                machine=lambda: self._observer.machine(self),
                disk=disk,
                disk_queue=self._log_work,
                background=self._background,
                fork=self._fork,
                links=self,
                events=self,
                clock=self._wall,
                random=self._situation.rng(f"core {self.node_id} {self.life}"),
                now=self.local_now,
                points=self.points,
            )
        except PowerCut:
            disk.restart()
            self.time.at(self.time.now + 0.05, self.start)
            return
        except (DamagedLog, LostData) as error:
            if not (data.flipped or data.tampered):
                raise InvariantBroken(RECOVERY, f"n{self.node_id} refuses: {error}") from error
            data.lost = True
            return
        except (DiskFailed, MachineError) as error:
            self._fail(error)
            return
        disk.crash_at = 0
        self.points.begin_life()
        data.flipped = data.tampered = False
        data.record = lives.confirmed(data.record, data.record.life, self.server.sequence)
        self._observer.started(self)
        for peer in self.peers:
            if peer.server is not None:
                self.server.note("debug", "link.opened", peer=peer.node_id)
                self.server.link_opened(peer.node_id, self.local_now)
                peer.meet(self.node_id)
        self._schedule_pump()

    def crash(self, *, power: bool, reason: str) -> None:
        """Ends a life as SIGKILL does, or as a loss of power does.

        A disk on which a bit has just flipped keeps its page cache: without the mark in there, a
        damaged last record looks like a torn one (`node/storage/mark.py`).
        """
        self._end(reason)
        if not power:
            self.data.record_end()
        elif not self.data.flipped:
            self.disk.lose_power()

    def _end(self, reason: str) -> None:
        was, self.server = self.server, None
        if was is None:
            return
        self.points.end_life()
        self._log_work.interrupt(self._rng)
        self._background.interrupt(self._rng)
        self._observer.died(self, reason)
        self.epoch += 1
        self._outbox.clear()
        waiting = list(self._waiting)
        self._waiting.clear()
        for what, arguments in waiting:
            if what == self.receive:  # there is no server any more: they are lost
                what(*arguments)
        self.unflushed.clear()
        self.paused = self.held = self._pump_due = False
        for connection in self._connections:
            connection.end()
        self._connections.clear()
        for peer in self.peers:
            if not self.links.is_cut(self.node_id, peer.node_id):
                when = self.links.next_arrival(self.node_id, peer.node_id)
                self.time.at(when, peer.hear_of_death, self.node_id)
        vars(was).clear()  # nothing may use the dead server any more

    def _fail(self, error: BaseException) -> None:
        """The server has raised: the process ends, and its supervisor restarts it.

        Raises InvariantBroken unless the disk has failed by a fault.
        """
        if isinstance(error, Struck):
            self.points.end_at(error)
            return
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
        self.data.record_end()
        self.time.at(self.time.now + self._rng.uniform(0.1, 0.4), self.start)

    # -- what arrives ----------------------------------------------------------------------------

    def receive(self, peer: NodeId, frames: list[bytes]) -> None:
        """The `Endpoint` port."""
        server = self.server
        if server is None:
            self._unread(peer, frames)
            return
        if self.paused or self.held:
            self._waiting.append((self.receive, (peer, frames)))
            return
        now = self.clock.read(self.time.now)
        for position, frame in enumerate(frames):
            try:
                t = server.receive(peer, frame, now)
            except Exception as error:
                self._fail(error)
                self._unread(peer, frames[position:])
                return
            if t is not None:
                self._observer.received(self, peer, frame, t)
        self._schedule_pump()

    def _unread(self, peer: NodeId, frames: list[bytes]) -> None:
        self.links.lose(peer, self.node_id, frames, "dead")

    def meet(self, peer: NodeId) -> None:
        """A peer has started a new life."""
        opened: Told = ("link.opened", {"peer": peer})
        self._tell(lambda server: server.link_opened(peer, self.local_now), opened)

    def hear_of_death(self, peer: NodeId) -> None:
        """A peer's process has died, and the link was whole when it did."""
        if not self.links.is_cut(peer, self.node_id):
            closed: Told = ("link.closed", {"peer": peer, "reason": "its process has died"})
            self._tell(lambda server: server.peer_died(peer, self.local_now), closed)

    def transfer(self, target: NodeId | None) -> None:
        """An operator asks the node to hand over its leadership; the server may refuse.

        target: the node that is to lead; None lets the leader choose
        """
        command: Told = ("command.received", {"what": "transfer", "target": target})
        self._tell(lambda server: _ask(server.transfer, target, self.local_now), command)

    def take_snapshot(self) -> None:
        """An operator asks the node to take a snapshot now."""
        self._tell(Server.take_snapshot, ("command.received", {"what": "snapshot"}))

    def change_membership(self, target: list[NodeId], term: int | None = None) -> None:
        """An operator asks the node to make these the voters; the server may refuse.

        term: only while the node leads in this term; None for any
        """
        command: Told = ("command.received", {"what": "membership", "target": target})
        self._tell(
            lambda server: _ask(server.change_membership, target, self.local_now, term), command
        )

    def connect(self, connection: Connection) -> None:
        """A client has connected."""
        self._connections[connection] = ServerEnd(connection)

    def take_requests(self, connection: Connection, bodies: list[bytes] | None) -> None:
        """The `Endpoint` port."""
        if bodies is None:
            self._hang_up(connection)
            return

        def take(server: Server) -> None:
            server_end = self._connections[connection]
            for body in bodies:
                server.request(server_end, body)

        self._tell(take)

    def _hang_up(self, connection: Connection) -> None:
        """A client has closed its connection. That pumps nothing, as in a real process."""
        if self.server is None:
            return
        if self.paused or self.held:
            self._waiting.append((self._hang_up, (connection,)))
        else:
            self.server.client_gone(self._connections.pop(connection))

    def _tell(self, what: Callable[[Server], None], event: Told | None = None) -> None:
        """Has the server do something. event: what is noted just before it does"""
        if self.server is None:
            return
        if self.paused or self.held:
            self._waiting.append((self._tell, (what, event)))
            return
        try:
            if event is not None:
                self.server.note("debug", event[0], **event[1])
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
        if epoch == self.epoch and self._pump_due:  # unless a finished write has pumped already
            self._pump()

    def _pump(self) -> None:
        server = self.server
        self._pump_due = False
        if self.paused or self.held or server is None:
            return  # `_go_on` schedules another
        now = self.clock.read(self.time.now)
        try:
            more = server.pump(now)
        except Exception as error:
            self._fail(error)
            return
        if self.paused:  # at a point: what there is to send leaves when it continues
            return
        if self._outbox:
            outbox, self._outbox = self._outbox, {}
            for peer, frames in outbox.items():
                self.links.send(self.node_id, peer, frames)
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
        """When the server's deadline comes, by the node's own clock; in simulated seconds."""
        if self.server is None:
            return math.inf
        return self.clock.when(self.server.deadline, self.time.now) + 1e-7

    act = _schedule_pump

    # -- the server's ports ----------------------------------------------------------------------

    def send(self, peer: NodeId, frame: bytes) -> None:
        """The `Links` port."""
        self._observer.sending(self, peer, frame)
        frames = self._outbox.get(peer)
        if frames is None:
            self._outbox[peer] = [frame]
        else:
            frames.append(frame)

    def disk_takes_s(self) -> float:
        """Draws how long one operation takes on the disk now, in simulated seconds."""
        return takes_s(self._situation.sync_s, self.slow_disk, self._rng)

    def disk_stalls_until(self) -> float:
        """Until then the disk finishes nothing; a time that has passed if it works."""
        return stalls_until(self.time.now, self.disk_hangs_until, self.disk_cycle)

    def resume_disk(self) -> None:
        """The disk stops hanging, and continues with its work."""
        self.disk_hangs_until = 0.0
        self.disk_cycle = None
        self._log_work.resume()
        self._background.resume()

    def report(self, done: Done, failure: BaseException | None) -> None:
        """Work beside the loop is done. The life that asked for it must still be under way."""
        assert self.server is not None, f"n{self.node_id} is dead, and work is reported to it"
        if self.paused or self.held:
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
        """The `EventSink` port."""
        self._observer.happened(self, level, event, term, role, commit, fields)

    def tick(self) -> int:
        """The time of an event that happens on this node now, by its hybrid logical clock."""
        return self._wall.tick()


def _ask(what: Callable[..., None], *arguments: object) -> None:
    """Asks a server for what it may refuse."""
    with contextlib.suppress(RaftError):
        what(*arguments)
