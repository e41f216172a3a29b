"""One node's process, from its start to its end, and the control channel to it.

A process is started through multiprocessing's forkserver. What tells of its end:

    sentinel     a pipe on which the forkserver reports the exit status
    control      our end of the control pipe: end-of-file when the process has closed its own

The exit status is the proof that it is gone. Should the forkserver die first, its pipes close too,
which says nothing about the node: then the process itself is watched, by pid and start time.
A node that has closed its control pipe and does not exit is killed after a moment.

Nothing here waits for a node. What is sent to it goes into a queue: a paused node reads nothing,
and must stall nobody. A queued `NewLink` is replaced by a newer one to the same peer, so the queue
of a node that is paused for hours is bounded by the number of its peers.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
import socket
import tempfile
import time
from collections import deque
from concurrent.futures import Executor
from dataclasses import dataclass, field
from multiprocessing import Pipe, current_process, forkserver, get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple, Protocol

import psutil

from launcher.folders.ownership import FolderId
from launcher.folders.process_identity import ProcessRecord
from launcher.supervisor.clocks import TRUE_CLOCKS, OrderedClocks
from launcher.supervisor.entry import run
from launcher.supervisor.lifecycle import End, Lifecycle
from launcher.supervisor.points import NodePoints
from launcher.supervisor.throttling import Throttling
from launcher.supervisor.unsynced import UnsyncedRecord
from node import wire
from node.errors import WireError
from node.events import HybridClock
from node.raft.messages import NodeId

LINGER_S = 2.0
"""How long a node may live on after it has closed its control pipe."""

_WATCH_S = 0.02
_UNKNOWN_STATUS = 255
"""What multiprocessing reports when the forkserver has died before it could say."""


class Owner(Protocol):
    """Who is told about a node's process; called in the event loop."""

    def node_said(self, node: NodeId, message: wire.ToSupervisor) -> None: ...

    def node_gone(self, node: NodeId, end: End) -> None: ...


class Started(Protocol):
    """What is used of a `multiprocessing.Process` that has been started."""

    @property
    def pid(self) -> int | None: ...

    @property
    def sentinel(self) -> int: ...

    @property
    def exitcode(self) -> int | None: ...


@dataclass(slots=True)
class _Queued:
    data: memoryview
    end: Connection | None
    peer: NodeId | None
    """the peer of a `NewLink` of which no byte has been sent yet"""


