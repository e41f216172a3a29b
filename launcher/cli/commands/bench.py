"""`launcher bench`: the table of benchmarks, a table in the table of commands.

A benchmark compares: what it prints is ratios to something that runs beside it, in turn, in one
run, with the goals beside them. What runs and what is measured stands in `launcher/benchmark/`;
here is what a user says, checked, and what is printed and kept.

A row of this table prints its tables on standard output (with `--json` the results instead, as one
object), progress on a terminal, and keeps JSON and plots in the folder `--out`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from launcher.cli.table import Table, as_json
from launcher.errors import LauncherError, UsageError
from launcher.settings import MAX_NODES

if TYPE_CHECKING:
    from launcher.benchmark.report import Table as Printed

MOST_SIZE_BYTES = 1 << 20
MOST_UNANSWERED_BYTES = 32 << 20
"""Half of the default `limits.uncommitted`: at the bound itself the bound would be measured."""


@click.group(
    "bench",
    cls=Table,
    invoke_without_command=True,
    subcommand_metavar="[NAME] [ARGS]...",
    help="Benchmarks: what runs beside what, in turn, and how the two compare. Without a NAME: "
    "sweep.\n\nEach starts what it needs by itself, in a folder of its own; no cluster of yours is "
    "touched.",
)
@click.pass_context
def bench(context: click.Context) -> None:
    """The table itself measures nothing."""
    if context.invoked_subcommand is None:
        context.invoke(sweep)


def benchmark(name: str, text: str) -> Callable[[Callable[..., Any]], click.Command]:
    """A row of the table: a function of what was asked for, with `--out` and `--json`."""

    def add(function: Callable[..., Any]) -> click.Command:
        return bench.command(name, help=text)(_out(as_json(function)))

    return add


_out = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data/bench"),
    show_default=True,
    help="Where JSON and plots are kept, and what is measured has its files meanwhile.",
)
_nodes = click.option("--nodes", type=int, default=5, show_default=True, help="How many servers.")
_window = click.option(
    "--window", type=int, default=256, show_default=True, help="How many are unanswered at a time."
)
_size = click.option("--size", type=int, default=256, show_default=True, help="Bytes of an entry.")
_rounds = click.option("--rounds", type=int, default=5, show_default=True, help="How many turns.")
_seconds = click.option(
    "--seconds", type=float, default=2.0, show_default=True, help="How long a turn measures."
)


@benchmark(
    "load",
    "Our cluster under load beside the floor, a bare program without Raft.\n\nThroughput, latency, "
    "CPU time, bytes written and memory, and their ratios.",
)
@_nodes
@_window
@_size
@_rounds
@_seconds
@click.option("--machine", default="journal", show_default=True, help="Which state machine.")
def load(
    nodes: int,
    window: int,
    size: int,
    rounds: int,
    seconds: float,
    machine: str,
    out: Path,
    as_json: bool,
) -> None:
    """`launcher bench load`."""
    from launcher.benchmark.load import against_floor, table

    shape, effort = _shape(nodes, window, size), _effort(rounds, seconds)
    with progress("bench load", 2 * rounds) as done:
        comparison = against_floor(shape, effort, out, done=done, machine=machine)
    conclude("load", out, as_json, comparison, [table(comparison)])


@benchmark("reads", "Linearizable reads beside writes, of the same cluster.")
@_nodes
@_window
@_size
@_rounds
@_seconds
def reads(
    nodes: int, window: int, size: int, rounds: int, seconds: float, out: Path, as_json: bool
) -> None:
    """`launcher bench reads`."""
    from launcher.benchmark.load import reads_against_writes, table

    shape, effort = _shape(nodes, window, size), _effort(rounds, seconds)
    with progress("bench reads", 2 * rounds) as done:
        comparison = reads_against_writes(shape, effort, out, done=done)
    conclude("reads", out, as_json, comparison, [table(comparison)])


@benchmark(
    "sweep",
    "Ours beside the floor for 1 to 4096 unanswered, 16 B to 4 KiB, 1 to 7 nodes.\n\nOne of the "
    "three varies at a time (some three minutes). This is what runs when no NAME is given.",
)
@click.option("--all", "every", is_flag=True, help="Their full product: a quarter of an hour.")
@click.option("--rounds", type=int, default=3, show_default=True, help="How many turns of each.")
@click.option("--seconds", type=float, default=1.5, show_default=True, help="How long a turn is.")
def sweep(every: bool, rounds: int, seconds: float, out: Path, as_json: bool) -> None:
    """`launcher bench sweep`."""
    from launcher.benchmark import sweep as wide

    effort = _effort(rounds, seconds)
    shapes = wide.every() if every else wide.one_at_a_time()
    with progress("bench sweep", 2 * rounds * len(shapes)) as done:
        comparisons = wide.sweep(shapes, effort, out, done=done)
    plots = {"sweep": functools.partial(wide.plot, comparisons)}
    conclude("sweep", out, as_json, comparisons, wide.tables(comparisons), plots)


@benchmark(
    "peers",
    "Ours beside etcd and PySyncObj, as many of each, loaded alike.\n\nEach is loaded in more than "
    "one way, and compared by the one that is best for it.",
)
@_nodes
@_window
@_size
@click.option("--rounds", type=int, default=3, show_default=True, help="How many turns of each.")
@_seconds
@click.option("--install", is_flag=True, help="Install Debian's etcd when it is missing (as root).")
def peers(
    nodes: int,
    window: int,
    size: int,
    rounds: int,
    seconds: float,
    install: bool,
    out: Path,
    as_json: bool,
) -> None:
    """`launcher bench peers`."""
    from launcher.benchmark import peers as others

    shape, effort = _shape(nodes, window, size), _effort(rounds, seconds)
    within("--size", size, 1, others.MOST_SIZE_BYTES)
    if install and others.install_etcd():
        click.echo("launcher: installed etcd-server with apt-get", err=True)
    for lack in others.missing():
        click.echo(f"launcher: {lack}", err=True)
    if others.ways() == [others.OURS]:
        raise LauncherError("there is nothing to compare with")
    with progress("bench peers", rounds * len(others.ways())) as done:
        versus = others.compare(shape, effort, out, done=done)
    plots = {"peers": functools.partial(others.plot, versus)}
    conclude("peers", out, as_json, versus, [others.table(versus)], plots)


# -- what was asked for --------------------------------------------------------------------------


def _shape(nodes: int, window: int, size: int) -> Any:
    from launcher.benchmark.load import Shape
    from node.wire import MOST_UNACKNOWLEDGED

    within("--nodes", nodes, 1, MAX_NODES)
    within("--window", window, 1, MOST_UNACKNOWLEDGED)
    within("--size", size, 1, MOST_SIZE_BYTES)
    if window * size > MOST_UNANSWERED_BYTES:
        raise UsageError(
            f"--window {window} --size {size}: {window * size} bytes would be unanswered; "
            f"at most {MOST_UNANSWERED_BYTES} may be (limits.uncommitted)"
        )
    return Shape(nodes=nodes, window=window, size_bytes=size)


def _effort(rounds: int, seconds: float) -> Any:
    from launcher.benchmark.load import Effort

    within("--rounds", rounds, 1, 1000)
    within("--seconds", seconds, 0.1, 600)
    return Effort(rounds=rounds, duration_s=seconds)


def within(option: str, value: float, least: float, most: float) -> None:
    """Raises UsageError for a number that is not from `least` to `most`."""
    if not least <= value <= most:
        raise UsageError(f"{option} {value}: from {least} to {most}")


# -- what is shown and kept ----------------------------------------------------------------------


@contextlib.contextmanager
def progress(label: str, turns: int) -> Iterator[Callable[[], None]]:
    """On a terminal, a bar; what is yielded is called after each turn."""
    if not sys.stderr.isatty() or os.environ.get("NO_COLOR"):
        yield lambda: None
        return
    from launcher.cli.progress import progress_bar

    with progress_bar(label, turns) as bar:
        yield lambda: bar.update(1, "")


def conclude(
    name: str,
    out: Path,
    as_json: bool,
    results: object,
    tables: Sequence[Printed],
    plots: Mapping[str, Callable[[Any], None]] | None = None,
) -> None:
    """Prints what came out, and keeps it.

    results: what goes into the JSON
    plots: by the name of each, what draws it onto a matplotlib Figure
    """
    from launcher.benchmark.report import NO_PLOTS, draw, keep, this_machine
    from launcher.cli.output import print_json

    if as_json:
        print_json(results)
    else:
        click.echo(f"on {this_machine()}\n")
        for one in tables:
            click.echo(one)
    kept = [keep(out, name, results)]
    for plot, onto in (plots or {}).items():
        drawn = draw(out, plot, onto)
        if drawn is None:
            click.echo(NO_PLOTS, err=True)
            break
        kept.append(drawn)
    click.echo(f"kept: {', '.join(map(str, kept))}", err=True)
