"""The command `simulate`: what a user may ask of the simulated world."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from launcher import streams
from launcher.cli.context import Context
from launcher.cli.parameters import PLANTED_BUG, SIMULATED_FAULTS, STORY
from launcher.cli.rows import as_json, row


@row(
    "simulate",
    "Run a cluster in a simulated world, many times faster than real time, under faults, and check "
    "every property at every step. A seed that fails is shrunk and explained; the same seed always "
    "gives the same run.",
)
@click.option("--seed", type=click.IntRange(min=0), help="Run one seed.")
@click.option("--seeds", metavar="A..B", help="Run several. By default 1..100.")
@click.option("--nodes", type=int, help="How many nodes. By default 5.")
@click.option("--time", help="For how long faults happen, simulated. By default 60s.")
@click.option(
    "--faults",
    type=SIMULATED_FAULTS,
    help="all (the default), none, link, disk, membership, or kinds; separated by commas.",
)
@click.option("--rate", type=float, help="Operations a second. By default 100.")
@click.option("--clients", type=int, help="How many clients. By default 8.")
@click.option("--only", metavar="N,N...", help="Inject only these faults of the seed's schedule.")
@click.option("--workers", type=click.IntRange(min=1), help="Processes. By default one per core.")
@click.option("--scheduler", metavar="ADDRESS", help="Run on the workers of this Dask scheduler.")
@click.option("--trace", type=click.Path(path_type=Path), help="Write every event of one run here.")
@click.option("--page", is_flag=True, help="Show the run of one seed in a browser.")
@click.option("--no-shrink", "shrink", flag_value=False, default=True, help="Report it as it is.")
@click.option(
    "--plant",
    type=PLANTED_BUG,
    metavar="NAME",
    help="Search with this bug in the product, by default with the options that find it.",
)
@click.option("--plants", is_flag=True, help="List the bugs that can be planted.")
@click.option("--scenario", type=STORY, hidden=True, help="As `launcher story NAME`.")
@as_json
def simulate(context: Context, scenario: str | None, plants: bool, **asked: Any) -> int:
    """`launcher simulate`."""
    # Start-up time: loads the simulated world.
    from launcher.cli import planting, seeds, stories

    if plants:
        return planting.show_list(as_json=bool(asked["as_json"]))

    with streams.all_or_error("not everything was simulated, or not all of it was reported"):
        if scenario is not None:  # what `story` was called before there was that command
            return stories.play(scenario, stories.Playing())
        return seeds.simulate(seeds.Request(**asked))
