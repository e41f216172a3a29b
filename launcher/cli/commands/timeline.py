"""The timeline: what has happened on all nodes."""

from __future__ import annotations

import sys

import click

from launcher.cli.context import Context
from launcher.cli.parameters import EVENT, LEVEL, PROCESS_NUMBER
from launcher.cli.rows import as_json, row
from launcher.errors import UsageError

DEFAULT_COUNT = 30


@row(
    "timeline",
    "Show what happened on all nodes, in one order; also after the cluster has stopped.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens next, until Ctrl-C.")
@click.option(
    "-n",
    "--count",
    metavar="COUNT",
    help=f"Only the last COUNT events, or all. By default {DEFAULT_COUNT}, but all of them with "
    "--since or --json.",
)
@click.option("--node", type=PROCESS_NUMBER, help="Only events of this node; 0 is the supervisor.")
@click.option(
    "--since", metavar="T", help="Only events after T: an age such as 10s or 5m, or an ISO time."
)
@click.option(
    "--event",
    type=EVENT,
    metavar="GLOB",
    help="Only events with such a name: leader.elected, 'election.*', or several with commas "
    "between them; list: see --events.",
)
@click.option("--events", is_flag=True, help="List the names of all events, and what each says.")
@click.option("--level", type=LEVEL, help="At least debug, info, warn or error.")
@click.option(
    "--legend/--no-legend",
    default=None,
    help="A first line with the names of the columns, and a gap before each new term; by default "
    "on a terminal only.",
)
@as_json
def timeline(
    context: Context,
    follow: bool,
    count: str | None,
    node: int | None,
    since: str | None,
    event: str | None,
    events: bool,
    level: str | None,
    legend: bool | None,
    as_json: bool,
) -> None:
    """`launcher timeline`."""
    # Start-up time: loads what reads logs, and what knows whether the cluster still runs.
    from launcher.cli.events import list_events, show_timeline, warn_of_debug
    from launcher.timeline.filter import Filter, check_known
    from launcher.timeline.sentences import EVENT_NAMES

    if events or event == "list":
        list_events(as_json=as_json)
        return
    wanted = Filter(node=node, since=since, event=event, level=level)
    if event is not None:
        check_known(event, EVENT_NAMES)
    most = _count(count, None if since is not None or as_json else DEFAULT_COUNT)
    config = context.load_config()
    if level == "debug":
        warn_of_debug(config)
    told = sys.stdout.isatty() if legend is None else legend
    show_timeline(
        config, wanted, count=most, follow=follow, as_json=as_json, legend=told and not as_json
    )


def _count(text: str | None, default: int | None) -> int | None:
    """The value of -n; None: all. Raises UsageError."""
    if text is None:
        return default
    if text.lower() == "all":
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise UsageError(f"-n takes a number of events, or all, not {text!r}")
    return int(text)
