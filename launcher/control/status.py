"""What a cluster and its nodes look like at one moment: what `ps` shows, and `ps --json` prints.

The fields and their names are a contract; scripts rely on them. A node that is not running keeps
what was last known of its log, and has no role, no leader, no pid, and nothing that is measured.

Who votes is in the log, and nodes come and go. So nothing here counts nodes to find out whether a
quorum is up: `ClusterStatus` has the membership in force, and every such question is asked of its
`Configuration`, which knows joint consensus and learners.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Literal, TypeAlias

import msgspec

from launcher.control.divergence import Divergence
from launcher.control.naming import node_names
from launcher.folders.violations import Violation
from node import wire
from node.raft.membership import Configuration, majority, stable
from node.raft.messages import Membership, NodeId

NodeState: TypeAlias = Literal["up", "paused", "down", "failed"]
Role: TypeAlias = Literal["leader", "follower", "pre-candidate", "candidate", "learner"]

FROZEN = "the cluster is frozen: `launcher thaw`"
"""What whoever needs nodes is told while they are all stopped."""

FROZEN_FOR_SAFETY = (
    "safety was violated, and every node is frozen: `launcher ps` says what was found, `launcher "
    "thaw` lets the nodes go on, and `launcher down` ends them"
)
"""The same, where the supervisor has stopped them."""

TO_BE_RESTARTED = "to be restarted"
"""The reason of a node that is down begins so when its supervisor is about to start it again."""


class PeerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What a leader believes of one peer.

    mode: `probe` (it looks for where the logs agree), `replicate` (it sends entries as they come),
        or `snapshot` (it sends one, since its log has no longer what the peer needs)
    in_flight, in_flight_bytes: messages that are sent and not acknowledged, and their entries'
        bytes; of a snapshot, the bytes that the peer has not acknowledged yet
    heard_s: seconds since it last replied in this term; null: it has not
    """

    id: NodeId
    next_index: int
    match_index: int
    mode: str
    in_flight: int
    in_flight_bytes: int
    heard_s: float | None


