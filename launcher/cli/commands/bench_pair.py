"""Rows of `launcher bench` that load this cluster beside something else, in turn."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING

import click

from launcher.cli.commands.bench_rows import (
    MOST_SIZE_BYTES,
    benchmark,
    conclude,
    progress,
    within,
)
from launcher.errors import LauncherError, UsageError

if TYPE_CHECKING:
    from launcher.benchmark.load import Effort, Shape

# Start-up time: each benchmark is imported when it runs. The help of `bench`, and completion, load
# this module, and the benchmarks load the cluster.

MOST_UNANSWERED_BYTES = 32 << 20
"""Half of the default `limits.uncommitted`; at that limit the benchmark would measure the limit."""

MOST_READERS = 32
"""At most as many as the page serves."""

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


@benchmark("tap", "The record of messages beside none: what it costs in CPU time.")
@_nodes
@_window
@_size
@click.option("--rounds", type=int, default=10, show_default=True, help="How many turns.")
@_seconds
@click.option(
    "--mode",
    type=click.Choice(["ring", "full"]),
    default="ring",
    show_default=True,
    help="How it records.",
)
def tap(
    nodes: int,
    window: int,
    size: int,
    rounds: int,
    seconds: float,
    mode: str,
    out: Path,
    as_json: bool,
) -> None:
    """`launcher bench tap`."""
    from launcher.benchmark.paired import table
    from launcher.benchmark.tap import run

    shape, effort = _shape(nodes, window, size), _effort(rounds, seconds)
    with progress("bench tap", 2 * rounds) as done:
        measured = run(shape, effort, out, mode, done=done)
    conclude("tap", out, as_json, measured, [table(measured)])


@benchmark("page", "Readers of the page beside none: what they cost the nodes in CPU time.")
@_nodes
@_window
@_size
@click.option("--rounds", type=int, default=10, show_default=True, help="How many turns.")
@_seconds
@click.option("--readers", type=int, default=10, show_default=True, help="How many there are.")
def page(
    nodes: int,
    window: int,
    size: int,
    rounds: int,
    seconds: float,
    readers: int,
    out: Path,
    as_json: bool,
) -> None:
    """`launcher bench page`. It needs the extra `page`."""
    from launcher.benchmark.page import run
    from launcher.benchmark.paired import table

    shape, effort = _shape(nodes, window, size), _effort(rounds, seconds)
    within("--readers", readers, 1, MOST_READERS)
    with progress("bench page", 2 * rounds) as done:
        measured = run(shape, effort, out, readers, done=done)
    conclude("page", out, as_json, measured, [table(measured)])


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
    from launcher.benchmark import sweep

    effort = _effort(rounds, seconds)
    shapes = sweep.every() if every else sweep.one_at_a_time()
    with progress("bench sweep", 2 * rounds * len(shapes)) as done:
        comparisons = sweep.sweep(shapes, effort, out, done=done)
    plots = {"sweep": functools.partial(sweep.plot, comparisons)}
    conclude("sweep", out, as_json, comparisons, sweep.tables(comparisons), plots)


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
    from launcher.benchmark import peers

    shape, effort = _shape(nodes, window, size), _effort(rounds, seconds)
    within("--size", size, 1, peers.MOST_SIZE_BYTES)
    if install and peers.install_etcd():
        click.echo("launcher: installed etcd-server with apt-get", err=True)
    for lack in peers.missing():
        click.echo(f"launcher: {lack}", err=True)
    if peers.ways() == [peers.OURS]:
        raise LauncherError("there is nothing to compare with")
    with progress("bench peers", rounds * len(peers.ways())) as done:
        versus = peers.compare(shape, effort, out, done=done)
    plots = {"peers": functools.partial(peers.plot, versus)}
    conclude("peers", out, as_json, versus, [peers.table(versus)], plots)


# -- what was asked for --------------------------------------------------------------------------


def _shape(nodes: int, window: int, size: int) -> Shape:
    from launcher.benchmark.load import Shape
    from launcher.settings import MAX_NODES
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


def _effort(rounds: int, seconds: float) -> Effort:
    from launcher.benchmark.load import Effort

    within("--rounds", rounds, 1, 1000)
    within("--seconds", seconds, 0.1, 600)
    return Effort(rounds=rounds, duration_s=seconds)
