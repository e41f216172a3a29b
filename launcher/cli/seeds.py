"""What `launcher simulate` does: it simulates a world for each seed, and reports the outcome.

The simulation itself is in `launcher/simulation/`: `world.py` is one run, `runner.py` many of them.
This module checks what the user asks for and prints: progress on a terminal, a summary, and a
report on the lowest seed that fails, which ends with the command that repeats it.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import msgspec

from launcher.cli.output import print_json
from launcher.cli.progress import progress_bar
from launcher.errors import LauncherError, UsageError
from launcher.settings import MAX_NODES
from launcher.simulation.faults.schedule import parse_faults
from launcher.simulation.report import describe_failure, shrink_failure
from launcher.simulation.runner import Tally, local_workers, run_seed, scheduler, search
from launcher.simulation.situation import Options
from launcher.simulation.stage.script import run_script, scenario
from launcher.simulation.trace import Trace
from launcher.simulation.world import Outcome
from node.quantities import parse_duration_s, write_duration

DEFAULT_SEEDS = (1, 100)

REDRAW_S = 0.1


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a user asks for, as typed; an option that was not given is None."""

    seed: int | None
    seeds: str | None
    nodes: int
    time: str
    faults: str
    rate: float
    clients: int
    only: str | None
    workers: int | None
    scheduler: str | None
    trace: Path | None
    shrink: bool
    as_json: bool


def simulate(request: Request) -> int:
    """Runs the seeds, prints a summary, and returns 0, the exit status.

    Raises UsageError, and LauncherError when a seed fails.
    """
    options = _options(request)
    first, last = _seeds(request)
    begun = time.monotonic()
    if request.trace is not None:
        tally = _traced(options, first, request.trace)
    else:
        tally = _search(options, first, last, request)
    took_s = time.monotonic() - begun
    if request.as_json:
        print_json(_summary_json(options, tally, took_s))
    else:
        click.echo(_summary(options, tally, took_s))
    for seed, why in tally.undecided.items():
        click.echo(f"launcher: seed {seed}: the checker cannot tell: {why}", err=True)
    if tally.failed is None:
        return 0
    if not request.as_json:
        _report(options, tally.failed, request)
    assert tally.failed.failure is not None
    raise LauncherError(f"seed {tally.failed.seed} breaks {tally.failed.failure.broken}")


# -- what was asked for --------------------------------------------------------------------------


def _options(request: Request) -> Options:
    if not 1 <= request.nodes <= MAX_NODES:
        raise UsageError(f"--nodes {request.nodes}: from 1 to {MAX_NODES}")
    if not 0 < request.rate <= 10_000:
        raise UsageError(f"--rate {request.rate:g}: operations a second, above 0, at most 10000")
    if not 1 <= request.clients <= 100:
        raise UsageError(f"--clients {request.clients}: from 1 to 100")
    try:
        time_s = parse_duration_s(request.time)
    except ValueError:
        time_s = 0.0
    if not 0.1 <= time_s <= 86_400:
        raise UsageError(
            f"--time {request.time}: a duration with a unit, such as 500ms, 60s or 10m, "
            "from 100ms to 24h"
        )
    return Options(
        nodes=request.nodes,
        time_s=time_s,
        faults=parse_faults(request.faults),
        rate=request.rate,
        clients=request.clients,
        only=None if request.only is None else _numbers(request.only),
    )


def _numbers(text: str) -> tuple[int, ...]:
    if text == "none":
        return ()
    if not re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})*", text):
        raise UsageError(f"--only {text}: numbers of faults with commas, such as 3,17; or none")
    return tuple(map(int, text.split(",")))


def _seeds(request: Request) -> tuple[int, int]:
    """The first and the last."""
    if request.seed is not None and request.seeds is not None:
        raise UsageError("either --seed or --seeds, not both")
    if request.seeds is not None:
        match = re.fullmatch(r"([0-9]{1,15})\.\.([0-9]{1,15})", request.seeds)
        if match is None or int(match[1]) > int(match[2]):
            raise UsageError(f"--seeds {request.seeds}: two numbers, as in 1..2000")
        first, last = int(match[1]), int(match[2])
    elif request.seed is not None:
        first = last = request.seed
    else:
        first, last = DEFAULT_SEEDS
    if first < last and (request.trace is not None or request.only is not None):
        which = "--trace" if request.trace is not None else "--only"
        raise UsageError(f"{which} is for one run: say which with --seed")
    return first, last


