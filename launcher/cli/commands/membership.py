"""Commands that change the members or the leader, or that replace lost data."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import click

from launcher.cli.context import Context
from launcher.cli.output import print_chosen, print_json
from launcher.cli.parameters import NODE, TARGET
from launcher.cli.rows import TARGET_HELP, as_json, row, targets
from launcher.errors import LauncherError


@row(
    "transfer",
    "Have the leader transfer its leadership to another node, without an election timeout.\n\n"
    "TARGET is an id (2 or n2), follower or random. The current leader is a valid target, too.",
)
@click.argument("target", type=TARGET, metavar="TARGET")
@as_json
def transfer(context: Context, target: str, as_json: bool) -> None:
    """`launcher transfer`."""
    handed_over = context.cluster().transfer(target)
    led, leads, term = handed_over.led, handed_over.leads, handed_over.term
    if as_json:
        print_json(handed_over)
    elif led == leads:
        click.echo(f"n{leads} leads already, in term {term}")
    else:
        click.echo(f"n{led} led, n{leads} leads in term {term}")


@row(
    "add",
    "Start N new nodes, or one, and make them voters, while the cluster runs.\n\n"
    "They are learners until they have caught up with the log; then they vote. This continues when "
    "the command is interrupted, and after the next `up`; `remove` cancels it.",
)
@click.argument("count", required=False, default=1, type=click.IntRange(min=1), metavar="[N]")
@as_json
def add(context: Context, count: int, as_json: bool) -> None:
    """`launcher add`."""
    with _continues_when_interrupted():
        print_chosen("added", context.cluster().add(count), as_json)


@row(
    "remove",
    "Take nodes out of the cluster while it runs, the leader too; then stop them and remove their "
    "data. Their ids are not used again." + TARGET_HELP,
)
@targets
@as_json
def remove(context: Context, targets: tuple[str, ...], as_json: bool) -> None:
    """`launcher remove`."""
    with _continues_when_interrupted():
        print_chosen("removed", context.cluster().remove(*targets), as_json)


@row(
    "rebuild",
    "Remove the data of nodes and have them learn it from their peers. For a node that does not "
    "start because its log is damaged. Several are rebuilt one after the other." + TARGET_HELP,
)
@targets
@as_json
def rebuild(context: Context, targets: tuple[str, ...], as_json: bool) -> None:
    """`launcher rebuild`."""
    with _continues_when_interrupted():
        print_chosen("rebuilt", context.cluster().rebuild(*targets), as_json)


@row(
    "recover",
    "Begin a new cluster from the data of one node, when a majority of the data is lost. The "
    "cluster must be down. Without --yes it only shows what would count and what may be missing."
    "\n\nNODE is an id (2 or n2). Then `launcher up` starts it, and `launcher add` adds others.",
)
@click.argument("node", type=NODE)
@click.option("--yes", is_flag=True, help="Do it, whatever may be missing.")
@as_json
def recover(context: Context, node: str, yes: bool, as_json: bool) -> None:
    """`launcher recover`."""
    # Start-up time: loads what describes nodes.
    from launcher.control.targets import parse_id

    cluster = context.cluster_if_any()
    number = parse_id(node)
    seen = cluster.recover(number) if yes else cluster.outlook(number)
    if as_json:
        print_json({"recovered": yes, "outlook": seen})
    else:
        for line in seen.lines():
            click.echo(line)
    if not yes:
        raise LauncherError(f"nothing was changed: `launcher recover {number} --yes` does it")
    if not as_json:
        click.echo(
            f"n{number} is a new cluster: `launcher up` starts it, `launcher add 2` adds two nodes"
        )


@contextmanager
def _continues_when_interrupted() -> Iterator[None]:
    """A change of the membership continues without this command: Ctrl-C says so."""
    try:
        yield
    except KeyboardInterrupt:
        click.echo("launcher: the change continues: `launcher ps` shows its progress", err=True)
        raise
