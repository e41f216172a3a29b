"""Requests that change what links do: partitions, `link`, and faults of links given as a list."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from launcher.control import partitions
from launcher.control.links import (
    Part,
    mentions,
    pairs,
    split_links,
)
from launcher.control.naming import Link, link_names
from launcher.control.requests import ChangeLinks, Reply
from launcher.control.status import ClusterStatus, LinkStatus
from launcher.control.targets import resolve
from launcher.errors import UsageError
from launcher.supervisor.link_layers import NO_FAULTS, LinkLayers
from launcher.supervisor.nodes import Nodes
from node.raft.messages import NodeId
from node.wire import LinkFault

LAYER = "links"
PARTITION = "partition"


class LinkFaults:
    """The links between all nodes. random: chooses among targets, and the sides of a partition.

    From the moment at which a request looks at what was ordered before until the nodes are told,
    nothing is waited for. So two operators cannot come in between.
    """

    def __init__(self, nodes: Nodes, random: Random) -> None:
        self._nodes = nodes
        self._faults = nodes.faults
        self._injections = nodes.faults.injections
        self._random = random

    async def split(self, spec: str) -> Reply:
        """A partition, in place of the one before. Raises LauncherError."""
        status = await self._nodes.status()
        found = partitions.parse(spec, status, self._random)
        fault_id = self._injections.next_id()
        layers = self._faults.layers
        if layers.partition_id is not None:
            self._injections.spent([layers.partition_id])
        cut = [(one.source, one.target) for one in found.cuts]
        fields = {"groups": found.groups} if found.groups else {"links": cut}
        everybody = [node.id for node in status.nodes]
        self._injections.begin(PARTITION, PARTITION, everybody, fault_id, **fields)
        unconfirmed = await self._faults.set_links(layers.split(found.cuts, fault_id, str(found)))
        reached = [] if found.groups else cut
        return Reply(ok=True, groups=found.groups, cut=reached, unconfirmed=unconfirmed)

    async def replace(self, faults: Sequence[LinkFault]) -> Reply:
        """These faults in place of all that was ordered of links, but for a partition."""
        fault_id = self._injections.next_id()
        layers = self._faults.layers
        try:
            after = layers.replaced(faults, fault_id)
        except ValueError as error:
            raise UsageError(f"no link can do that: {error}") from error
        self._injections.spent(layers.link_ids)
        concerned = sorted({node for one in faults for node in (one.source, one.target)})
        if after.link_ids:
            self._injections.begin(LAYER, LAYER, concerned, fault_id, count=len(after.links))
        elif layers.link_ids:
            self._injections.end((), fault=LAYER, targets=[])
        return Reply(ok=True, unconfirmed=await self._faults.set_links(after))

    async def change(self, request: ChangeLinks) -> Reply:
        """Changes what these links do, and nothing else. Raises LauncherError."""
        status = await self._nodes.status()
        chosen = self._chosen(request, status)
        before = self._faults.layers
        ids: dict[Part, int] = {}
        began = [
            (text, name, parts, self._injections.next_id())
            for text, name, parts in mentions(request.change)
        ]
        for _, _, parts, one in began:
            ids |= dict.fromkeys(parts - ids.keys(), one)
        after = before.changed(chosen, request.change, ids)
        self._record(before, after, chosen, [(text, name, one) for text, name, _, one in began])
        unconfirmed = await self._faults.set_links(after)
        concerned = sorted({node for link in chosen for node in link})
        return Reply(
            ok=True,
            # One that was removed since its links got the fault that ends now is gone.
            chosen=[status.choose(node) for node in concerned if status.has(node)],
            links=[LinkStatus(*link, after.says(link) or "ok") for link in chosen],
            unconfirmed=unconfirmed,
        )

    async def end_all(self) -> tuple[list[str], list[NodeId]]:
        """Ends both layers. Returns what that was, a phrase each, and the nodes that have not
        confirmed it."""
        layers = self._faults.layers
        said = []
        if layers.partition_id is not None:
            said.append(f"partition {layers.partition_text}")
        if layers.links:
            said.append(_links_said(list(layers.links)))
        return said, await self._faults.set_links(NO_FAULTS) if said else []

    async def end_partition(self) -> Reply:
        """Ends the partition, if there is one; what `link` has ordered stays."""
        layers = self._faults.layers
        if layers.partition_id is None:
            return Reply(ok=True)
        ended = layers.partition_id
        unconfirmed = await self._faults.set_links(layers.whole())
        self._injections.end([ended])
        return Reply(ok=True, unconfirmed=unconfirmed)

    def _chosen(self, request: ChangeLinks, status: ClusterStatus) -> list[Link]:
        if request.pairs:
            return request.pairs
        one, other, both = split_links(request.links)
        sources, targets = (resolve([end], status, "link", self._random) for end in (one, other))
        return pairs(sources, targets, both)

    def _record(
        self,
        before: LinkLayers,
        after: LinkLayers,
        chosen: Sequence[Link],
        began: Sequence[tuple[str, str, int]],
    ) -> None:
        """began: the text, the name and the id of each fault that the request begins"""
        nodes = sorted({node for link in chosen for node in link})
        for text, name, one in began:
            if one in after.link_ids:
                self._injections.begin(name, LAYER, nodes, one, links=chosen, does=text)
        over = before.link_ids - after.link_ids
        if any(one in after.link_ids for _, _, one in began):
            self._injections.spent(over)
        elif over:
            self._injections.end(sorted(over), fault=LAYER, links=chosen)


def _links_said(links: Sequence[Link]) -> str:
    """`links n1>n2, n2>n1`, or how many there are."""
    said = link_names(sorted(links))
    return said if said.endswith("links") else f"links {said}"
