"""Commands that start and stop a cluster and its nodes, and that have nodes take snapshots."""

from __future__ import annotations

import click

from launcher.cli.context import Context
from launcher.cli.output import print_chosen, print_json, warn_of
from launcher.cli.parameters import MACHINE
from launcher.cli.rows import TARGET_HELP, as_json, other_machine_code, row, targets, timeout
from launcher.errors import UsageError
from node.printable import printable


@row(
    "up",
    "Start N nodes and wait until a quorum of them follows a leader. Problems of the other nodes "
    "are reported on standard error.\n\nOn a terminal it then opens the prompt; leaving the prompt "
    "stops the cluster. Without a terminal it prints the timeline until SIGINT or SIGTERM.\n\n"
    "--as-in-the-paper is slow enough to watch: timescale 10, so heartbeats each second and "
    "election timeouts of 5 to 10 s, and messages that take 300 ms. There is no failure hint and "
    "there are no pre-votes, and the timeline has the debug events. These options count for this "
    "run, in place of cluster.yaml.",
)
@click.argument("nodes", required=False, metavar="[N]")
@click.option("-d", "--detach", is_flag=True, help="Return as soon as there is a leader.")
@click.option("--fresh", is_flag=True, help="Begin with empty data.")
@click.option(
    "--machine",
    type=MACHINE,
    help="The state machine: files, kv, journal, lock, election, members, multicast, or "
    "package.module:Class.",
)
@click.option(
    "--timescale",
    metavar="X",
    help="All timers are X times as slow as the default ones, and commands wait X times longer.",
)
@click.option(
    "--as-in-the-paper",
    is_flag=True,
    help="Slow timers and messages; no failure hint, no pre-votes; debug events.",
)
@click.option(
    "--page",
    is_flag=True,
    help="Serve the page, too, and print its address; it ends with the cluster.",
)
@timeout
@as_json
def up(
    context: Context,
    nodes: str | None,
    detach: bool,
    fresh: bool,
    machine: str | None,
    timescale: str | None,
    as_in_the_paper: bool,
    page: bool,
    timeout: float | None,
    as_json: bool,
) -> int:
    """`launcher up`."""
    if context.open_prompt is None:
        raise UsageError(
            "this cluster is up; to start another one, use another terminal and -p NAME"
        )
    # Start-up time: loads the cluster.
    from launcher.cli import foreground

    config = context.load_config()
    cluster = foreground.cluster_for(
        config,
        nodes,
        machine=machine,
        fresh=fresh,
        timescale=timescale,
        as_in_the_paper=as_in_the_paper,
    )
    if page:
        # Start-up time: loads what reads logs.
        from launcher.cli import pages

        pages.check_installed()
    asked_at = foreground.start(cluster, timeout, detach=detach, as_json=as_json)
    if page:
        pages.begin_beside(context, cluster, as_json=as_json)
    if detach:
        return 0
    return foreground.run(cluster, context.open_prompt, asked_at, as_json=as_json)


@row("down", "Stop the cluster, whatever state it is in.")
@click.option("-v", "--volumes", is_flag=True, help="Remove its data as well.")
@as_json
def down(context: Context, volumes: bool, as_json: bool) -> None:
    """`launcher down`."""
    cluster = context.cluster_if_any()
    report = cluster.down(volumes=volumes)
    if as_json:
        print_json(report)
        return
    said = ["stopped"] if report.was_running else ["was not running"]
    said += report.healed
    if report.removed_data:
        said.append(f"removed {printable(cluster.config.data_dir)}")
    click.echo(f"{cluster.config.name}: {'; '.join(said)}")
    warn_of(report.violations)


@row("stop", "Stop nodes cleanly; a leader transfers its leadership first." + TARGET_HELP)
@targets
@as_json
def stop(context: Context, targets: tuple[str, ...], as_json: bool) -> None:
    """`launcher stop`."""
    print_chosen("stopped", context.cluster().stop(*targets), as_json)


@row(
    "start",
    "Start nodes that are down; return when they answer. It fails when a node ends a moment later, "
    "for example because of an entry in its log." + TARGET_HELP,
)
@targets
@other_machine_code
@as_json
def start(
    context: Context, targets: tuple[str, ...], other_machine_code: bool, as_json: bool
) -> None:
    """`launcher start`."""
    chosen = context.cluster().start(*targets, other_machine_code=other_machine_code)
    print_chosen("started", chosen, as_json)


@row("restart", "Stop nodes and start them again." + TARGET_HELP)
@targets
@click.option(
    "--rolling", is_flag=True, help="One at a time; each has caught up before the next stops."
)
@other_machine_code
@as_json
def restart(
    context: Context,
    targets: tuple[str, ...],
    rolling: bool,
    other_machine_code: bool,
    as_json: bool,
) -> None:
    """`launcher restart`."""
    chosen = context.cluster().restart(
        *targets, rolling=rolling, other_machine_code=other_machine_code
    )
    print_chosen("restarted", chosen, as_json)


@row(
    "snapshot",
    "Have nodes take a snapshot now, so that the log before it can be removed. Nodes also take one "
    "by themselves whenever the log has grown by as much as cluster.yaml says." + TARGET_HELP,
)
@targets
@as_json
def snapshot(context: Context, targets: tuple[str, ...], as_json: bool) -> None:
    """`launcher snapshot`."""
    print_chosen("snapshot by", context.cluster().snapshot(*targets), as_json)
