"""In one line, the slowest calls of a cluster's machine, where they were slow (`log.slow`)."""

from __future__ import annotations

from launcher.control.status import ClusterStatus


def slow_machine(status: ClusterStatus, slow_s: float) -> str:
    """What `ps` says below its table; empty where no call of this life of the nodes was slow.

    slow_s: a call that takes at least this long is slow
    """
    applied = [(node.slowest_apply_s or 0.0, node.id) for node in status.nodes]
    queried = [(node.slowest_query_s or 0.0, node.id) for node in status.nodes]
    said = []
    for what, calls in (("entries took", applied), ("a query took", queried)):
        took_s, node = max(calls, default=(0.0, 0))
        if took_s >= slow_s:
            said.append(f"{what} up to {took_s:.3f} s (n{node})")
    return f"slow machine: {', '.join(said)}" if said else ""
