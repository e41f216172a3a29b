"""Forks: they see what was, keep nothing of the node's, and do not outlive it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import warnings
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psutil
import pytest

from node.ports import DiskFile
from node.process.disk_thread import DiskThread
from node.process.fork import STUCK_S, Forks
from node.storage.disk import OsDisk

PATIENCE_S = 20.0


GoesOn = Callable[[], None]


def run_one(
    work: Callable[[GoesOn], bytes], meanwhile: Callable[[], None], *, stuck_s: float = STUCK_S
) -> tuple[bytes | None, str]:
    """What came of it; `meanwhile` is called as soon as the fork has begun."""

    async def run() -> tuple[bytes | None, str]:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[tuple[bytes | None, str]] = loop.create_future()

        def report(done: object, result: bytes | None, error: BaseException | None) -> None:
            ended.set_result((result, "" if error is None else str(error)))

        Forks(loop, report, stuck_s=stuck_s).run(work, lambda result, error: None)
        meanwhile()
        return await asyncio.wait_for(ended, PATIENCE_S)

    return asyncio.run(run())


def test_it_sees_what_was_and_changes_nothing() -> None:
    state = {"a": 1}

    def work(goes_on: GoesOn) -> bytes:
        time.sleep(0.05)
        state["b"] = 2
        return repr(state).encode()

    def meanwhile() -> None:
        state["a"] = 99

    assert run_one(work, meanwhile) == (b"{'a': 1, 'b': 2}", "")
    assert state == {"a": 99}


def test_an_error_is_told() -> None:
    def work(goes_on: GoesOn) -> bytes:
        raise ValueError("no such state")

    assert run_one(work, lambda: None) == (None, "ValueError: no such state")


def test_a_fork_that_is_killed_is_told() -> None:
    def work(goes_on: GoesOn) -> bytes:
        os.kill(os.getpid(), signal.SIGKILL)
        return b""

    assert run_one(work, lambda: None) == (None, "its process ended (-9)")


def test_a_fork_that_ends_while_it_speaks_is_told() -> None:
    """What it has said by then may look like the whole."""

    def work(goes_on: GoesOn) -> bytes:
        write = os.write

        def begin_and_end(descriptor: int, data: Any) -> int:
            write(descriptor, data[:20])
            os._exit(0)

        os.write = begin_and_end
        return b"x" * 100

    assert run_one(work, lambda: None) == (None, "its process ended (0)")


def test_a_fork_is_heard_where_its_exit_status_is_not() -> None:
    """A module of the user's may ignore SIGCHLD: the kernel then keeps no exit status."""
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert run_one(lambda goes_on: b"done", lambda: None) == (b"done", "")
        assert run_one(lambda goes_on: os._exit(1), lambda: None) == (
            None,
            "its process ended (how is not known)",
        )
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_long_result_comes_whole() -> None:
    result, _ = run_one(lambda goes_on: b"x" * 3_000_000, lambda: None)
    assert result == b"x" * 3_000_000


def test_a_pipe_of_the_node_s_is_at_its_end_though_the_fork_lives(tmp_path: Path) -> None:
    """A peer learns of a node's death by the end of their pipe."""
    ours, peers = socket.socketpair()
    peers.settimeout(PATIENCE_S)
    seen = tmp_path / "seen"

    def work(goes_on: GoesOn) -> bytes:
        while not seen.exists():
            time.sleep(0.01)
        return b"done"

    def meanwhile() -> None:
        ours.close()
        assert peers.recv(1) == b"", "else it waits for the fork, which waits for it"
        seen.touch()

    assert run_one(work, meanwhile)[0] == b"done"


def test_a_fork_that_hangs_is_killed_and_the_node_is_told() -> None:
    """Else no snapshot would ever be taken again: one is taken at a time."""

    def work(goes_on: GoesOn) -> bytes:
        goes_on()
        lock = threading.Lock()  # as one that a thread of the node held when it forked
        lock.acquire()
        lock.acquire()
        return b""

    said = run_one(work, lambda: None, stuck_s=0.2)

    assert said == (None, "it had not gone on for 0.2 s, and was killed")


def test_a_fork_that_is_slow_and_goes_on_is_left_alone() -> None:
    def work(goes_on: GoesOn) -> bytes:
        for _ in range(15):
            time.sleep(0.1)
            goes_on()
        return b"done"

    assert run_one(work, lambda: None, stuck_s=0.5) == (b"done", "")


def end(ended: asyncio.Future[bytes | None], done: object, result: bytes | None, _: object) -> None:
    """Reports the end of a fork to a future."""
    ended.set_result(result)


class Busy:
    """Two disk threads, as a node has, that write and sync without a pause."""

    def __init__(self, loop: asyncio.AbstractEventLoop, folder: Path) -> None:
        self.ended = False
        self.writes = 0
        self._disk = OsDisk(folder)
        for name in ("log", "background"):
            thread = DiskThread(loop.call_soon_threadsafe, lambda done, error: done(error))
            self._write(thread, self._disk.open(name, create=True))

    def _write(self, thread: DiskThread, file: DiskFile) -> None:
        def work() -> None:
            file.write_at(0, b"x" * 4096)
            file.sync()

        def done(error: BaseException | None) -> None:
            assert error is None
            self.writes += 1
            if not self.ended:
                thread.run(work, done)

        thread.run(work, done)


def test_no_fork_meets_a_lock_of_the_disk_threads(tmp_path: Path) -> None:
    forks = 100

    def work(goes_on: GoesOn) -> bytes:
        disk = OsDisk(tmp_path / "log")
        file = disk.open(f"snapshot-{os.getpid()}", create=True)
        for place in range(20):
            file.write_at(place * 100, zlib.compress(os.urandom(100)))
            goes_on()
        file.close()
        disk.remove(f"snapshot-{os.getpid()}")
        return b"done"

    async def run() -> list[bytes | None]:
        loop = asyncio.get_running_loop()
        busy = Busy(loop, tmp_path / "log")
        results: list[bytes | None] = []
        for _ in range(forks):
            ended: asyncio.Future[bytes | None] = loop.create_future()
            report = partial(end, ended)
            Forks(loop, report).run(work, lambda result, error: None)
            results.append(await asyncio.wait_for(ended, PATIENCE_S))
        busy.ended = True
        assert busy.writes > forks, "the threads were at work meanwhile"
        return results

    assert asyncio.run(run()) == [b"done"] * forks


def test_a_fork_beside_a_thread_warns_nobody() -> None:
    """Python 3.12 and newer would: the module says why it may."""

    async def run() -> bytes | None:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[bytes | None] = loop.create_future()
        DiskThread(loop.call_soon_threadsafe, lambda done, error: done(error))
        forks = Forks(loop, partial(end, ended))
        forks.run(lambda goes_on: b"done", lambda result, error: None)
        return await asyncio.wait_for(ended, PATIENCE_S)

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        assert asyncio.run(run()) == b"done"
    assert [str(one.message) for one in seen] == []


PARENT = """
import asyncio, os, sys, time
from node.process.fork import Forks

def work(goes_on):
    print(os.getpid(), flush=True)
    time.sleep(60)
    return b""

async def main():
    Forks(asyncio.get_running_loop(), lambda *_: None).run(work, lambda *_: None)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("blocked", [(), (signal.SIGALRM, signal.SIGTERM)])
def test_it_does_not_outlive_its_node(blocked: tuple[signal.Signals, ...]) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, blocked),
    )
    assert parent.stdout is not None
    fork = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    fork.wait(PATIENCE_S)
    parent.stdout.close()
