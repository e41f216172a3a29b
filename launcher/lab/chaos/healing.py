"""The end of a chaos run: everything is healed, what was stopped is started, and all is well again.

`heal` ends the faults of others, too: a run ends with a cluster in which nothing is in force. Nodes
that did not run before the run began stay down.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from functools import partial

from launcher.cluster import Cluster
from launcher.control.status import ClusterStatus
from launcher.errors import LauncherError, NotRunning, TimedOut
from launcher.lab.chaos.course import Course
from launcher.lab.chaos.leading import once_led
from launcher.lab.chaos.watching import Broken
from node.errors import CommandError
from node.machines import registry
from node.raft.messages import NodeId

CONVERGE_S = 60.0
"""How long the cluster may take to be well again, where its timers are not slow."""

WRITE_S = 15.0
PROBE = "CHAOS-IS-OVER"
"""An entry that no machine of ours understands: it is committed and refused, and alters nothing."""

_TAKES_ANYTHING = "journal"
"""The machine of ours that refuses nothing."""

_POLL_S = 0.05

Probe = Callable[[Cluster], object]
"""Sees that one write succeeds. Raises LauncherError."""


def probe(cluster: Cluster) -> None:
    """Submits an entry that changes nothing. A user's machine, or one that takes everything for an
    entry, is asked instead, by a read that a majority has to confirm. Raises LauncherError."""
    machine = cluster.settings().machine
    if registry.is_shipped(machine) and machine != _TAKES_ANYTHING:
        try:
            cluster.submit(PROBE, timeout_s=WRITE_S)
        except CommandError:  # it is committed, and refused
            return
    else:
        cluster.read(PROBE, timeout_s=WRITE_S)


def heal(course: Course, down_before: Collection[NodeId], began_with: int) -> None:
    """Ends every fault, starts what was stopped, and has as many nodes as there were before.

    What fails is said, and convergence shows whether it matters. Raises NotRunning, and
    LauncherError for a cluster that its supervisor has frozen because a promise of Raft was broken:
    it stays as it is, for its evidence.
    """
    cluster = course.cluster
    status = cluster.status()
    if is_evidence(status):
        raise LauncherError(f"it was frozen and is left so: {status.frozen_because}")
    if status.frozen:
        cluster.thaw()
    cluster.heal()
    _until_unchanging(cluster)
    status = cluster.status()
    for node in status.nodes:
        if node.state != "up" and node.id not in down_before and node.id not in course.lost:
            with course.noting():
                cluster.start(node.id)
    for lost in sorted(course.lost):
        with course.noting():
            if status.has(lost):
                once_led(cluster, partial(cluster.rebuild, lost))
            course.lost.discard(lost)
    with course.noting():
        _restore_size(cluster, down_before, began_with)


def is_evidence(status: ClusterStatus) -> bool:
    """Whether the cluster was frozen because a promise of Raft was broken."""
    return status.frozen and bool(status.violations)


def _until_unchanging(cluster: Cluster) -> None:
    """A change of the membership may still go on; it goes on by itself."""
    deadline = time.monotonic() + CONVERGE_S
    while any(node.change for node in cluster.status().nodes) and time.monotonic() < deadline:
        time.sleep(_POLL_S)


def _restore_size(cluster: Cluster, down_before: Collection[NodeId], began_with: int) -> None:
    nodes = cluster.status().nodes
    if len(nodes) < began_with:
        once_led(cluster, partial(cluster.add, began_with - len(nodes)))
    elif len(nodes) > began_with:
        surplus = [node.id for node in nodes if node.id not in down_before]
        once_led(cluster, partial(cluster.remove, *surplus[-(len(nodes) - began_with) :]))


def unconverged(
    cluster: Cluster,
    down_before: Collection[NodeId],
    write: Probe = probe,
    limit_s: float = CONVERGE_S,
) -> str:
    """Waits until every node is up and follows one leader, has what was committed when the wait
    began, and answers as the others do, and one write succeeds.

    Returns what of it never came about, in one line; empty when all did. Raises NotRunning. It does
    not ask for a quiet moment: the cluster may be under load meanwhile. It waits for nothing when a
    node has failed, since that starts no more by itself.
    """
    deadline = time.monotonic() + limit_s * cluster.settings().patience
    if why := _wait(cluster, down_before, deadline):
        return why
    try:
        write(cluster)
    except NotRunning:
        raise
    except LauncherError as error:
        return f"no write succeeds: {error}"
    return _wait(cluster, down_before, deadline)


def _wait(cluster: Cluster, down_before: Collection[NodeId], deadline: float) -> str:
    """As `unconverged`, without the write."""
    goal = cluster.status().commit_index
    while True:
        status = cluster.status()
        why = _lacks(status, goal, down_before)
        failed = any(node.state == "failed" for node in status.nodes if node.id not in down_before)
        if not why or failed or time.monotonic() > deadline:
            return why
        time.sleep(_POLL_S)


def _lacks(status: ClusterStatus, goal: int, down_before: Collection[NodeId]) -> str:
    """What is not well yet; empty when all is. goal: what every node is to have applied"""
    for node in status.nodes:
        if node.id in down_before:
            continue
        if node.state != "up":
            return f"n{node.id} is {node.state}" + (f": {node.reason}" if node.reason else "")
        if node.diverged is not None:
            return f"n{node.id} has {node.diverged}"
        if node.change:
            return f"n{node.id}: {node.change}"
        if node.disk or node.clock or node.throttle is not None or node.points:
            return f"n{node.id} still has a fault"
        if node.commit_index < goal or node.applied_index < goal:
            return f"n{node.id} has applied {node.applied_index} of {goal} entries"
    if status.links:
        return "links still have faults"
    if status.leader is None:
        return "there is no leader"
    if not status.settled:
        return f"not every node follows the leader n{status.leader}"
    return ""


def check(broken: Broken | None, unconverged: str) -> None:
    """Raises LauncherError for a run that broke its budget, TimedOut for one that did not converge.

    unconverged: what was not well in the end; empty: all was
    """
    if broken is not None:
        raise LauncherError(f"chaos broke its budget: {broken.why}")
    if unconverged:
        raise TimedOut(f"the cluster did not converge after everything was healed: {unconverged}")
