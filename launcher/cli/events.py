"""Prints the timeline, as it is or as it grows."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

import click

from launcher import history, streams
from launcher.cli.output import print_json, wants_colour
from launcher.cli.recorded import Record, line_of, of_cluster
from launcher.config import ClusterConfig
from launcher.evidence.why.asked import VIOLATIONS, is_message
from launcher.evidence.why.explaining import NO_MESSAGES, explain_first_lines
from launcher.folders import private
from launcher.timeline.events import Event
from launcher.timeline.filter import Filter
from launcher.timeline.render import legend as columns
from launcher.timeline.render import render
from launcher.timeline.sentences import EVENT_NAMES, pattern
from launcher.timeline.templates import SENTENCES


def show_timeline(
    config: ClusterConfig,
    wanted: Filter,
    *,
    count: int | None = None,
    follow: bool = False,
    as_json: bool = False,
    legend: bool = False,
) -> None:
    """Prints events of all nodes in one order; the cluster need not run any more.

    count: only this many, the last ones; a line on standard error says that there are more
    follow: goes on until the cluster has stopped; a violation is followed by the first lines of
        why it happened
    legend: with the names of the columns, and an empty line before each new term
    """
    private.check_readable(config.log_dir, f"the logs folder {config.log_dir}")
    colour = wants_colour()
    if follow:
        found = history.events(config, wanted, follow=True, count=count, pause=streams.sleep)
    else:
        found = _last(history.events(config, wanted, follow=False), count)
    term = 0
    for number, event in enumerate(found):
        if legend and number == 0:
            click.echo(columns())
        if legend and event.term > term > 0:
            click.echo()
        term = max(term, event.term)
        click.echo(event.raw if as_json else render(event, colour=colour))
        if follow and not as_json and event.event in VIOLATIONS:
            for line in explain_first_lines(of_cluster(config).events, f"n{event.node}:{event.t}"):
                click.echo(f"  {line}")


def show_record(
    record: Record,
    wanted: Filter,
    *,
    count: int | None,
    ids: bool,
    messages: bool,
    as_json: bool,
) -> None:
    """Prints the events of a record, with their ids or with the messages.

    A trace has events of all levels, and so has the record of messages: those at `debug` are shown
    only when asked for, by a filter or, on real processes, together with the messages.
    """
    colour = wants_colour()
    asked = wanted.is_narrow or record.logs_debug or (messages and not record.is_trace)

    def shown(event: Event) -> bool:
        if is_message(event):
            return messages and wanted.accepts(event)
        return wanted.accepts(event) and (asked or event.level != "debug")

    seen = False

    def looked_at() -> Iterator[Event]:
        nonlocal seen
        for event in record.events():
            seen = seen or is_message(event)
            yield event

    for event in _last(filter(shown, looked_at()), count):
        text = line_of(event, record, ids=ids, colour=colour)
        click.echo(event.raw if as_json else text)
    if messages and not seen:
        click.echo(f"note: {NO_MESSAGES}", err=True)
    for remark in record.remarks():
        click.echo(f"note: {remark}", err=True)


def _last(found: Iterable[Event], count: int | None) -> Iterator[Event]:
    """The last ones; says on standard error how many were left out."""
    if count is None:
        yield from found
        return
    kept: deque[Event] = deque(maxlen=count)
    seen = 0
    for event in found:
        seen += 1
        kept.append(event)
    if seen > len(kept):
        click.echo(f"the last {len(kept)} of {seen} events; -n all shows all of them", err=True)
    yield from kept


def list_events(*, as_json: bool) -> None:
    """Prints the name of every event, and what it says."""
    told = {name: pattern(SENTENCES[name][-1]) for name in EVENT_NAMES}
    if as_json:
        print_json(told)
        return
    width = max(map(len, told))
    for name, said in told.items():
        click.echo(f"{name:<{width}}  {said}")


def warn_of_debug(config: ClusterConfig) -> None:
    """Says on standard error that events of level `debug` were asked for and are not recorded."""
    if config.log_level != "debug":
        click.echo(
            f"debug events are not recorded: log.level is {config.log_level}. "
            "`launcher set log-level debug` records them from now on; so does log.level: debug in "
            "cluster.yaml, from the next `launcher up`",
            err=True,
        )
