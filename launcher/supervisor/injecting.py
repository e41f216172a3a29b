"""Requests that inject faults and end them.

A request is checked as a whole before anything changes, so that nothing is half in force. It
returns when each node that it concerns has confirmed; the reply names the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import TypeAlias

from launcher.control import requests
from launcher.control.disks import describe
from launcher.control.requests import Reply
from launcher.control.targets import Action, parse_partition, resolve
from launcher.errors import UsageError
from launcher.supervisor.arming import Arming
from launcher.supervisor.clock_faults import ClockFaults
from launcher.supervisor.nodes import Nodes
from launcher.supervisor.points import CUT_OFF, LAYER
from node.faults.links import FaultFilter, partition
from node.raft.messages import NodeId
from node.wire import DiskFault, LinkFault

Injection: TypeAlias = (
    requests.Partition
    | requests.SetLinks
    | requests.SetDisks
    | requests.Arm
    | requests.ListPoints
    | requests.SetClocks
    | requests.Heal
)
"""What is performed here."""


class Injecting:
    """The faults that requests inject. random: chooses among targets."""

    def __init__(self, nodes: Nodes, random: Random) -> None:
        self._nodes = nodes
        self._faults = nodes.faults
        self._injections = nodes.faults.injections
        self._random = random
        self._arming = Arming(nodes, random)
        self._clocks = ClockFaults(nodes, random)

    async def perform(self, request: Injection) -> Reply:
        """Raises LauncherError for what cannot be done."""
        match request:
            case requests.Partition(spec):
                return await self._partition(spec)
            case requests.SetLinks(faults):
                return await self._set_links(faults)
            case requests.SetDisks(targets, fault):
                return await self._set_disks(targets, fault)
            case requests.Arm(targets, point, terms):
                return await self._arming.arm(targets, point, terms)
            case requests.ListPoints():
                return await self._arming.list_all()
            case requests.SetClocks(targets, change):
                return await self._clocks.set(targets, change)
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

    # -- links -----------------------------------------------------------------------------------

    async def _partition(self, spec: str) -> Reply:
        status = await self._nodes.status()
        groups = parse_partition(spec, status, self._random)
        everybody = [node for group in groups for node in group]
        unconfirmed = await self._replace_links("partition", partition(groups), everybody, groups)
        return Reply(ok=True, groups=groups, unconfirmed=unconfirmed)

    async def _set_links(self, faults: Sequence[LinkFault]) -> Reply:
        try:
            FaultFilter(faults, rng=self._random)
        except ValueError as error:
            raise UsageError(f"no link can do that: {error}") from error
        concerned = sorted({node for one in faults for node in (one.source, one.target)})
        return Reply(ok=True, unconfirmed=await self._replace_links("links", faults, concerned))

    async def _replace_links(
        self,
        fault: str,
        faults: Sequence[LinkFault],
        concerned: Sequence[NodeId],
        groups: Sequence[Sequence[NodeId]] | None = None,
    ) -> list[NodeId]:
        """Returns the nodes that have not confirmed it."""
        self._injections.spent(self._faults.links.ids)
        fault_id = self._injections.next_id()
        fields = {"count": len(faults)} if groups is None else {"groups": groups}
        self._injections.begin(fault, "links", concerned, fault_id, **fields)
        return await self._faults.set_links(faults, [fault_id])

    async def _heal(self) -> Reply:
        await self._nodes.drops.clear()
        unconfirmed = await self._faults.set_links([], [])
        unconfirmed += await self._clocks.end_all()
        unconfirmed += await self._arming.heal()
        layers = ("links", "clock", LAYER, CUT_OFF)
        self._injections.end([one.id for layer in layers for one in self._injections.of(layer)])
        return Reply(ok=True, unconfirmed=sorted(set(unconfirmed)))

    # -- disks -----------------------------------------------------------------------------------

    async def _set_disks(self, targets: Sequence[str], fault: DiskFault | None) -> Reply:
        """A disk is its node's, whatever becomes of the process: so nodes that are down count."""
        status = await self._nodes.status()
        action: Action = "disk ok" if fault is None else "disk"
        ids = resolve(targets, status, action, self._random)
        replaced = {one for node in ids for one in self._nodes.all[node].disk.ids}
        fault_ids = [] if fault is None or not ids else [self._injections.next_id()]
        unconfirmed = await self._faults.set_disks(ids, fault, fault_ids)
        self._forget_replaced(replaced)
        if fault is not None and ids:
            amount = {"delay_s": fault.delay_s} if fault.delay_s else {}
            self._injections.begin(fault.kind, "disk", ids, fault_ids[0], targets=ids, **amount)
        elif ids:
            self._injections.end((), fault="disk", targets=ids)
        note = "ok" if fault is None else describe(fault)
        chosen = [status.choose(node, note) for node in ids]
        return Reply(ok=True, chosen=chosen, unconfirmed=unconfirmed)

    def _forget_replaced(self, replaced: set[int]) -> None:
        """Of faults that several nodes had, those stay in force that a node still has."""
        left = {one for node in self._nodes.all.values() for one in node.disk.ids}
        self._injections.spent(replaced - left)
