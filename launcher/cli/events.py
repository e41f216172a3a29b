"""Prints the timeline, as it is or as it grows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

import click

from launcher.cli.output import wants_colour
from launcher.config import ClusterConfig
from launcher.folders import lock, private
from launcher.timeline.reading import follow_timeline, read_timeline
from launcher.timeline.render import Event, Filter, render


def show_timeline(
    config: ClusterConfig,
    wanted: Filter,
    *,
    count: int | None = None,
    follow: bool = False,
    as_json: bool = False,
) -> None:
    """Prints events of all nodes in one order; the cluster need not run any more.

    count: only this many, the last ones
    follow: goes on until the cluster has stopped
    """
    private.check_readable(config.log_dir, f"the logs folder {config.log_dir}")
    colour = wants_colour()
    events: Iterable[Event]
    if follow:
        events = follow_timeline(config.log_dir, lambda: not lock.is_locked(config), count, wanted)
    else:
        events = filter(wanted.accepts, read_timeline(config.log_dir, wanted.since_t))
        events = events if count is None else deque(events, maxlen=count)
    for event in events:
        click.echo(event.raw if as_json else render(event, colour=colour))
