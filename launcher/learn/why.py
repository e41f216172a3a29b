"""Why a node leads, or does not, in sentences: the most decisive first. Pure.

`gather` makes the facts of what a cluster and its timeline say, and `why` makes the sentences.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from launcher.control.naming import node_names
from launcher.control.status import ClusterStatus, NodeStatus, counted
from launcher.errors import LauncherError
from launcher.timeline.events import Event
from launcher.timeline.render import wall_clock
from launcher.timeline.sentences import sentence
from node.raft.membership import majority
from node.raft.messages import NodeId

MOST_EVENTS = 1000
"""Of elections, the last ones; older ones explain nothing."""

_MOST_REFUSALS = 3
_OF_ELECTIONS = frozenset(
    {
        "election.started",
        "leader.elected",
        "leader.stepped_down",
        "prevote.denied",
        "vote.denied",
    }
)


@dataclass(frozen=True)
class Facts:
    """What is known.

    events: of elections, since the cluster is up, in their order
    """

    status: ClusterStatus
    events: Sequence[Event] = ()

    def is_cut(self, one: NodeId, other: NodeId) -> bool:
        """Whether messages between them are lost, in one direction or both."""
        node = self.status.node(one)
        return other in (*node.cut_off_from, *node.cannot_send_to, *node.cannot_hear)


def gather(status: ClusterStatus, timeline: Iterable[Event]) -> Facts:
    """The facts out of a status and of all events so far."""
    kept: deque[Event] = deque(maxlen=MOST_EVENTS)
    for event in timeline:
        if event.event == "supervisor.started":
            kept.clear()
        elif event.event in _OF_ELECTIONS:
            kept.append(event)
    return Facts(status, tuple(kept))


def why(
    facts: Facts, node_id: NodeId | None, clock: Callable[[int], str] = wall_clock
) -> list[str]:
    """Why the node leads or does not; without a node, why there is a leader or none.

    Raises LauncherError when there is no such node.
    """
    status = facts.status
    if node_id is None:
        node_id = status.leader
    if node_id is None:
        return list(_no_leader(facts, clock))
    if not status.has(node_id):
        ids = node_names(node.id for node in status.nodes)
        raise LauncherError(f"there is no node n{node_id}; there are {ids}")
    node = status.node(node_id)
    if node_id == status.leader:
        return list(_leads(facts, node))
    return [*_hindrances(facts, node), *_others(facts, node), *_history(facts, node, clock)]


# -- one that leads ------------------------------------------------------------------------------


def _leads(facts: Facts, node: NodeStatus) -> Iterator[str]:
    votes = _votes(facts, node.id, node.term)
    elected = f": it was elected with the votes of {node_names(votes)}" if votes else ""
    yield f"n{node.id} leads term {node.term}{elected}."
    followers = [one for one in facts.status.followers if one != node.id]
    if facts.status.has_quorum([node.id, *followers]):
        if followers:
            hear = node_names(followers)
            yield f"It leads for as long as a majority hears it: {hear}, and itself."
        else:
            yield "It is the only voter, so it needs no other node."
        return
    follows = "follows" if len(followers) == 1 else "follow"
    follow = (
        f"only {node_names(followers)} {follows} it" if followers else "no other node follows it"
    )
    yield (
        f"But it can commit nothing now: {follow}, and {_takes(facts.status, 'a decision')}. "
        "If that lasts for an election timeout, it steps down."
    )
    yield from _unreachable(facts, node)


# -- one that does not ---------------------------------------------------------------------------


def _hindrances(facts: Facts, node: NodeStatus) -> Iterator[str]:
    """What keeps the node itself from being elected."""
    status, name = facts.status, f"n{node.id}"
    if node.state != "up":
        frozen = " (its process is frozen by a signal)" if node.state == "paused" else ""
        reason = f" ({node.reason})" if node.reason else frozen
        yield f"{name} cannot lead: it is {node.state}{reason}."
        return
    if node.hangs:
        yield f"{name} cannot lead: its process has not responded for {node.last_answer_s:.0f} s."
    if node.role == "leader" and status.leader is not None:
        yield (
            f"{name} still believes that it leads term {node.term}, but n{status.leader} leads the "
            f"later term {status.node(status.leader).term}, and {name} has not heard of that yet. "
            "It can commit nothing: a majority no longer accepts its term."
        )
    if status.membership is not None and not status.may_vote(node.id):
        what = "a learner, and has no vote yet" if status.is_member(node.id) else "no member"
        yield f"{name} cannot lead: it is {what}" + (f" ({node.change})." if node.change else ".")
    elif not status.has_quorum(_reachable(facts, node)):
        yield from _unreachable(facts, node, f"{name} cannot lead: ")
    if node.disk and "ok" not in node.disk:
        yield f"Its disk is not well: {node.disk}."
    if node.leader is None and node.last_index < status.commit_index:
        yield (
            f"Its log is behind: it ends with entry {node.last_index}, and the entries up to "
            f"{status.commit_index} are committed. A majority has them, and would not vote for "
            f"{name}."
        )


def _others(facts: Facts, node: NodeStatus) -> Iterator[str]:
    """The node that leads instead, or that no node leads."""
    status, leader = facts.status, facts.status.leader
    if leader is None:
        yield from _no_leader_in_short(facts)
        return
    term = status.node(leader).term
    votes = _votes(facts, leader, term)
    elected = f", elected with the votes of {node_names(votes)}" if votes else ""
    if node.state == "up" and node.leader == leader and node.term == term:
        heard = node.leader_heard_s
        ago = "" if heard is None else f" (last {_ago(heard)} ago)"
        yield (
            f"n{node.id} follows n{leader}, which leads term {term} and is heard{ago}{elected}. "
            f"While a majority hears n{leader}, no node is elected in its place; "
            f"`transfer n{node.id}` would make n{node.id} the leader."
        )
    else:
        yield f"n{leader} leads term {term}{elected}."


def _history(facts: Facts, node: NodeStatus, clock: Callable[[int], str]) -> Iterator[str]:
    """What its elections came to: its last own one, the refusals since the last leader, its end."""
    status = facts.status
    own = [event for event in facts.events if event.node == node.id]
    stepped = [event for event in own if event.event == "leader.stepped_down"]
    if stepped:
        yield _told(stepped[-1], clock)
    asked = [event for event in own if event.event == "election.started"]
    if asked and status.leader is None:
        yield _told(asked[-1], clock)
    newest = status.term if status.leader is None else status.node(status.leader).term
    refusals: dict[NodeId, Event] = {}
    for event in facts.events:
        if event.event in ("vote.denied", "prevote.denied"):
            fields = event.fields
            for_term = fields.get("for_term")
            if fields.get("candidate") == node.id and isinstance(for_term, int):
                refusals.pop(event.node, None)
                if for_term >= newest:
                    refusals[event.node] = event
    for event in [*refusals.values()][-_MOST_REFUSALS:]:
        yield _told(event, clock)


# -- nobody leads --------------------------------------------------------------------------------


def _no_leader(facts: Facts, clock: Callable[[int], str]) -> Iterator[str]:
    yield from _no_leader_in_short(facts)
    last: dict[NodeId, Event] = {}
    for event in facts.events:
        if event.event == "leader.elected":
            last.clear()
        elif event.event == "election.started":
            last.pop(event.node, None)
            last[event.node] = event
    for event in [*last.values()][-_MOST_REFUSALS:]:
        yield _told(event, clock)


def _no_leader_in_short(facts: Facts) -> Iterator[str]:
    status = facts.status
    if status.membership is None:
        yield "There is no leader, and no node has said yet who votes."
        return
    up = {node.id for node in status.up if not node.hangs}
    if not status.has_quorum(up):
        missing = status.missing()
        said = counted(status.membership, up, "are up")
        yield f"There is no leader: {said}" + (f"; {missing}." if missing else ".")
    elif not any(status.has_quorum(_reachable(facts, node)) for node in status.up):
        yield (
            "There is no leader: the links are cut so that no node reaches enough voters, and "
            f"{_takes(status, 'an election')}."
        )
    else:
        yield (
            "There is no leader at this moment, and enough nodes are up to elect one: an election "
            "begins when the first election timeout is over."
        )


# -- parts of sentences --------------------------------------------------------------------------


def _reachable(facts: Facts, node: NodeStatus) -> set[NodeId]:
    """The nodes that are up and that it can exchange messages with, itself included."""
    there = {one.id for one in facts.status.up if not one.hangs}
    return {one for one in there if one == node.id or not facts.is_cut(node.id, one)}


def _unreachable(facts: Facts, node: NodeStatus, begin: str = "") -> Iterator[str]:
    """Which voters it cannot reach, and how many votes an election takes."""
    status = facts.status
    others = [one for one in status.nodes if one.id != node.id and status.may_vote(one.id)]
    cut = [one.id for one in others if facts.is_cut(node.id, one.id)]
    away = [one.id for one in others if one.state != "up" or one.hangs]
    reasons = []
    if cut:
        reasons.append(f"it is cut off from {node_names(cut)}")
    if alone := [one for one in away if one not in cut]:
        reasons.append(
            f"{node_names(alone)} {'does' if len(alone) == 1 else 'do'} not run or respond"
        )
    if reasons:
        said = f"{begin}{' and '.join(reasons)}, and {_takes(status, 'an election')}."
        yield said[0].upper() + said[1:] if not begin else said


def _takes(status: ClusterStatus, what: str) -> str:
    membership = status.membership
    if membership is None:
        return f"{what} takes a majority of the votes"
    if membership.outgoing:
        return f"{what} takes a majority of the old voters and one of the new voters"
    return f"{what} takes {majority(membership.voters)} of {len(membership.voters)} votes"


def _votes(facts: Facts, leader: NodeId, term: int) -> list[NodeId]:
    """Who, but itself, elected the leader of that term, as far as is known."""
    for event in reversed(facts.events):
        if (event.event, event.node, event.term) == ("leader.elected", leader, term):
            votes = event.fields.get("votes")
            return [vote for vote in votes if vote != leader] if isinstance(votes, list) else []
    return []


def _told(event: Event, clock: Callable[[int], str]) -> str:
    said, _ = sentence(event, lambda node: f"n{node}")
    return f"{clock(event.t)}: {said}."


def _ago(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
