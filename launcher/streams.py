"""The standard streams of a command, whatever they are connected to.

A command may be started with some of them closed, and the next file or socket that is opened gets
the lowest free descriptor: it would then be written to as standard output. So `open_closed` comes
before all else, and nothing but /dev/null is ever found there.

Standard output may be a pipe that does not block (O_NONBLOCK, set by whoever shares it); then a
write is waited for. When its reader has gone, ReaderGone ends what the command does, and that is no
error unless something is left undone. When it cannot be written for another reason, the disk is
full say, OutputFailed says so. What cannot be written to standard error is lost: there is nobody
left who could be told.
"""

from __future__ import annotations

import fcntl
import io
import locale
import os
import select
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TextIO

from launcher.errors import LauncherError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_STANDARD = (0, 1, 2)
_replaced: list[object] = []
"""Kept, for whoever forgets them may close their descriptors."""


class ReaderGone(Exception):
    """Nobody reads standard output any more: `launcher timeline | head -1`."""


class OutputFailed(LauncherError):
    """Standard output cannot be written."""


def open_closed() -> None:
    """Opens /dev/null on each standard descriptor that is closed. Called before all else."""
    for number in _STANDARD:
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)  # the lowest that is free
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)


def begin() -> None:
    """Puts streams in the places of `sys.stdin`, `sys.stdout` and `sys.stderr` that keep the
    promises above; after `open_closed`. Whatever else stands there, in a test say, is left alone.
    """
    _replaced.extend((sys.stdout, sys.stderr))
    if sys.stdin is None:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115, it stays open
    if _is_usual(sys.stdout, 1):
        sys.stdout = _text(_Output(1, "w", closefd=False), sys.stdout)
    if _is_usual(sys.stderr, 2):
        sys.stderr = _text(_Diagnostics(2, "w", closefd=False), sys.stderr)


def silence() -> None:
    """From now on what is written to standard output is dropped, also what is still buffered."""
    if (output := _output()) is not None:
        output.is_silent = True


def is_silent() -> bool:
    """Whether it is so."""
    output = _output()
    return output is not None and output.is_silent


@contextmanager
def all_or_error(what: str) -> Iterator[None]:
    """Around something whose exit status says that it was done: a reader that leaves ends it.

    what: that it was not done, as the end of a sentence

    Raises OutputFailed for ReaderGone.
    """
    try:
        yield
    except ReaderGone:
        silence()
        raise OutputFailed(f"nobody reads the output any more: {what}") from None


def pipe() -> tuple[int, int]:
    """As os.pipe, but neither end is one of the standard descriptors, should they be closed."""
    ends = os.pipe()
    try:
        above = len(_STANDARD)
        return (
            fcntl.fcntl(ends[0], fcntl.F_DUPFD_CLOEXEC, above),
            fcntl.fcntl(ends[1], fcntl.F_DUPFD_CLOEXEC, above),
        )
    finally:
        for end in ends:
            os.close(end)


def await_writable(descriptor: int) -> None:
    """Waits until a write would not block."""
    select.select([], [descriptor], [])


def sleep(seconds: float) -> None:
    """Waits for what is to be written next. Raises ReaderGone as soon as nobody reads any more.

    Otherwise who has nothing to write would not hear of it: `launcher timeline -f | head -1`.
    """
    output = _output()
    if output is None or output.is_silent:
        time.sleep(seconds)
        return
    reader = select.poll()
    reader.register(output.fileno(), 0)  # errors only
    if any(events & select.POLLERR for _, events in reader.poll(seconds * 1000)):
        raise ReaderGone


def read(descriptor: int, most_bytes: int) -> bytes:
    """As os.read; waits, also where the descriptor does not block. Raises OSError.

    The error names standard input, if it is that.
    """
    while True:
        try:
            return os.read(descriptor, most_bytes)
        except BlockingIOError:
            select.select([descriptor], [], [])
        except OSError as error:
            if descriptor == 0:
                error.filename = "standard input"
            raise


class _Output(io.FileIO):
    """Standard output.

    is_silent: everything that is written is dropped
    """

    is_silent = False

    def write(self, data: ReadableBuffer, /) -> int:
        """Writes some of it, and waits until that is possible. Raises ReaderGone, OutputFailed."""
        while not self.is_silent:
            try:
                written: int | None = super().write(data)
            except BrokenPipeError:
                raise ReaderGone from None
            except OSError as error:
                said = f"standard output cannot be written: {error.strerror}"
                raise OutputFailed(said) from error
            if written is not None:
                return written
            await_writable(self.fileno())
        return memoryview(data).nbytes


class _Diagnostics(io.FileIO):
    """Standard error."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Writes some of it, and waits until that is possible; what cannot be written is lost."""
        with suppress(OSError, ValueError):
            while (written := super().write(data)) is None:
                await_writable(self.fileno())
            return written
        return memoryview(data).nbytes


def _output() -> _Output | None:
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw if isinstance(raw, _Output) else None


def _is_usual(stream: object, number: int) -> bool:
    """Whether it is what Python has opened for this descriptor, or nothing."""
    if stream is None:
        return True
    with suppress(OSError, ValueError):
        return isinstance(stream, io.TextIOWrapper) and stream.fileno() == number
    return False


def _text(raw: io.FileIO, before: TextIO | None) -> io.TextIOWrapper:
    """Whoever reads the other end of a pipe sees each line when it happens."""
    encoding = getattr(before, "encoding", None) or locale.getpreferredencoding(False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, errors="backslashreplace", line_buffering=True
    )
