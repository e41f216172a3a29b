"""Reading the timeline, whoever is or is not running: all of it, or as it grows.

Only files are read, so a reader needs no supervisor, and one that stalls holds up nobody. What the
files are, and what holds of them at any moment, stands in `launcher/timeline/combiner.py`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from launcher.timeline.events import Event, Key
from launcher.timeline.files import LATE, TIMELINE, event_logs, read_late
from launcher.timeline.filter import Filter
from launcher.timeline.logfiles import Closing, LogFile, open_log
from launcher.timeline.order import merge
from launcher.timeline.sorted_log import SortedLog
from launcher.timeline.tail import Tail

FOLLOW_INTERVAL_S = 0.05


def read_timeline(log_dir: Path, since_t: int = 0) -> Iterator[Event]:
    """All events from `since_t` on, in order, each once; as of now when the cluster is running.

    The timeline, its late events in their places, and what the logs have beyond it. Nothing is
    written, and memory is bounded. Without logs there are no events. Raises OSError.
    """
    with ExitStack() as opened:
        timeline = opened.enter_context(SortedLog(log_dir / TIMELINE))
        # After the timeline: what a log has before an event that is there, is there or here.
        late = read_late(log_dir) if timeline.last_key() is not None else []
        logs: list[Iterator[Event]] = []
        for path in sorted(event_logs(log_dir)):
            files = open_log(path, lambda event: not timeline.contains(event.key))
            for file in files:
                opened.enter_context(file)
                file.freeze()
            logs.append(event for file in files for event in file.events())
        rest = merge([late, *logs])
        yield from merge(
            [timeline.events(since_t), (event for event in rest if event.t >= since_t)]
        )


def follow_timeline(
    log_dir: Path,
    stop: Callable[[], bool],
    count: int | None = None,
    wanted: Filter | None = None,
    *,
    pause: Callable[[float], object] = time.sleep,
) -> Iterator[Event]:
    """What has happened, then what happens, until `stop()`; then also what was left unmerged.

    Only files are read, so a reader that stalls holds up nobody. What is late comes late: here,
    and only here, an event may follow one of a greater `t`.

    count: only the last `count` of the events that have already happened
    wanted: only these, and these are what `count` counts
    pause: waits this number of seconds for more; what it raises ends it

    Raises OSError.
    """
    wanted = wanted or Filter()
    with _Follower(log_dir, wanted.since_t) as follower:
        history: deque[Event] | None = None if count is None else deque(maxlen=count)
        while True:
            # Asked first: what was written before that is then still read.
            ended = stop()
            while events := follower.poll():
                shown = filter(wanted.accepts, events)
                if history is None:
                    yield from shown
                else:
                    history.extend(shown)
            if ended:
                shown = filter(wanted.accepts, follower.unmerged())
                if history is None:
                    yield from shown
                else:
                    history.extend(shown)
            if history is not None:
                yield from history
                history = None
            if ended:
                return
            pause(FOLLOW_INTERVAL_S)


class _Follower(Closing):
    """Reads the timeline as it grows, through rotations, repairs and new beginnings."""

    def __init__(self, log_dir: Path, since_t: int = 0) -> None:
        self._directory = log_dir
        self._since_t = since_t
        self._last: Key | None = None
        self._waiting: dict[Key, Event] = {}
        self._timeline = Tail(log_dir / TIMELINE, self._find_place)
        self._late = Tail(log_dir / LATE)

    def close(self) -> None:
        self._timeline.close()
        self._late.close()

    def poll(self) -> list[Event]:
        """The next events; [] when there are none now. Raises OSError."""
        events = self._timeline.read()
        # The late afterwards: one that has just been read in its place has been late before.
        while late := self._late.read():
            self._waiting.update((event.key, event) for event in late)
        for event in events:
            self._waiting.pop(event.key, None)
            self._last = event.key
        # What was not read in its place comes when its place has been passed.
        last = self._last
        passed = sorted(key for key in self._waiting if last is not None and key <= last)
        return events + [self._waiting.pop(key) for key in passed]

    def unmerged(self) -> Iterator[Event]:
        """What a supervisor that died has left in the logs, beyond the timeline's end."""
        last = self._last
        for event in read_timeline(self._directory, self._since_t if last is None else last[0]):
            if last is None or event.key > last:
                yield event

    def _find_place(self) -> LogFile | None:
        """Behind what was given last; if that is no more, this is another cluster's timeline."""
        with SortedLog(self._directory / TIMELINE) as timeline:
            if self._last is not None and timeline.contains(self._last):
                return timeline.open_after(self._last)
            self._waiting.clear()
            return timeline.open_after((self._since_t, -1)) if self._since_t else None
