"""What a node is told when it starts, as the core's own settings."""

from __future__ import annotations

from node.machines.sessions import Sessions
from node.raft.settings import Limits, Timing
from node.stretch import Stretch
from node.wire import NodeConfig, Read

MAX_HELD_READ_BYTES = 16 << 20
"""Reads that wait to be confirmed; a client that sends more is sent away, and asks again."""

_READ_OVERHEAD_BYTES = 200
_QUERY_OVERHEAD_BYTES = 48

MAX_STRETCH_BYTES = 4 << 20
"""Of the log and of answers, in one turn of the loop; and as much of the answers to reads."""


def read_bytes(read: Read) -> int:
    """About what a waiting read costs, so that empty ones, and empty queries, are counted too."""
    queries = read.queries
    return _READ_OVERHEAD_BYTES + _QUERY_OVERHEAD_BYTES * len(queries) + sum(map(len, queries))


def stretch_of(config: NodeConfig) -> Stretch:
    """What is done in one turn of the loop."""
    return Stretch(config.max_apply_commands, MAX_STRETCH_BYTES)


def timing_of(config: NodeConfig) -> Timing:
    """The core's timing, as configured."""
    return Timing(
        heartbeat_interval_s=config.heartbeat_interval_s,
        election_timeout_min_s=config.election_timeout_min_s,
        election_timeout_max_s=config.election_timeout_max_s,
        failure_hint=config.failure_hint and not config.lease,
        pre_vote=config.pre_vote,
        lease=config.lease,
    )


def sessions_of(config: NodeConfig) -> Sessions:
    """No sessions yet, and when they are to end."""
    return Sessions(round(config.session_timeout_s * 1_000_000), config.most_sessions)


def limits_of(config: NodeConfig) -> Limits:
    """The core's limits, as configured."""
    return Limits(
        max_append_bytes=config.max_append_bytes,
        max_inflight_messages=config.max_inflight_batches,
        max_inflight_bytes=config.max_inflight_bytes,
        max_uncommitted_bytes=config.max_uncommitted_bytes,
        max_apply_bytes=config.max_apply_bytes,
        max_chunk_bytes=config.snapshot_chunk_bytes,
        max_trailing_bytes=config.snapshot_trailing_bytes,
        max_log_bytes=config.snapshot_log_bytes * 8,
    )
