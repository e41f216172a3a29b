"""What `launcher simulate` does: it simulates a world for each seed, and reports the outcome.

The simulation itself is in `launcher/simulation/`: `world.py` is one run, `runner.py` many of them.
This module checks what the user asks for and prints: progress on a terminal, a summary, and a
report on the lowest seed that fails, which ends with the command that repeats it.

With `--plant` a bug is in the product meanwhile, in this process and in each worker, and the search
has the options with which that bug is found, where the user has given none.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import click
import msgspec

from launcher.cli import pages, planting
from launcher.cli.output import print_json
from launcher.cli.progress import progress_bar
from launcher.errors import LauncherError, Undecided, UsageError
from launcher.fault_kinds import parse_faults
from launcher.settings import MAX_NODES
from launcher.simulation.planted import Planted, named, planted
from launcher.simulation.planted.form import options_of
from launcher.simulation.planted.searching import run_planted_seeds
from launcher.simulation.report import command, describe_failure, shrink_failure
from launcher.simulation.runner import Tally, local_workers, run_seed, scheduler, search
from launcher.simulation.situation import Options
from launcher.simulation.trace import Trace
from launcher.simulation.world import Outcome
from node.quantities import parse_duration_s, write_duration

DEFAULT_SEEDS = (1, 100)

REDRAW_S = 0.1


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a user asks for, as typed; an option that was not given is None."""

    seed: int | None
    seeds: str | None
    nodes: int | None
    time: str | None
    faults: str | None
    rate: float | None
    clients: int | None
    only: str | None
    workers: int | None
    scheduler: str | None
    trace: Path | None
    shrink: bool
    as_json: bool
    page: bool = False
    plant: str | None = None


def simulate(request: Request) -> int:
    """Runs the seeds, prints a summary, and returns 0, the exit status.

    Raises UsageError, LauncherError when a seed fails, Undecided when one cannot be decided.
    """
    bug = None if request.plant is None else named(request.plant)
    options = _options(request, Options() if bug is None else options_of(bug))
    first, last = _seeds(request, DEFAULT_SEEDS if bug is None else (1, bug.within))
    if request.page and first != last:
        raise UsageError("--page shows one run: add --seed N")
    with contextlib.nullcontext() if bug is None else planted(bug):
        if request.page:
            pages.show_seed(options, first)
            return 0
        if bug is not None and not request.as_json:
            planting.announce(bug)
        return _simulate(request, options, (first, last), bug)


def _simulate(
    request: Request, options: Options, seeds: tuple[int, int], bug: Planted | None
) -> int:
    """As `simulate`, with what was asked for already checked, and the bug planted."""
    begun = time.monotonic()
    if request.trace is not None:
        tally = _traced(options, seeds[0], request.trace)
    else:
        tally = _search(options, *seeds, request, bug)
    took_s = time.monotonic() - begun
    if request.as_json:
        print_json(_summary_json(options, tally, took_s, bug))
    else:
        click.echo(_summary(options, tally, took_s))
    for seed, why in tally.undecided.items():
        click.echo(f"launcher: seed {seed}: the checker cannot tell: {why}", err=True)
    if tally.failed is None:
        if bug is not None and not request.as_json:
            click.echo(planting.describe_miss(bug, tally))
        if tally.undecided:
            raise Undecided(f"unknown: {_count(len(tally.undecided))} could not be decided")
        return 0
    if not request.as_json:
        _report(options, tally.failed, request, bug)
    assert tally.failed.failure is not None
    seed, broken = tally.failed.seed, tally.failed.failure.broken
    if bug is not None:
        raise LauncherError(f"found by seed {seed}: {broken}")
    raise LauncherError(f"seed {seed} breaks {broken}")


def _count(seeds: int) -> str:
    return "1 seed" if seeds == 1 else f"{seeds} seeds"


# -- what was asked for --------------------------------------------------------------------------