class NodeProcess:
    """A process that has been started. `gone` is set when it is no more.

    record: which process this is, for who must find it later; None: it ended at once
    ready: set by whoever hears its first `Status`
    throttling: stops and continues it in turn, while it gets only a share of a core
    started_at: monotonic, in seconds
    starter: one thread, in which every call of multiprocessing is made
    """

    def __init__(
        self,
        node: NodeId,
        life: int,
        process: Started,
        control: socket.socket,
        clock: HybridClock,
        owner: Owner,
        starter: Executor,
    ) -> None:
        assert process.pid is not None
        self.node = node
        self.life = life
        self.pid = process.pid
        self.record: ProcessRecord | None = None
        self.started_at = time.monotonic()
        self.unreachable_looks = 0
        """how often in a row its socket was found missing"""
        self.ready = asyncio.Event()
        self.gone = asyncio.Event()
        self.throttling = Throttling(self.signal_all)
        self._owner = owner
        self._clock = clock
        self._process = process
        self._starter = starter
        self._failure: wire.Failed | None = None
        self._stops = False
        """it has said that it stops in good order"""
        self.heard_at = self.started_at
        """when anything last came from it, by the monotonic clock"""
        self.machine_code = ""
        """the fingerprint of its machine's code, once it has said that"""
        self._loop = asyncio.get_running_loop()
        self._queue: deque[_Queued] = deque()
        self._frames = wire.FrameReader()
        self._linger: asyncio.TimerHandle | None = None
        self._measured = (self.started_at, 0.0)
        self._psutil: psutil.Process | None = None
        # It has ended, as the sentinel is about to say; or there are too many open files to look.
        with contextlib.suppress(psutil.NoSuchProcess, OSError):
            self._psutil = psutil.Process(self.pid)
            self.record = ProcessRecord.of(self.pid)
        control.setblocking(False)
        self._control: socket.socket | None = control
        self._loop.add_reader(control, self._readable)
        self._loop.add_reader(process.sentinel, self._exited)

    # -- talking to it -----------------------------------------------------------------------

    def send(self, message: wire.ToNode) -> None:
        """Queues a message; never blocks, never raises."""
        self._enqueue(message, None, None)

    def send_link(self, peer: NodeId, life: int, end: Connection) -> None:
        """Queues this node's end of a fresh pipe to `peer`, and closes our copy once it is sent."""
        for queued in [queued for queued in self._queue if queued.peer == peer]:
            _close(queued.end)
            self._queue.remove(queued)
        self._enqueue(wire.NewLink(peer, life), end, peer)

    def signal(self, number: int) -> None:
        """Sends a signal, unless the process is gone."""
        if self.record is not None and not self.gone.is_set():
            self.record.send_signal(number)

    def signal_all(self, number: int) -> None:
        """Sends a signal to it and to its forks, unless the process is gone."""
        if self.record is not None and not self.gone.is_set():
            self.record.send_signal_to_group(number)

    def let_go(self) -> None:
        """Nothing of ours stops it, or its forks, any more: it is about to end, say."""
        self.throttling.suspend()
        self.signal_all(signal.SIGCONT)

    # -- what the kernel says ----------------------------------------------------------------

    def is_paused(self) -> bool:
        """Stopped by a signal, by us or by anybody; but not because it is throttled."""
        if self._psutil is None or self.throttling.stops_it:
            return False
        try:
            return self._psutil.status() == psutil.STATUS_STOPPED
        except (psutil.Error, OSError):  # OSError: too many open files
            return False

    def measure(self) -> tuple[float, int] | None:
        """CPU in percent of one core since the last call, and resident bytes."""
        if self._psutil is None:
            return None
        try:
            with self._psutil.oneshot():
                times = self._psutil.cpu_times()
                rss: int = self._psutil.memory_info().rss
        except (psutil.Error, OSError):
            return None
        now, used = time.monotonic(), times.user + times.system
        before, used_before = self._measured
        self._measured = (now, used)
        return 100 * (used - used_before) / max(now - before, 0.001), rss

    # -- its end -----------------------------------------------------------------------------

    def _readable(self) -> None:
        self._hear()

    def _hear(self) -> bool:
        """Takes in what waits in the control pipe, once; whether there was anything."""
        if self._control is None:
            return False
        try:
            data = self._control.recv(1 << 16)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._close_control()
            return False
        self.heard_at = time.monotonic()
        try:
            for body in self._frames.feed(data):
                t, message = wire.decode_to_supervisor(body)
                self._clock.observe(t)
                if isinstance(message, wire.Failed):
                    self._failure = message
                elif isinstance(message, wire.Stopping):
                    self._stops = True
                self._owner.node_said(self.node, message)
        except WireError as error:
            self._failure = wire.Failed(reason=f"said what nobody understands: {error}", retry=True)
            self._close_control()
            return False
        return True

    def _close_control(self) -> None:
        if self._control is None:
            return
        self._drop_queue()
        self._loop.remove_reader(self._control)
        self._control.close()
        self._control = None
        if not self.gone.is_set():
            self._linger = self._loop.call_later(LINGER_S, self.signal, signal.SIGKILL)

    def _exited(self) -> None:
        """The sentinel is readable: the exit status, or the forkserver's own end."""
        self._loop.remove_reader(self._process.sentinel)
        # In the same thread as the starts: they look for dead children too, and whoever comes
        # second would read end-of-file instead of the status.
        asking = self._loop.run_in_executor(self._starter, lambda: self._process.exitcode)
        asking.add_done_callback(lambda done: self._ended(done.result()))

    def _ended(self, status: int | None) -> None:
        if status == _UNKNOWN_STATUS or status is None:
            self._watch()
        else:
            self._finish(status)

    def _watch(self) -> None:
        if self.record is not None and self.record.lives():
            self._loop.call_later(_WATCH_S, self._watch)
        else:
            self._finish(None)

    def _finish(self, status: int | None) -> None:
        while self._hear():  # its last words may still be in the pipe
            pass
        self.gone.set()
        self.throttling.close()
        self._close_control()
        if self._linger is not None:
            self._linger.cancel()
        said = self._failure
        end = End(status, announced=self._stops)
        if said is not None:
            end = End(status, said.reason, said.retry, said.lost)
        self._owner.node_gone(self.node, end)

    # -- the queue ---------------------------------------------------------------------------

    def _enqueue(self, message: wire.ToNode, end: Connection | None, peer: NodeId | None) -> None:
        if self._control is None:
            _close(end)
            return
        data = wire.frame(wire.encode(self._clock.tick(), message))
        self._queue.append(_Queued(memoryview(data), end, peer))
        if len(self._queue) == 1:
            self._flush()

    def _drop_queue(self) -> None:
        for queued in self._queue:
            _close(queued.end)
        self._queue.clear()
        if self._control is not None:
            self._loop.remove_writer(self._control)

    def _flush(self) -> None:
        """Sends until the queue is empty or the pipe is full."""
        while self._queue and self._control is not None:
            head = self._queue[0]
            try:
                if head.end is None:
                    sent = self._control.send(head.data)
                else:
                    sent = socket.send_fds(self._control, [head.data], [head.end.fileno()])
            except BlockingIOError:
                self._loop.add_writer(self._control, self._flush)
                return
            except OSError as error:
                if error.errno == errno.ETOOMANYREFS:  # a paused node's pipe is full of our ends
                    self._loop.remove_writer(self._control)
                    self._loop.call_later(0.1, self._flush)
                    return
                self._drop_queue()  # it has gone; what it said before is still to be read
                return
            _close(head.end)
            head.end, head.peer, head.data = None, None, head.data[sent:]
            if not head.data:
                self._queue.popleft()
        if self._control is not None:
            self._loop.remove_writer(self._control)


