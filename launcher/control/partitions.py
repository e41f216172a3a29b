"""SPEC: the words for a partition: its groups, or a shape of Jepsen's with a name. Pure.

    SPEC    1,2|3,4,5    leader,1|followers    halves    minority    leader    bridge
            majorities-ring

    halves           two halves, drawn at random; the larger one has the majority
    minority         as many nodes as the others can do without, drawn at random, against the rest
    leader           the leader on its own, against all others
    bridge           two halves, and one node that reaches both
    majorities-ring  each node hears a majority, and no two hear the same one

Groups are lists of targets, as `launcher/control/targets.py` tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from launcher.control.status import ClusterStatus
from launcher.control.targets import is_target, parse_partition, shown
from launcher.errors import LauncherError, UsageError
from node.faults.links import partition
from node.raft.membership import majority
from node.raft.messages import NodeId
from node.wire import LinkFault

SHAPES = ("halves", "minority", "leader", "bridge", "majorities-ring")

_LEAST_NODES = {"halves": 2, "leader": 2, "minority": 3, "bridge": 3, "majorities-ring": 3}


@dataclass(frozen=True)
class Split:
    """groups: who reaches whom; one node of a bridge is in both. Of a ring there are none."""

    groups: list[list[NodeId]]
    cuts: list[LinkFault]

    def __str__(self) -> str:
        if self.groups:
            return "|".join(",".join(map(str, group)) for group in self.groups)
        return ", ".join(f"{cut.source}>{cut.target}" for cut in self.cuts)


def parse(spec: str, status: ClusterStatus, random: Random) -> Split:
    """What the SPEC means now.

    Raises UsageError for one that is none, LauncherError when it cannot be had now.
    """
    shape = spec.strip().lower()
    if shape not in SHAPES:
        _check_no_shape_was_meant(shape)
        return _between(parse_partition(spec, status, random))
    ids = [node.id for node in status.nodes]
    if len(ids) < _LEAST_NODES[shape]:
        raise LauncherError(f"partition {shape} takes {_LEAST_NODES[shape]} nodes, not {len(ids)}")
    if shape == "leader":
        return _between(parse_partition("leader|followers", status, random))
    random.shuffle(ids)
    match shape:
        case "halves":
            return _between([ids[: len(ids) // 2], ids[len(ids) // 2 :]])
        case "minority":
            size = len(ids) - majority(tuple(ids))
            return _between([ids[:size], ids[size:]])
        case "bridge":
            return _bridge(ids)
        case _:
            return _ring(ids)


def _check_no_shape_was_meant(word: str) -> None:
    """Raises UsageError for a single word that is no group either: a name with a typing error."""
    if word and not set(word) & set("|, ") and not is_target(word):
        raise UsageError(
            f"no partition is called {shown(word)}: there are {', '.join(SHAPES)}; "
            "or write groups, for example 1,2|3,4,5"
        )


def _between(groups: Sequence[Sequence[NodeId]]) -> Split:
    return Split([sorted(group) for group in groups], partition(groups))


def _bridge(ids: Sequence[NodeId]) -> Split:
    bridge, *others = ids
    halves = others[: len(others) // 2], others[len(others) // 2 :]
    return Split([sorted([*half, bridge]) for half in halves], partition(halves))


def _ring(ids: Sequence[NodeId]) -> Split:
    """Each node hears those that stand next to it in a ring: Jepsen's perfect majorities ring."""
    count, size = len(ids), majority(tuple(ids))
    cuts = []
    for place, node in enumerate(ids):
        first = place - size // 2
        heard = {ids[at % count] for at in range(first, first + size)}
        cuts += [
            LinkFault(source=one, target=node, cut=True) for one in sorted(ids) if one not in heard
        ]
    return Split([], sorted(cuts, key=lambda cut: (cut.source, cut.target)))
