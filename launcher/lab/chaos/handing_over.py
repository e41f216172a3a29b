"""Handovers that go wrong, and that come at a bad time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from launcher.cluster import Cluster
from launcher.errors import LauncherError
from node.raft.messages import NodeId

TOLD_IN_VAIN = 6
"""The shortest election timeout has five heartbeats, and the first message goes at once."""

SLOWLY, WITHIN_S, LOOK_S = "slow 100ms", 10.0, 0.01
"""How slow disks are while the configuration is joint; for how long, and how often, in seconds, it
is looked for."""


def transfer_in_vain(cluster: Cluster, target: NodeId) -> None:
    """The target never hears that it is to campaign: the leader tells it once in a heartbeat, for
    as long as the shortest election timeout. What is left to be lost ends with the run.

    Raises LauncherError when nobody leads.
    """
    cluster.drop(f"leader>n{target}", "TimeoutNow", count=TOLD_IN_VAIN)
    try:
        cluster.transfer(target)
    except LauncherError:
        return  # as it is meant to be


def add_led_by_two(cluster: Cluster, wait: Callable[[float], bool]) -> None:
    """Adds a node; the leader hands over while the configuration is joint, for a time which slow
    disks make long. Raises LauncherError.

    wait: waits for a number of seconds, and returns whether the run ends
    """
    slow = cluster.disk("all", fault=SLOWLY)
    handing = threading.Thread(target=_hand_over_while_joint, args=(cluster, wait), daemon=True)
    handing.start()
    try:
        cluster.add(1)
    finally:
        slow.end()
        handing.join()


def _hand_over_while_joint(cluster: Cluster, wait: Callable[[float], bool]) -> None:
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline and not wait(LOOK_S):
        try:
            membership = cluster.status().membership
            if membership is not None and membership.outgoing:
                cluster.transfer("random")
                return
        except LauncherError:
            continue  # it is not joint any more, or nobody leads at the moment
