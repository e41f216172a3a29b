"""What the stream of a cluster has: its events and messages, for any number of readers.

One thread reads the timeline and the nodes' records of messages; no node is asked for them. Every
`POLL_S` it takes what is new, and hands it on once it has lain for `SETTLE_S`, so that what comes
from different files comes in one order, and all parts lag alike. While somebody reads, it also asks
the supervisor for the cluster's status, of which the deadlines of elections are live-only.

Of messages that are not rare at most ten a second for each link are handed on; the next one says
how many it stands for (`of`). At most `MOST_KEPT` events are kept; a reader that is further behind
is told to begin anew. Of a record of messages that is larger than `MOST_RECORDED` only what comes
from now on is read: the page is for watching, and `launcher page logs` shows what was.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from pathlib import Path
from typing import TypeAlias

import msgspec

from launcher.errors import LauncherError
from launcher.evidence.messages.files import NodeRecord
from launcher.evidence.messages.reading import TAP
from launcher.evidence.messages.records import Damaged, event_of
from launcher.page.events import Record
from launcher.page.recorded import page_event
from launcher.timeline.events import Event, with_fields
from launcher.timeline.files import LATE, TIMELINE
from launcher.timeline.tail import Tail
from node.tap.segment import segments

POLL_S = 0.15
IDLE_S = 0.75
"""The same while nobody reads."""

SETTLE_S = 0.25
STATUS_S = 0.25
MOST_KEPT = 60_000
MOST_RECORDED = 32 << 20
WINDOW_NS = 100_000_000

_OFTEN = frozenset({"AppendEntries", "AppendEntriesReply", "ReadIndex", "ReadIndexReply"})


_Name: TypeAlias = tuple[object, ...]


def _name_of(record: Record) -> _Name:
    """What tells an event from every other: an event that is read twice is handed on once."""
    return tuple(record.get(key) for key in ("t", "node", "event", "from", "to"))


class Thinning:
    """Lets through one message of each frequent kind for each link and tenth of a second."""

    def __init__(self) -> None:
        self._until: dict[tuple[int, int, str], int] = {}
        self._skipped: dict[tuple[int, int, str], int] = {}
        self._kept: set[tuple[int, int, int]] = set()
        self._order: deque[tuple[int, int, int]] = deque()

    def take(self, event: Event, record: Record) -> bool:
        """Whether the event is handed on; a message that stands for several says so."""
        if not event.event.startswith("message.") or record.get("type") not in _OFTEN:
            return True
        source = record.get("from", event.node)
        target = record.get("to", event.node)
        sent_t = event.t if event.event == "message.sent" else int(record.get("sent_t", 0))
        name = (source, sent_t, target)
        if event.event != "message.sent":
            return name in self._kept
        link = (source, target, str(record["type"]))
        if event.t < self._until.get(link, 0):
            self._skipped[link] = self._skipped.get(link, 0) + 1
            return False
        self._until[link] = event.t + WINDOW_NS
        skipped = self._skipped.pop(link, 0)
        if skipped:
            record["of"] = skipped + 1
        self._kept.add(name)
        self._order.append(name)
        if len(self._order) > 4096:
            self._kept.discard(self._order.popleft())
        return True


def _missed(latest: Event, segments: int) -> Event:
    """An event of the page alone: a reader that was stopped does not show all of a ring."""
    event = msgspec.structs.replace(latest, level="warn", event="tap.missed")
    return with_fields(event, {"segments": segments})


class Feed:
    """Events of one cluster, numbered in the order in which they are handed on.

    log_dir: the folder of its logs
    status: asks for the cluster's status, as an event without time; None: none is there
    """

    def __init__(self, log_dir: Path, status: Callable[[], Record] | None = None) -> None:
        self._log_dir = log_dir
        self._status = status
        # What came too late for its place in the timeline stands in a file of its own until the
        # cluster goes down; then the timeline is written anew, and read again from its beginning.
        self._tails = [Tail(log_dir / name) for name in (TIMELINE, LATE)]
        self._known: set[_Name] = set()
        self._records: dict[int, NodeRecord] = {}
        self._told_missing: Counter[int] = Counter()
        self._waiting: list[tuple[int, int, int, Event]] = []
        self._arrived = 0
        self._thinning = Thinning()
        self._lock = threading.Lock()
        self._events: deque[tuple[str, Record]] = deque()
        self._first = 0
        self._numbers: dict[str, int] = {}
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)
        self._next_status = 0.0
        self._said: deque[tuple[int, Record]] = deque()  # when asked, until it has settled
        self.begun_ns = 0
        self.readers = 0
        self.latest: Record | None = None
        self.gone = ""

    # -- for readers -----------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to read, in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread and closes the files."""
        self._stopped.set()
        if self._thread.is_alive():
            self._thread.join()
        for tail in self._tails:
            tail.close()
        for record in self._records.values():
            record.close()

    def after(self, last_id: str) -> int:
        """The number of the first event after the one with this id; the oldest if it is unknown."""
        with self._lock:
            return self._numbers.get(last_id, self._first - 1) + 1

    def take(self, number: int, most: int = 500) -> tuple[int, list[tuple[str, Record]], bool]:
        """From this number on: the number that follows, events with ids, and whether some before
        them are no longer kept."""
        with self._lock:
            lost = number < self._first
            start = max(number, self._first) - self._first
            count = min(most, len(self._events) - start)
            taken = [self._events[i] for i in range(start, start + count)] if count > 0 else []
            return self._first + start + len(taken), taken, lost

    # -- its thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopped.is_set():
            with contextlib.suppress(OSError):  # a folder that is being removed, or made anew
                self.poll(time.time_ns())
            self._stopped.wait(POLL_S if self.readers else IDLE_S)

    def poll(self, now_ns: int) -> None:
        """Takes what is new, and hands on what has settled. Raises OSError."""
        for event in self._new_events():
            self._arrived += 1
            heappush(self._waiting, (event.t, event.node, self._arrived, event))
        settled = now_ns - int(SETTLE_S * 1e9)
        while self._waiting and self._waiting[0][0] <= settled:
            self._hand_on(heappop(self._waiting)[3])
        while self._said and self._said[0][0] <= settled:
            self.latest = self._said.popleft()[1]
        if self._status is not None and self.readers and time.monotonic() >= self._next_status:
            self._next_status = time.monotonic() + STATUS_S
            self._ask_status(self._status, now_ns)

    def _new_events(self) -> Iterable[Event]:
        for tail in self._tails:
            while events := tail.read():
                yield from events
        folder = self._log_dir / TAP
        sizes: Counter[int] = Counter()
        for node, _, path in segments(folder):
            if node not in self._records:
                sizes[node] += path.stat().st_size
        for node, size in sizes.items():
            self._records[node] = NodeRecord(folder, node, at_end=size > MOST_RECORDED)
        for record in self._records.values():
            latest = None
            while records := record.read():
                for one in records:
                    try:
                        latest = event_of(one)
                    except Damaged:
                        continue
                    yield latest
            missed = record.missing - self._told_missing[record.node]
            if latest is not None and missed:
                self._told_missing[record.node] += missed
                yield _missed(latest, missed)

    def _hand_on(self, event: Event) -> None:
        if not self.begun_ns:
            self.begun_ns = event.t
        try:
            record = page_event(event, self.begun_ns)
        except ValueError:
            return
        if _name_of(record) not in self._known and self._thinning.take(event, record):
            self._keep(f"{event.t}.{event.node}", record)

    def _keep(self, name: str, record: Record) -> None:
        self._known.add(_name_of(record))
        with self._lock:
            self._numbers[name] = self._first + len(self._events)
            self._events.append((name, record))
            if len(self._events) > MOST_KEPT:
                old, forgotten = self._events.popleft()
                self._known.discard(_name_of(forgotten))
                if self._numbers.get(old) == self._first:
                    del self._numbers[old]
                self._first += 1

    def _ask_status(self, status: Callable[[], Record], now_ns: int) -> None:
        try:
            said = status()
        except LauncherError as error:
            if (
                self.latest is not None or self._said
            ):  # it was there: before that, it is yet to come
                self.gone = str(error)
            return
        self.gone = ""
        at = round((now_ns - (self.begun_ns or now_ns)) / 1e9, 3)
        seen = {"event": "status.seen", "node": 0, "level": "debug", "at": at, **said}
        self._said.append((now_ns, {**seen, "t": str(now_ns)}))
