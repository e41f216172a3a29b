"""What must hold of the configurations (§6) of all servers in a simulated cluster.

A server uses a configuration that is in its log, or that a snapshot holds. It never uses one from
an entry that its log does not hold any more, and a snapshot never holds one that was not committed
when the snapshot was taken. And only a voter campaigns.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from operator import itemgetter

from node.raft import membership
from node.raft.invariants import CONSISTENT, InvariantBroken
from node.raft.messages import CONFIGURATION, Batch, Membership, NodeId, Snapshot
from node.raft.state import CANDIDATE, RaftState


class MembershipWatch:
    """Checks the configurations of every server, and those in its snapshots."""

    def __init__(self, beginning: Membership) -> None:
        """beginning: the membership with which the cluster begins"""
        self._committed: list[tuple[int, Membership]] = [(0, beginning)]
        self._seen: dict[NodeId, tuple[RaftState, int, int, int, Snapshot | None]] = {}

    def committed(self, batches: Iterable[Batch]) -> None:
        """These batches are known to be committed now. They follow the ones of earlier calls."""
        for batch in batches:
            if batch.kind is CONFIGURATION:
                self._committed.append((batch.last_index, membership.decode(batch.data)))

    def look(self, state: RaftState) -> None:
        """Checks what has changed in a server since the last call. Raises InvariantBroken."""
        if state.role is CANDIDATE:
            self._check_candidate(state)
        index = state.configurations[-1][0]
        snapshot = state.snapshot
        now = (state, index, state.truncations, state.log.base_index, snapshot)
        if self._seen.get(state.node_id) == now:
            return
        self._seen[state.node_id] = now
        self._check_configurations(state)
        if snapshot is not None:
            index, said = snapshot.last_included_index, snapshot.membership
            self._check_committed(state.node_id, index, said, "its snapshot says")

    def _check_candidate(self, state: RaftState) -> None:
        """A candidate has a vote in the last committed configuration, or in a later one."""
        if not any(one.may_vote(state.node_id) for _, one in state.configurations):
            belief = f"n{state.node_id} campaigns, and no configuration lets it vote"
            raise InvariantBroken(CONSISTENT, belief)

    def _check_configurations(self, state: RaftState) -> None:
        for index, configuration in state.configurations:
            if index > state.log.base_index:
                self._check_held(state, index, configuration.membership)
            elif index > 0:
                held = configuration.membership
                self._check_committed(state.node_id, index, held, "it uses")

    def _check_held(self, state: RaftState, index: int, held: Membership) -> None:
        log = state.log
        if index <= log.last_index and log.is_batch_end(index - 1) and log.is_batch_end(index):
            batch = log.batches_from(index)[0]
            of_members = batch.kind is CONFIGURATION
            if of_members and membership.decode(batch.data) == held:
                return
        belief = f"n{state.node_id} uses {held} of entry {index}, and its log has another"
        raise InvariantBroken(CONSISTENT, belief)

    def _check_committed(
        self, node_id: NodeId, index: int, membership: Membership, what: str
    ) -> None:
        at = bisect_right(self._committed, index, key=itemgetter(0))
        agreed = self._committed[at - 1][1]
        if agreed != membership:
            belief = f"after entry {index} there is {agreed}; n{node_id}: {what} {membership}"
            raise InvariantBroken(CONSISTENT, belief)


def is_quorum(membership: Membership, nodes: Iterable[NodeId]) -> bool:
    """Whether these nodes are a majority of the voters, and of the outgoing ones if there are any.

    Counted here, so that the product does not check itself.
    """
    present = set(nodes)
    halves = [half for half in (membership.voters, membership.outgoing) if half]
    return bool(halves) and all(2 * len(present & set(half)) > len(half) for half in halves)
