"""What has happened on a cluster's nodes, whether or not the cluster still runs."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator

from launcher.config import ClusterConfig
from launcher.folders import lock
from launcher.timeline.events import Event
from launcher.timeline.filter import Filter
from launcher.timeline.reading import follow_timeline, read_timeline


def events(
    config: ClusterConfig,
    wanted: Filter | None,
    *,
    follow: bool,
    count: int | None = None,
    pause: Callable[[float], object] = time.sleep,
) -> Iterator[Event]:
    """The events of all nodes in one order.

    wanted: which events; by default all of them
    follow: goes on with new events until the cluster is down
    count: of the events so far only this many, the last ones
    pause: waits this number of seconds for new events; what it raises ends it
    """
    wanted = wanted or Filter()
    if follow:
        return follow_timeline(
            config.log_dir, lambda: not lock.is_locked(config), count, wanted, pause=pause
        )
    found = filter(wanted.accepts, read_timeline(config.log_dir, wanted.since_t))
    return found if count is None else iter(deque(found, maxlen=count))
