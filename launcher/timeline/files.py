"""The files of a timeline, in the folder of the logs.

timeline.jsonl, timeline.jsonl.000001, ...   the timeline, in order
timeline.jsonl.late                          events that came after their place had been passed
node-1.jsonl, supervisor.jsonl, ...          the event logs that are merged into it
"""

from __future__ import annotations

import re
from pathlib import Path

from launcher.timeline.events import Event
from launcher.timeline.logfiles import open_log

TIMELINE = "timeline.jsonl"
LATE = "timeline.jsonl.late"
_EVENT_LOG = re.compile(r"((?:node-[0-9]+|supervisor)\.jsonl)(?:\.[0-9]+)?")


def event_logs(directory: Path) -> set[Path]:
    """The event logs in the folder, without the files that they were before a rotation."""
    found = (_EVENT_LOG.fullmatch(path.name) for path in directory.glob("*.jsonl*"))
    return {directory / match[1] for match in found if match is not None}


def read_late(directory: Path) -> list[Event]:
    """The late events, in order. Those already in their places may be among them."""
    late: list[Event] = []
    for file in open_log(directory / LATE):
        with file:
            late += file.events()
    return sorted(late, key=lambda event: event.key)