class LinkStatus(msgspec.Struct, frozen=True):
    """One direction between two nodes. does: in the words of `launcher link`: `cut`, `delay 50ms`;
    `ok` when it does nothing to its messages"""

    source: NodeId
    target: NodeId
    does: str


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One node.

    state: `up` (its process runs), `paused` (it is stopped by a signal), `down` (it is not running
        because somebody meant it, or it waits to be restarted), `failed` (it will not be restarted)
    role: null while the node has not said it yet
    restarts: how often it was started again since the supervisor started
    cpu_percent: of one core, since the last time somebody asked
    responding: whether the process answers; false too when there is none, or it is paused
    last_answer_s: seconds since it last said anything; null before it has, and without a process.
        What is shown of it is as old as that
    reason: why it is down or failed; empty when it is neither disk: what is wrong with its disk, as
    far as anybody knows (`launcher/control/disks.py`), or empty change: why it has no vote, or is
    about to lose it, and what the change of the membership that
        it is in waits for (`launcher/supervisor/changes.py`); empty for a voter that is in no
        change
    clock: what moves its clocks by an operator's order (`launcher/control/clocks.py`), or empty
    throttle: the share of a core that it gets by an operator's order, such as 0.2; null: all of it
    snapshot: why its last attempt to take a snapshot failed; empty if it did not
    slowest_apply_s, slowest_query_s: the longest that one took in this life; several entries that
        came together may count as one
    voted_for: the node that it has given its vote of this term to
    election_in_s: until its election timeout, below 0 when it is due; null: it leads, or does not
        answer
    leader_heard_s: since it last heard a leader; null: it leads, has heard none, or does not answer
    peers: what it believes of each peer, if it leads and answers
    cut_off_from: the nodes to which no message of its own gets, nor any of theirs to it
    cannot_send_to, cannot_hear: those for which only one of the two holds
    diverged: how its machine differs from other nodes' (`launcher/control/divergence.py`); null if
    it
        does not, as far as is known
    tap: how it records its messages (off, ring, full), as it has last said; empty when it has not
    points: which points are armed in its code, and whether one has cut it off; empty when neither
    """

    id: NodeId
    state: NodeState
    role: Role | None = None
    term: int = 0
    leader: NodeId | None = None
    voter: bool = True
    first_index: int = 0
    last_index: int = 0
    commit_index: int = 0
    applied_index: int = 0
    snapshot_index: int = 0
    pid: int | None = None
    restarts: int = 0
    uptime_s: float | None = None
    cpu_percent: float | None = None
    rss_bytes: int | None = None
    reason: str = ""
    disk: str = ""
    clock: str = ""
    throttle: float | None = None
    change: str = ""
    responding: bool = True
    last_answer_s: float | None = None
    snapshot: str = ""
    slowest_apply_s: float | None = None
    slowest_query_s: float | None = None
    diverged: Divergence | None = None
    voted_for: NodeId | None = None
    election_in_s: float | None = None
    leader_heard_s: float | None = None
    peers: list[PeerStatus] = []
    cut_off_from: list[NodeId] = []
    cannot_send_to: list[NodeId] = []
    cannot_hear: list[NodeId] = []
    points: str = ""
    tap: str = ""

    @property
    def hangs(self) -> bool:
        """There is a process that runs, has answered, and does not answer any more."""
        return self.state == "up" and not self.responding and self.last_answer_s is not None

    @property
    def running(self) -> bool:
        """There is a process, be it paused."""
        return self.state in ("up", "paused")


class ClusterStatus(msgspec.Struct, frozen=True, kw_only=True):
    """All nodes, in the order of their ids.

    leader: the node that is up and leads in the highest term in which any such node leads
    term: the highest that any node has been in
    membership: who takes part, as the leader has it; without a leader, as the node with the newest
        log has it; None while no node has said it
    membership_committed: whether that node knows the entry with this membership to be committed
    frozen: every process of the nodes is stopped, and none is started
    frozen_because: what whoever needs the nodes is told then; empty when they are not frozen
    violations: which promises of Raft were found broken in this cluster, and by what
    links: the links that do something to their messages, by an operator's order
    """

    cluster: str
    supervisor_pid: int
    leader: NodeId | None
    term: int
    nodes: list[NodeStatus]
    membership: Membership | None = None
    membership_committed: bool = False
    frozen: bool = False
    frozen_because: str = ""
    violations: list[Violation] = []
    links: list[LinkStatus] = []

    def node(self, node_id: NodeId) -> NodeStatus:
        """Raises KeyError when the cluster has no such node."""
        for node in self.nodes:
            if node.id == node_id:
                return node
        raise KeyError(node_id)

    def has(self, node_id: NodeId) -> bool:
        """Whether the cluster has such a node."""
        return any(node.id == node_id for node in self.nodes)

    @property
    def up(self) -> list[NodeStatus]:
        """The nodes that can take part at this moment."""
        return [node for node in self.nodes if node.state == "up"]

    @property
    def commit_index(self) -> int:
        """The highest index that any node knows to be committed."""
        return max((node.commit_index for node in self.nodes), default=0)

    # -- quorums -----------------------------------------------------------------------------

    def has_quorum(self, ids: Iterable[NodeId]) -> bool:
        """Whether these nodes can elect a leader and commit; no while it is unknown who votes."""
        return self.membership is not None and Configuration(self.membership).has_quorum(ids)

    def quorum_without(self, *ids: NodeId) -> bool:
        """Whether the nodes that are up are a quorum without these."""
        return self.has_quorum({node.id for node in self.up} - set(ids))

    def may_become_quorum(self, ids: Iterable[NodeId]) -> bool:
        """Whether these nodes may come to be a quorum, as far as is known.

        A joint configuration that is not committed may yet be truncated, and then the old voters
        decide alone; without a majority of them nothing is ever decided.
        """
        if self.membership is None:
            return True
        decide = self.membership.outgoing or self.membership.voters
        return Configuration(stable(decide)).has_quorum(ids)

    def may_vote(self, node_id: NodeId) -> bool:
        """Whether the node is a voter, of either half during joint consensus."""
        return self.membership is not None and Configuration(self.membership).may_vote(node_id)

    def is_member(self, node_id: NodeId) -> bool:
        """Whether the node takes part: as a voter, or as a learner."""
        return self.membership is not None and node_id in self.membership.members

    @property
    def followers(self) -> list[NodeId]:
        """The nodes that are up, answer, and follow the leader in its term; it is one of them."""
        if self.leader is None:
            return []
        term = self.node(self.leader).term
        there = [node for node in self.up if not node.hangs]
        return [node.id for node in there if (node.leader, node.term) == (self.leader, term)]

    def choose(self, node_id: NodeId, note: str = "") -> Chosen:
        """The node as it is now, for the answer to a command."""
        node = self.node(node_id)
        return Chosen(node_id, node.role, node.term, node.commit_index, note)

    @property
    def served(self) -> bool:
        """There is a leader that a quorum of its configuration follows."""
        return self.has_quorum(self.followers)

    @property
    def settled(self) -> bool:
        """Served, and every voter that is up follows the leader.

        A node that learns does not count, nor one that nobody has made a member.
        """
        voters = {node.id for node in self.up if self.may_vote(node.id)}
        return self.served and voters <= set(self.followers)

    @property
    def converged(self) -> bool:
        """Settled, and every member that is up has the leader's whole log, committed and applied,
        and its machine's answers do not differ from the others', as far as is known.

        A node that learns is a member. One that nobody has made a member does not count.
        """
        members = [node for node in self.up if self.is_member(node.id)]
        return (
            self.settled
            and len({node.last_index for node in members}) == 1
            and all(node.applied_index == node.commit_index == node.last_index for node in members)
            and not self.diverged
        )

    @property
    def diverged(self) -> list[NodeStatus]:
        """The nodes whose machines differ from others', whether they run or not."""
        return [node for node in self.nodes if node.diverged is not None]

    def missing(self, among: Container[NodeId] | None = None) -> str:
        """The nodes that are not up, or hang, and why: `n3 is down (killed), n4, n5 are paused`.

        among: only these nodes
        """
        alike: dict[tuple[str, str], list[str]] = {}
        for node in self.nodes:
            if among is not None and node.id not in among:
                continue
            if node.hangs:
                why = f"for {node.last_answer_s:.0f} s"
                alike.setdefault(("not responding", why), []).append(f"n{node.id}")
            elif node.state != "up":
                alike.setdefault((node.state, node.reason), []).append(f"n{node.id}")
        return ", ".join(
            f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} {state}"
            + (f" ({reason})" if reason else "")
            for (state, reason), names in alike.items()
        )


