"""Adding, removing and rebuilding nodes: what the supervisor does to change the membership (§6).

What is done in which order, and what is made of a change that was broken off, `changes.py` says. A
change is on record before anything of it is done, and then a task does it to its end, however long
that takes. A request that has asked for it waits, and may give up waiting, or be gone: that stops
nothing. When a supervisor starts, it goes on with what is on record.

One change is made at a time. A second one is refused, with two exceptions: who asks for what is
under way waits for it; and to remove a node that is being added or rebuilt gives that up.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import traceback
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

import msgspec

from launcher.config import MAX_NODES
from launcher.control.naming import node_names
from launcher.control.status import ClusterStatus, counted
from launcher.errors import LauncherError, TimedOut
from launcher.folders.records import Change
from launcher.supervisor import changes, limits
from launcher.supervisor.changes import (
    Act,
    Beside,
    Deed,
    Standing,
    Verdict,
    Voters,
    next_step,
)
from launcher.supervisor.nodes import Nodes
from node.raft.membership import Configuration, stable
from node.raft.messages import Floor, Membership, NodeId
from node.wire import ChangeMembership, Status

CHANGE_TIMEOUT_S = 60.0
"""A node that has much to learn takes a while; it goes on learning after that."""

_NEWS_TIMEOUT_S = 2.0
_ASK_AGAIN_S = (0.05, 0.5)
_TRY_AGAIN_S = (1.0, 30.0)
"""At first, and at most."""

OnNode = Callable[[NodeId], Coroutine[Any, Any, object]]


class Reconfiguration:
    """Changes who takes part, one change at a time.

    start: starts a node and waits until it answers; raises LauncherError
    stop: stops a node, if it runs; raises LauncherError
    """

    def __init__(self, nodes: Nodes, start: OnNode, stop: OnNode) -> None:
        self._nodes = nodes
        self._start = start
        self._stop = stop
        self._floor = Floor()
        self._task: asyncio.Task[None] | None = None
        self._over = _outcome()
        """done when what was asked for last is, and for each request that waits for that"""
        self._again = _Pause(*_TRY_AGAIN_S)
        self._at_work: set[asyncio.Task[object]] = set()

    # -- what is asked for -----------------------------------------------------------------------

    async def add(self, count: int) -> list[NodeId]:
        """Starts `count` new nodes and makes them voters; returns their ids.

        Raises LauncherError, and then no node was added; TimedOut when they have not caught up in
        time, and then that goes on.
        """
        status = await self._nodes.status()
        there = len(self._nodes.all)
        if there + count > MAX_NODES:
            raise LauncherError(f"a cluster has at most {MAX_NODES} nodes; this has {there}")
        self._beside("add", [])
        limits.check_files(there + count)
        limits.allow_files(there + count)
        membership = _led(status)
        up = [node.id for node in status.up]
        if not Configuration(membership).has_quorum(up):
            raise LauncherError(_short_of(counted(membership, up, "are up"), status))
        new = self._nodes.roster.enlist(count)
        self._go(Change("add", new))
        await self._wait()
        await self._until_they_know(new)
        return new

    async def remove(self, ids: Sequence[NodeId], status: ClusterStatus) -> None:
        """Makes nodes no members any more, stops them, and removes their data.

        status: as it is now

        Raises LauncherError when no node, or no quorum, would be left, or their data cannot be
        removed; TimedOut when it takes long, and then it goes on.
        """
        under_way = self._nodes.roster.change
        match self._beside("remove", ids):
            case Beside.JOIN:
                await self._wait()
                return
            case Beside.BEGIN:
                _led(status)
        self._check_enough(ids, status)
        for node in ids:
            self._nodes.roster.check_can_be_emptied(node)
        if under_way is None:
            self._begin(Change("remove", list(ids)))
        else:
            change = changes.superseded(under_way, ids)
            self._nodes.roster.intend(change)
            self._emit("change.given_up", under_way)
            self._fail(f"given up: {changes.under_way(change)}")
            self._go(change)
        await self._wait()

    async def rebuild(self, ids: Sequence[NodeId], status: ClusterStatus) -> None:
        """Has nodes forget everything and learn it from their peers, one after the other.

        Such a node is no voter in between: else a majority could count on what it has forgotten.
        And it is told what was committed then: so it gives no vote to, and takes no entry from,
        anybody whose log is older than that, as it could not if it had forgotten nothing (§5.4.1).

        Raises LauncherError when its peers are no quorum without it, or its data cannot be removed;
        TimedOut when it takes long, and then it goes on.
        """
        under_way = self._nodes.roster.change
        if self._beside("rebuild", ids) is Beside.BEGIN:
            _led(status)
            for node in ids:
                self._check_enough([node], status)
                self._nodes.roster.check_can_be_emptied(node)
            self._begin(Change("rebuild", list(ids)))
        elif under_way is not None and self._nodes.all[under_way.nodes[0]].lost:
            # What it has learnt since is lost again.
            self._begin(Change("rebuild", under_way.nodes, then=under_way.then))
        await self._wait()
        await self._until_they_know(ids)

    def _beside(self, kind: str, ids: Sequence[NodeId]) -> Beside:
        """Raises LauncherError for what is refused now."""
        if self._nodes.closed:
            raise LauncherError("the cluster is being taken down")
        change = self._nodes.roster.change
        found = changes.beside(change, kind, ids)
        if change is not None and found is Beside.REFUSE:
            said = f"{changes.under_way(change)}: `launcher ps` shows how far it is"
            if change.kind != "remove":
                nodes = " ".join(map(str, change.nodes))
                said += f", `launcher remove {nodes}` gives it up"
            raise LauncherError(f"one change is made at a time, and {said}")
        return found

    def _check_enough(self, without: Sequence[NodeId], status: ClusterStatus) -> None:
        """A change needs a majority of those that stay. Without a node that has no vote nothing is
        missing."""
        membership = status.membership
        if membership is None or not any(status.may_vote(node) for node in without):
            return
        left = stable(node for node in membership.target if node not in without)
        if not left.voters:
            raise LauncherError("somebody has to stay: `launcher down` stops the cluster")
        up = [node.id for node in status.up]
        if not Configuration(left).has_quorum(up):
            said = f"without {node_names(without)} {counted(left, up, 'would be up')}"
            raise LauncherError(_short_of(said, status))

    async def _wait(self) -> None:
        """Until it is done what was asked for last. Raises LauncherError when it is not any more;
        TimedOut when it goes on."""
        limit_s = CHANGE_TIMEOUT_S * self._nodes.config.patience
        try:
            async with asyncio.timeout(limit_s):
                await asyncio.shield(self._over)
        except TimeoutError:
            change = self._nodes.roster.change
            assert change is not None, "it goes on"
            why = f" ({self._nodes.trouble})" if self._nodes.trouble else ""
            raise TimedOut(
                f"{changes.not_yet(change)} in {limit_s:g} s{why}; it goes on: "
                "`launcher ps` shows how far it is"
            ) from None

    async def _until_they_know(self, ids: Sequence[NodeId]) -> None:
        """They vote, by what the leader has; whoever looks at `ps` now should see it. It is not
        waited for long, for one may have died meanwhile."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_NEWS_TIMEOUT_S * self._nodes.config.patience):
                while True:
                    await self._nodes.ask()
                    said = [self._nodes.all[n].status for n in ids if n in self._nodes.all]
                    if all(one is None or (one.voter and one.role != "learner") for one in said):
                        return
                    await asyncio.sleep(_ASK_AGAIN_S[0])

    # -- the task --------------------------------------------------------------------------------

    def resume(self) -> None:
        """Goes on with the change that is on record, if any: the supervisor has just started."""
        if self._nodes.roster.change is not None and self._task is None:
            self._task = asyncio.create_task(self._do_all(resumed=True))

    def close(self) -> None:
        """The cluster is being taken down: nothing more is done, and what is on record stays."""
        if self._task is not None:
            self._task.cancel()
        if not self._over.done():
            why = "the cluster is being taken down; the next `launcher up` goes on with this"
            self._over.set_exception(LauncherError(why))

    def _begin(self, change: Change) -> None:
        """Records it, and does it. Raises LauncherError."""
        self._nodes.roster.intend(change)
        self._go(change)

    def _go(self, change: Change) -> None:
        """Does what is on record now."""
        if self._task is not None:
            self._task.cancel()
        self._again = _Pause(*_TRY_AGAIN_S)
        self._emit("change.begun", change)
        self._task = asyncio.create_task(self._do_all(resumed=False))

    async def _do_all(self, *, resumed: bool) -> None:
        try:
            if resumed:
                await self._take_up()
            while not self._nodes.closed and (change := self._nodes.roster.change) is not None:
                await self._do_next(change)
        except Exception as error:  # a mistake of ours: whoever waits is told, and nobody else ends
            traceback.print_exception(error, file=sys.stderr)
            self._fail(f"the supervisor failed: {type(error).__name__}: {error}")
        finally:
            self._nodes.trouble = ""

    async def _take_up(self) -> None:
        """Begins with what another supervisor has left, once it is known what is made of it."""
        change = self._nodes.roster.change
        assert change is not None
        self._nodes.trouble = ""
        wait = _Pause(*_ASK_AGAIN_S)
        while (made_of_it := changes.verdict(change, await self._leader())) is Verdict.WAIT:
            self._nodes.trouble = "waits for a leader that knows what is committed"
            await wait()
        if made_of_it is Verdict.UNDO:
            why = "it was broken off before the log had heard of it"
            await self._until_done(lambda: self._undo(change, why))
            return
        self._emit("change.resumed", change)
        if changes.resumed(change) != change:
            await self._until_done(lambda: self._nodes.roster.intend(changes.resumed(change)))

    def _undo(self, change: Change, why: str) -> None:
        """The nodes that were being added are removed instead. The caller that waits for the add is
        told when that is done. Raises LauncherError."""
        self._nodes.roster.intend(changes.superseded(change, change.nodes))
        self._emit("change.undone", change, reason=why)
        waiting, self._over = self._over, _outcome()
        error = LauncherError(f"{node_names(change.nodes)} not added: {why}")
        self._over.add_done_callback(lambda _: waiting.set_exception(error))

    async def _do_next(self, change: Change) -> None:
        """Does the step that is due, and records it."""
        self._nodes.trouble = ""
        step = next_step(change)
        try:
            if isinstance(step, Act):
                await self._act(step)
            elif isinstance(step, Voters):
                self._floor = changes.floor_of(await self._until_made(step))
            self._record_step(change)
        except LauncherError as error:
            why = str(error)
        else:
            self._again = _Pause(*_TRY_AGAIN_S)
            return
        if changes.verdict(change, await self._leader()) is Verdict.UNDO:
            await self._until_done(lambda: self._undo(change, why))
            return
        self._nodes.trouble = why
        self._fail(f"{why}; it is tried again: `launcher ps` shows how far it is")
        await self._again()

    def _record_step(self, change: Change) -> None:
        further = changes.advanced(change)
        self._nodes.roster.intend(further)
        if further is change.then or (further is not None and further.nodes != change.nodes):
            one = change.nodes[:1] if change.kind == "rebuild" else change.nodes
            self._emit("change.done", msgspec.structs.replace(change, nodes=one))
        if further is change.then:
            self._end()

    async def _act(self, act: Act) -> None:
        node = act.node
        match act.deed:
            case Deed.START:
                await self._unhurried(self._start(node))
            case Deed.STOP:
                await self._stop_for_good(node)
            case Deed.FORGET:
                await self._stop_for_good(node)
                self._nodes.roster.renew(node, self._floor)
                self._nodes.emit("warn", "node.renewed", target=node)
            case Deed.DISMISS:
                await self._stop_for_good(node)
                self._nodes.roster.dismiss(node)

    async def _stop_for_good(self, node: NodeId) -> None:
        """It does not run when this returns, though somebody may start it again and again."""
        while node in self._nodes.all:
            await self._unhurried(self._stop(node))
            if await self._nodes.quiesce(node) is None:
                return

    async def _until_made(self, step: Voters) -> Status:
        """Asks whoever leads for it until it is committed: a leader that dies meanwhile takes
        nothing back. Returns what the leader says then."""
        wait = _Pause(*_ASK_AGAIN_S)
        while True:
            said = await self._leader()
            if said is None:
                self._nodes.trouble = "there is no leader"
            else:
                self._nodes.trouble = ""
                match changes.standing(step, said):
                    case Standing.MADE:
                        return said
                    case Standing.UNKNOWN:
                        self._ask_for(stable(step.among(said.membership.target)), said.term)
            await wait()

    def _ask_for(self, wanted: Membership, term: int) -> None:
        """Not when too few of them are up: a change that begins then takes the quorum away."""
        up = [node.id for node in self._nodes.all.values() if node.lifecycle.state == "up"]
        if Configuration(wanted).has_quorum(up):
            self._nodes.ask_leader(ChangeMembership(list(wanted.target), term))
        else:
            self._nodes.trouble = f"waits: {counted(wanted, up, 'would be up')}"

    async def _leader(self) -> Status | None:
        """What the leader says now, when it has heard all that it was sent."""
        return self._nodes.roster.leader_status(await self._nodes.ask())

    # -- small things ----------------------------------------------------------------------------

    async def _unhurried(self, work: Coroutine[Any, Any, object]) -> None:
        """Awaits something that is never left half done, whatever becomes of this task."""
        task = asyncio.create_task(work)
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)
        task.add_done_callback(_look_at)
        await asyncio.shield(task)

    async def _until_done(self, work: Callable[[], None]) -> None:
        """Tries it again as long as it fails."""
        while True:
            try:
                return work()
            except LauncherError as error:
                self._nodes.trouble = str(error)
                await self._again()

    def _end(self) -> None:
        """What was asked for is done."""
        if not self._over.done():
            self._over.set_result(None)
        self._over = _outcome()

    def _fail(self, why: str) -> None:
        """Whoever waits is told that there is nothing to wait for, and why."""
        if not self._over.done():
            self._over.set_exception(LauncherError(why))
            self._over = _outcome()

    def _emit(self, event: str, change: Change, **fields: object) -> None:
        self._nodes.emit("info", event, kind=change.kind, targets=change.nodes, **fields)


class _Pause:
    """A pause that grows: what takes long may take for ever, and need not be tried often."""

    def __init__(self, first_s: float, most_s: float) -> None:
        self._next_s = first_s
        self._most_s = most_s

    async def __call__(self) -> None:
        await asyncio.sleep(self._next_s)
        self._next_s = min(1.2 * self._next_s, self._most_s)


def _outcome() -> asyncio.Future[None]:
    """Of a change; nobody need wait for it."""
    outcome: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    outcome.add_done_callback(_look_at)
    return outcome


def _look_at(done: asyncio.Future[Any]) -> None:
    """An exception that nobody waits for is no mistake."""
    if not done.cancelled():
        done.exception()


def _led(status: ClusterStatus) -> Membership:
    """Who takes part. Raises LauncherError without a leader."""
    if status.leader is None or status.membership is None:
        raise LauncherError("there is no leader now: `launcher wait --leader` waits for one")
    return status.membership


def _short_of(said: str, status: ClusterStatus) -> str:
    missing = status.missing()
    return f"{said}; {missing}" if missing else said
