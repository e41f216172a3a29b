"""POINT and ACTION: the words for armed points, and what `launcher arm` shows of them. Pure.

What the points are, and what strikes there, is told in `node/faults/points.py`.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import msgspec

from launcher.control.targets import shown
from launcher.errors import UsageError
from node.faults import points
from node.raft.messages import NodeId
from node.wire import PointTerm

POINT_NAMES = tuple(points.POINTS)

ACTION_WORDS = (
    "kill",
    "2*kill",
    "power",
    "pause",
    "1*pause",
    "sleep(1s)",
    "fail-sync",
    "cut",
    "off",
)
"""What a shell offers for an action."""


class PointAtNode(msgspec.Struct, frozen=True):
    """A point that was armed at a node since the cluster started.

    actions: what is left of its chain, in words; empty: nothing can strike there any more
    hits: how often it was reached while it was armed
    strikes: how often an action struck there
    """

    node: NodeId
    actions: str
    hits: int
    strikes: int


class PointRow(msgspec.Struct, frozen=True):
    """A point in the code: the contract of `arm --json`.

    etcd: what etcd calls it; empty where it has no such point
    text: when it is reached
    nodes: those at which it was armed
    """

    point: str
    etcd: str
    text: str
    nodes: list[PointAtNode]


def check_point(name: str) -> str:
    """The name of a point, in lower case. Raises UsageError, with the names that are like it."""
    lower = name.lower()
    if lower in points.POINTS:
        return lower
    near = difflib.get_close_matches(lower, POINT_NAMES, n=3, cutoff=0.5)
    meant = f"is it {' or '.join(near)}? " if near else ""
    raise UsageError(f"no point is called {shown(name)}: {meant}`launcher arm` lists the points")


def parse_actions(text: str) -> list[PointTerm]:
    """The chain of a point; empty: it is to be disarmed. Raises UsageError."""
    try:
        return points.parse(text.lower())
    except ValueError as error:
        raise UsageError(f"no point can do {shown(text)}: {error}") from None


def check_terms(terms: Sequence[PointTerm]) -> None:
    """Raises UsageError for a chain that no text stands for."""
    try:
        points.check(terms)
    except ValueError as error:
        raise UsageError(f"no point can do that: {error}") from None


def describe(terms: Sequence[PointTerm]) -> str:
    """A chain in words, without what is used up."""
    return points.write(terms)
