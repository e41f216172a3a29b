"""Prints the timeline, as it is or as it grows."""

from __future__ import annotations

import click

from launcher import history
from launcher.cli.output import wants_colour
from launcher.config import ClusterConfig
from launcher.folders import private
from launcher.timeline.filter import Filter
from launcher.timeline.render import render


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
    for event in history.events(config, wanted, follow=follow, count=count):
        click.echo(event.raw if as_json else render(event, colour=colour))
