"""What `launcher test` and `launcher check` print, and the exit status of a verdict."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from launcher import streams
from launcher.cli.context import Context
from launcher.cli.output import print_json
from launcher.cli.run_causes import echo_causes, first_causes
from launcher.config import ClusterConfig
from launcher.errors import LauncherError, Undecided, UsageError
from launcher.lab import folder
from launcher.lab.chaos.record import Happening
from launcher.lab.chaos.schedule import DEFAULT_INTERVAL_S
from launcher.lab.clients import Tally, machine_of
from launcher.lab.folder import RunFolder
from launcher.lab.trial.asked import CALM_S, Asked
from launcher.lab.trial.plots import try_plot
from launcher.lab.trial.running import Telling, run
from launcher.lab.verdict import situations, telling
from launcher.lab.verdict.finding import INVALID, UNKNOWN, Verdict
from launcher.lab.verdict.judge import as_json as verdict_json
from launcher.lab.verdict.judge import judge
from launcher.lab.workloads.loading import is_shipped
from node.printable import error_line
from node.quantities import parse_duration_s

MOST_SEED = 1 << 20
"""A seed that nobody has chosen is below this."""

TOLD_S = 5.0
"""How often the rate is told where the output is no terminal; on one it is told all the time."""

REDRAW_S = 0.2


class Typed(msgspec.Struct, frozen=True, kw_only=True):
    """What a user asks for, as typed; an option that was not given is None."""

    seed: int | None
    time: str | None
    faults: str | None
    interval: str | None
    number: int | None
    exclude: tuple[str, ...]
    beyond_quorum: bool
    nodes: int | None
    machine: str | None
    workload: str | None
    clients: int | None
    rate: float | None
    keys: int | None
    mix: str | None
    required: tuple[str, ...]
    as_json: bool


# -- test ----------------------------------------------------------------------------------------


def test(context: Context, typed: Typed) -> int:
    """Makes a run, judges it, and prints the verdict; returns 0, the exit status.

    Raises UsageError, LauncherError for an invalid run and one that could not be finished,
    Undecided for an unknown verdict.
    """
    asked = _asked(typed)
    situations.check_names(typed.required)
    config = context.load_config()
    _check_workload(asked, config)
    root = folder.root_of(config)
    os.umask(0o077)  # all that a run leaves is its user's alone
    shown = _Progress(asked, quiet=typed.as_json)
    tells = Telling(shown.began, shown.step, shown.happened, shown.progress)
    try:
        with streams.all_or_error("the run was not finished, or its verdict not told"):
            trial = run(asked, root, tells)
            return _tell(asked, typed, trial, root, shown)
    except BaseException as error:
        if not isinstance(error, Exception):  # a signal
            shown.interrupted()
        raise


def _tell(asked: Asked, typed: Typed, trial: RunFolder, root: Path, shown: _Progress) -> int:
    """Judges a run that is over, and prints the verdict."""
    shown.step("checking")
    try:
        verdict = judge(trial, typed.required)
    except LauncherError as error:  # a user's check has failed, for example
        raise LauncherError(f"{error}; what was recorded is in {trial}") from error
    try:
        folder.write_json(trial.verdict_file, verdict_json(verdict))
    except OSError as error:  # the verdict is told all the same
        said = f"{trial}: the verdict cannot be kept: {error_line(error)}"
        click.echo(f"launcher: {said}", err=True)
    plots = try_plot(trial)
    shown.pruned(folder.prune(root))
    if typed.as_json:
        _print_json(trial, verdict)
    else:
        click.echo()
        _print(verdict)
        echo_causes("the run's", first_causes(trial, verdict))
        click.echo(f"\nrun:       {trial}\nagain:     {asked.command()}")
        click.echo(f"check:     launcher check {trial.path.name}\n{plots}")
    return conclude(verdict, as_json=typed.as_json)


def _asked(typed: Typed) -> Asked:
    """Raises UsageError."""
    default = Asked(seed=random.randrange(MOST_SEED) if typed.seed is None else typed.seed)
    exclude = [one.lower() for words in typed.exclude for one in words.split(",") if one]
    given = {
        "time_s": None if typed.time is None else _duration_s("--time", typed.time),
        "faults": typed.faults,
        "interval_s": (
            DEFAULT_INTERVAL_S
            if typed.interval is None
            else _duration_s("--interval", typed.interval)
        ),
        "exclude": tuple(exclude),
        "beyond_quorum": typed.beyond_quorum,
    }
    for name in ("number", "nodes", "machine", "workload", "clients", "rate", "keys", "mix"):
        given[name] = getattr(typed, name)
    said = {name: value for name, value in given.items() if value is not None}
    return msgspec.structs.replace(default, **said)


def _check_workload(asked: Asked, config: ClusterConfig) -> None:
    """A user's own is loaded once before anything is made. Raises UsageError, LauncherError."""
    plan = asked.plan()
    if is_shipped(plan.workload):
        return
    needed = machine_of(config, plan)
    if needed != asked.the_machine:
        raise UsageError(
            f"--workload {plan.workload} is for the machine {needed}, not for "
            f"{asked.the_machine}: `--machine {needed}`"
        )


