"""What an operator's request does to the nodes: choose, do, wait for the effect, answer.

Requests may overlap. Each step on a node looks at what is there when it is taken, and each waits
for a state of the world rather than for its own deed; so two that want the same agree, and a `kill`
need not wait for a `start` that hangs. Only rolling restarts exclude each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from random import Random
from typing import TypeAlias

import msgspec

from launcher.control import requests
from launcher.control.killing import parse_signal
from launcher.control.requests import Reply, Request
from launcher.control.status import ClusterStatus, HandedOver
from launcher.control.targets import Action, resolve
from launcher.errors import LauncherError, TimedOut, UsageError
from launcher.supervisor import rolling
from launcher.supervisor.freezing import Freezing, works_while_frozen
from launcher.supervisor.injecting import Injecting
from launcher.supervisor.lifecycle import signal_name
from launcher.supervisor.membership import Reconfiguration
from launcher.supervisor.nodes import Nodes
from launcher.supervisor.noting import note
from launcher.supervisor.power import Power
from launcher.supervisor.steering import Steering
from launcher.supervisor.tapping import Tapping
from node.raft.messages import NodeId
from node.wire import Stop, TakeSnapshot

START_TIMEOUT_S = 30.0
"""A node that has not answered by then is reported; a long log takes a while to replay."""

STOP_TIMEOUT_S = 3.0
"""A node gives its disk 2 s to finish."""

KILL_TIMEOUT_S = 10.0
SIGNAL_TIMEOUT_S = 1.0
CATCH_UP_TIMEOUT_S = 60.0
SNAPSHOT_TIMEOUT_S = 60.0
_POLL_S = 0.01

_Act: TypeAlias = Callable[[NodeId], Coroutine[None, None, str]]
"""What is done to one node; answers with what there is to say about it."""


class Operations:
    """The requests that act on nodes.

    membership: adds, removes and rebuilds them
    """

    def __init__(self, nodes: Nodes, random: Random) -> None:
        self._nodes = nodes
        self._random = random
        self._rolling = asyncio.Lock()
        self._injecting = Injecting(nodes, random, self.resume)
        self._steering = Steering(nodes, random)
        self._tapping = Tapping(nodes, random)
        self._freezing = Freezing(nodes)
        nodes.roster.guard.on_violation = self._freezing.freeze_at_once
        self._power = Power(nodes, random)
        self.membership = Reconfiguration(nodes, self.start, self.stop)

    async def perform(self, request: Request) -> Reply:
        """Does what is asked for and answers when it has come about. Raises LauncherError."""
        if self._nodes.roster.frozen and not works_while_frozen(request):
            raise LauncherError(self._nodes.roster.frozen_because)
        match request:
            case requests.AskStatus():
                status = await self._nodes.status()
                return Reply(ok=True, status=status, restarting=self._nodes.roster.restarting())
            case requests.AskLogs(ids, first_index, count):
                return Reply(ok=True, logs=await self._nodes.logs.ask(ids, first_index, count))
            case requests.Kill(targets, power=True, torn=torn):
                return await self._power.fail(targets, torn)
            case requests.Kill(targets, name):
                number = parse_signal(name)
                return await self._on_each("kill", targets, lambda n: self.kill(n, number))
            case requests.StopNodes(targets):
                return await self._on_each("stop", targets, self.stop, self._stop_leader)
            case requests.StartNodes(targets, other_code):
                await self._allow_code(targets, "start", other_code)
                return await self._on_each("start", targets, self.start)
            case requests.RestartNodes(targets, rolling, other_code):
                await self._allow_code(targets, "restart", other_code)
                if rolling:
                    return await self._roll(targets)
                return await self._on_each("restart", targets, self.restart, self._restart_leader)
            case requests.Transfer(targets):
                return await self._transfer(targets)
            case requests.Freeze():
                return await self._freezing.freeze()
            case requests.Thaw():
                return await self._freezing.thaw()
            case requests.Pause(targets):
                return await self._on_each("pause", targets, self.pause)
            case requests.Resume(targets):
                return await self._on_each("resume", targets, self.resume)
            case requests.TakeSnapshots(targets):
                return await self._on_each("snapshot", targets, self.snapshot)
            case requests.AddNodes(count):
                return await self._add(count)
            case requests.RemoveNodes(targets):
                return await self._remove(targets)
            case requests.Rebuild(targets):
                return await self._rebuild(targets)
            case (
                requests.Partition()
                | requests.SetLinks()
                | requests.ChangeLinks()
                | requests.Heal()
                | requests.SetDisks()
                | requests.Arm()
                | requests.ListPoints()
                | requests.SetClocks()
                | requests.SetThrottles()
            ):
                return await self._injecting.perform(request)
            case (
                requests.ChangeSetting()
                | requests.TimeOutNodes()
                | requests.DropMessages()
                | requests.AskDrops()
                | requests.SetTaps()
                | requests.Note()
            ):
                return await self._steer(request)
            case requests.Down():
                raise AssertionError("the supervisor takes itself down")

    async def _steer(self, request: Request) -> Reply:
        """What changes how nodes work, one setting or message at a time, and what is noted."""
        match request:
            case requests.ChangeSetting():
                return await self._steering.change_setting(request)
            case requests.TimeOutNodes(targets):
                return await self._on_each("time-out", targets, self._steering.time_out)
            case requests.DropMessages():
                return await self._steering.drop(request)
            case requests.AskDrops():
                return Reply(ok=True, drops=self._nodes.drops.left())
            case requests.SetTaps(targets, mode):
                return await self._tapping.set(targets, mode)
            case requests.Note():
                return note(request, self._nodes.emit)
        raise AssertionError(f"{request} steers nothing")

    async def _on_each(
        self,
        action: Action,
        targets: Sequence[str],
        act: _Act,
        act_on_leader: _Act | None = None,
    ) -> Reply:
        """act_on_leader: done to the leader instead, last, if the nodes not chosen are a quorum"""
        status = await self._nodes.status()
        ids = resolve(targets, status, action, self._random)
        chosen = [status.choose(node) for node in ids]
        if ids and action in ("kill", "pause"):
            self._injecting.strikes(action, ids)
        acts = {node: asyncio.ensure_future(act(node)) for node in ids if node != status.leader}
        leader = status.leader
        if leader is not None and leader in ids:
            if act_on_leader is not None and status.quorum_without(*ids):
                then = _after(list(acts.values()), act_on_leader(leader))
                acts[leader] = asyncio.ensure_future(then)
            else:
                acts[leader] = asyncio.ensure_future(act(leader))
        notes = await _together([acts[node] for node in ids])
        return Reply(
            ok=True,
            chosen=[
                msgspec.structs.replace(node, note=note)
                for node, note in zip(chosen, notes, strict=True)
            ],
        )

    async def _allow_code(self, targets: Sequence[str], action: Action, other_code: bool) -> None:
        """From now on these nodes' machines may have other code than the others', or may not."""
        for node in resolve(targets, await self._nodes.status(), action, self._random):
            self._nodes.all[node].other_code = other_code

    # -- one node ----------------------------------------------------------------------------

    async def kill(self, node_id: NodeId, number: signal.Signals) -> str:
        """Sends a signal and waits for the end, if it is one that ends."""
        if number == signal.SIGSTOP:
            return await self.pause(node_id)
        if number == signal.SIGCONT:
            return await self.resume(node_id)
        node = self._nodes.all[node_id]
        process = await self._nodes.quiesce(node_id)
        if process is None:
            return self._is_down_already(node_id, "killed")
        name = signal_name(number)
        if number != signal.SIGKILL and process.is_paused():
            raise LauncherError(
                f"n{node_id} is paused and gets no {name} before `launcher resume {node_id}`; "
                "SIGKILL works"
            )
        node.lifecycle.expect_end(f"killed with {name}")
        process.throttling.suspend()  # it may end in good order, and then is to be in time
        process.signal(number)
        limit_s = KILL_TIMEOUT_S if number == signal.SIGKILL else SIGNAL_TIMEOUT_S
        if number == signal.SIGTERM:  # it finishes what it writes, and a leader hands over
            limit_s = STOP_TIMEOUT_S + self._nodes.transfer_s
        if not await _within(limit_s, process.gone):
            node.lifecycle.expect_end("")
            process.throttling.go_on()
            raise LauncherError(f"n{node_id} lives on, {limit_s:g} s after {name}")
        return ""

    async def stop(self, node_id: NodeId, *, hand_over: bool = False) -> str:
        """Asks it to stop, and kills it when it does not. hand_over: if it leads, it has another
        lead first."""
        node = self._nodes.all[node_id]
        process = await self._nodes.quiesce(node_id)
        if process is None:
            return self._is_down_already(node_id, "stopped")
        node.lifecycle.expect_end("stopped")
        process.send(Stop(hand_over))
        process.let_go()  # one that is paused can read it now, and a throttled one is in time
        limit_s = STOP_TIMEOUT_S + self._nodes.transfer_s * hand_over
        if await _within(limit_s, process.gone):
            return ""
        process.signal(signal.SIGKILL)
        if not await _within(KILL_TIMEOUT_S, process.gone):
            raise LauncherError(f"n{node_id} (pid {process.pid}) cannot be killed")
        return f"did not stop in {limit_s:g} s and was killed"

    async def start(self, node_id: NodeId) -> str:
        """Starts it, and waits until it answers."""
        process = await self._nodes.quiesce(node_id)
        if process is not None:
            if process.is_paused():
                raise LauncherError(f"n{node_id} is paused: `launcher resume {node_id}`")
            if process.ready.is_set():
                return "is up already"
        await self._nodes.start(node_id)
        await self._nodes.until_ready(node_id, START_TIMEOUT_S)
        return ""

    async def restart(self, node_id: NodeId, *, hand_over: bool = False) -> str:
        """Stops it, if it runs, and starts it."""
        if await self._nodes.quiesce(node_id):
            note = await self.stop(node_id, hand_over=hand_over)
        else:
            note = "was down"
        await self.start(node_id)
        return note

    async def _stop_leader(self, node_id: NodeId) -> str:
        return await self.stop(node_id, hand_over=True)

    async def _restart_leader(self, node_id: NodeId) -> str:
        return await self.restart(node_id, hand_over=True)

    async def pause(self, node_id: NodeId) -> str:
        """Returns when the kernel says that it is stopped."""
        process = await self._nodes.quiesce(node_id)
        if process is None:
            raise LauncherError(f"n{node_id} is not running: there is nothing to pause")
        if process.is_paused():
            return "is paused already"
        process.throttling.suspend()  # the pause wins while it lasts
        process.signal(signal.SIGSTOP)
        async with _limit(SIGNAL_TIMEOUT_S, f"n{node_id} does not stop at SIGSTOP"):
            while not process.is_paused():
                if process.gone.is_set():
                    raise LauncherError(f"n{node_id} ended before it could be paused")
                await asyncio.sleep(_POLL_S)
        self._nodes.all[node_id].lifecycle.paused(True)
        return ""

    async def resume(self, node_id: NodeId) -> str:
        """Returns when the kernel says that it runs."""
        process = await self._nodes.quiesce(node_id)
        if process is None:
            raise LauncherError(f"n{node_id} is not running: `launcher start {node_id}`")
        if not process.is_paused():
            return "is not paused"
        process.signal(signal.SIGCONT)
        async with _limit(SIGNAL_TIMEOUT_S, f"n{node_id} does not go on at SIGCONT"):
            while process.is_paused():
                await asyncio.sleep(_POLL_S)
        process.throttling.go_on()
        self._nodes.all[node_id].lifecycle.paused(False)
        self._injecting.resumed(node_id)
        return ""

    async def snapshot(self, node_id: NodeId) -> str:
        """Returns when the node has a snapshot of all that it had applied."""
        process = await self._nodes.quiesce(node_id)
        if process is None or process.is_paused():
            state = "not running" if process is None else "paused"
            raise LauncherError(f"n{node_id} is {state}, and takes no snapshot")
        await self._nodes.ask()
        before = self._nodes.all[node_id].status
        if before is None:
            raise LauncherError(f"n{node_id} has not answered yet: `launcher wait`")
        process.send(TakeSnapshot())
        late = f"n{node_id} has no snapshot of entry {before.applied_index}"
        async with _limit(SNAPSHOT_TIMEOUT_S, late, TimedOut):
            while True:
                await self._nodes.ask()
                said = self._nodes.all[node_id].status
                if process.gone.is_set() or said is None:
                    raise LauncherError(f"n{node_id} ended before its snapshot was on disk")
                if said.snapshot_index >= before.applied_index:
                    return f"of entry {said.snapshot_index}"
                if said.snapshot_failures > before.snapshot_failures:
                    raise LauncherError(f"n{node_id} took no snapshot: {said.snapshot_problem}")
                await asyncio.sleep(_POLL_S)

    def _is_down_already(self, node_id: NodeId, how: str) -> str:
        """Nobody is there to end; but from now on nobody will come up by itself either."""
        lifecycle = self._nodes.all[node_id].lifecycle
        if lifecycle.retry_at is not None:
            lifecycle.stay_down(f"{how} while it waited to be restarted")
            return "was about to be restarted, and stays down"
        return f"is {lifecycle.state} already"

    # -- several -----------------------------------------------------------------------------

    async def _roll(self, targets: Sequence[str]) -> Reply:
        """Restarts one after the other, the leader last: it hands over first (thesis §3.10)."""
        if self._rolling.locked():
            raise LauncherError("a rolling restart is going on already")
        async with self._rolling:
            status = await self._nodes.status()
            ids = resolve(targets, status, "restart", self._random)
            ids = rolling.in_order(ids, status)
            for position, node in enumerate(ids):
                await self._roll_one(node, ids[:position])
            return Reply(ok=True, chosen=[status.choose(node) for node in ids])

    async def _roll_one(self, node_id: NodeId, restarted: Sequence[NodeId]) -> None:
        """restarted: those that need not hand over once more in this restart"""
        status = await self._until_unobjectionable(node_id)
        heir = rolling.heir(node_id, restarted, status)
        if heir is not None:
            with contextlib.suppress(LauncherError):  # stopping it will find another
                await self._nodes.transfer(node_id, heir)
            status = await self._until_unobjectionable(node_id)
        await self.restart(node_id, hand_over=True)
        goal = status.commit_index
        limit_s = CATCH_UP_TIMEOUT_S * self._nodes.config.patience
        async with _limit(limit_s, f"n{node_id} has not caught up to index {goal}", TimedOut):
            while not rolling.is_back(node_id, goal, await self._nodes.status()):
                await asyncio.sleep(2 * _POLL_S)

    async def _until_unobjectionable(self, node_id: NodeId) -> ClusterStatus:
        """Waits until the node may be taken down. Returns the status in which it may be; raises
        LauncherError for an objection that does not pass."""
        patience_s = rolling.PATIENCE_S * self._nodes.config.patience
        deadline = asyncio.get_running_loop().time() + patience_s
        while True:
            status = await self._nodes.status()
            objection = rolling.objection(node_id, status)
            if objection is None:
                return status
            if not objection.passes or asyncio.get_running_loop().time() > deadline:
                raise LauncherError(objection.text)
            await asyncio.sleep(2 * _POLL_S)

    async def _transfer(self, targets: Sequence[str]) -> Reply:
        status = await self._nodes.status()
        ids = resolve(targets, status, "transfer", self._random)
        led = status.leader
        if len(ids) != 1:
            raise UsageError("transfer takes one target: one node leads")
        if led is None:
            raise LauncherError("there is no leader now: `launcher wait --leader` waits for one")
        target = status.node(ids[0])
        if target.id != led:
            if target.state != "up":
                raise LauncherError(f"n{target.id} is {target.state} and cannot lead")
            ended = await self._nodes.transfer(led, target.id)
            status = await self._nodes.status()
            if ended.failure and status.leader != target.id:  # a moment later it may lead yet
                said = f"n{led} did not hand over to n{target.id}: {ended.failure}"
                raise LauncherError(said)
        leads = target.id if status.leader is None else status.leader
        return Reply(ok=True, handed_over=HandedOver(led, leads, status.node(leads).term))

    async def _add(self, count: int) -> Reply:
        new = await self.membership.add(count)
        status = await self._nodes.status()
        return Reply(ok=True, chosen=[status.choose(node) for node in new if status.has(node)])

    async def _remove(self, targets: Sequence[str]) -> Reply:
        status = await self._nodes.status()
        ids = resolve(targets, status, "remove", self._random)
        await self.membership.remove(ids, status)
        return Reply(ok=True, chosen=[status.choose(node) for node in ids])

    async def _rebuild(self, targets: Sequence[str]) -> Reply:
        status = await self._nodes.status()
        ids = resolve(targets, status, "rebuild", self._random)
        await self.membership.rebuild(ids, status)
        return Reply(ok=True, chosen=[status.choose(node) for node in ids])


async def _after(first: Sequence[asyncio.Future[str]], then: Coroutine[None, None, str]) -> str:
    """Once the first ones are over, whatever became of them."""
    await asyncio.gather(*first, return_exceptions=True)
    return await then


async def _together(acts: Sequence[Awaitable[str]]) -> list[str]:
    """All of them, whatever becomes of the others; then what failed, in one line."""
    results = await asyncio.gather(*acts, return_exceptions=True)
    failures = [result for result in results if isinstance(result, LauncherError)]
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, LauncherError):
            raise result
    if len(failures) == 1:
        raise failures[0]
    if failures:
        raise LauncherError("; ".join(str(failure) for failure in failures))
    return [result for result in results if isinstance(result, str)]


async def _within(limit_s: float, event: asyncio.Event) -> bool:
    try:
        await asyncio.wait_for(event.wait(), limit_s)
    except TimeoutError:
        return False
    return True


@asynccontextmanager
async def _limit(
    limit_s: float, said: str, kind: type[LauncherError] = LauncherError
) -> AsyncIterator[None]:
    """Raises `kind` when the body takes longer."""
    try:
        async with asyncio.timeout(limit_s):
            yield
    except TimeoutError:
        raise kind(f"{said} in {limit_s:g} s") from None
