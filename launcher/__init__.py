"""The launcher: runs a Raft cluster of real processes on this machine, and breaks it on command.

    from launcher import Cluster

    with Cluster(5, machine="kv") as cluster:
        cluster.submit("SET a 1")
        cluster.kill("leader")
        print(cluster.read("GET a").text)

Names are loaded when they are first used: the supervisor and the node processes pass through this
module too, and have no use for most of what hangs below it.
"""

# This imports nothing, for `python -m launcher` and PYTHONPATH put the current folder in front of
# the standard library, and a file there may be called like one of its modules: see `__main__.py`.
TYPE_CHECKING = False  # what type checkers take for true

if TYPE_CHECKING:
    from launcher.answers import ReadAnswer, Submitted
    from launcher.cluster import Cluster, DownReport
    from launcher.config import ClusterConfig
    from launcher.status import Chosen, ClusterStatus, HandedOver, NodeStatus
    from launcher.unanswered import NoAnswer
    from node.errors import CommandError

__all__ = [
    "Chosen",
    "Cluster",
    "ClusterConfig",
    "ClusterStatus",
    "CommandError",
    "DownReport",
    "HandedOver",
    "NoAnswer",
    "NodeStatus",
    "ReadAnswer",
    "Submitted",
]

_HOMES = {
    "Chosen": "launcher.status",
    "Cluster": "launcher.cluster",
    "ClusterConfig": "launcher.config",
    "ClusterStatus": "launcher.status",
    "CommandError": "node.errors",
    "DownReport": "launcher.cluster",
    "HandedOver": "launcher.status",
    "NoAnswer": "launcher.unanswered",
    "NodeStatus": "launcher.status",
    "ReadAnswer": "launcher.answers",
    "Submitted": "launcher.answers",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