def _options(request: Request, default: Options) -> Options:
    """default: for what the user did not ask for"""
    nodes = default.nodes if request.nodes is None else request.nodes
    rate = default.rate if request.rate is None else request.rate
    clients = default.clients if request.clients is None else request.clients
    if not 1 <= nodes <= MAX_NODES:
        raise UsageError(f"--nodes {nodes}: from 1 to {MAX_NODES}")
    if not 0 < rate <= 10_000:
        raise UsageError(f"--rate {rate:g}: operations a second, above 0, at most 10000")
    if not 1 <= clients <= 100:
        raise UsageError(f"--clients {clients}: from 1 to 100")
    return Options(
        nodes=nodes,
        time_s=default.time_s if request.time is None else _time_s(request.time),
        faults=default.faults if request.faults is None else parse_faults(request.faults),
        rate=rate,
        clients=clients,
        only=None if request.only is None else _numbers(request.only),
    )


def _time_s(text: str) -> float:
    try:
        time_s = parse_duration_s(text)
    except ValueError:
        time_s = 0.0
    if not 0.1 <= time_s <= 86_400:
        raise UsageError(
            f"--time {text}: a duration with a unit, such as 500ms, 60s or 10m, from 100ms to 24h"
        )
    return time_s


def _numbers(text: str) -> tuple[int, ...]:
    if text == "none":
        return ()
    if not re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})*", text):
        raise UsageError(f"--only {text}: numbers of faults with commas, such as 3,17; or none")
    return tuple(map(int, text.split(",")))


def _seeds(request: Request, default: tuple[int, int]) -> tuple[int, int]:
    """The first and the last. default: if the user asked for none"""
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
        first, last = default
    if first < last and (request.trace is not None or request.only is not None):
        which = "--trace" if request.trace is not None else "--only"
        raise UsageError(f"{which} is for one run: say which with --seed")
    return first, last


# -- running -------------------------------------------------------------------------------------


def _search(
    options: Options, first: int, last: int, request: Request, bug: Planted | None
) -> Tally:
    count = last - first + 1
    piece = None if bug is None else partial(run_planted_seeds, bug.key)
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(_progress_bar(count))
        if request.scheduler is not None:
            if request.workers is not None:
                raise UsageError("--workers is for this machine, --scheduler has its own")
            executor, workers = stack.enter_context(scheduler(request.scheduler))
            return search(
                options, first, last,
                executor=executor, workers=workers, piece=piece, progress=progress,
            )  # fmt: skip
        workers = request.workers or os.cpu_count() or 1
        workers = max(1, min(workers, count))
        local = stack.enter_context(local_workers(workers))
        return search(
            options, first, last, executor=local, workers=workers, piece=piece, progress=progress
        )


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
    seeds = _count(tally.seeds)
    holds = "every property holds" if tally.failed is None else "1 failure"
    return (
        f"{seeds} of {write_duration(options.time_s)}, {options.nodes} nodes: {holds}. "
        f"{tally.simulated_s:.0f} s simulated in {took_s:.1f} s "
        f"({tally.simulated_s / took_s:.0f} times as fast, {tally.seeds / took_s:.2f} seeds/s); "
        f"{tally.operations} operations, {tally.acknowledged} acknowledged entries, "
        f"{tally.faults} faults, {tally.crashes} crashes, {tally.elections} leaders"
    )


def _summary_json(
    options: Options, tally: Tally, took_s: float, bug: Planted | None
) -> dict[str, object]:
    summary: dict[str, object] = msgspec.to_builtins(tally, str_keys=True)
    what = {} if bug is None else {"planted": bug.key}
    return {**what, "options": msgspec.to_builtins(options), **summary, "took_s": round(took_s, 3)}


def _report(options: Options, outcome: Outcome, request: Request, bug: Planted | None) -> None:
    shrunk = None
    if request.shrink:
        on_terminal = sys.stderr.isatty()

        def progress(runs: int) -> None:
            if on_terminal:
                click.echo(f"\rshrinking: run {runs}", err=True, nl=False)

        shrunk = shrink_failure(options, outcome, progress=progress)
        if on_terminal:
            click.echo("\r\x1b[K", err=True, nl=False)
    again = None if bug is None else partial(command, planted=bug.key, default=options_of(bug))
    for line in describe_failure(options, outcome, shrunk, again):
        click.echo(line)
