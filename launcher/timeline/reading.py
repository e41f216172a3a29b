"""The combined timeline: every process's event log, merged into `logs/timeline.jsonl`.

The supervisor owns a `Combiner` and polls it; readers need no supervisor:

    Combiner            many event logs to one file in one order, live
    read_timeline       all events in order, whoever is or is not running
    follow_timeline     the timeline as it grows

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
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing, suppress
from heapq import heapify, heappop, heapreplace
from pathlib import Path

from launcher.config import ClusterConfig
from launcher.timeline.logfiles import LogFile, SortedLog, Tail, open_log
from launcher.timeline.render import DigestCheck, Event, Filter, Key, merge
from node.events import rotated_files

HOLD_S = 0.2
"""How long an event waits for earlier ones that are slower to be written."""

FOLLOW_INTERVAL_S = 0.05

_MOST_AT_ONCE = 4096
"""Events in one poll, and events of one log in memory: so a poll takes some tens of ms at most."""

_TIMELINE = "timeline.jsonl"
_LATE = "timeline.jsonl.late"
_BESIDE = ".repair"
_EVENT_LOG = re.compile(r"((?:node-[0-9]+|supervisor)\.jsonl)(?:\.[0-9]+)?")


# -- the supervisor's side -------------------------------------------------------------------------


class Combiner:
    """Keeps one cluster's timeline. Raises OSError when its files cannot be opened; later troubles
    are told by `trouble`, and end by themselves when their cause does.

    now: monotonic, in seconds
    trouble: why the timeline lags behind, in one line; None when it does not
    """

    def __init__(self, config: ClusterConfig, now: Callable[[], float] = time.monotonic) -> None:
        self._directory = config.log_dir
        self._keep = config.log_keep
        self._now = now
        self._digests = DigestCheck()
        self.trouble: str | None = None
        for stale in self._directory.glob(f"{_TIMELINE}*{_BESIDE}"):
            stale.unlink()
        with suppress(OSError):  # the disk is full: the late go on being late
            _repair(self._directory)
        self._timeline = _Output(self._directory / _TIMELINE, config.log_rotate_bytes)
        self._late = _Output(self._directory / _LATE)
        logs = _event_logs(self._directory)
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

    def poll(self) -> list[dict[str, object]]:
        """Merges what is new and old enough. Gives what is wrong with it (`DigestCheck`): one
        finding for each index at which State Machine Safety turns out to be broken.

        Bounded: after a long absence it takes several polls to catch up.
        """
        return self._check(self._move(HOLD_S))

    def drain(self) -> list[dict[str, object]]:
        """As `poll`, but all there is, however young: for when every process has ended, or to ask
        for findings before one's own last word."""
        findings = []
        while moved := self._move(-math.inf):
            findings += self._check(moved)
        return findings

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
        self, output: _Output, batch: list[tuple[_Source, Event]], moved: list[Event]
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

    def _check(self, moved: Iterable[Event]) -> list[dict[str, object]]:
        found = map(self._digests.see, moved)
        return [finding for finding in found if finding is not None]

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


