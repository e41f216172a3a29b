"""By what a leader's own reports show that it has committed what it must not. Pure.

A leader commits an entry of its own term when a majority of the voters has it on disk, of both
halves during joint consensus (§5.4.2, §6). Its report tells how far each peer has acknowledged its
log, and what it takes for committed; so each report can be checked by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from launcher.control.naming import node_names
from launcher.folders.violations import Report, Violation
from node import wire
from node.raft.messages import Membership, NodeId


@dataclass(slots=True)
class Speaker:
    """Who says something: makes its reports."""

    node: NodeId
    life: int
    at: str

    def __call__(self, said: str) -> Report:
        return Report(self.node, self.life, self.at, said)


def not_its_own(
    saying: Speaker, status: wire.Status, before: int, report: Report
) -> Iterator[Violation]:
    """Whether this leader has committed more, and nothing of its own term (Figure 8).

    before, report: the commit index that it has told in this term before, and how
    """
    if status.commit_index > before and 0 < status.commit_term < status.term:
        yield Violation(
            promise="a leader counts replicas of its own term only",
            subject=f"commits by the leader of term {status.term}",
            found=f"n{saying.node}, which leads term {status.term}, has committed entry "
            f"{status.commit_index} of term {status.commit_term}, and no entry of its own term "
            "behind it",
            reports=[report, saying(said_of_commit(status))],
        )


def not_counted(saying: Speaker, status: wire.Status) -> Iterator[Violation]:
    """Whether this leader has committed what a majority has not acknowledged."""
    membership = _counted_under(status)
    if status.role != "leader" or membership is None or status.commit_term != status.term:
        return  # what leaders before it have committed, they have counted
    # Of a peer whose process is new, the leader has forgotten what the former one acknowledged. It
    # probes it then; and when it replicates again, it knows of that at least: in one term nothing
    # that was acknowledged is ever truncated.
    reached = {
        peer.id
        for peer in status.peers
        if peer.match_index >= status.commit_index or peer.mode != "replicate"
    }
    there = sorted({saying.node, *reached})
    if not (_has_majority(membership.voters, there) and _has_majority(membership.outgoing, there)):
        yield Violation(
            promise="what is committed is on a majority of disks",
            subject=f"quorums of the leader of term {status.term}",
            found=f"n{saying.node} has committed entry {status.commit_index} with "
            f"{node_names(there)} alone, which is no majority of {_described(membership)}",
            reports=[saying(said_of_commit(status))],
        )


def _has_majority(half: tuple[NodeId, ...], there: list[NodeId]) -> bool:
    """Counted here, and not by the code of the nodes: a mistake in that is what is looked for."""
    return not half or 2 * len(set(half) & set(there)) > len(half)


def said_of_commit(status: wire.Status) -> str:
    """What a leader's report says of its commit index."""
    peers = ", ".join(f"n{peer.id} {peer.match_index}" for peer in status.peers)
    said = (
        f"it leads term {status.term}; entry {status.commit_index}, of term {status.commit_term}, "
        "is committed"
    )
    return f"{said}; its peers have acknowledged: {peers}" if peers else said


def _counted_under(status: wire.Status) -> Membership | None:
    """The membership under which the last commit was counted; None where that is not certain.

    A server counts by the last membership in its log. The one after a joint one is proposed when
    the joint one is committed: so what is committed then, and no more, was counted by both halves.
    """
    if status.membership_committed:
        return status.membership
    index, committed = status.committed_membership or (0, None)
    if committed is None or not committed.outgoing or status.commit_index != index:
        return None
    return committed


def _described(membership: Membership) -> str:
    voters = node_names(membership.voters)
    if not membership.outgoing:
        return f"the voters {voters}"
    return f"the old voters {node_names(membership.outgoing)} and of the new voters {voters}"