HEALTHY_DISK = wire.SetDiskFault(None)
"""The order of a disk without a fault."""


class Throttle(NamedTuple):
    """The share of a core that a node gets, and the id of the injection behind it."""

    share: float
    fault_id: int


@dataclass(slots=True)
class Node:
    """One node, whether it runs or not.

    process: the one that runs; None when there is none
    starting: a process is being started for it
    status: the last that it said
    disk, clocks: what they are told to do, in this life and the next ones
    throttle: the share of a core that its process gets, in this life and the next ones
    points: those that are armed in its code, in this life and the next ones
    unsynced: what its processes have not synced
    lost: its data is damaged, missing or too old, as its last process has found
    folder: which one its last process began with
    other_code: its machine may have other code than other nodes'
    """

    id: NodeId
    lifecycle: Lifecycle
    process: NodeProcess | None = None
    starting: bool = False
    status: wire.Status | None = None
    disk: wire.SetDiskFault = HEALTHY_DISK
    clocks: OrderedClocks = TRUE_CLOCKS
    throttle: Throttle | None = None
    tap: wire.SetTap | None = None
    points: NodePoints = field(default_factory=NodePoints)
    unsynced: UnsyncedRecord = field(default_factory=UnsyncedRecord)
    lost: bool = False
    folder: FolderId | None = None
    other_code: bool = False

    def begin_life(self, process: NodeProcess, folder: FolderId | None) -> None:
        """This process runs from now on, with this data folder."""
        self.process = process
        self.lost = False
        self.folder = folder
        if self.throttle is not None:
            process.throttling.set(self.throttle.share)


def rejoin(one: NodeProcess | None, other: NodeProcess | None, life: int) -> bool:
    """Hands both processes the ends of a fresh pipe, in the place of the one between them.

    life: that of `other` which is meant. Whether it came about: not if either has ended, for then
    whatever starts next brings a pipe along, nor while no pipe can be made.
    """
    if one is None or other is None or other.life != life:
        return False
    try:
        near, far = Pipe()
    except OSError:
        return False  # it will be asked for again
    one.send_link(other.node, other.life, near)
    other.send_link(one.node, one.life, far)
    return True


def _close(end: Connection | None) -> None:
    if end is not None:
        end.close()


def launch(
    entry: str, name: str, config: bytes, control: Connection, pipes: dict[int, Connection]
) -> BaseProcess:
    """Starts the process and closes our copies of what it was given. Raises OSError.

    Blocks until the forkserver has forked: run it beside the event loop.
    """
    process = get_context("forkserver").Process(
        target=run, args=(entry, config, control, pipes), name=name
    )
    try:
        process.start()
    except EOFError as error:  # the forkserver died under our hands
        raise OSError("the forkserver died while the node was being started") from error
    finally:
        control.close()
        for pipe in pipes.values():
            pipe.close()
    return process


def fork_server_is_reachable() -> bool:
    """Its socket is where it was made; also before it runs."""
    address = vars(forkserver)["_forkserver"]._forkserver_address
    return address is None or os.path.exists(address)


def retire_fork_server(folder: Path) -> None:
    """The next process is forked by another one, whose socket is in this folder.

    The one before lives on, as long as we do: its children are nodes, and it says how they end.
    Call it where the processes are started.
    """
    server = vars(forkserver)["_forkserver"]
    _retired.append(server._forkserver_alive_fd)
    server._forkserver_pid = server._forkserver_address = server._forkserver_alive_fd = None
    tempfile.tempdir = os.fsdecode(folder)
    vars(current_process())["_config"].pop("tempdir", None)


_retired: list[int] = []
"""The pipes whose ends keep those fork servers alive."""


async def first_of(*events: asyncio.Event) -> None:
    """Waits until one of the events is set."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
