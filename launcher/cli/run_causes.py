"""The end of a report on a run of `launcher test` that is invalid: the first lines of why."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from launcher.cli.recorded import of_cluster
from launcher.cli.why import missed_write
from launcher.config import load
from launcher.errors import LauncherError
from launcher.evidence.why import explain_first_lines
from launcher.evidence.why.asked import VIOLATIONS
from launcher.lab import history
from launcher.lab.folder import RunFolder
from launcher.lab.verdict.finding import INVALID, Verdict
from launcher.timeline.events import Event, parse_line

_NAMED = re.compile(r"client (?P<client>[0-9]+), operation (?P<id>[0-9]+)\b")
"""An operation in the window of a finding (`launcher/lab/verdict/operations.py`)."""


def first_causes(run: RunFolder, verdict: Verdict) -> list[str]:
    """Why the run went wrong, as far as its records tell: at most ten lines; none for a run that is
    not invalid.

    A violation that the supervisor has seen is explained. What was only found afterwards becomes an
    event at the end of the run, as in the trace of a simulated run.
    """
    finding = next((one for one in verdict.findings if one.outcome == INVALID), None)
    if finding is None:
        return []
    try:
        record = of_cluster(load(run.config_file))
    except LauncherError as error:
        return [f"why: {error}"]
    broken = {"property": finding.check, "belief": finding.reason, **_stale(run, finding.window)}

    def events() -> Iterator[Event]:
        last, seen = 0, False
        for event in record.events():
            last, seen = event.t, seen or event.event in VIOLATIONS
            yield event
        if not seen:
            yield _event(last + 1, broken)

    return explain_first_lines(events, "last-violation")


def _stale(run: RunFolder, window: list[str]) -> dict[str, object]:
    """Facts of the first read in the window that did not see a write that it had to see; none when
    there is no such read."""
    named = [match for line in window if (match := _NAMED.search(line)) is not None]
    if not named:
        return {}
    try:
        past = history.read(run.path)
    except LauncherError:
        return {}
    for match in named:
        read = past.find(int(match["client"]), int(match["id"]))
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


def _event(t: int, fields: dict[str, object]) -> Event:
    common = {"t": t, "node": 0, "life": 0, "term": 0, "role": "", "commit": 0}
    line = {**common, "level": "error", "event": "property.broken", **fields}
    event = parse_line(msgspec.json.encode(line))
    assert event is not None, "it has all fields of an event"
    return event
