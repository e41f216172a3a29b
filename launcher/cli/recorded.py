"""What a `timeline` is shown of: a cluster's logs and taps, or the trace of a simulated run."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from launcher import history
from launcher.config import ClusterConfig, load
from launcher.errors import LauncherError, UsageError
from launcher.evidence.messages.reading import Messages
from launcher.evidence.why.asked import is_message
from launcher.evidence.why.rules.sending import content_of_side
from launcher.evidence.why.things import side_of
from launcher.folders import private
from launcher.lab import folder
from launcher.timeline.events import Event
from launcher.timeline.filter import Filter
from launcher.timeline.order import merge
from launcher.timeline.render import render, wall_clock
from launcher.timeline.trace_file import TraceFile

_OF_TRACES = ("at_s", "state", "said")
"""Fields of a trace that a line of text need not show: its time, and what only programs read."""
_OF_MESSAGES = ("from", "to", "why", "fault", "delay_s")


@dataclass(frozen=True)
class Record:
    """Events, and how they are shown.

    events: all of them, in their order; each call reads them again
    clock: says a time in nanoseconds, as `when_ns` of a thing has it
    title: what it is a record of
    remarks: what to say of the record when it has been read
    run: the folder of the run of `launcher test` that it is of
    logs_debug: its logs have events at `debug` because somebody asked for them
    """

    events: Callable[[], Iterable[Event]]
    clock: Callable[[int], str]
    title: str
    is_trace: bool = False
    remarks: Callable[[], list[str]] = field(default=list)
    run: Path | None = None
    logs_debug: bool = False


def of_cluster(config: ClusterConfig) -> Record:
    """The events and messages of a cluster, which need not run any more. Raises LauncherError."""
    private.check_readable(config.log_dir, f"the logs folder {config.log_dir}")

    read: list[Messages] = []

    def events() -> Iterator[Event]:
        messages = Messages(config.tap_folder)
        read[:] = [messages]
        try:
            logged = history.events(config, Filter(), follow=False)
            yield from merge([logged, messages.events()])
        except OSError as error:
            raise LauncherError(f"{config.log_dir} cannot be read: {error.strerror}") from error

    def remarks() -> list[str]:
        messages = read[0]
        begins = [
            f"the messages of n{node} begin at {wall_clock(t)}: those before have been overwritten "
            "(`launcher tap full` keeps more)"
            for node, t in messages.begins.items()
        ]
        return begins + messages.problems

    return Record(
        events,
        wall_clock,
        f"cluster {config.name}",
        remarks=remarks,
        logs_debug=config.log_level == "debug",
    )


def of_run(config: ClusterConfig, name: str | None) -> Record:
    """The events and messages of a run of `launcher test`. Raises LauncherError, UsageError.

    config: of the project; name: as for `launcher check`
    """
    run = folder.find(folder.root_of(config), name)
    if not run.config_file.exists():
        raise UsageError(f"{run.path} is no run of `launcher test`: it has no cluster.yaml")
    return replace(of_cluster(load(run.config_file)), title=f"run {run.path.name}", run=run.path)


def of_trace(path: Path) -> Record:
    """The events and messages of a simulated run. Reading raises LauncherError, UsageError."""
    trace = TraceFile(path)

    def remarks() -> list[str]:
        if not trace.damaged:
            return []
        if trace.damaged == 1:
            return [f"1 damaged line of {path} was left out"]
        return [f"{trace.damaged} damaged lines of {path} were left out"]

    return Record(trace.events, seconds, f"trace {path.name}", is_trace=True, remarks=remarks)


def seconds(t: int) -> str:
    """Simulated time."""
    return f"{t / 1e9:10.4f}"


# -- one line of text ----------------------------------------------------------------------------


def line_of(event: Event, record: Record, *, ids: bool, colour: bool) -> str:
    """The event as `timeline` shows it; with its id, if that is asked for."""
    name = f"{id_of(event):<28} " if ids else ""
    fields = event.fields
    at_s = fields.get("at_s")
    shown = msgspec.structs.replace(event, raw=_without(fields, is_message(event), event))
    clock = record.clock
    at_ns = int(at_s * 1e9) if isinstance(at_s, int | float) else event.t
    names = {0: "world"} if record.is_trace else None
    return name + render(shown, colour=colour, clock=lambda _: clock(at_ns), names=names)


def id_of(event: Event) -> str:
    """`n4:T`; of a message `n1:T>n2`, on both sides the same."""
    side = side_of(event) if is_message(event) else None
    if side is None:
        return f"n{event.node}:{event.t}"
    if event.event == "message.sent":
        return f"n{event.node}:{event.t}>n{side.to}"
    return f"n{side.source or event.node}:{side.sent_t or event.t}>n{side.to or event.node}"


def _without(fields: dict[str, object], of_message: bool, event: Event) -> bytes:
    """The fields that a line shows; of a message its content in words."""
    kept = {name: value for name, value in fields.items() if name not in _OF_TRACES}
    side = side_of(event) if of_message else None
    if side is not None:
        what = content_of_side(side)
        kept = {name: kept[name] for name in _OF_MESSAGES if kept.get(name) is not None}
        tells = event.event in ("message.sent", "message.received")
        kept["said" if tells else "type"] = what
    return json.dumps(kept, separators=(",", ":"), default=str).encode()