class _Output:
    """A file of whole lines, appended to. It begins to exist with the first one.

    rotate_bytes: when it passes this, it is rotated as an event log is
    written: of the lines last handed in, how many are in the file
    """

    def __init__(self, path: Path, rotate_bytes: int | None = None) -> None:
        self.path = path
        self.written = 0
        self._rotate_bytes = rotate_bytes
        self._fd: int | None = None
        self._size = 0
        with suppress(FileNotFoundError):
            self._open(0)
            self._cut_torn_line()

    def write(self, lines: list[bytes]) -> int:
        """Appends all of them, and says how many. Raises OSError; then `written` says how many
        are in the file, whole, and no part of another is."""
        self.written = 0
        if not lines:
            return 0
        fd = self._open(os.O_CREAT) if self._fd is None else self._fd
        if os.fstat(fd).st_size != self._size:  # it could not be cut, below
            os.ftruncate(fd, self._size)
        data = b"\n".join(lines) + b"\n"
        done = 0
        try:
            while done < len(data):
                done += os.write(fd, data[done:] if done else data)
        except OSError:
            whole = data.rfind(b"\n", 0, done) + 1
            self.written = data.count(b"\n", 0, whole)
            self._size += whole
            os.ftruncate(fd, self._size)
            raise
        self.written = len(lines)
        self._size += done
        if self._rotate_bytes is not None and self._size >= self._rotate_bytes:
            self.rotate()
        return len(lines)

    def rotate(self) -> Path:
        """Raises OSError. Where it is now."""
        taken = [int(path.suffix[1:]) for path in rotated_files(self.path)]
        rotated = self.path.with_name(f"{self.path.name}.{max(taken, default=0) + 1:06d}")
        self.path.rename(rotated)
        self.close()
        return rotated

    def close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self, flags: int) -> int:
        flags |= os.O_RDWR | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(self.path, flags, 0o600)
        self._size = os.fstat(self._fd).st_size
        return self._fd

    def _cut_torn_line(self) -> None:
        """A crash within a write has left a part of a line; all of it is still in its log."""
        assert self._fd is not None
        end = self._size
        while end > 0:
            start = max(0, end - 4096)
            newline = os.pread(self._fd, end - start, start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < self._size:
            os.ftruncate(self._fd, end)
            self._size = end


def _repair(directory: Path) -> None:
    """Puts late events into their places. Raises OSError; whenever it ends, it can be repeated."""
    late_log = directory / _LATE
    with SortedLog(directory / _TIMELINE) as timeline:
        if timeline.last_key() is None:  # late for a timeline that is no more
            for stale in (late_log, *rotated_files(late_log)):
                stale.unlink(missing_ok=True)
        if not late_log.exists():
            return
        # Opening it cuts a torn line, which no reader has taken for an event.
        with closing(_Output(late_log)) as output, LogFile(late_log) as file:
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


def _event_logs(directory: Path) -> set[Path]:
    found = (_EVENT_LOG.fullmatch(path.name) for path in directory.glob("*.jsonl*"))
    return {directory / match[1] for match in found if match is not None}


def _read_late(directory: Path) -> list[Event]:
    """Those already in their places may be among them."""
    late: list[Event] = []
    for file in open_log(directory / _LATE):
        with file:
            late += file.events()
    return sorted(late, key=lambda event: event.key)


# -- the readers' side -----------------------------------------------------------------------------


def read_timeline(log_dir: Path, since_t: int = 0) -> Iterator[Event]:
    """All events from `since_t` on, in order, each once; as of now when the cluster is running.

    The timeline, its late events in their places, and what the logs have beyond it. Nothing is
    written, and memory is bounded. Without logs there are no events. Raises OSError.
    """
    with ExitStack() as opened:
        timeline = opened.enter_context(SortedLog(log_dir / _TIMELINE))
        # After the timeline: what a log has before an event that is there, is there or here.
        late = _read_late(log_dir) if timeline.last_key() is not None else []
        logs: list[Iterator[Event]] = []
        for path in sorted(_event_logs(log_dir)):
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
) -> Iterator[Event]:
    """What has happened, then what happens, until `stop()`; then also what was left unmerged.

    Only files are read, so a reader that stalls holds up nobody. What is late comes late: here,
    and only here, an event may follow one of a greater `t`.

    count: of what has already happened only the last so many
    wanted: only these, and these are what `count` counts

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
            time.sleep(FOLLOW_INTERVAL_S)


class _Follower:
    """Reads the timeline as it grows, through rotations, repairs and new beginnings."""

    def __init__(self, log_dir: Path, since_t: int = 0) -> None:
        self._directory = log_dir
        self._since_t = since_t
        self._last: Key | None = None
        self._waiting: dict[Key, Event] = {}
        self._timeline = Tail(log_dir / _TIMELINE, self._find_place)
        self._late = Tail(log_dir / _LATE)

    def __enter__(self) -> _Follower:
        return self

    def __exit__(self, *_: object) -> None:
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
        with SortedLog(self._directory / _TIMELINE) as timeline:
            if self._last is not None and timeline.contains(self._last):
                return timeline.open_after(self._last)
            self._waiting.clear()
            return timeline.open_after((self._since_t, -1)) if self._since_t else None
