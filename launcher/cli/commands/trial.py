"""The command `check`: the verdict on a run that was made before."""

from __future__ import annotations

import click

from launcher.cli.context import Context
from launcher.cli.parameters import RUN, SITUATION
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
