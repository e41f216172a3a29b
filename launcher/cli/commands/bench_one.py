"""Rows of `launcher bench` that measure one cluster: failing leaders, growth, and idling.

They compare with given numbers (goals, and what the Raft paper says) rather than with another
program.
"""

from __future__ import annotations

from pathlib import Path
from random import Random

import click

from launcher.cli.commands.bench_rows import (
    MOST_SIZE_BYTES,
    benchmark,
    conclude,
    progress,
    within,
)
from launcher.errors import UsageError

# Start-up time: each benchmark is imported when it runs. The help of `bench`, and completion, load
# this module, and the benchmarks load the cluster.

MOST_DURATION_S = 10.0


@benchmark(
    "failover",
    "Kill leaders under load, and bring clusters up.\n\nHow long until there is another leader, "
    "and until the next entry is committed, with the failure hint and without it (some four "
    "minutes).",
)
@click.option("--kills", type=int, default=100, show_default=True, help="With and without hint.")
@click.option("--ups", type=int, default=10, show_default=True, help="How many clusters start.")
@click.option("--window", type=int, default=64, show_default=True, help="Entries unanswered.")
@click.option("--size", type=int, default=256, show_default=True, help="Bytes of an entry.")
def failover(kills: int, ups: int, window: int, size: int, out: Path, as_json: bool) -> None:
    """`launcher bench failover`."""
    from launcher.benchmark import failover
    from node.wire import MOST_UNACKNOWLEDGED

    within("--kills", kills, 0, 100_000)
    within("--ups", ups, 0, 10_000)
    within("--window", window, 2, MOST_UNACKNOWLEDGED)
    within("--size", size, failover.LEAST_SIZE_BYTES, MOST_SIZE_BYTES)
    plan = failover.FailoverPlan(kills=kills, ups=ups, window=window, size_bytes=size)
    with progress("bench failover", plan.turns) as done:
        results = failover.run(plan, out, Random(), done=done)
    plots = {"failover": failover.draw(results)} if kills else {}
    conclude("failover", out, as_json, results, failover.tables(results), plots)


@benchmark(
    "figure16",
    "Figure 16 of the Raft paper: how long it takes to replace a crashed leader, by election "
    "timeouts.\n\nOn real processes, and simulated, beside the paper's own numbers (some ten "
    "minutes; --trials 1000 is the paper's number, and takes hours).",
)
@click.option("--trials", type=int, default=20, show_default=True, help="Real ones of each range.")
@click.option("--simulated", type=int, default=1000, show_default=True, help="Simulated ones.")
@click.option("--broadcast", default="15ms", show_default=True, help="A question and its answer.")
@click.option("--question", default="2.5ms", show_default=True, help="How much is the question's.")
@click.option(
    "--shortest",
    default="600ms",
    show_default=True,
    help="Real elections run so much slower that no timeout is shorter.",
)
def figure16(
    trials: int,
    simulated: int,
    broadcast: str,
    question: str,
    shortest: str,
    out: Path,
    as_json: bool,
) -> None:
    """`launcher bench figure16`."""
    from launcher.benchmark import figure16
    from launcher.benchmark.elections import Delays

    within("--trials", trials, 0, 1_000_000)
    within("--simulated", simulated, 1, 1_000_000)
    question_s, broadcast_s = _duration("--question", question), _duration("--broadcast", broadcast)
    if question_s >= broadcast_s:
        raise UsageError(f"--question {question}: less than the whole broadcast, {broadcast}")
    delays = Delays(question_s, broadcast_s - question_s)
    shortest_s = _duration("--shortest", shortest)
    plan = figure16.Figure16Plan(
        trials=trials, simulated=simulated, delays=delays, shortest_s=shortest_s
    )
    with progress("bench figure16", plan.turns) as done:
        results = figure16.run(plan, out, Random(), done=done)
    plots = {"figure16": figure16.draw(results)}
    conclude("figure16", out, as_json, results, figure16.tables(results), plots)


@benchmark(
    "growth",
    "What a node costs as its log grows, as nodes are added, and as clients are, and by what law "
    "(some four minutes).",
)
@click.option(
    "--entries",
    type=int,
    default=1_000_000,
    show_default=True,
    help="The longest log; shorter ones are a tenth of it, and so on.",
)
@click.option("--nodes", type=int, default=9, show_default=True, help="The largest cluster.")
@click.option("--clients", type=int, default=1000, show_default=True, help="Connections at most.")
@click.option("--seconds", type=float, default=3.0, show_default=True, help="How long a load is.")
def growth(
    entries: int, nodes: int, clients: int, seconds: float, out: Path, as_json: bool
) -> None:
    """`launcher bench growth`."""
    from launcher.benchmark import growth
    from launcher.settings import MAX_NODES

    within("--entries", entries, 0, 100_000_000)
    within("--nodes", nodes, 0, MAX_NODES)
    within("--clients", clients, 0, 10_000)
    within("--seconds", seconds, 0.1, 600)
    plan = growth.GrowthPlan(
        entries=growth.tenths(entries, 1000),
        nodes=growth.odd(nodes),
        clients=growth.tenths(clients, 1),
        duration_s=seconds,
    )
    with progress("bench growth", plan.turns) as done:
        results = growth.run(plan, out, done=done)
    conclude("growth", out, as_json, results, growth.tables(results), growth.plots(results))


@benchmark("idle", "Five nodes, and what runs them, that have nothing to do.")
@click.option("--nodes", type=int, default=5, show_default=True, help="How many servers.")
@click.option("--seconds", type=float, default=20.0, show_default=True, help="For how long.")
def idle(nodes: int, seconds: float, out: Path, as_json: bool) -> None:
    """`launcher bench idle`."""
    from launcher.benchmark import idle
    from launcher.settings import MAX_NODES

    within("--nodes", nodes, 1, MAX_NODES)
    within("--seconds", seconds, 0.1, 3600)
    with progress("bench idle", 1) as done:
        results = idle.run(out, seconds, nodes)
        done()
    conclude("idle", out, as_json, results, [idle.table(results)])


def _duration(option: str, text: str) -> float:
    from node.quantities import parse_duration_s

    try:
        seconds = parse_duration_s(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= MOST_DURATION_S:
        raise UsageError(f"{option} {text}: a duration such as 15ms, up to {MOST_DURATION_S:g}s")
    return seconds
