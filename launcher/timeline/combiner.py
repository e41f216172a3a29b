"""The combined timeline: every process's event log, merged into `logs/timeline.jsonl`.

The supervisor owns a `Combiner`, which merges many event logs into one file in one order, and polls
it. Readers need no supervisor: `launcher/timeline/reading.py`.

**The file never goes back.** The combiner writes an event when it has lain there for HOLD_S and
nothing earlier is to be seen in any log. A process may still be stopped between stamping an event
and writing it. Such a *late* event, whose place has already been passed, goes to
`timeline.jsonl.late` at once, and into its place when the cluster goes down, or comes up again:
each file of the timeline that has to take some in is written anew beside the old one and renamed
over it.

**Nothing is lost or doubled, whenever the supervisor dies.** There is no record of how far the
combiner has come, because the timeline is that record: each event of a log is written, to the one
file or the other, before the next one of the same log. So what has been merged is always a
beginning of every log; where it ends is found by bisection, asking of an event whether the timeline
has it. While some are late, that may find too early an end, never one too late; and merging late
events again is harmless, because what is there already comes once. This holds
against the death of any process; against power failure it is only as good as the file system.

**The logs' old files** are deleted, all but the newest few, once every event in them is in the
timeline or among the late. The timeline itself is kept whole.

**A full disk** loses nothing: what cannot be written stays in the logs, and is tried again.
"""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing, suppress
from heapq import heapify, heappop, heapreplace
from pathlib import Path

from launcher.config import ClusterConfig
from launcher.timeline.events import Event, Key
from launcher.timeline.files import LATE, TIMELINE, event_logs
from launcher.timeline.logfiles import LogFile, open_log
from launcher.timeline.order import merge
from launcher.timeline.output import Output
from launcher.timeline.sorted_log import SortedLog
from launcher.timeline.tail import Tail
from node.events import rotated_files

HOLD_S = 0.2
"""How long an event waits for earlier ones that are slower to be written."""

_MOST_AT_ONCE = 4096
"""Events in one poll, and events of one log in memory: so a poll takes some tens of ms at most."""

_BESIDE = ".repair"


class Combiner:
    """Keeps one cluster's timeline. Raises OSError when its files cannot be opened; later troubles
    are told by `trouble`, and end by themselves when their cause does.

    now: monotonic, in seconds
    prunes: the logs' old files are deleted when they are merged; otherwise they stay
    trouble: why the timeline lags behind, in one line; None when it does not
    """

    def __init__(self, config: ClusterConfig, now: Callable[[], float] = time.monotonic) -> None:
        self._directory = config.log_dir
        self._keep = config.log_keep
        self._now = now
        self.prunes = True
        self.trouble: str | None = None
        for stale in self._directory.glob(f"{TIMELINE}*{_BESIDE}"):
            stale.unlink()
        with suppress(OSError):  # the disk is full: the late go on being late
            _repair(self._directory)
        self._timeline = Output(self._directory / TIMELINE, config.log_rotate_bytes)
        self._late = Output(self._directory / LATE)
        logs = event_logs(self._directory)
        logs |= {config.event_log(node) for node in range(config.nodes + 1)}
        with SortedLog(self._timeline.path) as merged:
            self._last = merged.last_key()
            self._sources = [_Source(log, merged) for log in sorted(logs)]

    def include(self, log: Path) -> None:
        """From now on this event log is merged too, unless it is already."""
        if any(source.tail.path == log for source in self._sources):
            return
        with SortedLog(self._timeline.path) as merged:
            self._sources.append(_Source(log, merged))

    def poll(self) -> None:
        """Merges what is new and old enough. Bounded: after a long absence it takes several polls
        to catch up."""
        self._move(HOLD_S)

    def drain(self) -> None:
        """Merges all there is, however young: for when every process has ended, or before one's
        own last word."""
        while self._move(-math.inf):
            pass

    def finish(self) -> str | None:
        """Completes the timeline and closes it; no process may write a log any more.

        None, or why it is incomplete; then `read_timeline` makes up for it, and the next
        `Combiner` mends it.
        """
        self.drain()
        for source in self._sources:
            source.read_leftover(self._now())
        self.drain()
        complete = not any(source.queue for source in self._sources)
        self.close()
        try:
            _repair(self._directory)
        except OSError as error:
            return _said("the timeline is not in order", error)
        return None if complete else self.trouble

    def close(self) -> None:
        """Lets go of the files, wherever the timeline stands; the next `Combiner` goes on there."""
        for source in self._sources:
            source.tail.close()
        self._timeline.close()
        self._late.close()

    def take_broken(self) -> dict[str, int]:
        """The names of the logs in which broken lines were skipped since this was last asked, and
        how many. Their writers have told of lines that they could not write; these were torn."""
        counts = {source.tail.path.name: source.tail.take_broken() for source in self._sources}
        return {name: count for name, count in counts.items() if count}

    # -- merging -------------------------------------------------------------------------------

    def _move(self, hold_s: float) -> list[Event]:
        """Writes what may be written, and gives it: in order, but for the late among it."""
        self.trouble = None
        now = self._now()
        moved: list[Event] = []
        batch: list[tuple[_Source, Event]] = []
        heads: list[tuple[Key, int]] = []
        for number, source in enumerate(self._sources):
            if self._fill(source, now):
                heads.append((source.queue[0][1].key, number))
        heapify(heads)
        last = self._last
        while heads and len(moved) + len(batch) < _MOST_AT_ONCE:
            key, number = heads[0]
            source = self._sources[number]
            arrived, event = source.queue[0]
            # When each log shows its next event, there is none to wait for.
            if arrived + hold_s > now and len(heads) < len(self._sources):
                break
            source.queue.popleft()
            if last is None or key > last:
                batch.append((source, event))
                last = key
            else:  # late; those that its log has before it must be written before it
                source.queue.appendleft((arrived, event))
                if not self._write(self._timeline, batch, moved):
                    break
                source.queue.popleft()
                if not self._write(self._late, [(source, event)], moved):
                    break
            if self._fill(source, now):
                heapreplace(heads, (source.queue[0][1].key, number))
            else:
                heappop(heads)
        self._write(self._timeline, batch, moved)
        if self.prunes:
            self._delete_merged()
        return moved

    def _fill(self, source: _Source, now: float) -> bool:
        """Whether there is an event of that log to be merged next."""
        try:
            return source.fill(now)
        except OSError as error:
            self.trouble = _said(f"{source.tail.path} cannot be read", error)
            return bool(source.queue)

    def _write(
        self, output: Output, batch: list[tuple[_Source, Event]], moved: list[Event]
    ) -> bool:
        """Moves events from `batch` to `moved`. What cannot be written goes back to its log."""
        written = 0
        try:
            written = output.write([event.raw for _, event in batch])
        except OSError as error:
            written = output.written
            self.trouble = _said(f"{output.path} cannot be written", error)
        for source, event in batch[:written]:
            source.written += 1
            moved.append(event)
            if output is self._timeline:
                self._last = event.key
        for source, event in reversed(batch[written:]):
            source.queue.appendleft((-math.inf, event))
        complete = written == len(batch)
        batch.clear()
        return complete

    def _delete_merged(self) -> None:
        for source in self._sources:
            if source.note_merged():
                for path in rotated_files(source.tail.path)[: -self._keep]:
                    if path in source.merged:
                        with suppress(OSError):  # it is only in the way
                            path.unlink()
                        source.merged.discard(path)


