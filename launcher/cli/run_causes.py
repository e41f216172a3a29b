"""The end of a report on a run of `launcher test` that is invalid: the first lines of why."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from launcher.cli.recorded import of_cluster
from launcher.config import load
from launcher.errors import LauncherError
from launcher.evidence.why import explain_first_lines
from launcher.evidence.why.asked import VIOLATIONS
from launcher.lab.folder import RunFolder
from launcher.lab.verdict.finding import INVALID, Verdict
from launcher.timeline.events import Event, parse_line


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
    broken = {"property": finding.check, "belief": finding.reason}

    def events() -> Iterator[Event]:
        last, seen = 0, False
        for event in record.events():
            last, seen = event.t, seen or event.event in VIOLATIONS
            yield event
        if not seen:
            yield _event(last + 1, broken)

    return explain_first_lines(events, "last-violation")


def _event(t: int, fields: dict[str, str]) -> Event:
    common = {"t": t, "node": 0, "life": 0, "term": 0, "role": "", "commit": 0}
    line = {**common, "level": "error", "event": "property.broken", **fields}
    event = parse_line(msgspec.json.encode(line))
    assert event is not None, "it has all fields of an event"
    return event
