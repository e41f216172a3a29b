"""What the rows of `launcher bench` are made of: options, limits, and what becomes of results.

A row prints its tables on standard output (with `--json` the results instead, as one object) and
progress on a terminal, and keeps JSON and plots in the folder `--out`.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from launcher.cli.output import print_json
from launcher.cli.progress import progress_bar
from launcher.cli.rows import as_json
from launcher.errors import UsageError

if TYPE_CHECKING:
    from launcher.benchmark.report import Table

MOST_SIZE_BYTES = 1 << 20


def benchmark(name: str, text: str) -> Callable[[Callable[..., Any]], click.Command]:
    """Makes a row of a function of what was asked for, with `--out` and `--json`."""

    def make(function: Callable[..., Any]) -> click.Command:
        return click.command(name, help=text)(_out(as_json(function)))

    return make


_out = click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("data/bench"),
    show_default=True,
    help="The folder for JSON and plots, and for the files of what is measured.",
)


def within(option: str, value: float, least: float, most: float) -> None:
    """Raises UsageError for a number that is not from `least` to `most`."""
    if not least <= value <= most:
        raise UsageError(f"{option} {value}: from {least} to {most}")


@contextlib.contextmanager
def progress(label: str, turns: int) -> Iterator[Callable[[], None]]:
    """On a terminal, a bar; what is yielded is called after each turn."""
    if not sys.stderr.isatty() or os.environ.get("NO_COLOR"):
        yield lambda: None
        return
    with progress_bar(label, turns) as bar:
        yield lambda: bar.update(1, "")


def conclude(
    name: str,
    out: Path,
    as_json: bool,
    results: object,
    tables: Sequence[Table],
    plots: Mapping[str, Callable[[Any], None]] | None = None,
) -> None:
    """Prints what came out, and keeps it.

    results: what goes into the JSON
    plots: by the name of each, what draws it onto a matplotlib Figure
    """
    # Start-up time, as in the modules of the rows.
    from launcher.benchmark.report import NO_PLOTS, draw, keep, this_machine

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
