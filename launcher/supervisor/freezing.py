"""A frozen cluster: every process of its nodes is stopped at one moment, and nothing is started.

SIGSTOP goes to the process groups of all nodes, one right after the other, so that it reaches the
forks too. The cluster is frozen when the kernel says of each thread of each of these processes that
it is stopped. A thread that is in the middle of a disk operation ends that first.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import psutil

from launcher.control import requests
from launcher.control.killing import parse_signal
from launcher.control.naming import node_names
from launcher.control.requests import Reply, Request
from launcher.control.status import FROZEN, FROZEN_FOR_SAFETY
from launcher.errors import LauncherError
from launcher.folders.process_identity import ProcessRecord
from launcher.supervisor.nodes import Nodes
from launcher.supervisor.processes import NodeProcess
from node.raft.messages import NodeId

FREEZE_TIMEOUT_S = 5.0
"""A sync that is under way may take this long before its thread stops."""

_POLL_S = 0.005
_STOPPED = ("T", "t")
_ENDED = ("Z", "X")


def works_while_frozen(request: Request) -> bool:
    """Whether this can be done while every node of the cluster is stopped."""
    match request:
        case requests.AskStatus() | requests.AskLogs() | requests.AskDrops() | requests.Note():
            return True
        case requests.Freeze() | requests.Thaw() | requests.Down():
            return True
        case requests.Kill(power=True):
            return False  # it waits for starts that are under way, and they wait for the thaw
        case requests.Kill(_, name):
            return parse_signal(name) == signal.SIGKILL
        case _:
            return False


class Freezing:
    """Freezes the cluster and thaws it."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._roster = nodes.roster
        self._injections = nodes.faults.injections
        self._fault_id = 0
        self._paused: set[NodeId] = set()
        """the nodes that were paused before"""
        self._settling: asyncio.Task[None] | None = None
        """a freeze at once of which not everything is done yet"""

    async def freeze(self) -> Reply:
        """Returns when every process is stopped. Raises LauncherError; then none is."""
        self._check_thawed()
        status = await self._nodes.status()
        async with self._nodes.one_start:  # so that no process is about to come up
            self._check_thawed()
            self._roster.freeze(FROZEN)
        running = self._stop_all()
        left = await self._until(lambda: _not_stopped(running))
        if left:
            self._release()
            raise LauncherError(
                f"{node_names(left)} did not stop at SIGSTOP in {FREEZE_TIMEOUT_S:g} s: "
                "nothing is frozen"
            )
        ids = self._note_frozen(running)
        return Reply(ok=True, chosen=[status.choose(node) for node in ids])

    def freeze_at_once(self) -> None:
        """Every process is sent its signal before this returns; the rest is done when the kernel
        has stopped them. Does nothing when the cluster is frozen. Never raises."""
        if self._roster.frozen:
            return
        self._roster.freeze_silently(FROZEN_FOR_SAFETY)
        self._stop_all()
        with contextlib.suppress(LauncherError):  # clients then wait in vain
            self._roster.freeze(FROZEN_FOR_SAFETY)
        self._settling = asyncio.ensure_future(self._settle())

    async def _settle(self) -> None:
        """Stops also those that were just being started, and takes down that all are stopped."""
        await self._until(lambda: [node.id for node in self._roster.all.values() if node.starting])
        if not self._roster.frozen:
            return  # the cluster is being taken down
        paused = self._paused
        running = self._stop_all()
        self._paused = paused
        await self._until(lambda: _not_stopped(running))
        self._note_frozen(running)

    def _stop_all(self) -> dict[NodeId, NodeProcess]:
        """Sends the signal to the processes of all nodes that run; returns those."""
        running = dict(self._roster.running())
        self._paused = {node for node, process in running.items() if process.is_paused()}
        for process in running.values():
            process.throttling.suspend()
        for process in running.values():
            process.signal_all(signal.SIGSTOP)
        return running

    def _note_frozen(self, running: dict[NodeId, NodeProcess]) -> list[NodeId]:
        """They are all stopped. Returns which they are."""
        for node in running:
            self._roster.all[node].lifecycle.paused(True)
        self._fault_id = self._injections.next_id()
        ids = sorted(running)
        self._injections.begin("freeze", "freeze", ids, self._fault_id, targets=ids)
        return ids

    async def thaw(self) -> Reply:
        """Returns when every process runs, but for those that were paused before."""
        if not self._roster.frozen:
            raise LauncherError("the cluster is not frozen: there is nothing to thaw")
        if self._settling is not None:
            await self._settling
            self._settling = None
        thawed = self._release()
        ids = sorted(thawed)
        self._injections.end([self._fault_id], fault="freeze", targets=ids)
        await self._until(lambda: [node for node, one in thawed.items() if one.is_paused()])
        status = await self._nodes.status()
        return Reply(ok=True, chosen=[status.choose(node) for node in ids if status.has(node)])

    def _check_thawed(self) -> None:
        if self._roster.frozen:
            raise LauncherError(f"nothing to freeze: {self._roster.frozen_because}")

    def _release(self) -> dict[NodeId, NodeProcess]:
        """Lets all processes run that ran before. Returns those of nodes."""
        self._roster.thaw()
        thawed: dict[NodeId, NodeProcess] = {}
        for node, process in self._roster.running():
            if node in self._paused:
                _continue_forks(process)
                continue
            process.signal_all(signal.SIGCONT)
            process.throttling.go_on()
            self._roster.all[node].lifecycle.paused(False)
            thawed[node] = process
        return thawed

    async def _until(self, left: Callable[[], list[NodeId]]) -> list[NodeId]:
        """Waits until there is nobody left; returns those that are left in the end."""
        loop = asyncio.get_running_loop()
        give_up = loop.time() + FREEZE_TIMEOUT_S
        while (found := left()) and loop.time() < give_up:
            await asyncio.sleep(_POLL_S)
        return found


def _not_stopped(processes: dict[NodeId, NodeProcess]) -> list[NodeId]:
    """The nodes of which a process still runs."""
    members = _members(process.pid for process in processes.values())
    return [
        node
        for node, process in processes.items()
        if not all(map(_is_stopped, members[process.pid]))
    ]


def _continue_forks(process: NodeProcess) -> None:
    for pid in _members([process.pid])[process.pid]:
        if pid != process.pid:
            with contextlib.suppress(psutil.Error, OSError):  # it has ended meanwhile
                ProcessRecord.of(pid).send_signal(signal.SIGCONT)


def _members(groups: Iterable[int]) -> dict[int, Collection[int]]:
    """The processes of these process groups."""
    found: dict[int, list[int]] = {group: [] for group in groups}
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            group = os.getpgid(pid)
            if group in found:
                found[group].append(pid)
    return dict(found)


def _is_stopped(pid: int) -> bool:
    """Whether each thread of a process is stopped; so it is too when the process has ended."""
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:  # it has ended; or this is no Linux
        return _is_stopped_by_psutil(pid)
    return all(_state(thread) in (*_STOPPED, *_ENDED) for thread in threads)


def _state(thread: Path) -> str:
    try:
        said = (thread / "stat").read_bytes()
    except OSError:
        return _ENDED[0]
    return said.rpartition(b")")[2].split()[0].decode("ascii")  # as in process_identity


def _is_stopped_by_psutil(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return True
