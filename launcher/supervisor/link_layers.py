"""What an operator has ordered of all links, in two layers that add up. Pure.

A partition replaces the partition before it, and what `link` orders changes only what it names.
Neither ends the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from launcher.control.links import LinkChange, Part, apply, describe, does, ended_by
from launcher.control.naming import Link
from launcher.control.status import LinkStatus
from node.faults.links import combined, nothing, parts_of
from node.raft.messages import NodeId
from node.wire import LinkFault, SetFaults


@dataclass(frozen=True)
class OrderedLink:
    """by: the id of the injection behind each part of the fault; `None`: behind all of it"""

    fault: LinkFault
    by: Mapping[Part | None, int] = field(default_factory=dict)


@dataclass(frozen=True)
class LinkLayers:
    """partition_id: of the injection that the partition is, if there is one"""

    partition: tuple[LinkFault, ...] = ()
    partition_id: int | None = None
    partition_text: str = ""
    links: Mapping[Link, OrderedLink] = field(default_factory=dict)

    @property
    def link_ids(self) -> set[int]:
        """The injections that `link` has made, and of which something is left."""
        return {one for link in self.links.values() for one in link.by.values()}

    @property
    def order(self) -> SetFaults:
        """What every node is told."""
        own = [] if self.partition_id is None else [self.partition_id]
        faults = [*self.partition, *(link.fault for link in self.links.values())]
        return SetFaults(faults, sorted({*own, *self.link_ids}), self._causes)

    @property
    def _causes(self) -> list[tuple[NodeId, NodeId, dict[str, int]]]:
        """The injection behind each part of what a link does."""
        found: dict[Link, dict[str, int]] = {}
        for link, ordered in self.links.items():
            whole = ordered.by.get(None)
            by: dict[str, int] = {part: one for part, one in ordered.by.items() if part is not None}
            found[link] = by if whole is None else dict.fromkeys(parts_of(ordered.fault), whole)
        if self.partition_id is not None:
            for cut in self.partition:
                found.setdefault((cut.source, cut.target), {})["cut"] = self.partition_id
        return [(*link, by) for link, by in found.items() if by]

    def says(self, link: Link) -> str:
        """What `link` has ordered of this link, in its words; empty: nothing."""
        ordered = self.links.get(link)
        return "" if ordered is None else describe(ordered.fault)

    def split(self, cuts: Iterable[LinkFault], fault_id: int, text: str) -> LinkLayers:
        """With this partition in place of the one before."""
        return replace(self, partition=tuple(cuts), partition_id=fault_id, partition_text=text)

    def whole(self) -> LinkLayers:
        """Without a partition."""
        return replace(self, partition=(), partition_id=None, partition_text="")

    def changed(
        self, pairs: Iterable[Link], change: LinkChange, ids: Mapping[Part, int]
    ) -> LinkLayers:
        """After this change of these links. ids: of the injection that each part of it is"""
        links, over = dict(self.links), ended_by(change)
        for link in pairs:
            before = links.pop(link, OrderedLink(nothing(*link)))
            fault = apply(change, before.fault)
            if fault == nothing(*link):
                continue
            by = {part: one for part, one in before.by.items() if part not in over}
            links[link] = OrderedLink(fault, {**by, **_that_do_something(ids, fault)})
        return replace(self, links=links)

    def replaced(self, faults: Iterable[LinkFault], fault_id: int) -> LinkLayers:
        """With these faults of links, whatever was ordered of them before. Raises ValueError."""
        links = {
            link: OrderedLink(fault, {None: fault_id}) for link, fault in combined(faults).items()
        }
        return replace(self, links=links)


def link_statuses(faults: Iterable[LinkFault], nodes: Collection[NodeId]) -> list[LinkStatus]:
    """The links between these nodes that do something, in the order of their ends."""
    return [
        LinkStatus(*link, describe(fault))
        for link, fault in sorted(combined(faults).items())
        if link[0] in nodes and link[1] in nodes
    ]


def _that_do_something(ids: Mapping[Part, int], fault: LinkFault) -> dict[Part | None, int]:
    """Within a region a profile delays nothing."""
    return {part: one for part, one in ids.items() if does(part, fault)}


NO_FAULTS = LinkLayers()
