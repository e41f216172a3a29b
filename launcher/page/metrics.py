"""A cluster's status for Prometheus, in its text format, with etcd's names under our prefix. Pure.

`deploy/alerts.yaml` has the two alarms of the page as rules over them.
"""

from __future__ import annotations

from collections.abc import Callable

from launcher.control.status import ClusterStatus, NodeStatus

MEDIA_TYPE = "text/plain; version=0.0.4"

_OF_NODES: tuple[tuple[str, str, str, Callable[[NodeStatus], float | None]], ...] = (
    ("server_has_leader", "gauge", "Whether the node knows a leader.",
     lambda node: float(node.leader is not None)),
    ("server_is_leader", "gauge", "Whether the node claims to lead.",
     lambda node: float(node.role == "leader")),
    ("server_is_learner", "gauge", "Whether the node has no vote.",
     lambda node: float(not node.voter)),
    ("server_up", "gauge", "Whether its process runs and is not stopped by a signal.",
     lambda node: float(node.state == "up")),
    ("server_term", "gauge", "The node's term.", lambda node: float(node.term)),
    ("server_proposals_committed_total", "gauge", "Its commit index.",
     lambda node: float(node.commit_index)),
    ("server_proposals_applied_total", "gauge", "The index up to which it has applied.",
     lambda node: float(node.applied_index)),
    ("server_log_last_index", "gauge", "The index of its last entry.",
     lambda node: float(node.last_index)),
    ("server_snapshot_index", "gauge", "The entry with which its newest snapshot ends.",
     lambda node: float(node.snapshot_index)),
    ("server_restarts_total", "counter", "How often it was started again.",
     lambda node: float(node.restarts)),
    ("process_resident_memory_bytes", "gauge", "Its memory.",
     lambda node: None if node.rss_bytes is None else float(node.rss_bytes)),
)  # fmt: skip


def exposition(status: ClusterStatus) -> str:
    """All metrics, in the text format."""
    lines = [
        *_metric("cluster_quorum", "gauge", "Whether a quorum follows a leader."),
        f"leeky_raft_cluster_quorum {int(status.served)}",
        *_metric("cluster_term", "gauge", "The highest term of any node."),
        f"leeky_raft_cluster_term {status.term}",
    ]
    for name, kind, text, of in _OF_NODES:
        lines += _metric(name, kind, text)
        for node in status.nodes:
            value = of(node)
            if value is not None:
                lines.append(f'leeky_raft_{name}{{node="n{node.id}"}} {value:g}')
    return "\n".join(lines) + "\n"


def _metric(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP leeky_raft_{name} {text}", f"# TYPE leeky_raft_{name} {kind}"]
