"""What `launcher simulate` says of planted bugs: `--plants`, and `--plant`."""

from __future__ import annotations

import textwrap

import click

from launcher.cli.output import print_json
from launcher.simulation.planted import ALL, BLIND, TOPICS, Planted
from launcher.simulation.runner import Tally

WIDTH = 80
"""The columns of a narrow terminal."""


def show_list(*, as_json: bool) -> int:
    """Prints all planted bugs by topic, each with what it breaks; returns 0."""
    if as_json:
        for topic, bugs in TOPICS.items():
            for bug in bugs:
                print_json(
                    {
                        "key": bug.key,
                        "topic": topic,
                        "name": bug.name,
                        "story": bug.story,
                        "property": bug.shows or None,
                    }
                )
        return 0
    for topic, bugs in TOPICS.items():
        click.echo(topic)
        for bug in bugs:
            click.echo(f"  {bug.key}  [{bug.shows or 'not found by its seeds'}]")
            for line in textwrap.wrap(
                f"{bug.name[0].upper()}{bug.name[1:]}. {bug.story}", WIDTH - 6
            ):
                click.echo(f"      {line}")
        click.echo()
    click.echo(f"{len(ALL)} bugs; in brackets, the property that showed each of them.")
    click.echo("`launcher simulate --plant NAME` plants one, and searches for it.")
    return 0


def announce(bug: Planted) -> None:
    """Prints what is planted, before the search."""
    click.echo(f"planted {bug.key}: {bug.name}")
    for line in textwrap.wrap(bug.story, WIDTH - 2):
        click.echo(f"  {line}")


def describe_miss(bug: Planted, tally: Tally) -> str:
    """What to say of a bug that these seeds did not find."""
    seeds = "this seed" if tally.seeds == 1 else f"these {tally.seeds} seeds"
    if bug.name in BLIND:
        return (
            f"not found by {seeds}. It shows only when these come together: {BLIND[bug.name]}. "
            "Directed tests fail with it (tests/node)"
        )
    return (
        f"not found by {seeds}. With the bug's own options, seeds 1..{bug.within} find it: "
        f"launcher simulate --plant {bug.key}"
    )
