"""The command `workload`: clients that use a running cluster, and the check of what they saw."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from launcher.cli.context import Context
from launcher.cli.parameters import WORKLOAD
from launcher.cli.rows import as_json, row


@row(
    "workload",
    "Have clients use the running cluster for a while, record what they see, and check it.\n\n"
    "NAME is kv, files, multicast, lock or election, each for the machine of that name, or "
    "package.module:Class for one of your own; by default the one for the cluster's machine. The "
    "clients are real processes; every second one asks a certain node for its reads. docs/LAB.md "
    "says how to write a workload.\n\n"
    "Exit status: 0 valid, 1 invalid, 5 unknown.",
)
@click.argument("workload_name", required=False, type=WORKLOAD, metavar="[NAME]")
@click.option("--clients", type=int, help="How many clients. By default 8.")
@click.option("--rate", type=float, help="Operations a second, of all together. By default 200.")
@click.option("--time", help="For how long. By default 60s.")
@click.option("--mix", metavar="F=N,...", help="Shares of the operations: read=40,write=60.")
@click.option("--keys", type=int, help="How many keys, or names. By default 10.")
@click.option("--values", type=int, help="kv: how many different values; by default all differ.")
@click.option("--seed", type=click.IntRange(min=0), help="Of the clients' random choices.")
@click.option(
    "--timeout", type=float, metavar="SECONDS", help="How long a client waits for an answer."
)
@click.option(
    "--to", type=click.Path(path_type=Path), metavar="FOLDER", help="Where the history is kept."
)
@as_json
def workload(context: Context, **asked: Any) -> int:
    """`launcher workload`."""
    # Start-up time: loads the lab and the client.
    from launcher.cli import workloads

    return workloads.run_workload(context, workloads.WorkloadOptions(**asked))
