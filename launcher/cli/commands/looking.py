"""Commands that show how a cluster is, and that wait for it."""

from __future__ import annotations

import sys
import time

import click

from launcher.cli.context import Context
from launcher.cli.output import print_json, status_json, wants_colour
from launcher.cli.rows import as_json, positive_timeout, row, timeout

_WATCH_INTERVAL_S = 1.0


@row("ps", "Show every node: state, role, term, indexes, process. (alias: status)")
@click.option("--watch", is_flag=True, help="Show them again every second, until Ctrl-C.")
@as_json
def ps(context: Context, watch: bool, as_json: bool) -> None:
    """`launcher ps`."""
    # Start-up time: loads what describes nodes, and tabulate.
    from launcher.cli.status_table import status_table
    from launcher.learn.standing import remarks

    cluster = context.cluster()
    while True:
        status = cluster.status()
        if as_json:
            print_json(status_json(status))
        else:
            if watch and sys.stdout.isatty():
                click.clear()
            click.echo(status_table(status, wants_colour()))
            for remark in remarks(status):
                click.echo(remark)
        if not watch:
            return
        time.sleep(_WATCH_INTERVAL_S)


@row(
    "wait",
    "Wait until all that the options name is true; without an option, until there is a leader. "
    "When --timeout is over (10 s by default), the exit status is 4. When it cannot become true, "
    "because too few nodes are up, the command ends at once with status 1.",
)
@click.option(
    "--leader", is_flag=True, help="There is a leader, and all voters that are up follow it."
)
@click.option(
    "--commit",
    type=click.IntRange(min=0),
    metavar="INDEX",
    help="The entry with this INDEX is committed.",
)
@click.option(
    "--converged",
    is_flag=True,
    help="All members that are up have the leader's whole log, and have applied all of it.",
)
@timeout
@as_json
def wait(
    context: Context,
    leader: bool,
    commit: int | None,
    converged: bool,
    timeout: float | None,
    as_json: bool,
) -> None:
    """`launcher wait`."""
    # Start-up time, as in `Context.cluster`.
    from launcher.cluster import UP_TIMEOUT_S

    status = context.cluster().wait(
        leader=leader or not (commit or converged),
        commit=commit,
        converged=converged,
        timeout_s=positive_timeout(timeout, UP_TIMEOUT_S),
    )
    if as_json:
        print_json(status_json(status))
    else:
        leads = f"n{status.leader} leads" if status.leader else "no leader"
        click.echo(f"{leads} in term {status.term}, commit {status.commit_index}")


@row("config", "Print the configuration in force, defaults included.")
@as_json
def config(context: Context, as_json: bool) -> None:
    """`launcher config`."""
    # Start-up time, as in `Context.load_config`.
    from launcher.config import render

    config = context.load_config()
    if as_json:
        print_json(config)
    else:
        click.echo(render(config), nl=False)
