"""Reading the trace of a simulated run (`launcher simulate --trace`): a file of events.

Its first event, `trace.begun`, has the number of its format. Its lines are in the order in which
things happened, by the world's time, which they have as `at_s`. The `t` of a node's event is what
the node's own clock said.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from launcher.errors import LauncherError, UsageError
from launcher.timeline.events import Event, parse_line

TRACE_FORMAT = 1
BEGUN = "trace.begun"

MOST_LINE_BYTES = 1 << 20
"""Of a longer line only the beginning is read, and it counts as damaged."""


class TraceFile:
    """A trace on disk. It may be read several times.

    damaged: how many lines were no events, the last time that all was read
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damaged = 0

    def events(self) -> Iterator[Event]:
        """All events, in the order of the file, lazily; lines that are damaged are counted.

        Raises UsageError when there is no such file, LauncherError when it cannot be read, is no
        trace, or has a format that this version does not know.
        """
        damaged = found = 0
        try:
            with self.path.open("rb") as file:
                while line := file.readline(MOST_LINE_BYTES):
                    event = parse_line(line.rstrip(b"\r\n"))
                    if event is None:
                        damaged += bool(line.strip())
                        continue
                    found += 1
                    if event.event == BEGUN:
                        self._check_format(event)
                    yield event
        except (FileNotFoundError, IsADirectoryError):
            raise UsageError(
                f"{self.path} is no file: `launcher simulate --seed 1 --trace FILE` writes a trace"
            ) from None
        except OSError as error:
            raise LauncherError(f"{self.path} cannot be read: {error.strerror}") from error
        self.damaged = damaged
        if not found:
            raise LauncherError(
                f"{self.path} has no events, so it is no trace; `launcher simulate --seed 1 "
                "--trace FILE` writes one"
            )

    def _check_format(self, begun: Event) -> None:
        number = begun.fields.get("format")
        if not isinstance(number, int) or number > TRACE_FORMAT:
            raise LauncherError(
                f"{self.path} has format {number}, and this version reads formats up to "
                f"{TRACE_FORMAT}: use the version that wrote it, or write it again"
            )
