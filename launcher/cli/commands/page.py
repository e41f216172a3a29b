"""The page: a cluster in a browser."""

from __future__ import annotations

from pathlib import Path

import click

from launcher.cli.context import Context
from launcher.cli.rows import row


@row(
    "page",
    "Show the running cluster in a browser: its nodes, messages and logs, live and backwards in "
    "time; and break it with the mouse. It prints one address, for this machine only, with a token "
    "that everything else needs.\n\n"
    "With RECORDED it shows that, and no cluster need run: a trace (`simulate --trace`), a run of "
    "`launcher test` by its name or folder, or a folder of logs. It ends with Ctrl-C.\n\n"
    "It needs an extra: pip install 'leeky-raft[page]'. --html needs none.",
)
@click.argument("recorded", required=False, metavar="[RECORDED]")
@click.option(
    "--html",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write one file instead that shows what was recorded, offline, in any browser.",
)
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    help="The port; without it a free one is taken.",
)
@click.option("--until-down", is_flag=True, hidden=True, help="End with the cluster.")
def page(
    context: Context, recorded: str | None, html: Path | None, port: int | None, until_down: bool
) -> int:
    """`launcher page`."""
    # Start-up time: loads what reads logs.
    from launcher.cli import pages

    if html is not None:
        pages.write_file(context, recorded, html)
    elif recorded is not None:
        pages.serve_recorded(pages.find(context, recorded), port)
    else:
        pages.serve_live(context, port, until_down=until_down)
    return 0
