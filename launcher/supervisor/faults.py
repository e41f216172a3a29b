"""What the nodes are told of the faults in force, and how it is known that they have heard it.

An order replaces the one before it at the same port of a node: the links, the disk, or the clocks.
A node that starts gets its orders again. A node confirms with its next status, which names the
faults in force there (`node/faults/in_force.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from launcher.control.status import LinkStatus
from launcher.supervisor.clocks import OrderedClocks
from launcher.supervisor.injections import Injections
from launcher.supervisor.link_layers import NO_FAULTS, LinkLayers, link_statuses
from launcher.supervisor.points import struck
from launcher.supervisor.processes import HEALTHY_DISK, Node
from launcher.supervisor.roster import Roster
from node import wire
from node.faults.disks import ONCE
from node.faults.links import partition
from node.raft.messages import NodeId

CONFIRM_PATIENCE_S = 2.0
"""How long whoever injects a fault waits for the word of nodes that run and do not answer."""


class Faults:
    """The orders in force.

    ask: has every node that is up say its status, and returns the number that those carry
    emit: writes an event of the supervisor
    """

    def __init__(
        self,
        roster: Roster,
        ask: Callable[[], Awaitable[int]],
        emit: Callable[..., None],
    ) -> None:
        self._roster = roster
        self._ask = ask
        self.injections = Injections(emit)
        self.layers = NO_FAULTS
        """what was ordered of all links"""

    @property
    def links(self) -> wire.SetFaults:
        """The order for all links, as every node is told it."""
        return self.layers.order

    def orders_for(self, node: Node, told: wire.NodeConfig) -> list[wire.ToNode]:
        """What a node is told when it starts. told: what its process has been told already"""
        orders: list[wire.ToNode] = []
        if node.disk.fault is not None:
            orders.append(node.disk)
        if self.links.faults:  # they may have changed since the node's config was written
            orders.append(self.links)
        if node.clocks.order != told.clock:  # likewise
            orders.append(node.clocks.order)
        if node.tap is not None and node.tap != told.tap:
            orders.append(node.tap)
        return [*orders, *node.points.first_orders()]

    def of_links(self) -> list[wire.LinkFault]:
        """What links do to their messages: as was ordered, and nothing crosses those of a node that
        has cut itself off at an armed point."""
        alone = {node.id for node in self._roster.all.values() if node.points.cut_at}
        groups = [[one] for one in alone] + [[one for one in self._roster.all if one not in alone]]
        return [*self.links.faults, *partition(groups)]

    def link_statuses(self) -> list[LinkStatus]:
        """The links that do something to their messages."""
        return link_statuses(self.of_links(), self._roster.all)

    def process_ended(self, node: Node) -> None:
        """A fault of the next write or sync ends with the process at the latest."""
        fault = node.disk.fault
        if fault is not None and fault.kind in ONCE:
            self.injections.spent(node.disk.ids)
            node.disk = HEALTHY_DISK

    def heard_points(self, node: Node, said: wire.Status | wire.PointHit) -> None:
        """A node tells the state of its points, or that an action strikes at one of them now."""
        before = node.points.ids()
        if isinstance(said, wire.Status):
            node.points.hear(said.points)
        elif why := struck(node.id, node.points, said, self.injections):
            node.lifecycle.expect_end(why)
        if left := before - node.points.ids():
            elsewhere = {one for other in self._roster.all.values() for one in other.points.ids()}
            self.injections.spent(left - elsewhere)

    async def set_links(self, layers: LinkLayers) -> list[NodeId]:
        """Every link does this from now on, and nothing else.

        Returns when all nodes that run have confirmed it, or the nodes that have not.
        """
        before, self.layers = self.links, layers
        order = self.links
        for _, process in self._roster.running():
            process.send(order)
        ended = set(before.ids) - set(order.ids)
        # Another operator may replace this while it is waited for: then nobody will confirm it.
        return await self.confirm(list(self._roster.all), order.ids, ended, lambda: self.links.ids)

    async def set_disks(
        self, nodes: Sequence[NodeId], fault: wire.DiskFault | None, ids: Sequence[int]
    ) -> list[NodeId]:
        """The disks of these nodes do this from now on, also when they are started again.

        Returns when all of them that run have confirmed it, or the nodes that have not.
        """
        order = wire.SetDiskFault(fault, list(ids))
        ended: set[int] = set()
        for node_id in nodes:
            node = self._roster.all[node_id]
            ended |= set(node.disk.ids) - set(ids)
            node.disk = order
            if node.process is not None:
                node.process.send(order)
        once = fault is not None and fault.kind in ONCE  # it may strike before the node answers
        return await self.confirm(nodes, () if once else ids, ended)

    async def set_clocks(self, ordered: Mapping[NodeId, OrderedClocks]) -> list[NodeId]:
        """The clocks of these nodes do this from now on, also when they are started again.

        Returns when all of them that run have confirmed it, or the nodes that have not.
        """
        ended: set[int] = set()
        for node_id, clocks in ordered.items():
            node = self._roster.all[node_id]
            ended |= set(node.clocks.order.ids)
            node.clocks = clocks
            if node.process is not None:
                node.process.send(clocks.order)
        waits = []
        for node_id, clocks in ordered.items():  # each by the faults that it has itself
            ids = clocks.order.ids
            waits.append(self.confirm([node_id], ids, ended - set(ids)))
        return [node for left in await asyncio.gather(*waits) for node in left]

    async def confirm(
        self,
        nodes: Sequence[NodeId],
        begun: Iterable[int],
        ended: Iterable[int] = (),
        ordered: Callable[[], Iterable[int]] | None = None,
    ) -> list[NodeId]:
        """Waits until the faults `begun` are in force, by the word of each of these nodes that
        runs, and the faults `ended` are not.

        ordered: the faults that are ordered by now; others of `begun` are not waited for

        Returns the nodes that run and have not said so: at once if they are paused, and otherwise
        after CONFIRM_PATIENCE_S. They obey the order as soon as they read it.
        """
        begun, ended = set(begun), set(ended)
        loop = asyncio.get_running_loop()
        give_up = loop.time() + CONFIRM_PATIENCE_S
        while True:
            request = await self._ask()
            if ordered is not None:
                begun &= set(ordered())
            left = [one for one in nodes if not self._has_confirmed(one, request, begun, ended)]
            if all(self._roster.all[one].lifecycle.state == "paused" for one in left):
                return left
            if loop.time() > give_up:
                return left

    def _has_confirmed(
        self, node_id: NodeId, request: int, begun: set[int], ended: set[int]
    ) -> bool:
        node = self._roster.all.get(node_id)
        if node is None or node.process is None or not node.process.ready.is_set():
            return True  # what starts has its orders before it says a word
        if node.status is None or node.status.request < request:
            return False
        said = set(node.status.faults)
        heard = said | node.points.heard  # a point may be spent before the node answers
        return begun <= heard and said.isdisjoint(ended)
