"""Changes of the membership, step by step, and what is made of one that was broken off. Pure.

Who is to run stands in cluster.json, and who votes stands in the log. A change moves both. So it is
on record before anything of it is done (`ClusterRecord.change`), and how many of its steps are done
is recorded after each:

    add       started -> voters, committed
    remove    no voters any more, committed -> stopped -> data removed and off the record
    rebuild   set aside, committed -> stopped -> data removed -> started -> a voter again

Each step may be done twice, for a supervisor can be killed after a step and before its record. The
next one finds the change on record. It finishes a `remove` and a `rebuild`. It finishes an `add`
that the log has heard of, and undoes one that the log will never hold (`verdict`).

The order makes a rebuild safe. With its data a node forgets what it has promised: its votes, and
the entries that it has said are on its disk. So by then nobody may count on any of it.

The supervisor (`reconfiguration.py`) and the operator of the simulated world
(`simulation/operator.py`) both do what `next_step` says, and both ask the leader for a membership
until it is made (`standing`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

import msgspec

from launcher.control.naming import node_names
from launcher.control.status import ClusterStatus
from launcher.folders.records import Change
from node.raft.membership import Configuration
from node.raft.messages import Floor, Membership, NodeId
from node.wire import Status

# -- steps ---------------------------------------------------------------------------------------


class Deed(Enum):
    """What is done to a node.

    FORGET: its data is removed, and it is on record that it learns even the voters from its peers,
        and what was committed by then, its floor: `floor_of` what the leader said that has set it
        aside. Else it would vote for, and take the log of, somebody who has not heard of that
    DISMISS: its data is removed, and it is on record no more
    """

    START = "start"
    STOP = "stop"
    FORGET = "forget"
    DISMISS = "dismiss"


@dataclass(frozen=True)
class Act:
    """Something that is done to one node."""

    deed: Deed
    node: NodeId


@dataclass(frozen=True)
class Voters:
    """Some are to be voters no more, and some are to become voters, whoever else there is. That is
    to be committed before anything else is done.

    yet: what has not come about while it is not, as in "n2 has not {yet}"
    """

    yet: str
    leave: tuple[NodeId, ...] = ()
    join: tuple[NodeId, ...] = ()

    def among(self, target: Iterable[NodeId]) -> tuple[NodeId, ...]:
        """Who is to vote then, when these are to vote without it."""
        wanted = {voter for voter in target if voter not in self.leave}
        return tuple(sorted(wanted | {*self.join}))


Step: TypeAlias = Voters | Act

_REMOVED = 1
"""As many steps of a `remove` are done once its nodes are no voters any more."""

_SET_ASIDE, _FORGOTTEN, _STARTED = 1, 3, 4
"""As many steps of a `rebuild` are done once its node is set aside, has no data, learns."""


def next_step(change: Change) -> Step | None:
    """The step that is due; None when all are done."""
    return next(itertools.islice(_steps(change), change.done, None), None)


def advanced(change: Change) -> Change | None:
    """What is to be on record when the step that is due is done; None: nothing is left to do.

    The nodes of a rebuild come one after the other, and one that is done is off the record.
    """
    further = msgspec.structs.replace(change, done=change.done + 1)
    if next_step(further) is not None:
        return further
    if change.kind == "rebuild" and len(change.nodes) > 1:
        return msgspec.structs.replace(change, nodes=change.nodes[1:], done=0)
    return change.then


def all_voters(change: Change, target: Iterable[NodeId]) -> list[tuple[NodeId, ...]]:
    """Who is to vote in between and in the end, when these are to vote now."""
    found: list[tuple[NodeId, ...]] = []
    going_on: Change | None = change
    while going_on is not None:
        step = next_step(going_on)
        if isinstance(step, Voters):
            target = step.among(target)
            found.append(target)
        going_on = advanced(going_on)
    return found


def _steps(change: Change) -> Iterator[Step]:
    match change.kind:
        case "add":
            return _adding(change.nodes)
        case "remove":
            return _removing(change.nodes)
        case "rebuild":
            return _rebuilding(change.nodes[0])


def _adding(nodes: Sequence[NodeId]) -> Iterator[Step]:
    for node in nodes:
        yield Act(Deed.START, node)
    yield Voters("caught up", join=tuple(nodes))


def _removing(nodes: Sequence[NodeId]) -> Iterator[Step]:
    yield Voters("been removed", leave=tuple(nodes))
    for node in nodes:
        yield Act(Deed.STOP, node)
        yield Act(Deed.DISMISS, node)


def _rebuilding(node: NodeId) -> Iterator[Step]:
    yield Voters("been set aside", leave=(node,))
    yield Act(Deed.STOP, node)
    yield Act(Deed.FORGET, node)
    yield Act(Deed.START, node)
    yield Voters("caught up", join=(node,))


# -- what the leader says ------------------------------------------------------------------------


class Standing(Enum):
    """How far the leader is with a change of who votes, as it sees that."""

    MADE = "made"
    UNDER_WAY = "under way"
    UNKNOWN = "unknown"
    """it has to be asked for, perhaps again: another leader may not have heard of it"""


def floor_of(leader: Status) -> Floor:
    """What is known to be committed, by what the leader says."""
    return Floor(leader.commit_term, leader.commit_index)


def standing(step: Voters, leader: Status) -> Standing:
    """How far the leader is with it. Others may go on learning beside it.

    It is made only when the leader has committed an entry of its own term as well: until then an
    entry in the log of another server may take its place (`verdict`).
    """
    membership = leader.membership
    gone = {*step.leave}.isdisjoint(membership.members)
    came = not step.join or (not membership.outgoing and {*step.join} <= {*membership.voters})
    if gone and came and leader.membership_committed and _is_sure(leader):
        return Standing.MADE
    if membership.target == step.among(membership.target):
        return Standing.UNDER_WAY
    return Standing.UNKNOWN


def _is_sure(leader: Status) -> bool:
    return leader.commit_term == leader.term


# -- one change at a time ------------------------------------------------------------------------


class Beside(Enum):
    """What becomes of a request, given the change that is under way.

    JOIN: it asks for what is under way, and waits for that
    GIVE_UP: it removes what is being added or rebuilt, which is given up at once (`superseded`)
    """

    BEGIN = "begin"
    JOIN = "join"
    GIVE_UP = "give up"
    REFUSE = "refuse"


def beside(under_way: Change | None, kind: str, nodes: Sequence[NodeId]) -> Beside:
    """What becomes of a request to change these nodes. Two requests to add are never the same."""
    if under_way is None:
        return Beside.BEGIN
    named = set(under_way.nodes)
    if kind == under_way.kind != "add" and named.issuperset(nodes):
        return Beside.JOIN
    if kind == "remove" != under_way.kind and not named.isdisjoint(nodes):
        return Beside.GIVE_UP
    return Beside.REFUSE


def superseded(change: Change, removed: Sequence[NodeId]) -> Change:
    """The change in place of one that adds or rebuilds some of the `removed` nodes.

    It gives up what was begun for them; what was begun for others goes on when they are removed.
    """
    rest = [node for node in change.nodes if node not in removed]
    then = change.then
    if rest:
        same = change.kind == "rebuild" and rest[0] == change.nodes[0]
        then = Change(change.kind, rest, resumed(change).done if same else 0, then)
    return Change("remove", list(removed), then=then)


# -- changes that were broken off ----------------------------------------------------------------


class Verdict(Enum):
    """What is made of a change that was broken off."""

    WAIT = "wait"
    FINISH = "finish"
    UNDO = "undo"
    """the nodes are removed in place of it (`superseded`), which is on record before it begins"""


def verdict(change: Change, leader: Status | None) -> Verdict:
    """What is made of it, given what the leader says; None: there is no leader.

    An `add` that the leader's log names is finished, committed or not: it may come to be committed.
    One that the log does not name is undone only when it never will. An entry that names the new
    nodes may stand in the log of a server that does not lead, not committed, since an earlier
    leader proposed it and died. It is of an earlier term than the leader's: a leader is only asked
    to change the membership of the term that it leads. Once the leader has committed an entry of
    its own term, every later leader's log holds that entry (§5.4.2, §5.4.1), and all before it as
    the leader's log has it. No entry of an earlier term stands behind it, for terms never fall
    along a log. So no later leader holds the entry that names the new nodes, and it is never
    committed. As long as the leader has not committed an entry of its own term, that is not known.
    """
    if change.kind != "add":
        return Verdict.FINISH
    if leader is None:
        return Verdict.WAIT
    if not set(change.nodes).isdisjoint(leader.membership.members):
        return Verdict.FINISH
    return Verdict.UNDO if _is_sure(leader) else Verdict.WAIT


def resumed(change: Change) -> Change:
    """The change as it goes on, when whoever was at it is gone.

    A node that is to forget must have been set aside by what is committed *now*, for its floor. So
    a rebuild that had not come that far begins from the front; one that had does not, else it would
    forget what it has learned since.
    """
    if change.kind == "rebuild" and change.done < _FORGOTTEN:
        return msgspec.structs.replace(change, done=0)
    return change


def stay_down(change: Change | None) -> list[NodeId]:
    """The nodes that a supervisor does not start when it starts: their data is about to go."""
    if change is None:
        return []
    if change.kind == "remove" and change.done >= _REMOVED:
        return change.nodes
    if change.kind == "rebuild" and _SET_ASIDE <= change.done < _FORGOTTEN:
        return change.nodes[:1]
    return []


# -- in words ------------------------------------------------------------------------------------

_BEING = {"add": "added", "remove": "removed", "rebuild": "rebuilt"}


def under_way(change: Change) -> str:
    """`n4 is being added`."""
    verb = "is" if len(change.nodes) == 1 else "are"
    return f"{node_names(change.nodes)} {verb} being {_BEING[change.kind]}"


def not_yet(change: Change) -> str:
    """`n4 has not caught up`: what the change waits for."""
    asked = [(n, step) for n, step in enumerate(_steps(change)) if isinstance(step, Voters)]
    yet = next((step.yet for n, step in asked if n >= change.done), asked[0][1].yet)
    nodes = change.nodes[:1] if change.kind == "rebuild" else change.nodes
    return f"{node_names(nodes)} {'has' if len(nodes) == 1 else 'have'} not {yet}"


def reason(change: Change | None, node: NodeId, membership: Membership | None) -> str:
    """Why the node has no vote, or is about to lose it; empty when no change is the reason.

    membership: who takes part, as far as that is known
    """
    while change is not None and node not in change.nodes:
        change = change.then
    if change is None:
        return ""
    votes = None if membership is None else Configuration(membership).may_vote(node)
    match change.kind:
        case "remove":
            return "being removed"
        case "add":
            learns = membership is not None and node in membership.target
            return "" if votes else f"being added: {'learns the log' if learns else 'starts'}"
        case "rebuild":
            return _reason_of_rebuild(change, node, votes)


def with_reasons(status: ClusterStatus, change: Change | None, trouble: str) -> ClusterStatus:
    """The status in which each node without a vote says why it has none (`NodeStatus.change`).

    trouble: what the change waits for, if it does not get on
    """
    held_up = [] if change is None or not trouble else change.nodes
    known = status.membership if status.membership and status.membership.voters else None

    def why(node: NodeId) -> str:
        said = reason(change, node, known)
        if not said and status.leader is not None and not status.is_member(node):
            ways = f"`launcher rebuild {node}` or `launcher remove {node}` ends that"
            said = f"not a member, and no change is under way: {ways}"
        return f"{said}; {trouble}" if said and node in held_up else said

    nodes = [msgspec.structs.replace(node, change=why(node.id)) for node in status.nodes]
    return msgspec.structs.replace(status, nodes=nodes)


def _reason_of_rebuild(change: Change, node: NodeId, votes: bool | None) -> str:
    """votes: None while nobody has said who does"""
    if node != change.nodes[0]:
        return f"to be rebuilt after n{change.nodes[0]}"
    if change.done < _SET_ASIDE and votes is not False:
        return "being rebuilt: is to be set aside"
    if change.done < _STARTED:
        return "set aside: its rebuild goes on"
    return "" if votes else "being rebuilt: learns the log"
