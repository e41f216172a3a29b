"""What a cluster needs of the limits that a shell sets (`ulimit`): said before it is begun."""

from __future__ import annotations

import resource

from launcher.config import ClusterConfig
from launcher.errors import LauncherError
from node.process import descriptors

COMFORT = 94
"""Of the supervisor, beside what each node takes: its own files, and operators' connections."""

_LEAST_OF_SUPERVISOR, _LEAST_OF_NODE = 38, 52
_FOR_EACH_NODE, _FOR_EACH_PEER = 7, 2
"""The supervisor has for a node its control pipe, the pipe that tells of its end, and its log, each
perhaps twice, and while one starts a new pipe to each. A node has a pipe for each peer, and perhaps
a snapshot that it sends there."""


def files_needed(nodes: int) -> int:
    """How many open files the supervisor and each node of such a cluster need at least."""
    return max(
        _LEAST_OF_SUPERVISOR + _FOR_EACH_NODE * nodes, _LEAST_OF_NODE + _FOR_EACH_PEER * nodes
    )


def allow_files(nodes: int) -> int:
    """Has the system let the supervisor open the files that it needs for this number of nodes.

    Returns how many connections of operators there is room for.
    """
    taken = _LEAST_OF_SUPERVISOR + _FOR_EACH_NODE * nodes
    return max(1, descriptors.allow(COMFORT + _FOR_EACH_NODE * nodes) - taken)


def check_files(nodes: int) -> None:
    """Raises LauncherError when a cluster of this size cannot open the files that it needs."""
    needed = files_needed(nodes)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise LauncherError(
            f"{nodes} node{'s' * (nodes != 1)} need {needed} open files in a process, and this one "
            f"may have {hard}: raise that (`ulimit -Hn` shows it), or have fewer nodes"
        )


def check(config: ClusterConfig, nodes: int) -> None:
    """Raises LauncherError when this number of nodes exceeds the limits of this process."""
    check_files(nodes)
    soft, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    if soft != resource.RLIM_INFINITY and soft < config.segment_bytes:
        raise LauncherError(
            f"a file of a log has {config.segment_bytes} bytes (storage.segment), and files here "
            f"may have {soft}: raise that (`ulimit -f`), or lower storage.segment in cluster.yaml"
        )