class Chosen(msgspec.Struct, frozen=True):
    """A node that a command chose, as it was when it was chosen.

    note: what the command found to say about it, for example that it was down already
    """

    id: NodeId
    role: Role | None
    term: int
    commit_index: int
    note: str = ""


class HandedOver(msgspec.Struct, frozen=True):
    """Who led and who leads now, in which term; the same node when it led already."""

    led: NodeId
    leads: NodeId
    term: int


def find_leader(nodes: Iterable[NodeStatus], led_term: int = 0) -> NodeId | None:
    """Who leads: a deposed leader that has not heard of it yet is in a lower term (§5.1).

    led_term: a term that has had a leader, which may be paused or cut off now
    """
    leaders = [
        node
        for node in nodes
        if node.state == "up" and node.role == "leader" and node.term >= led_term
    ]
    return max(leaders, key=lambda node: node.term).id if leaders else None


def counted(membership: Membership, ids: Iterable[NodeId], verb: str) -> str:
    """How many voters there are among `ids` and how many it takes, of both halves if it is joint.

    `1 of 3 voters are up and it takes 2`, where `verb` is `are up`.
    """
    present = set(ids)

    def of(half: tuple[NodeId, ...], kind: str) -> str:
        return f"{len(present & set(half))} of {len(half)} {kind}"

    voters, outgoing = membership.voters, membership.outgoing
    if not outgoing:
        return f"{of(voters, 'voters')} {verb} and it takes {majority(voters)}"
    return (
        f"{of(outgoing, 'old voters')} ({node_names(outgoing)}) and {of(voters, 'new voters')} "
        f"({node_names(voters)}) {verb}, and it takes {majority(outgoing)} and {majority(voters)}"
    )