def _duration_s(option: str, text: str) -> float:
    try:
        return parse_duration_s(text)
    except ValueError:
        raise UsageError(f"{option} {text}: a duration with a unit, such as 500ms or 60s") from None


class _Progress:
    """What is told while a run goes on."""

    def __init__(self, asked: Asked, *, quiet: bool) -> None:
        self._asked = asked
        self._quiet = quiet
        self._live = sys.stderr.isatty() and not quiet and not os.environ.get("NO_COLOR")
        self._told_at = time.monotonic()
        self._before = Tally()
        self._is_drawn = False
        self._trial: RunFolder | None = None

    def interrupted(self) -> None:
        """The run was ended by a signal; all is taken down."""
        if self._trial is not None:
            what = f"what was recorded is in {self._trial} (`launcher check` judges it)"
            click.echo(f"launcher: interrupted; {what}", err=True)

    def began(self, trial: RunFolder) -> None:
        """The folder is made."""
        self._trial = trial
        self._say(f"seed {self._asked.seed}, run {trial}")
        settings = self._asked.settings()
        plan = self._asked.plan()
        self._say(
            f"{settings['nodes']} nodes, machine {settings['machine']}, workload {plan.workload}, "
            f"{plan.clients} clients, {plan.rate:g} operations/s; "
            f"{len(self._asked.schedule().faults)} faults in {self._asked.time_s:g} s"
        )

    def step(self, text: str) -> None:
        """Something else begins."""
        self._say(text)

    def happened(self, happening: Happening) -> None:
        """A fault has begun, or ended, or the like."""
        if happening.what in ("began", "failed", "healing", "over"):
            self._say(str(happening))

    def progress(self, tally: Tally) -> None:
        """The clients go on."""
        now = time.monotonic()
        if (
            self._quiet
            or tally.at_s < CALM_S
            or now - self._told_at < (REDRAW_S if self._live else TOLD_S)
        ):
            return
        seconds = max(1e-9, tally.at_s - self._before.at_s)
        rate = (tally.operations - self._before.operations) / seconds
        text = (
            f"{tally.at_s - CALM_S:8.3f} s  {rate:.0f} operations/s: {tally.ok} ok, "
            f"{tally.fail} refused, {tally.info} unknown"
        )
        self._told_at = now
        self._before = msgspec.structs.replace(tally, buckets={})
        if self._live:
            click.echo(f"\r{text}\x1b[K", err=True, nl=False)
            self._is_drawn = True
        else:
            self._say(text)

    def pruned(self, names: Sequence[str]) -> None:
        """Old runs were removed."""
        if names:
            count = "1 old run" if len(names) == 1 else f"{len(names)} old runs"
            self._say(f"removed {count}, so that {folder.KEPT} are left: {', '.join(names)}")

    def _say(self, text: str) -> None:
        if self._quiet:
            return
        if self._is_drawn:
            click.echo("\r\x1b[K", err=True, nl=False)
            self._is_drawn = False
        click.echo(text)
        sys.stdout.flush()


# -- check ---------------------------------------------------------------------------------------


def check(context: Context, name: str | None, required: Sequence[str], *, as_json: bool) -> int:
    """Judges a run and prints the verdict; returns 0, the exit status.

    name: of the run; None for the latest

    Raises LauncherError for an invalid run and one that cannot be read, Undecided for an unknown
    verdict.
    """
    situations.check_names(tuple(required))
    trial = folder.find(folder.root_of(context.load_config()), name)
    verdict = judge(trial, required)
    if as_json:
        _print_json(trial, verdict)
    else:
        made = trial.read_made()
        click.echo(f"run {trial}, of {made.begun}: {made.again}\n")
        _print(verdict)
        echo_causes("the run's", first_causes(trial, verdict))
    return conclude(verdict, as_json=as_json)


def _print_json(trial: RunFolder, verdict: Verdict) -> None:
    why = first_causes(trial, verdict)
    print_json({"folder": str(trial.path), **verdict_json(verdict), "why": why})


def _print(verdict: Verdict) -> None:
    for line in telling.lines(verdict):
        click.echo(line)


def conclude(verdict: Verdict, *, as_json: bool) -> int:
    """The last line, and the exit status. Raises LauncherError, Undecided."""
    last = telling.summary(verdict)
    if verdict.outcome == INVALID or (verdict.outcome != UNKNOWN and verdict.required):
        raise LauncherError(last)
    if verdict.outcome == UNKNOWN:
        raise Undecided(last)
    if not as_json:
        click.echo(last)
    return 0
