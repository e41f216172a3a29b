"""Rebuilding a node, step by step: the order, which is what makes it safe. Pure.

With its data a node forgets what it has promised: its votes, and the entries that it has said are
on its disk. So nobody may count on any of it by then:

    set aside, committed -> stopped -> its data removed -> started -> a voter again

The supervisor (`reconfiguration.py`) and the operator of the simulated world
(`simulation/operator.py`) both do what `steps` says, in that order, and ask whoever leads in the
same way until a change is made (`standing`). A rebuild that is broken off anywhere can be asked for
again: it then begins from the front.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from node.raft.membership import stable
from node.raft.messages import Floor, NodeId
from node.wire import Status


class Deed(Enum):
    """What is done to the node itself.

    FORGET: its data is removed, and it is on record that it learns even the voters from its peers,
        and what was committed by then, its floor: `floor_of` what the leader said who has set it
        aside. Else it would vote for, and take the log of, somebody who has not heard of that
    """

    STOP = "stop"
    FORGET = "forget"
    START = "start"


@dataclass(frozen=True)
class Change:
    """These are to be the voters, and that is to be committed before anything else is done.

    yet: what has not come about while it is not, as in "n2 has not {yet}"
    """

    voters: tuple[NodeId, ...]
    yet: str


Step: TypeAlias = Change | Deed


def steps(node: NodeId, voters: Sequence[NodeId]) -> Iterator[Step]:
    """How `node` is rebuilt in a cluster of these voters, of which it need not be one."""
    rest = tuple(voter for voter in voters if voter != node)
    yield Change(rest, "been set aside")
    yield Deed.STOP
    yield Deed.FORGET
    yield Deed.START
    yield Change((*rest, node), "caught up")


class Standing(Enum):
    """How far a change is, as whoever leads sees it."""

    MADE = "made"
    UNDER_WAY = "under way"
    UNKNOWN = "unknown"
    """it has to be asked for, perhaps again: another leader may not have heard of it"""


def floor_of(leader: Status) -> Floor:
    """What is known to be committed, by what the leader says."""
    return Floor(leader.commit_term, leader.commit_index)


def standing(voters: Sequence[NodeId], leader: Status) -> Standing:
    """How far the change to these voters is, by what the leader says."""
    wanted = stable(voters)
    if leader.membership == wanted and leader.membership_committed:
        return Standing.MADE
    if leader.membership.target == wanted.target:
        return Standing.UNDER_WAY
    return Standing.UNKNOWN
