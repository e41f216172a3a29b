"""The nodes on record: who belongs to the cluster, what runs of it, and who leads.

The record itself, on disk, is the `Claim`'s; each change of it goes through here, so that the two
never differ.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import msgspec

from launcher.control.status import ClusterStatus
from launcher.errors import LauncherError, saying
from launcher.folders.lives import advice
from launcher.folders.process_identity import ProcessRecord
from launcher.folders.records import Change
from launcher.supervisor.claim import Claim
from launcher.supervisor.guard import Guard
from launcher.supervisor.lifecycle import Lifecycle, RestartPolicy
from launcher.supervisor.processes import Node, NodeProcess
from node import wire
from node.raft.messages import Floor, NodeId


class _All(dict[NodeId, Node]):
    """The nodes on record. One that was removed is not there any more for whoever waits for it."""

    def __missing__(self, node_id: NodeId) -> Node:
        raise LauncherError(f"n{node_id} was removed meanwhile")


class Roster:
    """All nodes, and what each has said last.

    all: the nodes by their numbers
    guard: of what they report, which must agree
    led_term: the newest term of which any node has said that it leads it
    frozen: all processes are stopped, or about to be, and none is started
    frozen_because: what whoever needs them is told then; empty when they are not frozen
    """

    def __init__(self, claim: Claim, policy: RestartPolicy, emit: Callable[..., None]) -> None:
        """emit: writes an event of the supervisor's (level, name, fields)"""
        self._claim = claim
        self._policy = policy
        self.all = _All({n: self._new(n) for n in claim.cluster.members})
        self.guard = Guard(claim, emit)
        self.led_term = 0
        self.frozen_because = ""
        self._changed = asyncio.Event()
        self._thawed = asyncio.Event()
        self._thawed.set()

    # -- the record ------------------------------------------------------------------------------

    def _new(self, node_id: NodeId) -> Node:
        return Node(node_id, Lifecycle(self._policy))

    def renew(self, node_id: NodeId, floor: Floor) -> None:
        """A node that does not run, and is no voter, forgets everything. Raises LauncherError.

        floor: what is committed, and will bind it
        """
        assert self.all[node_id].process is None, "it has been stopped"
        with saying(f"the data of n{node_id} stays"):
            self._claim.renew(node_id, floor)
        self.all[node_id].unsynced.forget()
        self.all[node_id].status = None
        self.guard.forget(node_id)

    @property
    def change(self) -> Change | None:
        """The change of the membership that is under way."""
        return self._claim.cluster.change

    def intend(self, change: Change | None) -> None:
        """This one is under way from now on, or none is. Raises LauncherError."""
        with saying("the change cannot be recorded"):
            self._claim.intend(change)

    def enlist(self, count: int) -> list[NodeId]:
        """That many more nodes, which do not run yet, are being added. Raises LauncherError."""
        with saying("no node can be added"):
            new = self._claim.enlist(count)
        self.all |= {node_id: self._new(node_id) for node_id in new}
        return new

    def check_can_be_emptied(self, node_id: NodeId) -> None:
        """Raises LauncherError when the data of the node could not be removed now."""
        if why := self._claim.why_not_emptied(node_id):
            raise LauncherError(f"the data of n{node_id} cannot be removed: {why}")

    def dismiss(self, node_id: NodeId) -> None:
        """A node that does not run any more is none of ours, and its data goes. It may be gone
        already. Raises LauncherError."""
        node = self.all.get(node_id)
        assert node is None or node.process is None, "it has been stopped"
        with saying(f"n{node_id} stays on record"):
            self._claim.dismiss(node_id)
        self.all.pop(node_id, None)
        self.guard.forget(node_id)
        self.socket_of(node_id).unlink(missing_ok=True)

    # -- the processes ---------------------------------------------------------------------------

    def running(self) -> list[tuple[NodeId, NodeProcess]]:
        """The nodes that have a process, and those."""
        return [(node.id, node.process) for node in self.all.values() if node.process is not None]

    def restarting(self) -> list[NodeId]:
        """The nodes that are about to come up by themselves."""
        return [
            node.id
            for node in self.all.values()
            if node.starting
            or node.lifecycle.retry_at is not None
            or (node.process is not None and not node.process.ready.is_set())
        ]

    def records(self) -> dict[NodeId, ProcessRecord]:
        """By what each of these processes is known on this machine."""
        records = ((node_id, process.record) for node_id, process in self.running())
        return {node_id: record for node_id, record in records if record is not None}

    def socket_of(self, node: NodeId) -> Path:
        """Where it listens for clients."""
        return self._claim.runtime_dir / f"node-{node}.sock"

    async def until_answered(self, waiting: set[NodeId], patience_s: float) -> None:
        """Returns when no node that runs is in `waiting` any more, or after `patience_s` seconds.
        Whoever takes the last node out of it calls `notify`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                while waiting & {node_id for node_id, _ in self.running()}:
                    await self.changed()

    async def changed(self) -> None:
        """Waits until a node has started, ended or answered."""
        await self._changed.wait()

    def notify(self) -> None:
        """Wakes whoever waits for a change."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    # -- frozen or not ---------------------------------------------------------------------------

    @property
    def frozen(self) -> bool:
        """See above."""
        return bool(self.frozen_because)

    def freeze(self, because: str) -> None:
        """From now on nothing is started, and clients of the cluster are told why it does not
        answer. Raises LauncherError when that cannot be written down: then nothing has changed."""
        with saying("the cluster cannot be frozen"):
            self._claim.mark_frozen(because)
        self.freeze_silently(because)

    def freeze_silently(self, because: str) -> None:
        """The same, but for the clients: they wait for nodes that do not answer."""
        self.frozen_because = because
        self._thawed.clear()

    def thaw(self) -> None:
        """Nodes may be started again."""
        self.frozen_because = ""
        self._thawed.set()
        with contextlib.suppress(OSError):  # its folder was removed, and the file with it
            self._claim.mark_frozen("")

    def with_what_holds_for_all(self, status: ClusterStatus) -> ClusterStatus:
        """The status, with whether all nodes are frozen, and what was found wrong with safety."""
        return msgspec.structs.replace(
            status,
            frozen=self.frozen,
            frozen_because=self.frozen_because,
            violations=self.guard.violations,
        )

    async def until_thawed(self) -> None:
        """Waits while the cluster is frozen."""
        await self._thawed.wait()

    # -- who leads -------------------------------------------------------------------------------

    def leader_status(self, since: int = 0) -> wire.Status | None:
        """What the leader of the newest term said last.

        since: only if that answers this request of `ask`, or a later one. So it knows of all that
            the leader was sent before
        """
        leader = self.leader()
        if leader is None or leader.status is None or leader.status.request < since:
            return None
        return leader.status

    def leader(self) -> Node | None:
        """Of the newest term that has had one: a former one may be stopped, or cut off, and what it
        says is committed has been overtaken."""
        leading = [
            (node.status.term, node.id)
            for node in self.all.values()
            if node.process is not None
            and node.status is not None
            and node.status.role == "leader"
            and node.status.term >= self.led_term
        ]
        return self.all[max(leading)[1]] if leading else None

    def reason(self, node: Node) -> str:
        """Why it is down or failed, and what to do where its data does not count."""
        reason = node.lifecycle.reason
        if not node.lost:
            return reason
        voters = self._claim.cluster.members
        leader = self.leader_status()
        if leader is not None:
            voters = list(leader.membership.voters)
        lost = [other.id for other in self.all.values() if other.lost]
        return f"{reason}; {advice(node.id, voters, lost)}"
