"""`launcher bench`: the table of benchmarks, a table in the table of commands.

A benchmark compares: it prints ratios to something that runs beside it, in turn, in one run, with
the goals beside them. What runs and what is measured is in `launcher/benchmark/`; the rows in
`bench_pair.py` and `bench_one.py` check what a user asks for, and print and keep the results.
"""

from __future__ import annotations

import click

from launcher.cli.lazy import LazyGroup

_COMMANDS = "launcher.cli.commands"
_WITHOUT_A_NAME = "sweep"

ROWS = {
    "load": f"{_COMMANDS}.bench_pair:load",
    "reads": f"{_COMMANDS}.bench_pair:reads",
    "sweep": f"{_COMMANDS}.bench_pair:sweep",
    "peers": f"{_COMMANDS}.bench_pair:peers",
    "tap": f"{_COMMANDS}.bench_pair:tap",
    "page": f"{_COMMANDS}.bench_pair:page",
    "failover": f"{_COMMANDS}.bench_one:failover",
    "figure16": f"{_COMMANDS}.bench_one:figure16",
    "growth": f"{_COMMANDS}.bench_one:growth",
    "idle": f"{_COMMANDS}.bench_one:idle",
}
"""Where each benchmark is, in the order in which the help lists them."""


@click.group(
    "bench",
    cls=LazyGroup,
    rows=ROWS,
    invoke_without_command=True,
    subcommand_metavar="[NAME] [ARGS]...",
    help="Benchmarks: what runs beside what, in turn, and how the two compare. Without a NAME: "
    "sweep.\n\nEach starts what it needs by itself, in its own folder; it touches none of your "
    "clusters.",
)
@click.pass_context
def bench(context: click.Context) -> None:
    """The group itself measures nothing."""
    if context.invoked_subcommand is None:
        unnamed = bench.load(_WITHOUT_A_NAME)
        assert unnamed is not None, "it is one of the rows"
        context.invoke(unnamed)
