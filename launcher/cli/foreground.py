"""What `up` does: it starts a cluster, and keeps it up until it is told to end.

On a terminal it opens the prompt, anywhere else it prints the timeline.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable
from datetime import datetime

import click

from launcher.cli.events import show_timeline
from launcher.cli.output import nodes_up, print_json, status_json
from launcher.cli.rows import positive_timeout
from launcher.cluster import UP_TIMEOUT_S, Cluster
from launcher.config import ClusterConfig, parse_node_count
from launcher.errors import LauncherError, NotRunning
from launcher.folders.violations import MARK
from launcher.timeline.filter import Filter
from node.printable import printable


def cluster_for(
    config: ClusterConfig,
    nodes: str | None,
    *,
    machine: str | None,
    fresh: bool,
    timescale: str | None = None,
    as_in_the_paper: bool = False,
) -> Cluster:
    """The cluster that `up` is to start.

    nodes, timescale: as the user has typed them

    Raises UsageError, ConfigError.
    """
    count = None if nodes is None else parse_node_count(nodes)
    return Cluster(
        count,
        machine=machine,
        config=config,
        fresh=fresh,
        timescale=timescale,
        as_in_the_paper=as_in_the_paper,
    )


def start(cluster: Cluster, timeout: float | None, *, detach: bool, as_json: bool) -> datetime:
    """Starts the cluster and prints how it is; returns when it began to.

    timeout: the value of --timeout, in seconds

    Raises UsageError, and what `Cluster.up` raises.
    """
    begun, asked_at = time.monotonic(), datetime.now()
    timeout_s = positive_timeout(timeout, UP_TIMEOUT_S * cluster.config.patience)
    status = cluster.up(timeout_s, detached=detach)
    for line in cluster.healed:
        click.echo(f"launcher: after a crash: {line}", err=True)
    for line in cluster.remarks:
        colour = "red" if line.startswith(MARK) else None
        click.secho(f"{status.cluster}: {line}", fg=colour, err=True)
    if as_json:
        print_json(status_json(status))
    else:
        click.echo(
            f"{status.cluster}: {nodes_up(status)}, n{status.leader} leads in term {status.term} "
            f"({time.monotonic() - begun:.2f} s); data in {printable(cluster.config.data_dir)}",
            err=not detach,
        )
    return asked_at


def run(
    cluster: Cluster, open_prompt: Callable[[Cluster], int], begun: datetime, *, as_json: bool
) -> int:
    """Keeps the cluster up until the user leaves the prompt or a signal arrives; then stops it.

    begun: when `up` was called; the timeline is shown from then on

    A second Ctrl-C kills the cluster at once. Raises LauncherError when the cluster has ended by
    itself.
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
    """Why a cluster has ended that this process did not stop, in one line."""
    if not cluster.config.supervisor_lock.exists():
        return (
            f"the data folder {cluster.config.data_dir} was moved or removed, so the cluster has "
            "ended: `launcher up` goes on where the data is now"
        )
    return cluster.how_it_died() or "another process has stopped the cluster"


def take_down(cluster: Cluster) -> None:
    """Stops the cluster, at once if interrupted again meanwhile."""
    with contextlib.suppress(NotRunning):  # somebody else was quicker
        try:
            cluster.down()
        except KeyboardInterrupt:
            click.echo("launcher: interrupted again: killing everything", err=True)
            cluster.destroy()
