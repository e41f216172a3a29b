"""What a cluster and its nodes look like at one moment: what `ps` shows, and `ps --json` prints.

The fields and their names are a contract; scripts rely on them. A node that is not running keeps
what was last known of its log, and has no role, no leader, no pid, and nothing that is measured.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from node.raft.messages import NodeId

NodeState: TypeAlias = Literal["up", "paused", "down", "failed"]
Role: TypeAlias = Literal["leader", "follower", "candidate", "learner"]


class NodeStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One node.

    state: `up` (its process runs), `paused` (it is stopped by a signal), `down` (it is not running
        because somebody meant it, or it waits to be restarted), `failed` (it will not be restarted)
    role: null while the node has not said it yet
    restarts: how often it was started again since the supervisor started
    cpu_percent: of one core, since the last time somebody asked
    reason: why it is down or failed; empty when it is neither
    disk: what is wrong with its disk, as far as anybody knows (`launcher/disks.py`), or empty
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

    @property
    def running(self) -> bool:
        """There is a process, be it paused."""
        return self.state in ("up", "paused")


class ClusterStatus(msgspec.Struct, frozen=True, kw_only=True):
    """All nodes, in the order of their ids.

    leader: the node that is up and leads in the highest term in which any such node leads
    term: the highest that any node has been in
    """

    cluster: str
    supervisor_pid: int
    leader: NodeId | None
    term: int
    nodes: list[NodeStatus]

    def node(self, node_id: NodeId) -> NodeStatus:
        """Raises KeyError when the cluster has no such node."""
        for node in self.nodes:
            if node.id == node_id:
                return node
        raise KeyError(node_id)

    @property
    def up(self) -> list[NodeStatus]:
        """The nodes that can take part at this moment."""
        return [node for node in self.nodes if node.state == "up"]

    @property
    def voters_up(self) -> list[NodeStatus]:
        """Those of them that vote."""
        return [node for node in self.up if node.voter]

    @property
    def quorum(self) -> int:
        """How many voters must be up for anything to be committed."""
        return sum(node.voter for node in self.nodes) // 2 + 1

    @property
    def commit_index(self) -> int:
        """The highest index that any node knows to be committed."""
        return max((node.commit_index for node in self.nodes), default=0)

    @property
    def settled(self) -> bool:
        """There is a leader with a quorum, and every node that is up follows it in its term."""
        up = self.up
        return len(self.voters_up) >= self.quorum and all(
            node.leader == self.leader is not None and node.term == self.term for node in up
        )

    @property
    def converged(self) -> bool:
        """Settled, and every node that is up has the leader's whole log, committed and applied."""
        return (
            self.settled
            and len({node.last_index for node in self.up}) == 1
            and all(node.applied_index == node.commit_index == node.last_index for node in self.up)
        )

    def missing(self) -> str:
        """The nodes that are not up, and why: `n3 is down (killed), n4, n5 are paused`."""
        alike: dict[tuple[str, str], list[str]] = {}
        for node in self.nodes:
            if node.state != "up":
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


def find_leader(nodes: list[NodeStatus]) -> NodeId | None:
    """Who leads: a deposed leader that has not heard of it yet is in a lower term (§5.1)."""
    leaders = [node for node in nodes if node.state == "up" and node.role == "leader"]
    return max(leaders, key=lambda node: node.term).id if leaders else None
