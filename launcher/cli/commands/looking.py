"""Commands that show how a cluster is, and that wait for it."""

from __future__ import annotations

import time

import click

from launcher.cli.context import Context
from launcher.cli.output import columns, print_json, status_json, wants_colour
from launcher.cli.parameters import TARGETS
from launcher.cli.rows import TARGET_HELP, as_json, positive_timeout, row, timeout

_WATCH_INTERVAL_S = 1.0


@row("ps", "Show every node: state, role, term, indexes, process. (alias: status)")
@click.option("--watch", is_flag=True, help="Show them again every second, in place, until Ctrl-C.")
@click.option(
    "--raft",
    is_flag=True,
    help="Show Raft's own state: votes, timeouts, and what the leader knows of each peer.",
)
@click.option(
    "--narrow",
    is_flag=True,
    help="Fit 80 columns, or the terminal, where it is narrower than the whole table.",
)
@click.option(
    "--links", is_flag=True, help="Show which messages get from whom to whom: ok, cut, 50ms, ..."
)
@as_json
def ps(context: Context, watch: bool, raft: bool, narrow: bool, links: bool, as_json: bool) -> None:
    """`launcher ps`."""
    # Start-up time: loads what describes nodes, and tabulate.
    from launcher.cli.links_table import links_table
    from launcher.cli.live import Live, can_redraw
    from launcher.cli.pace import pace
    from launcher.cli.slow_machine import slow_machine
    from launcher.cli.status_table import ASSUMED_WIDTH, shown
    from launcher.learn.standing import remarks

    cluster = context.cluster()

    def text() -> str:
        status, width = cluster.status(), columns()
        if links:
            return links_table(status, ASSUMED_WIDTH if narrow and width is None else width)
        table = shown(status, colour=wants_colour(), width=width, narrow=narrow, raft=raft)
        settings = cluster.settings()
        below = [*remarks(status, width), slow_machine(status, settings.slow_s), pace(settings)]
        return "\n".join(filter(None, (table, *below)))

    if as_json:
        print_json(status_json(cluster.status()))
        while watch:
            time.sleep(_WATCH_INTERVAL_S)
            print_json(status_json(cluster.status()))
    elif watch and can_redraw():
        with Live() as screen:
            while True:
                screen.show(text())
                time.sleep(_WATCH_INTERVAL_S)
    else:
        click.echo(text())
        while watch:
            time.sleep(_WATCH_INTERVAL_S)
            click.echo(f"\n{text()}")


@row(
    "log",
    "Show the nodes' logs side by side, as the Raft paper's Figure 7 draws them: the term of each "
    "entry, what is committed, and where nodes differ. Without a TARGET: all nodes. The files of a "
    "node that does not run are read; also after the cluster has stopped." + TARGET_HELP,
)
@click.argument("targets", nargs=-1, type=TARGETS, metavar="[TARGET...]")
@click.option(
    "--from", "first", type=click.IntRange(min=1), metavar="INDEX", help="The first index."
)
@click.option(
    "-n",
    "--count",
    type=click.IntRange(1, 1000),
    help="How many indexes; by default the last 20, or as many as fit on the terminal.",
)
@as_json
def log(
    context: Context,
    targets: tuple[str, ...],
    first: int | None,
    count: int | None,
    as_json: bool,
) -> None:
    """`launcher log`."""
    # Start-up time: loads what reads logs.
    from launcher.cli.log_view import DEFAULT_COUNT, fitting, log_json, log_lines

    cluster = context.cluster_if_any()
    shown = cluster.log(*targets, first=first, count=DEFAULT_COUNT if count is None else count)
    if as_json:
        print_json(log_json(shown))
        return
    width = columns()
    if width is not None and count is None and first is None:
        shown = fitting(shown, width)
    click.echo("\n".join(log_lines(shown, width, colour=wants_colour())))


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
    status = context.cluster().wait(
        leader=leader or not (commit or converged),
        commit=commit,
        converged=converged,
        timeout_s=None if timeout is None else positive_timeout(timeout, 0.0),
    )
    if as_json:
        print_json(status_json(status))
    else:
        leads = f"n{status.leader} leads" if status.leader else "no leader"
        click.echo(f"{leads} in term {status.term}, commit {status.commit_index}")


@row(
    "config",
    "Print the configuration in force, defaults included: that of the cluster that runs, or else "
    "the one with which it would start.",
)
@as_json
def config(context: Context, as_json: bool) -> None:
    """`launcher config`."""
    # Start-up time, as in `Context.load_config`.
    from launcher.config import render

    cluster = context.cluster_if_any()
    config = cluster.settings()
    if as_json:
        print_json(config)
    else:
        click.echo(render(config, is_running=cluster.is_running), nl=False)
