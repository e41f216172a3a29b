"""The simulated cluster, as the faults see it: nodes, links, time and operator.

Each module of faults (`links.py`, `processes.py`, `strikes.py`, `disks.py`, `operators.py`) begins
its kinds of faults on one `TargetCluster`, each by a `Begin`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, TypeAlias

from launcher.simulation.faults.schedule import Fault
from launcher.simulation.network import SimulatedLinks, Time
from launcher.simulation.operator import Operator, current_leader
from launcher.simulation.situation import Situation
from node.raft.messages import NodeId
from node.wire import LinkFault

if TYPE_CHECKING:
    from launcher.simulation.node import SimulatedNode

End: TypeAlias = Callable[[], None]
"""Ends a fault. It is not called any more once the nemesis has stopped."""

Begin: TypeAlias = Callable[[Fault, list["SimulatedNode"], random.Random], End | None]
"""Begins a fault at its targets, and returns what ends it; None if it ends by itself. The random
stream belongs to this fault alone."""

Link: TypeAlias = tuple[NodeId, NodeId]
"""A directed link: (source, target)."""


class TargetCluster:
    """The cluster that the faults of one run are aimed at.

    over: the nemesis has stopped, and no fault may begin any more
    """

    def __init__(
        self, links: SimulatedLinks, time: Time, situation: Situation, operator: Operator
    ) -> None:
        self.links = links
        self.time = time
        self.situation = situation
        self.operator = operator
        self.over = False

    @property
    def nodes(self) -> list[SimulatedNode]:
        """The nodes that are on record now."""
        return list(self.operator.nodes.values())

    @property
    def leader(self) -> SimulatedNode | None:
        """The leader of the newest term that has one."""
        return current_leader(self.nodes)

    # -- time ------------------------------------------------------------------------------------

    def later(self, delay_s: float, what: Callable[..., None], *arguments: object) -> None:
        """Calls `what` after `delay_s` simulated seconds, also if the nemesis has stopped."""
        self.time.at(self.time.now + delay_s, what, *arguments)

    def unless_over(self, end: End) -> None:
        """Calls `end`, unless the nemesis has stopped."""
        if not self.over:
            end()

    def start_later(self, nodes: list[SimulatedNode], rng: random.Random) -> End:
        """Returns an end that starts the nodes, each up to 0.3 s later."""
        delays_s = [rng.random() * 0.3 for _ in nodes]

        def end() -> None:
            for node, delay_s in zip(nodes, delays_s, strict=True):
                self.later(delay_s, node.start)

        return end

    # -- links -----------------------------------------------------------------------------------

    def all_links(self) -> list[Link]:
        """The links between all nodes on record."""
        ids = [node.node_id for node in self.nodes]
        return [(a, b) for a in ids for b in ids if a != b]

    def links_from(self, nodes: Iterable[SimulatedNode]) -> list[Link]:
        """The links on which these nodes send."""
        chosen = {node.node_id for node in nodes}
        return [link for link in self.all_links() if link[0] in chosen]

    def links_to(self, nodes: Iterable[SimulatedNode]) -> list[Link]:
        """The links on which these nodes receive."""
        chosen = {node.node_id for node in nodes}
        return [link for link in self.all_links() if link[1] in chosen]

    def links_of(self, nodes: list[SimulatedNode]) -> list[Link]:
        """The links on which these nodes send or receive."""
        return [*self.links_from(nodes), *self.links_to(nodes)]

    def disturb(self, owner: object, faults: Iterable[LinkFault]) -> End:
        """Adds faults to the links, and returns what removes them."""
        self.links.disturb(owner, faults)
        return lambda: self.links.mend(owner)
