"""Workloads: what clients do to a cluster, and what must hold of what they have seen. All pure.

    protocol     what a workload is: the next operation of a client, and the check of a history
    loading      finds and loads a workload by its name
    mix          how often a client does which operation
    kv           reads, writes and compare-and-set; linearizable
    files        names that come and go, checked as a set
    multicast    one order for all, every message once
    lock         locks change hands; their tokens rise
    election     offices change hands; their terms rise
    fencing      the check of tokens and terms

A user's workload imports `Operation`, `valid`, `invalid` and `unknown` from here.
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
