"""Armed points, as the supervisor and a node speak of them (`node/faults/points.py`)."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

PointAction: TypeAlias = Literal["kill", "power", "pause", "sleep", "fail-sync", "cut", "off"]


class PointTerm(msgspec.Struct, frozen=True):
    """One link of a chain: `20%3*sleep(1s)`.

    percent: the probability that it strikes when it is reached, above 0 and at most 100
    count: how often it may strike still; None: without end; 0: it is used up
    seconds: how long a `sleep` takes
    """

    action: PointAction
    percent: float = 100.0
    count: int | None = None
    seconds: float = 0.0


class ArmedPoint(msgspec.Struct, frozen=True):
    """One point that is armed at a node, or was until its chain was used up.

    id: of the injection that has armed it
    terms: its chain, as far as it is left
    hits: how often it was reached since it was armed, in all lives of the node
    strikes: how often an action struck there
    """

    point: str
    id: int
    terms: list[PointTerm]
    hits: int = 0
    strikes: int = 0

    @property
    def is_spent(self) -> bool:
        """Nothing of the chain can strike any more."""
        return all(term.count == 0 for term in self.terms)


class ArmPoints(msgspec.Struct, frozen=True, tag=True):
    """From now on these points are armed, and no others.

    A point that the node has armed already, with the same id, stays as it is: its counts are newer
    than those in here.

    cut: whether the node is cut off from all others, as by the action `cut`; None: as it is
    """

    points: list[ArmedPoint]
    cut: bool | None = None


class PointHit(msgspec.Struct, frozen=True, tag=True):
    """An action strikes at a point as soon as this is sent.

    state: the point, with this strike counted
    """

    state: ArmedPoint
    action: PointAction
