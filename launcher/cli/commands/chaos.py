"""The command that breaks a running cluster by a schedule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from launcher.cli.context import Context
from launcher.cli.parameters import CHAOS_FAULTS, TARGET
from launcher.cli.rows import as_json, row


@row(
    "chaos",
    "Break a running cluster by a seed's schedule, never more than it is said to survive, and heal "
    "it in the end.\n\nAt every moment a majority of the voters stays up, unpaused, connected, and "
    "with working disks; a fault that would take more is left out. The same seed gives the same "
    "schedule; which nodes its faults strike depends on who leads then. In the end everything is "
    "healed, what was stopped is started, and the cluster has to converge.",
)
@click.option("--time", help="For how long faults begin. By default 60s, or all --rounds.")
@click.option("--seed", type=click.IntRange(min=0), help="Which schedule. By default any.")
@click.option(
    "--faults",
    type=CHAOS_FAULTS,
    help="all (the default), link, disk, membership, or kinds; separated by commas.",
)
@click.option("-f", "--interval", help="The time between two rounds, on average. By default 2s.")
@click.option("--rounds", type=int, help="At most this many rounds.")
@click.option("-n", "--number", type=int, help="How many faults begin in a round. By default 1.")
@click.option(
    "-e",
    "--exclude",
    type=TARGET,
    multiple=True,
    metavar="TARGET",
    help="Never strike these nodes.",
)
@click.option(
    "--schedule", "file", type=click.Path(path_type=Path), help="Play the schedule in this file."
)
@click.option("--only", metavar="N,N...", help="Only these faults of the schedule.")
@click.option("--beyond-quorum", is_flag=True, help="Also break a majority.")
@click.option("--print", "show", is_flag=True, help="Print the schedule, and break nothing.")
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Keep a record of the run in this folder."
)
@as_json
def chaos(context: Context, **asked: Any) -> None:
    """`launcher chaos`."""
    # Start-up time: loads the client and all words for faults.
    from launcher.cli import breaking_run

    breaking_run.chaos(context, breaking_run.ChaosOptions(**asked))
