"""Bounds of the server that no file sets, and what follows from what a node is told."""

from __future__ import annotations

from node.machines.sessions import Sessions
from node.server.stretch import Stretch
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


def sessions_of(config: NodeConfig) -> Sessions:
    """No sessions yet, and when they are to end."""
    return Sessions(round(config.session_timeout_s * 1_000_000), config.most_sessions)
