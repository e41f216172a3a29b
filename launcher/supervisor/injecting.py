"""Requests that inject faults and end them.

A request is checked as a whole before anything changes, so that nothing is half in force. It
returns when each node that it concerns has confirmed; the reply names the others.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import TypeAlias

from launcher.control import requests
from launcher.control.disks import describe
from launcher.control.naming import node_names
from launcher.control.requests import Reply
from launcher.control.targets import Action, resolve
from launcher.errors import LauncherError
from launcher.supervisor.arming import Arming
from launcher.supervisor.clock_faults import ClockFaults
from launcher.supervisor.link_faults import LAYER as LINKS
from launcher.supervisor.link_faults import PARTITION, LinkFaults
from launcher.supervisor.nodes import Nodes
from launcher.supervisor.points import CUT_OFF
from launcher.supervisor.points import LAYER as POINTS
from launcher.supervisor.throttle_faults import ThrottleFaults
from node.raft.messages import NodeId
from node.wire import DiskFault

Injection: TypeAlias = (
    requests.Partition
    | requests.SetLinks
    | requests.ChangeLinks
    | requests.SetDisks
    | requests.Arm
    | requests.ListPoints
    | requests.SetClocks
    | requests.SetThrottles
    | requests.Heal
)
"""What is performed here."""


class Injecting:
    """The faults that requests inject. random: chooses among targets.

    resume: lets a paused node continue
    """

    def __init__(
        self, nodes: Nodes, random: Random, resume: Callable[[NodeId], Awaitable[object]]
    ) -> None:
        self._nodes = nodes
        self._faults = nodes.faults
        self._injections = nodes.faults.injections
        self._random = random
        self._resume = resume
        self._links = LinkFaults(nodes, random)
        self._arming = Arming(nodes, random)
        self._clocks = ClockFaults(nodes, random)
        self._throttles = ThrottleFaults(nodes, random)

    async def perform(self, request: Injection) -> Reply:
        """Raises LauncherError for what cannot be done."""
        match request:
            case requests.Partition(spec):
                return await self._links.split(spec)
            case requests.SetLinks(faults):
                return await self._links.replace(faults)
            case requests.ChangeLinks():
                return await self._links.change(request)
            case requests.SetDisks(targets, fault):
                return await self._set_disks(targets, fault)
            case requests.Arm(targets, point, terms):
                return await self._arming.arm(targets, point, terms)
            case requests.ListPoints():
                return await self._arming.list_all()
            case requests.SetClocks(targets, change):
                return await self._clocks.set(targets, change)
            case requests.SetThrottles(targets, share):
                return await self._throttles.set(targets, share)
            case requests.Heal(only_partition=True):
                return await self._links.end_partition()
            case requests.Heal():
                return await self._heal()

    # -- processes -------------------------------------------------------------------------------

    def strikes(self, fault: str, nodes: Sequence[NodeId]) -> None:
        """Processes are about to be killed or paused. A pause is in force until it is resumed."""
        fault_id = self._injections.next_id()
        self._injections.begin(fault, fault, nodes, fault_id, targets=list(nodes))
        if fault == "kill":
            self._injections.spent([fault_id])

    def resumed(self, node: NodeId) -> None:
        """A paused process goes on."""
        paused = [one for one in self._injections.of("pause") if one.nodes == (node,)]
        self._injections.end([one.id for one in paused], targets=[node])

    # -- everything ------------------------------------------------------------------------------

    async def _heal(self) -> Reply:
        """Ends every fault, and has the nodes run that are paused. It starts nothing."""
        resumed = await self._resume_all()  # first, so that they can confirm the rest
        ends = (
            self._links.end_all, self._clocks.end_all, self._end_disks, self._end_throttles,
            self._arming.end_all,
        )  # fmt: skip
        ended: list[str] = []
        unconfirmed: set[NodeId] = set()
        for end in ends:
            said, left = await end()
            ended += said
            unconfirmed |= set(left)
        ended += await self._nodes.drops.clear()
        layers = (PARTITION, LINKS, "clock", "disk", "throttle", POINTS, CUT_OFF)
        ids = [one.id for layer in layers for one in self._injections.of(layer)]
        if ids:
            self._injections.end(ids)
        again = await self._resume_all()  # an armed point may have paused one until now
        if again & unconfirmed:
            unconfirmed = {*await self._faults.confirm(sorted(unconfirmed), (), ids)}
        if resumed := resumed | again:
            ended.append(f"resumed {node_names(sorted(resumed))}")
        return Reply(ok=True, ended=ended, unconfirmed=sorted(unconfirmed))

    async def _resume_all(self) -> set[NodeId]:
        status = await self._nodes.status()
        paused = [node.id for node in status.nodes if node.state == "paused"]
        for node in paused:
            with contextlib.suppress(LauncherError):  # it has ended meanwhile
                await self._resume(node)
        return set(paused)

    async def _end_disks(self) -> tuple[list[str], list[NodeId]]:
        faulty = [node.id for node in self._nodes.all.values() if node.disk.fault is not None]
        if not faulty:
            return [], []
        return [f"disk of {node_names(faulty)}"], await self._faults.set_disks(faulty, None, [])

    async def _end_throttles(self) -> tuple[list[str], list[NodeId]]:
        throttled = self._throttles.end_all()
        return [f"throttle of {node_names(throttled)}"] if throttled else [], []

    # -- disks -----------------------------------------------------------------------------------

    async def _set_disks(self, targets: Sequence[str], fault: DiskFault | None) -> Reply:
        """A disk is its node's, whatever becomes of the process: so nodes that are down count."""
        status = await self._nodes.status()
        action: Action = "disk ok" if fault is None else "disk"
        ids = resolve(targets, status, action, self._random)
        replaced = {one for node in ids for one in self._nodes.all[node].disk.ids}
        fault_ids = [] if fault is None or not ids else [self._injections.next_id()]
        unconfirmed = await self._faults.set_disks(ids, fault, fault_ids)
        over = sorted(self._over(replaced))
        if fault is not None:
            self._injections.spent(over)
        if fault is not None and ids:
            amount = {"delay_s": fault.delay_s} if fault.delay_s else {}
            amount |= {"works_s": fault.works_s} if fault.works_s else {}
            self._injections.begin(fault.kind, "disk", ids, fault_ids[0], targets=ids, **amount)
        elif ids:
            self._injections.end(over, fault="disk", targets=ids)
        note = "ok" if fault is None else describe(fault)
        chosen = [status.choose(node, note) for node in ids]
        return Reply(ok=True, chosen=chosen, unconfirmed=unconfirmed)

    def _over(self, replaced: set[int]) -> set[int]:
        """Of faults that several nodes had, those stay in force that a node still has."""
        return replaced - {one for node in self._nodes.all.values() for one in node.disk.ids}
