"""The end of a report on a run that is invalid: the first lines of why."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import click

from launcher.cli.recorded import of_cluster
from launcher.cli.why import missed_write
from launcher.config import ClusterConfig, load
from launcher.errors import LauncherError
from launcher.evidence.why import explain_first_lines
from launcher.evidence.why.asked import VIOLATIONS
from launcher.lab import history
from launcher.lab.clients import Ran
from launcher.lab.folder import RunFolder
from launcher.lab.verdict.finding import INVALID, Verdict
from launcher.lab.workloads import Judgement
from launcher.timeline.events import Event, with_fields

_NAMED = re.compile(r"client (?P<client>[0-9]+), operation (?P<id>[0-9]+)\b")
"""An operation in the window of a finding (`launcher/lab/verdict/operations.py`)."""


def first_causes(run: RunFolder, verdict: Verdict) -> list[str]:
    """Why the run went wrong, as far as its records tell: at most ten lines; none for a run that is
    not invalid."""
    finding = next((one for one in verdict.findings if one.outcome == INVALID), None)
    if finding is None:
        return []
    try:
        config = load(run.config_file)
    except LauncherError as error:
        return [f"why: {error}"]
    named = [match for line in finding.window if (match := _NAMED.search(line)) is not None]
    operations = [(int(match["client"]), int(match["id"])) for match in named]
    return _causes(config, run.path, _Broken(finding.check, finding.reason, operations))


def causes_of_judgement(config: ClusterConfig, ran: Ran, judgement: Judgement) -> list[str]:
    """The same for a run of `launcher workload` on this cluster."""
    if judgement.validity.value != "invalid":
        return []
    operations = [(one.process, one.id) for one in judgement.window]
    return _causes(config, ran.folder, _Broken(ran.plan.workload, judgement.reason, operations))


def echo_causes(whose: str, causes: list[str]) -> None:
    """Prints them under a heading; nothing where there are none.

    whose: records they are from
    """
    if causes:
        click.echo(f"\nwhy, as far as {whose} records tell:")
    for line in causes:
        click.echo(f"  {line}")


class _Broken(NamedTuple):
    """What was found out after a run.

    operations: the client and the number of each operation that shows it
    """

    check: str
    reason: str
    operations: Sequence[tuple[int, int]]


def _causes(config: ClusterConfig, folder: Path, found: _Broken) -> list[str]:
    """A violation that the supervisor has seen is explained. What was only found afterwards becomes
    an event at the end of the record, as in the trace of a simulated run.

    folder: of the clients' history
    """
    try:
        record = of_cluster(config)
    except LauncherError as error:
        return [f"why: {error}"]
    broken = {"property": found.check, "belief": found.reason, **_stale(folder, found.operations)}

    def events() -> Iterator[Event]:
        last, seen = 0, False
        for event in record.events():
            last, seen = event.t, seen or event.event in VIOLATIONS
            yield event
        if not seen:
            at_end = Event(last + 1, 0, 0, 0, "", 0, "error", "property.broken")
            yield with_fields(at_end, broken)

    return explain_first_lines(events, "last-violation")


def _stale(folder: Path, operations: Sequence[tuple[int, int]]) -> dict[str, object]:
    """Facts of the first of these reads that did not see a write that it had to see; none when
    there is no such read."""
    if not operations:
        return {}
    try:
        past = history.read(folder)
    except LauncherError:
        return {}
    for client, number in operations:
        read = past.find(client, number)
        if read is not None and missed_write(read, past.operations) is not None:
            return _facts(read)
    return {}


def _facts(read: history.Done) -> dict[str, object]:
    facts: dict[str, object] = {"index": read.index, "asked_s": read.invoked / 1e9}
    if read.by is not None:
        facts["answered_by"] = read.by
    if read.completed is not None:
        facts["until_s"] = read.completed / 1e9
    return facts
