"""Changes of the membership, which a leader carries out: under faults there is none for a while."""

from __future__ import annotations

import time
from collections.abc import Callable

from launcher.cluster import Cluster
from launcher.errors import LauncherError, NotRunning

LED_S = 20.0
"""How long a leader is waited for, where the timers are not slow."""


def once_led(cluster: Cluster, change: Callable[[], object]) -> None:
    """Waits for a leader, and makes the change; again when the leader is lost meanwhile.

    Raises TimedOut when no leader comes, NotRunning, and LauncherError for a change that fails
    though there is a leader.
    """
    deadline = time.monotonic() + LED_S * cluster.settings().patience
    while True:
        cluster.wait(leader=True, timeout_s=max(0.0, deadline - time.monotonic()))
        try:
            change()
        except NotRunning:
            raise
        except LauncherError:
            if cluster.status().leader is not None or time.monotonic() > deadline:
                raise
        else:
            return
