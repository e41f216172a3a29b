"""The thread that waits for the disk, so that the loop of a node never does."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Protocol, TypeAlias

Done: TypeAlias = Callable[[BaseException | None], None]
Report: TypeAlias = Callable[[Done, BaseException | None], None]


class CallSoon(Protocol):
    """`loop.call_soon_threadsafe`."""

    def __call__(self, report: Report, done: Done, failure: BaseException | None, /) -> object: ...


class DiskThread:
    """The `DiskQueue` port: a thread that does disk work in order, and reports to the loop."""

    def __init__(self, call_soon: CallSoon, report: Report) -> None:
        """call_soon: has `report(done, failure)` called in the loop; callable from any thread."""
        self._call_soon = call_soon
        self._report = report
        self._queue: queue.SimpleQueue[tuple[Callable[[], None], Done]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="disk", daemon=True).start()

    def run(self, work: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        """The port's `run`."""
        self._queue.put((work, done))

    def _work(self) -> None:
        while True:
            work, done = self._queue.get()
            failure: BaseException | None = None
            try:
                work()
            except BaseException as error:
                failure = error
            try:
                self._call_soon(self._report, done, failure)
            except RuntimeError:
                return  # the loop is closed: the process is about to exit
