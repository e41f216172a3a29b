"""The row `recover` of the table of commands (`launcher/cli/commands/cluster.py`)."""

from __future__ import annotations

import click

from launcher.cli.parameters import NODE
from launcher.cli.table import Context, as_json, row
from launcher.errors import LauncherError


@row(
    "recover",
    "Begin a new cluster from the data of one node, when a majority of the data is lost. The "
    "cluster must be down. Without --yes it only says what would count and what may be missing."
    "\n\nNODE is an id (2 or n2). Then `launcher up` starts it, and `launcher add` brings others.",
)
@click.argument("node", type=NODE)
@click.option("--yes", is_flag=True, help="Do it, whatever may be missing.")
@as_json
def recover(context: Context, node: str, yes: bool, as_json: bool) -> None:
    """`launcher recover`."""
    from launcher.cli.output import print_json
    from launcher.cluster import Cluster
    from launcher.control.targets import parse_id

    config = context.load_config() if context.attached is None else context.attached.config
    cluster = Cluster(config=config)
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
