"""Entries that may be slow to come, read in a thread of its own, no faster than they are answered.

The thread reads ahead until as much as the window allows is read and not yet answered; then it
waits. What it has read is picked up with `take`, and `wake` becomes readable when there is more, so
that one `select` waits for answers and for entries alike: nothing is done for each entry that takes
a system call.
"""

from __future__ import annotations

import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from launcher import forked, streams
from launcher.errors import UsageError

_READ_BYTES = 64 << 10
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""What some editors write before the first line of a UTF-8 file."""


def lines(descriptor: int, most_bytes: int | None = None) -> Iterator[bytes]:
    """The lines that come in over a file descriptor, as they come, without their ends.

    A byte order mark at the beginning belongs to no line.

    most_bytes: a line that turns out to be longer than this raises UsageError before all of it has
        been read; how much memory a line takes is not for its writer to say

    Read it like this where an `Intake` is to read standard input: a thread that waits inside
    `sys.stdin` holds its lock, and the interpreter aborts on that lock when it exits (status 134).
    """
    begun: list[bytes] = []
    held = 0
    mark = _BYTE_ORDER_MARK
    while data := streams.read(descriptor, _READ_BYTES):
        *whole, rest = data.split(b"\n")
        if whole:
            held = 0
            whole[0] = b"".join([*begun, whole[0]])
            begun.clear()
            whole[0] = whole[0].removeprefix(mark)
            mark = b""
            for line in whole:
                yield line.removesuffix(b"\r")
        begun.append(rest)
        held += len(rest)
        if most_bytes is not None and held > most_bytes + len(b"\r"):
            raise UsageError(
                f"an entry of more than {most_bytes} bytes is over the limit (limits.entry)"
            )
    if last := b"".join(begun).removeprefix(mark):
        yield last.removesuffix(b"\r")


class Intake:
    """A source of entries and the thread that reads it, from `start` to `close`."""

    def __init__(
        self,
        source: Iterable[bytes],
        check: Callable[[bytes], None],
        *,
        window: int,
        window_bytes: int,
    ) -> None:
        """check: raises for an entry that must not be submitted, which ends the input there

        window, window_bytes: the most entries, and the most bytes of them without the last one,
            that are read and not yet reported as `answered`
        """
        self.error: BaseException | None = None
        """What ended the input before its end, once `ended`."""
        self.wake, self._bell = socket.socketpair()
        self.wake.setblocking(False)
        self._bell.setblocking(False)
        self._rung = False
        self._source = source
        self._check = check
        self._queue: deque[bytes] = deque()
        self._room = threading.Condition()
        self._free, self._free_bytes = window, window_bytes
        self._finished = False
        self._closed = False
        # A daemon: nothing can interrupt a thread that waits for a terminal.
        self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
        forked.tell_children(self)

    def start(self) -> None:
        """Begins to read."""
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether everything that the source gives has been taken."""
        return self._finished and not self._queue

    def take(self) -> list[bytes]:
        """What has been read since, in order."""
        with suppress(BlockingIOError):
            if self._rung and self.wake.recv(16):
                self._rung = False  # before looking: what comes after this rings again
        return self._take_queued()

    def leftover(self) -> list[bytes]:
        """Ends the reading; returns what has been read and not been taken, in order.

        One entry that the source gives after that is dropped: nothing can interrupt its thread.
        """
        self.close()
        return self._take_queued()

    def answered(self, entries: int, size: int) -> None:
        """Entries were answered; their number and their `size` in bytes make room for others."""
        with self._room:
            self._free += entries
            self._free_bytes += size
            self._room.notify()

    def close(self) -> None:
        """Ends the reading; at once, or as soon as the source gives one more entry."""
        with self._room:
            self._closed = True
            self._room.notify()
        self.wake.close()
        self._bell.close()

    def after_fork(self) -> None:
        """See `forked.Forkable`. The thread is not here, and may have held the lock."""
        self._room = threading.Condition()
        self.close()

    def _take_queued(self) -> list[bytes]:
        queue = self._queue
        return [queue.popleft() for _ in range(len(queue))]

    def _run(self) -> None:
        try:
            for entry in self._source:
                self._check(entry)
                self._queue.append(entry)
                self._ring()
                self._wait_for_room(len(entry))
                if self._closed:
                    return
        except BaseException as error:  # it is the caller's: raised where the entries go
            self.error = error
        finally:
            self._finished = True
            self._ring()

    def _ring(self) -> None:
        if not self._rung:
            self._rung = True
            with suppress(OSError):  # closed: nobody listens
                self._bell.send(b"!")

    def _wait_for_room(self, size: int) -> None:
        with self._room:
            self._free -= 1
            self._free_bytes -= size
            while (self._free <= 0 or self._free_bytes <= 0) and not self._closed:
                self._room.wait()
