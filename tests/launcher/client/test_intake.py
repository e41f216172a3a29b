"""Reading input that may be slow. How far ahead it is read: `test_client.py`."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from launcher.client.intake import Intake, lines
from launcher.errors import UsageError

_ENDS_WHILE_IT_READS = """
import sys, time
from launcher.client.intake import Intake, lines

intake = Intake(lines(0), lambda entry: None, window=10, window_bytes=1000)
intake.start()
while not (read := intake.take()):
    time.sleep(0.001)
print(read)
intake.close()
sys.exit(4)
"""


def test_a_process_ends_as_it_means_to_while_its_standard_input_is_open() -> None:
    """Standard input that is read through `sys.stdin` would make it abort instead."""
    with subprocess.Popen(
        [sys.executable, "-c", _ENDS_WHILE_IT_READS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"typed\n")
        process.stdin.flush()
        assert process.wait(30) == 4
        assert process.stdout.read() == b"[b'typed']\n"
        assert process.stderr.read() == b""


@pytest.mark.parametrize("piece_bytes", [1, 7, 1 << 20])
def test_lines_are_whole_however_they_arrive(piece_bytes: int) -> None:
    """With either end of line, longer than what is read at once, and the last one unended."""
    long = b"x" * 70_000
    data = b"a\n\nb\rc\nd\r\n" + long + b"\n\xff\x00\nend"
    readable, writable = os.pipe()

    def write() -> None:
        with open(writable, "wb", buffering=0) as pipe:
            for at in range(0, len(data), piece_bytes):
                rest = memoryview(data)[at : at + piece_bytes]
                while rest:
                    rest = rest[pipe.write(rest) :]

    thread = threading.Thread(target=write)
    thread.start()
    assert list(lines(readable)) == [b"a", b"", b"b\rc", b"d", long, b"\xff\x00", b"end"]
    thread.join(30)
    os.close(readable)


def test_no_lines() -> None:
    readable, writable = os.pipe()
    os.close(writable)
    assert list(lines(readable)) == []
    os.close(readable)


def test_what_was_read_and_not_taken_is_left_over() -> None:
    ended = threading.Event()

    def source() -> Iterator[bytes]:
        yield from (b"a", b"b", b"c")
        ended.set()

    intake = Intake(source(), lambda entry: None, window=10, window_bytes=1000)
    intake.start()
    assert ended.wait(30)
    assert intake.leftover() == [b"a", b"b", b"c"]
    assert intake.leftover() == []


def test_a_line_that_is_too_long_is_refused_before_its_end() -> None:
    """What came before it is given out; a line of just the size may end in CR LF."""
    readable, writable = os.pipe()
    os.write(writable, b"a\n" + b"x" * 100 + b"\r\n" + b"y" * 102)  # and there is more to come
    given = lines(readable, 100)
    assert [next(given), next(given)] == [b"a", b"x" * 100]
    with pytest.raises(UsageError, match="more than 100 bytes is over the limit"):
        next(given)
    os.close(readable)
    os.close(writable)


def test_closing_ends_the_reading_without_taking_more() -> None:
    given: list[int] = []
    stopped = threading.Event()

    def source() -> Iterator[bytes]:
        try:
            for number in range(100):
                given.append(number)
                yield b"x"
        finally:
            stopped.set()

    intake = Intake(source(), lambda entry: None, window=5, window_bytes=1000)
    intake.start()
    taken = 0
    while taken < 5:
        taken += len(intake.take())
    intake.close()
    del intake
    assert stopped.wait(30)
    assert given == [0, 1, 2, 3, 4]
