"""What a trace tells beside the events: whole states, each time that they have changed.

A picture of a run (`launcher/page/static/fold.js`) has to be true at every moment, also between two
events. So an event's `state` has more than a specification of Raft asks for, where that has changed
since it was last in the trace:

    log         where the terms of its log begin: `base`, `base_term`, and `starts`, pairs of the
                first index and the term
    peers       what a leader believes: id, next index and match index of each
    votes       the answers to a candidate: id, and whether the vote was given
    snapshot    the entry with which its newest snapshot ends

`state.changed` has the `state` of a node that a step has changed without an event of its own, and
`world.changed` what befell the world: the links that do something to messages, the nodes that are
stopped by a signal, and what is wrong with the disks.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from launcher.control.disks import ailment
from launcher.control.links import describe
from node.raft.messages import NodeId
from node.raft.state import LEADER, RaftState

if TYPE_CHECKING:
    from launcher.simulation.network import SimulatedLinks
    from launcher.simulation.node import SimulatedNode

Fields = dict[str, Any]


class Telling:
    """What the trace has told of each node, and of the world."""

    def __init__(self) -> None:
        self._told: dict[NodeId, tuple[int, Fields]] = {}
        self._terms: dict[NodeId, Terms] = {}
        self._world: Fields = {}

    def state(self, node: SimulatedNode) -> Fields:
        """A node's state, with the further fields that differ from what was told of this life."""
        assert node.server is not None, f"n{node.node_id} is down, and has no state"
        state = node.server.state
        life, told = self._told.get(node.node_id, (-1, {}))
        if life != node.life:
            told = {}
            self._terms[node.node_id] = Terms()
        now = basic(state) | self._further(node.node_id, state)
        self._told[node.node_id] = (node.life, now)
        return {key: now[key] for key in now if key in _ALWAYS or told.get(key) != now[key]}

    def is_news(self, node: SimulatedNode) -> bool:
        """Whether a node that is up differs from what was told of it."""
        if node.server is None:
            return False
        life, told = self._told.get(node.node_id, (-1, {}))
        if life != node.life:
            return True
        state = node.server.state
        return told != basic(state) | self._further(node.node_id, state)

    def world(self, links: SimulatedLinks, nodes: Iterable[SimulatedNode]) -> Fields:
        """What of the world has changed; empty if nothing has."""
        now = of_world(links, nodes)
        changed = {key: now[key] for key in now if self._world.get(key) != now[key]}
        self._world = now
        return changed

    def _further(self, node_id: NodeId, state: RaftState) -> Fields:
        return {
            "log": self._terms.setdefault(node_id, Terms()).of(state),
            "peers": peers_of(state),
            "votes": sorted(state.votes.items()),
            "snapshot": 0 if state.snapshot is None else state.snapshot.last_included_index,
        }


_ALWAYS = frozenset({"term", "role", "vote", "commit", "last", "last_term", "conf"})


def basic(state: RaftState) -> Fields:
    """A server's state, as far as a specification of Raft knows it."""
    membership = state.configuration.membership
    return {
        "term": state.current_term,
        "role": state.role_name,
        "vote": state.voted_for,
        "commit": state.commit_index,
        "last": state.log.last_index,
        "last_term": state.log.last_term,
        "conf": {
            "voters": membership.voters,
            "outgoing": membership.outgoing,
            "learners": state.configuration.learners,
        },
    }


def peers_of(state: RaftState) -> list[tuple[NodeId, int, int]]:
    """Next index and match index of each peer, as a leader believes; empty elsewhere."""
    if state.role is not LEADER:
        return []
    return sorted((peer, one.next_index, one.match_index) for peer, one in state.progress.items())


def of_world(links: SimulatedLinks, nodes: Iterable[SimulatedNode]) -> Fields:
    """What befalls the world now, that no node can tell."""
    some = list(nodes)
    return {
        "links": sorted((a, b, describe(fault)) for (a, b), fault in links.in_force().items()),
        "paused": [node.node_id for node in some if node.paused or node.held],
        "disks": {str(node.node_id): said for node in some if (said := _disk(node))},
    }


def _disk(node: SimulatedNode) -> str:
    hangs = node.disk_stalls_until() > node.time.now
    return ailment(node.disk.fault or node.slow_disk, stalled=hangs)


class Terms:
    """Where the terms of one log begin, kept while it only grows."""

    def __init__(self) -> None:
        self._seen = (-1, -1, 0)
        self._starts: list[tuple[int, int]] = []

    def of(self, state: RaftState) -> Fields:
        """`base`, `base_term` and `starts` of the log as it is now."""
        log = state.log
        truncations, base, last = self._seen
        if (state.truncations, log.base_index) != (truncations, base) or log.last_index < last:
            self._starts, last = [], log.base_index
        if last < log.last_index:
            starts = list(self._starts)
            for batch in log.batches_from(last + 1):
                if not starts or starts[-1][1] != batch.term:
                    starts.append((batch.first_index, batch.term))
            self._starts = starts
        self._seen = (state.truncations, log.base_index, log.last_index)
        return {"base": log.base_index, "base_term": log.base_term, "starts": self._starts}