class _Source:
    """One event log, and what of it is read but not merged: events with their time of arrival."""

    def __init__(self, path: Path, timeline: SortedLog) -> None:
        self.tail = Tail(path)
        self.queue: deque[tuple[float, Event]] = deque()
        self.written = 0
        self.merged: set[Path] = set()
        files = open_log(path, lambda event: not timeline.contains(event.key))
        for file in files[1:]:
            file.close()
        if files:
            self.tail.start(files[0])
            older = rotated_files(path)
            if files[0].path in older:
                older = older[: older.index(files[0].path)]
            self.merged.update(older)

    def fill(self, now: float) -> bool:
        """Reads on when nothing is left in memory. Whether something is now. Raises OSError."""
        while len(self.queue) < _MOST_AT_ONCE and (events := self.tail.read()):
            self.queue.extend((now, event) for event in events)
        return bool(self.queue)

    def read_leftover(self, now: float) -> None:
        with suppress(OSError):
            self.queue.extend((now, event) for event in self.tail.read_leftover())

    def note_merged(self) -> bool:
        """Whether more of the rotated files are merged to their end."""
        left = self.tail.left
        before = len(self.merged)
        while left and left[0][1] <= self.written:
            self.merged.add(left.popleft()[0])
        return len(self.merged) > before


def _repair(directory: Path) -> None:
    """Puts late events into their places. Raises OSError; whenever it ends, it can be repeated."""
    late_log = directory / LATE
    with SortedLog(directory / TIMELINE) as timeline:
        if timeline.last_key() is None:  # late for a timeline that is no more
            for stale in (late_log, *rotated_files(late_log)):
                stale.unlink(missing_ok=True)
        if not late_log.exists():
            return
        # Opening it cuts a torn line, which no reader has taken for an event.
        with closing(Output(late_log)) as output, LogFile(late_log) as file:
            late = sorted(file.events(), key=lambda event: event.key)
            places: dict[Path, list[Event]] = {}
            for event in late:
                place = timeline.place(event.key) or 0
                places.setdefault(timeline.path_of(place), []).append(event)
            for path, events in places.items():
                _insert(path, events)
            # Kept until the next time, for those who follow and have not seen them yet.
            for earlier in rotated_files(late_log):
                earlier.unlink()
            output.rotate()


def _insert(path: Path, events: list[Event]) -> None:
    beside = path.with_name(path.name + _BESIDE)
    try:
        with LogFile(path) as old, beside.open("wb") as new:
            for event in merge([old.events(), events]):
                new.write(event.raw + b"\n")
            new.flush()
            os.fsync(new.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def _said(what: str, error: OSError) -> str:
    return f"{what}: {error.strerror or error}"
