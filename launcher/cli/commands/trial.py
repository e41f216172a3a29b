"""The commands `test` and `check`: a run with a verdict, and the verdict on a run made before."""

from __future__ import annotations

from typing import Any

import click

from launcher.cli.context import Context
from launcher.cli.parameters import CHAOS_FAULTS, MACHINE, RUN, SITUATION, TARGET, WORKLOAD
from launcher.cli.rows import as_json, row

required = click.option(
    "--require",
    "required",
    multiple=True,
    type=SITUATION,
    metavar="SITUATION",
    help="Fail unless the run has reached this situation. May be given several times.",
)


@row(
    "test",
    "Start a cluster of its own, use it, break it by a seed, heal it, and judge what it did.\n\n"
    "The cluster is fresh, with the machine kv or yours, in a folder of its own below logs/runs. "
    "The seed draws its settings too: small logs, snapshots and sessions, so that much is reached "
    "in a minute. In the end it is taken down, and its folder stays: `launcher check` judges it "
    "again. docs/TESTING.md is a walk through it.\n\n"
    "Exit status: 0 valid, 1 invalid, 5 unknown.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Of settings, faults and clients.")
@click.option("--time", help="For how long faults begin. By default 60s.")
@click.option(
    "--faults",
    type=CHAOS_FAULTS,
    help="all (the default), link, disk, membership, or kinds; separated by commas.",
)
@click.option("-f", "--interval", help="The time between two rounds of faults. By default 2s.")
@click.option("-n", "--number", type=int, help="How many faults begin in a round. By default 1.")
@click.option(
    "-e", "--exclude", type=TARGET, multiple=True, metavar="TARGET", help="Never strike these."
)
@click.option("--beyond-quorum", is_flag=True, help="Also break a majority.")
@click.option("--nodes", type=int, help="How many nodes. By default 3 or 5, by the seed.")
@click.option("--machine", type=MACHINE, help="The machine. By default kv.")
@click.option(
    "--workload", type=WORKLOAD, help="The workload. By default the one called as the machine."
)
@click.option("--clients", type=int, help="How many clients. By default 8.")
@click.option("--rate", type=float, help="Operations a second, of all together. By default 200.")
@click.option("--keys", type=int, help="How many keys, or names. By default 10.")
@click.option("--mix", metavar="F=N,...", help="Shares of the operations: read=40,write=60.")
@required
@as_json
def test(context: Context, **asked: Any) -> int:
    """`launcher test`."""
    # Start-up time: loads the lab.
    from launcher.cli import trials

    return trials.test(context, trials.Typed(**asked))


@row(
    "check",
    "Judge a run by its folder: what its clients saw, whether each acknowledged command is in the "
    "logs once, and what the nodes wrote.\n\n"
    "RUN is a run's folder or its name; by default the latest. No cluster need run. A run that was "
    "killed can be checked too: what is missing is said.\n\n"
    "Exit status: 0 valid, 1 invalid, 5 unknown.",
)
@click.argument("run", required=False, type=RUN, metavar="[RUN]")
@required
@as_json
def check(context: Context, run: str | None, required: tuple[str, ...], as_json: bool) -> int:
    """`launcher check`."""
    # Start-up time: loads the lab.
    from launcher.cli import trials

    return trials.check(context, run, required, as_json=as_json)
