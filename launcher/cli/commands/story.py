"""The command `story`: Raft told on servers that are moved step by step."""

from __future__ import annotations

import os

import click

from launcher.cli.context import Context
from launcher.cli.parameters import STORY
from launcher.cli.rows import as_json, row
from launcher.errors import UsageError


@row(
    "story",
    "Play a story, which shows one thing about Raft. It is a small script that runs step by step, "
    "and checks what it says. Without a NAME, list all stories. NAME may be a file of your own "
    "(./my.txt); docs/STORIES.md explains the language.",
)
@click.argument("wanted", required=False, type=STORY, metavar="[NAME|FILE]")
@click.option("--list", "listed", is_flag=True, help="List all stories, each with what it shows.")
@click.option("--step", is_flag=True, help="Wait for Enter after each step; Ctrl-D ends.")
@click.option("--slow", is_flag=True, help="Pause after each step.")
@click.option("--quiet", is_flag=True, help="Print only the comments and the tables of logs.")
@click.option("--real", is_flag=True, help="Play it on real processes: a cluster of its own.")
@click.option("--page", is_flag=True, help="Show it in the page, in a browser.")
@as_json
def story(
    context: Context,
    wanted: str | None,
    listed: bool,
    step: bool,
    slow: bool,
    quiet: bool,
    real: bool,
    page: bool,
    as_json: bool,
) -> int:
    """`launcher story`."""
    # Start-up time: loads the core and the stage.
    from launcher.cli import stories

    if listed and wanted is not None:
        raise UsageError("--list lists all stories; leave out the name, or --list")
    if listed or wanted is None:
        return stories.show_list(as_json=as_json)
    if step and context.attached is not None and not os.isatty(0):
        raise UsageError("--step reads standard input, and so does the script that has this line")
    if page:
        if real:
            raise UsageError("--page shows the story on simulated cores: leave out --real")
        from launcher.cli import pages

        pages.tell(wanted)
        return 0
    request = stories.Playing(step=step, slow=slow, quiet=quiet, real=real, as_json=as_json)
    return stories.play(wanted, request)
