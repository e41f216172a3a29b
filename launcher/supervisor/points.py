"""What the supervisor knows of the armed points of its nodes.

A node counts: what it says of its points, in each status and before each strike, replaces what is
known here. A node that starts is told what is left. So the counts outlive its process, and an
action that ends the process does not strike again in the next life, unless a count lets it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from launcher.control.points import POINT_NAMES, PointAtNode, PointRow, describe
from launcher.supervisor.injections import Injections
from node import wire
from node.faults.points import POINTS
from node.raft.messages import NodeId
from node.wire import ArmedPoint, ArmPoints, PointTerm

LAYER = "points"
CUT_OFF = "cut-off"
"""The layers of the faults here: armed points, and what the action `cut` has done."""

POWER = "power"
_ENDS = ("kill", POWER)
"""The actions that end the process at once, as an operator's `kill` does."""


@dataclass(slots=True)
class NodePoints:
    """The points of one node, in this life and the next ones.

    states: by the point's name; one whose chain is used up, or that was disarmed, keeps its counts
    heard: the ids of those that the node has spoken of
    cut_at: the point at which the node was cut off; empty: it is not
    """

    states: dict[str, ArmedPoint] = field(default_factory=dict)
    heard: set[int] = field(default_factory=set)
    cut_at: str = ""

    def armed(self) -> list[ArmedPoint]:
        """Those at which something may strike."""
        return [state for state in self.states.values() if not state.is_spent]

    def ids(self) -> set[int]:
        """Of the injections behind those."""
        return {state.id for state in self.armed()}

    def arm(self, point: str, fault_id: int, terms: list[PointTerm]) -> None:
        """From now on it is armed with this chain, and its hits are counted from 0."""
        self.states[point] = ArmedPoint(point, fault_id, terms)
        self.heard &= self.ids()

    def disarm(self, point: str) -> None:
        """It keeps its counts."""
        if point in self.states:
            self.states[point] = msgspec.structs.replace(self.states[point], terms=[])

    def heal(self) -> None:
        """All of them are disarmed, and the node is not cut off any more."""
        for point in self.states:
            self.disarm(point)
        self.cut_at = ""

    def order(self, *, cut: bool | None = None) -> ArmPoints:
        """What the node is told. cut: as in `ArmPoints`"""
        return ArmPoints(self.armed(), cut)

    def first_orders(self) -> list[wire.ToNode]:
        """What the node is told when it starts."""
        cut = True if self.cut_at else None
        return [self.order(cut=cut)] if cut or self.armed() else []

    def hear(self, said: Iterable[ArmedPoint]) -> None:
        """What the node says of its points. What it says of an earlier arming is old."""
        for state in said:
            known = self.states.get(state.point)
            if known is not None and known.id == state.id and known.terms:
                self.heard.add(state.id)
                self.states[state.point] = state

    def in_words(self) -> str:
        """For `ps`: what is armed, and whether the node is cut off; empty when neither."""
        found = [f"{state.point} {describe(state.terms)}" for state in self.armed()]
        said = [f"armed: {', '.join(found)}"] if found else []
        if self.cut_at:
            said.append(f"cut off at the point {self.cut_at}")
        return "; ".join(said)


def rows(nodes: Mapping[NodeId, NodePoints]) -> list[PointRow]:
    """Every point, and at which nodes it was armed."""
    return [
        PointRow(
            point,
            POINTS[point].etcd,
            POINTS[point].text,
            [
                PointAtNode(node_id, describe(state.terms), state.hits, state.strikes)
                for node_id, node in nodes.items()
                if (state := node.states.get(point)) is not None
            ],
        )
        for point in POINT_NAMES
    ]


def struck(node_id: NodeId, points: NodePoints, hit: wire.PointHit, injections: Injections) -> str:
    """An action strikes at a node at this moment. Returns why its process ends, if it does."""
    points.hear([hit.state])
    if hit.action == "cut" and not points.cut_at:
        points.cut_at = hit.state.point
        injections.begin("isolate", CUT_OFF, [node_id], injections.next_id(), targets=[node_id])
    how = "its power failed" if hit.action == POWER else "killed"
    return f"{how} at the point {hit.state.point}" if hit.action in _ENDS else ""