# -- from what nodes say -----------------------------------------------------------------------


def with_word_of(node: NodeStatus, said: wire.Status, *, answers: bool) -> NodeStatus:
    """The node, with what it said last.

    answers: it was said by a process that still runs, so its role counts
    """
    return msgspec.structs.replace(
        node,
        role=msgspec.convert(said.role, Role) if answers else None,
        leader=said.leader if answers else None,
        term=said.term,
        voter=said.voter,
        first_index=said.first_index,
        last_index=said.last_index,
        commit_index=said.commit_index,
        applied_index=said.applied_index,
        snapshot_index=said.snapshot_index,
        voted_for=said.voted_for,
    )


def with_timers_of(node: NodeStatus, said: wire.Status) -> NodeStatus:
    """The node, with what is only true at the moment when it is said."""
    return msgspec.structs.replace(
        node,
        election_in_s=said.election_in_s,
        leader_heard_s=said.leader_heard_s,
        peers=[PeerStatus(**msgspec.structs.asdict(peer)) for peer in said.peers],
    )


def with_cuts(nodes: Sequence[NodeStatus], faults: Iterable[wire.LinkFault]) -> list[NodeStatus]:
    """The nodes, each with those that these faults of links cut it off from."""
    ids = {node.id for node in nodes}
    cut = {(fault.source, fault.target) for fault in faults if fault.cut}

    def among(node_id: NodeId, sends: bool, hears: bool) -> list[NodeId]:
        """Those for which exactly this is cut."""
        return sorted(
            other
            for other in ids - {node_id}
            if ((node_id, other) in cut, (other, node_id) in cut) == (sends, hears)
        )

    return [
        msgspec.structs.replace(
            node,
            cut_off_from=among(node.id, True, True),
            cannot_send_to=among(node.id, True, False),
            cannot_hear=among(node.id, False, True),
        )
        if cut
        else node
        for node in nodes
    ]


def cluster_status(
    cluster: str,
    supervisor_pid: int,
    nodes: list[NodeStatus],
    said: Mapping[NodeId, wire.Status],
    led_term: int = 0,
    links: Sequence[LinkStatus] = (),
) -> ClusterStatus:
    """All of them, and who takes part by the word of whoever knows it best.

    said: the last that each node said; nothing for a node that has not said anything
    led_term: the newest term of which any node has said that it leads it
    """
    leader = find_leader(nodes, led_term)
    led_term = max([led_term, *(node.term for node in nodes if node.id == leader)])
    nodes = [_without_overtaken(node, leader, led_term) for node in nodes]
    best = max(said.values(), key=_how_new, default=None) if leader is None else said[leader]
    return ClusterStatus(
        cluster=cluster,
        supervisor_pid=supervisor_pid,
        leader=leader,
        term=max(node.term for node in nodes),
        nodes=nodes,
        membership=None if best is None else best.membership,
        membership_committed=best is not None and best.membership_committed,
        links=list(links),
    )


def _without_overtaken(node: NodeStatus, leader: NodeId | None, led_term: int) -> NodeStatus:
    """The node; one that said that it leads, and does not answer any more, leads no more when
    another has led a newer term."""
    if node.role != "leader" or not node.hangs or node.id == leader or node.term >= led_term:
        return node
    return msgspec.structs.replace(node, role=None, leader=None)


def _how_new(said: wire.Status) -> tuple[int, int, int]:
    return said.term, said.commit_index, said.last_index
