"""Adding and removing nodes: the membership changes, and processes start and stop to match (§6).

What is to run is written down (`claim.py`) before a node is started and after it has been stopped;
who votes, only the log says. So whatever is broken off in the middle can be asked for again: a node
that runs and does not vote yet goes on learning, and `remove` gives it up.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from launcher.config import MAX_NODES
from launcher.errors import LauncherError, TimedOut
from launcher.nodes import Nodes
from launcher.rebuild import Change, Deed, Standing, floor_of, standing, steps
from launcher.status import ClusterStatus, counted
from node.raft.membership import Configuration, stable
from node.raft.messages import Floor, NodeId
from node.wire import ChangeMembership, Status

CHANGE_TIMEOUT_S = 60.0
"""A node that has much to learn takes a while; it goes on learning after that."""

_NEWS_TIMEOUT_S = 2.0
_ASK_AGAIN_S = 0.05

Act = Callable[[NodeId], Awaitable[object]]


class Reconfiguration:
    """Changes who takes part, one change at a time."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        self._one_change = asyncio.Lock()

    async def add(self, count: int, start: Act) -> list[NodeId]:
        """Starts so many new nodes and makes them voters; their ids.

        start: starts a node and waits until it answers
        Raises LauncherError; TimedOut when they have not caught up in time.
        """
        async with self._one_change:
            there = len(self._nodes.all)
            if there + count > MAX_NODES:
                raise LauncherError(f"a cluster has at most {MAX_NODES} nodes; this has {there}")
            target = await self._target()
            new = self._nodes.enlist(count)
            self._nodes.emit("info", "members.added", targets=new)
            await asyncio.gather(*(start(node) for node in new))
            await self._change([*target, *new], f"{_names(new)} not caught up")
            await self._until_they_know(new)
            return new

    async def remove(self, ids: Sequence[NodeId], status: ClusterStatus, stop: Act) -> None:
        """Makes nodes no members any more, stops them, and removes their data.

        stop: stops a node, if it runs
        Raises LauncherError when nobody, or no quorum, would be left.
        """
        async with self._one_change:
            target = await self._target()
            left = [node for node in target if node not in ids]
            self._check_enough(left, ids, status)
            await self._change(left, f"{_names(ids)} not been removed")
            for node in ids:
                await stop(node)
                self._nodes.dismiss(node)
            self._nodes.emit("info", "members.removed", targets=list(ids))

    async def rebuild(self, node: NodeId, status: ClusterStatus, stop: Act, start: Act) -> None:
        """Has a node forget everything and learn it from its peers.

        It is no voter in between: else a majority could count on what it has forgotten. And it is
        told what was committed then: so it gives no vote to, and takes no entry from, anybody whose
        log is older than that, as it could not if it had forgotten nothing (§5.4.1).

        Raises LauncherError when its peers are no quorum without it.
        """
        async with self._one_change:
            target = await self._target()
            left = [voter for voter in target if voter != node]
            self._check_enough(left, [node], status)
            floor = Floor()
            for step in steps(node, target):
                match step:
                    case Change():
                        said = await self._change(step.voters, f"n{node} has not {step.yet}")
                        floor = floor_of(said)
                    case Deed.STOP:
                        await stop(node)
                    case Deed.FORGET:
                        self._nodes.renew(node, floor)
                        self._nodes.emit("warn", "node.renewed", target=node)
                    case Deed.START:
                        await start(node)
            await self._until_they_know([node])

    def _check_enough(
        self, left: Sequence[NodeId], without: Sequence[NodeId], status: ClusterStatus
    ) -> None:
        """A change needs a majority of those that stay."""
        if not left:
            raise LauncherError("somebody has to stay: `launcher down` stops the cluster")
        stay = stable(left)
        up = [node.id for node in status.up]
        if not Configuration(stay).has_quorum(up):
            names = ", ".join(f"n{node}" for node in without)
            said = counted(stay, up, "would be up")
            raise LauncherError(f"without {names} {said}; {status.missing()}")

    async def _until_they_know(self, ids: Sequence[NodeId]) -> None:
        """They vote, by what the leader has; whoever looks at `ps` now should see it. It is not
        waited for long, for one may have died meanwhile."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_NEWS_TIMEOUT_S):
                while True:
                    await self._nodes.ask()
                    said = [self._nodes.all[node].status for node in ids]
                    if all(one is None or (one.voter and one.role != "learner") for one in said):
                        return
                    await asyncio.sleep(_ASK_AGAIN_S)

    async def _target(self) -> list[NodeId]:
        """Who is to vote, as things are."""
        await self._nodes.ask()
        said = self._nodes.leader_status()
        if said is None:
            raise LauncherError("there is no leader now: `launcher wait --leader` waits for one")
        return list(said.membership.target)

    async def _change(self, target: Sequence[NodeId], failed: str) -> Status:
        """Asks whoever leads until it is so: a leader that dies meanwhile takes nothing back.
        Answers what the leader said who has it so."""
        try:
            async with asyncio.timeout(CHANGE_TIMEOUT_S):
                while True:
                    await self._nodes.ask()
                    said = self._nodes.leader_status()
                    if said is not None:
                        match standing(target, said):
                            case Standing.MADE:
                                return said
                            case Standing.UNKNOWN:
                                wanted = list(stable(target).target)
                                self._nodes.ask_leader(ChangeMembership(wanted))
                    await asyncio.sleep(_ASK_AGAIN_S)
        except TimeoutError:
            raise TimedOut(
                f"{failed} in {CHANGE_TIMEOUT_S:g} s; it goes on: `launcher ps` shows how far it is"
            ) from None


def _names(ids: Sequence[NodeId]) -> str:
    """`n6 has`, `n6, n7 have`: as the beginning of a sentence about what they have not."""
    verb = "has" if len(ids) == 1 else "have"
    return f"{', '.join(f'n{node}' for node in ids)} {verb}"
