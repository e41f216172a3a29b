"""The timeline: what has happened on all nodes, and why."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from launcher.cli.context import Context
from launcher.cli.parameters import EVENT, LEVEL, PROCESS_NUMBER, RUN
from launcher.cli.rows import as_json, row
from launcher.errors import UsageError

if TYPE_CHECKING:
    from launcher.timeline.filter import Filter

DEFAULT_COUNT = 30


@dataclass(frozen=True)
class _Views:
    """What is to be shown of the events, in place of a list of them, and of what.

    why, between, diagram, svg, trace, run, messages, ids: the options of these names
    """

    why: str | None
    between: tuple[str, str] | None
    diagram: bool
    svg: Path | None
    trace: Path | None
    run: str | None
    messages: bool
    ids: bool

    @property
    def explains(self) -> bool:
        return self.why is not None or self.between is not None

    @property
    def are_any(self) -> bool:
        """Whether the plain list of a cluster's events will not do."""
        drawn = self.diagram or self.svg is not None
        recorded = self.trace is not None or self.run is not None or self.messages or self.ids
        return self.explains or drawn or recorded


@row(
    "timeline",
    "Show what happened on all nodes, in one order, and why; also after the cluster has stopped.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens next, until Ctrl-C.")
@click.option(
    "-n",
    "--count",
    metavar="COUNT",
    help=f"Only the last COUNT events, or all. By default {DEFAULT_COUNT}, but all of them with "
    "--since or --json. With --why and --diagram: how many lines.",
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
@click.option(
    "--why",
    metavar="EVENT",
    help="Print the causes of EVENT as a tree, the newest first: an id (n4:T, see --ids), "
    "last-election, last-violation, the index of an entry, or n3: why it does not catch up.",
)
@click.option(
    "--between",
    nargs=2,
    metavar="A B",
    help="Print what leads from event A to event B.",
)
@click.option("--ids", is_flag=True, help="With the id of each event, as --why takes it.")
@click.option("--messages", is_flag=True, help="With the messages between nodes, if recorded.")
@click.option(
    "--diagram",
    is_flag=True,
    help="Draw a column for each node, and arrows for messages; with --why only of the causes.",
)
@click.option(
    "--svg", type=click.Path(path_type=Path), metavar="FILE", help="The same as a picture."
)
@click.option(
    "--trace",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Of a simulated run, which `simulate --trace FILE` has written, in place of a cluster.",
)
@click.option(
    "--run",
    type=RUN,
    metavar="RUN",
    help="Of a run of `launcher test`: its folder or its name. With --why op:CLIENT:ID: why that "
    "operation of its history ended as it did; by default in the latest run.",
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
    why: str | None,
    between: tuple[str, str] | None,
    ids: bool,
    messages: bool,
    diagram: bool,
    svg: Path | None,
    trace: Path | None,
    run: str | None,
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
    views = _Views(why, between, diagram, svg, trace, run, messages, ids)
    wanted = Filter(node=node, since=since, event=event, level=level)
    if event is not None:
        check_known(event, EVENT_NAMES)
    if views.are_any:
        _check_together(views, wanted, follow=follow, as_json=as_json)
        _show_views(context, views, wanted, count, as_json)
        return
    most = _count(count, None if since is not None or as_json else DEFAULT_COUNT)
    config = context.load_config()
    if level == "debug":
        warn_of_debug(config)
    told = sys.stdout.isatty() if legend is None else legend
    show_timeline(
        config, wanted, count=most, follow=follow, as_json=as_json, legend=told and not as_json
    )


def _show_views(
    context: Context, views: _Views, wanted: Filter, count: str | None, as_json: bool
) -> None:
    # Start-up time, as above.
    from launcher.cli import recorded, why
    from launcher.cli.events import show_record

    asks_operation = views.why is not None and views.why.startswith("op:")
    if views.trace is not None:
        record = recorded.of_trace(views.trace)
    elif views.run is not None or asks_operation:
        record = recorded.of_run(context.load_config(), views.run)
    else:
        record = recorded.of_cluster(context.load_config())
    if views.why is not None and asks_operation:
        why.show_operation(
            record, views.why, most=_count(count, why.LINES), ids=views.ids, as_json=as_json
        )
    elif views.why is not None:
        why.show_why(
            record, views.why, most=_count(count, why.LINES), ids=views.ids, as_json=as_json,
            diagram=views.diagram, svg=views.svg,
        )  # fmt: skip
    elif views.between is not None:
        why.show_between(record, *views.between, ids=views.ids, as_json=as_json)
    elif views.diagram or views.svg is not None:
        rows = why.ROWS if views.diagram else why.ROWS_OF_A_PICTURE
        why.show_diagram(
            record, count=_count(count, rows), since_ns=wanted.since_t, node=wanted.node,
            svg=views.svg, as_text=views.diagram,
        )  # fmt: skip
    else:
        most = _count(count, None if as_json else DEFAULT_COUNT)
        show_record(
            record, wanted, count=most, ids=views.ids, messages=views.messages, as_json=as_json
        )


def _check_together(views: _Views, wanted: Filter, *, follow: bool, as_json: bool) -> None:
    """Raises UsageError for options that make no sense together."""
    if follow:
        raise UsageError("-f follows the plain list of events; it goes with none of these views")
    if views.why is not None and views.between is not None:
        raise UsageError("either --why or --between, not both")
    filtered = wanted.node is not None or wanted.since_t or wanted.is_narrow
    if views.explains and filtered:
        raise UsageError("--why and --between look at all events: no --node, --since, --event or "
                         "--level goes with them")  # fmt: skip
    if (views.diagram or views.svg is not None) and wanted.is_narrow:
        raise UsageError("a diagram takes --node, --since and -n, but no --event or --level")
    if as_json and (views.diagram or views.svg is not None):
        raise UsageError("a diagram is no JSON: --json goes with --why, --between and the list")
    if views.between is not None and (views.diagram or views.svg is not None):
        raise UsageError("--between prints a list; --why EVENT --diagram draws causes")
    if views.trace is not None and views.run is not None:
        raise UsageError("either --trace or --run, not both")
    if views.trace is not None and (views.why or "").startswith("op:"):
        raise UsageError("a trace has no history of operations: op:CLIENT:ID is of a --run")
    if views.trace is not None and wanted.since_t:
        raise UsageError("--since is of the clock on the wall, and a trace has simulated time")


def _count(text: str | None, default: int | None) -> int | None:
    """The value of -n; None: all. Raises UsageError."""
    if text is None:
        return default
    if text.lower() == "all":
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise UsageError(f"-n takes a number of events, or all, not {text!r}")
    return int(text)
