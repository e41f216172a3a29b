"""The running node: what comes from the world goes to the server, and what that says goes out.

What the loop does is always the same: something comes in (a frame, a request, a closed pipe, a
finished write, a timer), it is handed to the server, and a `pump` is scheduled for once everything
else that has come in meanwhile is handed over too. After the pump, all that was sent leaves, one
write for each stream.

Whatever the server raises ends the process. Once its exit status is known there is no server any
more: finished work, frames and lost links that come in the same turn of the loop reach none. So the
last event in the log is `node.failed` or `node.stopped`.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import signal
import socket
import time
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVarTuple

from node import module_path, wire
from node.errors import (
    MachineError,
    RaftError,
)
from node.events import HybridClock, last_time
from node.faults.disks import FaultyDisk
from node.faults.recording import RecordingDisk
from node.faults.unsynced import Memory
from node.machines.fingerprint import checked
from node.machines.registry import load
from node.process.clock_port import ClockPort
from node.process.connections import ConnectedClient, Connections
from node.process.disk_thread import DiskThread, Done
from node.process.fault_ports import FaultPorts
from node.process.fork import Done as ForkDone
from node.process.fork import Forks
from node.process.orders import Orders
from node.process.peers import Peers
from node.process.reports import Reports, end_by
from node.process.tapped_events import open_events
from node.process.transport import ControlChannel, PipeLinks
from node.raft.messages import NodeId
from node.server.server import Server
from node.storage.disk import OsDisk, held
from node.wire import (
    CodeRefused,
    GetLog,
    GetStatus,
    LifeBegun,
    LifeRecorded,
    Listen,
    NewLink,
    NodeConfig,
    SetClock,
    Stop,
    Stopping,
)

STOP_TIMEOUT_S = 2.0
"""How long a node that was asked to stop waits for its disk."""

_Arguments = TypeVarTuple("_Arguments")


class Node:
    """The running process: hands everything that comes to the server, and sends what it says."""

    def __init__(
        self, config: NodeConfig, control: socket.socket, pipes: dict[NodeId, socket.socket]
    ) -> None:
        """Runs in a loop: what it needs of one it takes at once. Recovers nothing yet."""
        self._config = config
        self._pipes = pipes
        self._loop = asyncio.get_running_loop()
        self._exit_status: asyncio.Future[int] = self._loop.create_future()
        self._control = ControlChannel(
            control, self._on_control, lambda: self._stop("the supervisor is gone")
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = Connections(
            config.most_clients,
            self._on_request,
            lambda client: self._tell(Server.client_gone, client),
            self._leader_elsewhere,
            self._note,
        )

        self._clock = HybridClock(after=last_time(config.event_log))
        self._tap, self._events = open_events(config, self._clock, self._note)
        self._random = random.Random(config.seed)
        self._time = ClockPort(self._loop, self._clock, self._schedule_pump, config.clock)
        self._faults = FaultPorts(config, self._random, self._time, self._loop, self._note)
        self._faults.links.delay_all(config.message_delay_s)
        self._faults.links.drop(config.drops)
        self._disk = DiskThread(self._loop.call_soon_threadsafe, self._on_disk_done)
        self._links = PipeLinks(
            config.node_id,
            self._faults.links,
            self._on_frame,
            self._on_lost,
            lambda peer: self._peers.ask_for_link(peer),
            lambda peer, struck, kind: self._orders.dropped(peer, struck, kind),
            self._tap,
        )
        self._reports = Reports(self._control, self._clock, self._faults, self._tap)
        self._orders = Orders(
            config.node_id,
            config.timing,
            self._faults,
            self._events,
            self._tap,
            self._reports,
            self._note,
            lambda: None if self._ends else self._server,
            self._time.now,
            self._links.strike_waiting,
        )
        self._peers = Peers(
            self._links, self._note, self._reports.tell, self._on_link, lambda: self._ends
        )
        self._held = ExitStack()
        """the data folder: no other process runs on it"""
        self._recorded: asyncio.Future[None] = self._loop.create_future()
        """done when the supervisor has this life on record"""
        self._server: Server | None = None
        """None before it has recovered, and once the exit status is known"""
        self._stopping = False
        self._leaving: str | None = None
        """why it stops as soon as leadership is handed over"""
        self._at_rest: Done | None = None
        self._pump_scheduled = False

    async def run(self) -> int:
        """Starts, serves until told to stop or failing, and returns the exit status."""
        try:
            await self._start()
        except Exception as error:
            self._fail(error)
        with self._held:
            status = await self._exit_status
        self._tap.close()
        self._events.close()
        return status

    # -- starting and ending ---------------------------------------------------------------------

    async def _start(self) -> None:
        config = self._config
        self._loop.add_signal_handler(signal.SIGTERM, self._leave, "SIGTERM")
        # The kernel's word that the supervisor is gone: peers may be gone too, nothing is awaited.
        self._loop.add_signal_handler(signal.SIGHUP, self._stop, "SIGHUP")
        self._events.emit("info", "node.started", 0, "follower", 0, pid=os.getpid())
        self._tap.obey(config.tap)
        module_path.use(map(str, config.python_path))
        loaded = [load(config.machine)]
        code = checked(config.machine, config.node_id, config.machine_codes)
        disk = OsDisk(config.data_dir)
        self._held.enter_context(held(config.data_dir))
        server = Server(
            config,
            machine=lambda: loaded.pop() if loaded else load(config.machine),
            disk=FaultyDisk(self._recorded_disk(disk), self._faults.disk),
            disk_queue=self._disk,
            background=DiskThread(self._loop.call_soon_threadsafe, self._on_disk_done),
            fork=Forks(self._loop, self._on_fork_done),
            links=self._links,
            events=self._events,
            clock=self._clock,
            random=self._random,
            now=self._time.now(),
            stopwatch=time.monotonic,
            points=self._faults.points,
        )
        # Nobody hears of this life before it is on record: else its folder could be emptied, and
        # what it had promised by then would be forgotten without a trace.
        self._reports.tell(LifeBegun(server.sequence, code))
        waits: set[asyncio.Future[Any]] = {self._recorded, self._exit_status}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        if self._ends:
            return
        self._server, self._tap.state = server, server.state
        self._orders.begin(server)
        for peer, pipe in self._pipes.items():
            await self._peers.attach(peer, config.peers.get(peer, 0), pipe)
        await self.connections.listen(config.socket)
        if self._ends:
            return  # it has been told to stop, or has failed, while links were opened
        gc.collect()
        gc.freeze()
        server.note("info", "node.ready", machine=config.machine)
        self._schedule_pump()

    def _recorded_disk(self, disk: OsDisk) -> OsDisk | RecordingDisk:
        """The disk, as its supervisor wants what is not synced to be recorded."""
        config = self._config
        if config.unsynced is None:
            return disk
        try:
            return RecordingDisk(disk, config.data_dir, Memory.open(config.unsynced))
        except (OSError, ValueError) as error:  # only a loss of power would need it
            self._note("warn", "record.failed", reason=f"of what is not synced: {error}")
            return disk

    async def _listen_anew(self, path: Path) -> None:
        try:
            await self.connections.listen(path)
        except OSError as error:  # the supervisor sees that, and says where else
            self._note("warn", "socket.failed", reason=str(error))

    def _leave(self, reason: str) -> None:
        """Stops; but a leader hands over first, so that its clients wait for no election."""
        if self._leaving is not None:
            return
        if self._server is not None and not self._ends:
            try:
                self._server.transfer(None, self._time.now())
            except RaftError:
                pass  # it does not lead, or nobody could in its place
            except Exception as error:
                self._fail(error)
                return
            else:
                self._leaving = reason
                # By the true time: the process that stops the node waits for no clock of its own.
                patience_s = self._server.state.timing.election_timeout_min_s
                self._loop.call_later(patience_s, self._stop, reason)
                self._schedule_pump()
                return
        self._stop(reason)

    def _stop(self, reason: str) -> None:
        """Ends the process in good order: what is being written is finished, nothing is begun."""
        if self._stopping or self._exit_status.done():
            return
        self._stopping = True
        self._loop.call_later(STOP_TIMEOUT_S, self._finish, reason)
        # Behind all that is under way: the disk does its work in order.
        self._at_rest = lambda _: self._finish(reason)
        self._disk.run(lambda: None, self._at_rest)

    def _finish(self, reason: str) -> None:
        if not self._exit_status.done():
            self._note("info", "node.stopped", reason=reason)
            self._reports.tell(Stopping(reason))
            self._exit_with(0)

    def _fail(self, error: BaseException) -> None:
        """Ends the process because it must not go on, and says why."""
        if self._exit_status.done():
            return
        end = end_by(error)
        self._note("error", "node.failed", reason=end.reason)
        self._reports.tell(end)
        if isinstance(error, MachineError) and self._server is not None:
            # Every node fails on the same entry: who asks learns that, and not only that none is up
            self.connections.tell_all(wire.Ending(end.reason))
        self._exit_with(1 if end.retry else 3)

    def _exit_with(self, status: int) -> None:
        self._server = None
        self._exit_status.set_result(status)

    def _note(self, level: str, event: str, **fields: object) -> None:
        if self._exit_status.done():
            return  # the log has its last event, and may be closed
        if self._server is not None:
            self._server.note(level, event, **fields)
        else:
            self._events.emit(level, event, 0, "follower", 0, **fields)

    @property
    def _ends(self) -> bool:
        """Nothing new is to be begun."""
        return self._stopping or self._exit_status.done()

    def _run_task(self, work: Coroutine[None, None, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._end_task)

    def _end_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _tell(self, what: Callable[[Server, *_Arguments], object], *arguments: *_Arguments) -> None:
        """Calls a method of the server, unless nothing new is to be begun. If it raises, the
        process fails."""
        if self._server is None or self._ends:
            return
        try:
            what(self._server, *arguments)
        except Exception as error:
            self._fail(error)

    # -- the pump --------------------------------------------------------------------------------

    def _schedule_pump(self) -> None:
        if not self._pump_scheduled:
            self._pump_scheduled = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        self._pump_scheduled = False
        server = self._server
        if server is None or self._ends:
            return
        now = self._time.now()
        try:
            more = server.pump(now)
            self._links.flush()
            self.connections.flush()
            server.begin_write(now)
            self._reports.tell_changes(server)
            awaited = self._reports.awaits_transfer or self._leaving is not None
            if awaited and not server.handing_over:
                self._end_transfer(server)
            self._time.wake(server.deadline)
        except Exception as error:
            self._fail(error)
            return
        if more:
            self._schedule_pump()

    def _on_disk_done(
        self, done: Callable[[BaseException | None], None], failure: BaseException | None
    ) -> None:
        if self._ends and done is not self._at_rest:
            return  # finished, as it had to be; what it would let begin is not begun
        self._go_on(lambda: done(failure))

    def _on_fork_done(
        self, done: ForkDone, result: bytes | None, failure: BaseException | None
    ) -> None:
        if not self._ends:
            self._go_on(lambda: done(result, failure))

    def _go_on(self, told: Callable[[], None]) -> None:
        """Tells whoever waited that work is done, and pumps. If that raises, the process fails."""
        try:
            told()
        except BaseException as error:
            self._fail(error)
            return
        self._pump()

    # -- peers -----------------------------------------------------------------------------------

    def _on_link(self, peer: NodeId) -> None:
        self._tell(Server.link_opened, peer, self._time.now())
        self._schedule_pump()

    def _on_frame(self, peer: NodeId, body: bytes) -> None:
        tap = self._tap
        if self._server is None or self._ends:
            if tap.is_on:
                tap.lost_from(peer, body, "closed")
            return
        try:
            t = self._server.receive(peer, body, self._time.now())
        except Exception as error:
            self._fail(error)
            return
        if tap.is_on:  # before the server can act on it
            if t is None:
                tap.lost_from(peer, body, "invalid")
            else:
                tap.received(peer, body, t)
        self._schedule_pump()

    def _on_lost(self, peer: NodeId, reason: str, dead: bool) -> None:
        self._note("debug" if dead else "warn", "link.closed", peer=peer, reason=reason)
        if dead:
            self._tell(Server.peer_died, peer, self._time.now())
            self._schedule_pump()

    def _take_link(self, message: NewLink) -> None:
        pipe = self._control.take_descriptor()
        if pipe is None:
            self._peers.no_pipe(message)
        else:
            self._run_task(self._peers.attach(message.peer, message.life, pipe))

    # -- clients ---------------------------------------------------------------------------------

    def _on_request(self, client: ConnectedClient, body: bytes) -> None:
        """A client has sent a request."""
        if self._server is None or self._ends:
            return
        try:
            self._server.request(client, body)
        except Exception as error:
            self._fail(error)
            return
        self._schedule_pump()

    def _leader_elsewhere(self) -> NodeId | None:
        leader = self._server.state.leader_id if self._server is not None else None
        return None if leader == self._config.node_id else leader

    # -- the supervisor --------------------------------------------------------------------------

    def _on_control(self, body: bytes) -> None:
        try:
            t, message = wire.decode_to_node(body)
            self._clock.observe(t)
            match message:
                case Stop():
                    if message.hand_over:
                        self._leave("asked to")
                    else:
                        self._stop("asked to")
                case Listen():
                    path = Path(os.fsdecode(message.folder)) / message.name
                    self._run_task(self._listen_anew(path))
                case SetClock():
                    self._faults.obey(message)
                    # Now: a message that is read before the next pump could move deadlines away.
                    self._pump()
                case NewLink():
                    self._take_link(message)
                case LifeRecorded():
                    if not self._recorded.done():
                        self._recorded.set_result(None)
                case CodeRefused():
                    self._fail(MachineError(message.reason))
                case GetStatus() | GetLog():
                    self._reports.answer(self._server, message, self._time.now())
                case _:
                    self._note("debug", "command.received", what=type(message).__name__)
                    self._orders.carry_out(message)
                    self._schedule_pump()
        except Exception as error:
            self._fail(error)

    def _end_transfer(self, server: Server) -> None:
        """Handing over has succeeded or failed: say so, and stop if it was for that."""
        self._reports.transfer_ended(server)
        if self._leaving is not None:
            self._stop(self._leaving)
