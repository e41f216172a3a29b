"""Workloads: what clients do to a cluster, and what must hold of what they have seen. All pure.

protocol    what a workload is: the next operation of a client, and the check of a history
loading     finds and loads a workload by its name
mix         how often a client does which operation
kv          reads, writes and compare-and-set; linearizable
"""

from launcher.lab.workloads.loading import Options, load, names
from launcher.lab.workloads.protocol import (
    Judgement,
    Operation,
    Workload,
    invalid,
    unknown,
    valid,
)

__all__ = [
    "Judgement",
    "Operation",
    "Options",
    "Workload",
    "invalid",
    "load",
    "names",
    "unknown",
    "valid",
]