# -- running -------------------------------------------------------------------------------------


def _search(options: Options, first: int, last: int, request: Request) -> Tally:
    count = last - first + 1
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(_progress_bar(count))
        if request.scheduler is not None:
            if request.workers is not None:
                raise UsageError("--workers is for this machine, --scheduler has its own")
            executor, workers = stack.enter_context(scheduler(request.scheduler))
            return search(
                options, first, last, executor=executor, workers=workers, progress=progress
            )
        workers = request.workers or os.cpu_count() or 1
        workers = max(1, min(workers, count))
        local = stack.enter_context(local_workers(workers))
        return search(options, first, last, executor=local, workers=workers, progress=progress)


def _traced(options: Options, seed: int, file: Path) -> Tally:
    tally = Tally()
    with file.open("w", encoding="utf-8") as opened:
        tally.add(run_seed(options, seed, Trace(opened.write)))
    return tally


@contextlib.contextmanager
def _progress_bar(count: int) -> Iterator[Callable[[Tally], None]]:
    """On a terminal: seeds done, seeds a second, and simulated time against real time."""
    if count == 1 or not sys.stderr.isatty() or os.environ.get("NO_COLOR"):
        yield lambda tally: None
        return
    begun = time.monotonic()
    drawn_at = 0.0
    shown = 0
    with progress_bar("simulating", count) as bar:

        def progress(tally: Tally) -> None:
            nonlocal drawn_at, shown
            now = time.monotonic()
            if now - drawn_at < REDRAW_S and tally.seeds < count:
                return
            took_s = now - begun
            rates = f"{tally.seeds / took_s:.1f} seeds/s, {tally.simulated_s / took_s:.0f}x"
            bar.update(tally.seeds - shown, rates)
            drawn_at, shown = now, tally.seeds

        yield progress


# -- what came of it -----------------------------------------------------------------------------


def _summary(options: Options, tally: Tally, took_s: float) -> str:
    seeds = "1 seed" if tally.seeds == 1 else f"{tally.seeds} seeds"
    holds = "every property holds" if tally.failed is None else "1 failure"
    return (
        f"{seeds} of {write_duration(options.time_s)}, {options.nodes} nodes: {holds}. "
        f"{tally.simulated_s:.0f} s simulated in {took_s:.1f} s "
        f"({tally.simulated_s / took_s:.0f} times as fast, {tally.seeds / took_s:.2f} seeds/s); "
        f"{tally.operations} operations, {tally.acknowledged} acknowledged entries, "
        f"{tally.faults} faults, {tally.crashes} crashes, {tally.elections} leaders"
    )


def _summary_json(options: Options, tally: Tally, took_s: float) -> dict[str, object]:
    summary: dict[str, object] = msgspec.to_builtins(tally, str_keys=True)
    return {"options": msgspec.to_builtins(options), **summary, "took_s": round(took_s, 3)}


def _report(options: Options, outcome: Outcome, request: Request) -> None:
    shrunk = None
    if request.shrink:
        on_terminal = sys.stderr.isatty()

        def progress(runs: int) -> None:
            if on_terminal:
                click.echo(f"\rshrinking: run {runs}", err=True, nl=False)

        shrunk = shrink_failure(options, outcome, progress=progress)
        if on_terminal:
            click.echo("\r\x1b[K", err=True, nl=False)
    for line in describe_failure(options, outcome, shrunk):
        click.echo(line)


def play(name: str) -> int:
    """Plays one of the scenarios that come along and prints its transcript; returns 0.

    Raises UsageError when there is none of that name, ScenarioFailed when it comes out otherwise.
    """
    for line in run_script(scenario(name)):
        click.echo(line)
    return 0
