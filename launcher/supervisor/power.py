"""`kill TARGET --power`: nodes end, and what they had not synced is lost on their real files.

All processes end first, with their forks. Then each node's files are put into the state that a loss
of power would have left (`node/faults/losing.py`). No node starts meanwhile, so none sees a file
that is about to change.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Sequence
from pathlib import Path
from random import Random

import msgspec
import psutil

from launcher.control.requests import Reply
from launcher.control.targets import resolve
from launcher.errors import LauncherError
from launcher.folders.process_identity import ProcessRecord
from launcher.supervisor.nodes import Nodes
from node.faults.losing import Lost
from node.printable import error_line
from node.raft.messages import NodeId

REASON = "its power failed"

_END_TIMEOUT_S = 10.0
_LOOK_S = 0.005


class Power:
    """Lets the power of nodes fail. random: chooses among targets, and gives each loss its seed."""

    def __init__(self, nodes: Nodes, random: Random) -> None:
        self._nodes = nodes
        self._random = random
        self._at_points: set[asyncio.Task[None]] = set()
        nodes.on_power_failure = self.fail_at_point

    async def fail(self, targets: Sequence[str], torn: bool) -> Reply:
        """What the nodes have not synced is lost: all of it, or (`torn`) a part, by chance.

        Raises LauncherError, also when a node could not be ended; then nothing of it is lost.
        """
        status = await self._nodes.status()
        ids = resolve(targets, status, "kill", self._random)
        chosen = [status.choose(node) for node in ids]
        async with self._nodes.one_start:  # no node is being started, and none will be
            for node in ids:
                self._check_records(node)
            seed = self._random.getrandbits(32)
            if ids:
                self._tell_injected(ids, torn, seed)
            ends = await asyncio.gather(*(self._end(node) for node in ids), return_exceptions=True)
            notes = []
            for node, end in zip(ids, ends, strict=True):
                if isinstance(end, BaseException):
                    continue
                said = await self._lose(node, Random(f"{seed} n{node}") if torn else None)
                notes.append(", ".join(filter(None, (end, said))))
        for end in ends:
            if isinstance(end, BaseException):
                raise end
        return Reply(
            ok=True,
            chosen=[
                msgspec.structs.replace(node, note=note)
                for node, note in zip(chosen, notes, strict=True)
            ],
        )

    def fail_at_point(self, node_id: NodeId, point: str) -> None:
        """A node has stopped at a point at which its power is to fail: ends it, and undoes what it
        has not synced, all of it."""
        task = asyncio.ensure_future(self._fail_at_point(node_id, f"{REASON} at the point {point}"))
        self._at_points.add(task)
        task.add_done_callback(self._at_points.discard)

    async def _fail_at_point(self, node_id: NodeId, reason: str) -> None:
        try:
            async with self._nodes.one_start:
                await self._end(node_id, reason)
                self._check_records(node_id)
                await self._lose(node_id, None)
        except LauncherError as error:
            self._nodes.emit("error", "record.failed", reason=str(error))

    def _tell_injected(self, ids: Sequence[NodeId], torn: bool, seed: int) -> None:
        injections = self._nodes.faults.injections
        fault_id = injections.next_id()
        injections.begin("power", "power", ids, fault_id, targets=list(ids), torn=torn, seed=seed)
        injections.spent([fault_id])

    def _folder(self, node_id: NodeId) -> Path:
        return self._nodes.config.node_data_dir(node_id)

    def _check_records(self, node_id: NodeId) -> None:
        """Raises LauncherError if it is not known what a node has not synced."""
        node, folder = self._nodes.all[node_id], self._folder(node_id)
        try:
            known = node.unsynced.records(folder)
        except OSError as error:
            raise LauncherError(f"{folder} cannot be read: {error_line(error)}") from error
        if not known:
            raise LauncherError(
                f"it is not known what n{node_id} has not synced, for its data folder was not "
                f"recorded from its start on: `launcher restart {node_id}`, then try again"
            )

    async def _end(self, node_id: NodeId, reason: str = REASON) -> str:
        """Ends the process of a node and all that it forked; what there is to say about it."""
        node = self._nodes.all[node_id]
        process = node.process
        if process is None:
            lifecycle = node.lifecycle
            if lifecycle.retry_at is not None:
                lifecycle.stay_down(reason)
                return "was about to be restarted, and stays down"
            return f"was {lifecycle.state} already"
        node.lifecycle.expect_end(reason)
        # Stopped first, it forks nothing while its forks are looked for.
        process.signal(signal.SIGSTOP)
        forks = await asyncio.to_thread(_forks_of, process.pid)
        process.signal(signal.SIGKILL)
        for fork in forks:
            fork.send_signal(signal.SIGKILL)
        try:
            async with asyncio.timeout(_END_TIMEOUT_S):
                await process.gone.wait()
                while any(fork.lives() for fork in forks):
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError:
            node.lifecycle.expect_end("")
            raise LauncherError(
                f"n{node_id} lives on, {_END_TIMEOUT_S:g} s after SIGKILL"
            ) from None
        return ""

    async def _lose(self, node_id: NodeId, part: Random | None) -> str:
        """What there is to say about what is lost."""
        record = self._nodes.all[node_id].unsynced
        try:
            lost = await asyncio.to_thread(record.lose, self._folder(node_id), part)
        except OSError as error:
            raise LauncherError(
                f"n{node_id} has ended, and what it had not synced could not be undone: "
                f"{error_line(error)}"
            ) from error
        self._nodes.emit(
            "warn", "power.lost", target=node_id, files=lost.files, bytes=lost.bytes,
            names=lost.names,
        )  # fmt: skip
        return describe(lost)


def describe(lost: Lost) -> str:
    """In a few words."""
    said = []
    if lost.files:
        said.append(f"lost {lost.bytes} bytes of {', '.join(lost.files)}")
    if lost.names:
        said.append(f"names undone: {', '.join(lost.names)}")
    return "; ".join(said) or "nothing was unsynced"


def _forks_of(pid: int) -> list[ProcessRecord]:
    records = []
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                records.append(ProcessRecord.of(child.pid))
    return records
