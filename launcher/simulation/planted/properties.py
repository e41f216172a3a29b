"""The properties by which bugs are found, and groups of them that break together."""

from __future__ import annotations

from launcher.simulation.properties import (
    AVAILABILITY,
    CRASH,
    DURABILITY,
    EXACTLY_ONCE,
    HANDOVER,
    LINEARIZABILITY,
    LIVENESS,
    PROMISES,
    READ_INDEX,
    RECONCILED,
    RECOVERY,
    STABILITY,
)
from node.raft.invariants import (
    BOUNDS,
    COMMIT_RULE,
    CONSISTENT,
    ELECTION_SAFETY,
    LEADER_APPEND_ONLY,
    LEADER_COMPLETENESS,
    LOG_MATCHING,
    MONOTONIC,
    STATE_MACHINE_SAFETY,
)

__all__ = [
    "AVAILABILITY",
    "BOUNDS",
    "COMMIT_RULE",
    "CONSISTENT",
    "CRASH",
    "DURABILITY",
    "ELECTION_SAFETY",
    "EXACTLY_ONCE",
    "HANDOVER",
    "LEADER_APPEND_ONLY",
    "LEADER_COMPLETENESS",
    "LINEARIZABILITY",
    "LIVENESS",
    "LOG_MATCHING",
    "LOSS",
    "MONOTONIC",
    "PROMISES",
    "READ_INDEX",
    "RECONCILED",
    "RECOVERY",
    "STABILITY",
    "STATE_MACHINE_SAFETY",
]

LOSS = (LEADER_COMPLETENESS, STATE_MACHINE_SAFETY, EXACTLY_ONCE, DURABILITY, CRASH)
"""Something committed is gone, or is about to be: who sees it first is a matter of chance. The
product's own `committed entries never change` may be the first, and counts as a crash."""
