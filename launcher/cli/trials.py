"""What `launcher test` and `launcher check` print, and the exit status of a verdict."""

from __future__ import annotations

from collections.abc import Sequence

import click

from launcher.cli.context import Context
from launcher.cli.output import print_json
from launcher.errors import LauncherError, Undecided
from launcher.lab import folder
from launcher.lab.folder import RunFolder
from launcher.lab.verdict import situations, telling
from launcher.lab.verdict.finding import INVALID, UNKNOWN, Verdict
from launcher.lab.verdict.judge import as_json as verdict_json
from launcher.lab.verdict.judge import judge


def check(context: Context, name: str | None, required: Sequence[str], *, as_json: bool) -> int:
    """Judges a run and prints the verdict; returns 0, the exit status.

    name: of the run; None for the latest

    Raises LauncherError for an invalid run and one that cannot be read, Undecided for an unknown
    verdict.
    """
    situations.check_names(tuple(required))
    run = folder.find(folder.root_of(context.load_config()), name)
    verdict = judge(run, required)
    if as_json:
        print_json(verdict_json(verdict))
    else:
        tell_run(run)
        for line in telling.lines(verdict):
            click.echo(line)
    return conclude(verdict, as_json=as_json)


def tell_run(run: RunFolder) -> None:
    """Prints what run it is."""
    made = run.read_made()
    asked = " ".join(f"{name} {value}" for name, value in made.asked.items() if value is not None)
    click.echo(f"run {run}, seed {made.seed}: {asked}")


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
