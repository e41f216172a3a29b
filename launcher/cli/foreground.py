"""What `up` does until it is told to end: the prompt on a terminal, the timeline anywhere else."""

from __future__ import annotations

import contextlib
import sys
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime

import click

from launcher.cli.output import wants_colour
from launcher.cluster import Cluster
from launcher.config import ClusterConfig
from launcher.errors import LauncherError, NotRunning
from launcher.folders import lock, private
from launcher.timeline.reading import follow_timeline, read_timeline
from launcher.timeline.render import Event, Filter, render


def run(
    cluster: Cluster, open_prompt: Callable[[Cluster], int], begun: datetime, *, as_json: bool
) -> int:
    """Keeps the cluster up until the prompt is left or a signal comes; then takes it down.

    begun: when `up` was asked for; the timeline is shown from there on

    A second Ctrl-C does not wait for anybody.
    """
    try:
        if sys.stdin.isatty() and sys.stdout.isatty():
            status = open_prompt(cluster)
            if died := cluster.how_it_died():
                raise LauncherError(died)
            return status
        since_up = Filter(since=begun.isoformat())
        show_timeline(cluster.config, since_up, follow=True, as_json=as_json)
        raise LauncherError(_why_it_ended(cluster))
    finally:
        take_down(cluster)


def _why_it_ended(cluster: Cluster) -> str:
    """For a cluster that has ended without this process; one line."""
    if not cluster.config.supervisor_lock.exists():
        return (
            f"the data folder {cluster.config.data_dir} was moved or removed, so the cluster has "
            "ended: `launcher up` goes on where the data is now"
        )
    return cluster.how_it_died() or "the cluster has been taken down from elsewhere"


def take_down(cluster: Cluster) -> None:
    """Stops the cluster, at once if interrupted again meanwhile."""
    with contextlib.suppress(NotRunning):  # somebody else was quicker
        try:
            cluster.down()
        except KeyboardInterrupt:
            click.echo("launcher: interrupted again: killing everything", err=True)
            cluster.destroy()


def show_timeline(
    config: ClusterConfig,
    wanted: Filter,
    *,
    count: int | None = None,
    follow: bool = False,
    as_json: bool = False,
) -> None:
    """Prints events in one order, from the running cluster's timeline or from what it left."""
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
