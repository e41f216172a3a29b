"""Forks: they see what was, keep nothing of the node's, and do not outlive it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from node.fork import Forks

PATIENCE_S = 20.0


def run_one(work: Callable[[], bytes], meanwhile: Callable[[], None]) -> tuple[bytes | None, str]:
    """What came of it; `meanwhile` is called as soon as the fork has begun."""

    async def run() -> tuple[bytes | None, str]:
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[tuple[bytes | None, str]] = loop.create_future()

        def report(done: object, result: bytes | None, error: BaseException | None) -> None:
            ended.set_result((result, "" if error is None else str(error)))

        Forks(loop, report).run(work, lambda result, error: None)
        meanwhile()
        return await asyncio.wait_for(ended, PATIENCE_S)

    return asyncio.run(run())


def test_it_sees_what_was_and_changes_nothing() -> None:
    state = {"a": 1}

    def work() -> bytes:
        time.sleep(0.05)
        state["b"] = 2
        return repr(state).encode()

    def meanwhile() -> None:
        state["a"] = 99

    assert run_one(work, meanwhile) == (b"{'a': 1, 'b': 2}", "")
    assert state == {"a": 99}


def test_an_error_is_told() -> None:
    def work() -> bytes:
        raise ValueError("no such state")

    assert run_one(work, lambda: None) == (None, "ValueError: no such state")


def test_a_fork_that_is_killed_is_told() -> None:
    def work() -> bytes:
        os.kill(os.getpid(), signal.SIGKILL)
        return b""

    assert run_one(work, lambda: None) == (None, "its process ended (-9)")


def test_a_fork_that_ends_while_it_speaks_is_told() -> None:
    """What it has said by then may look like the whole."""

    def work() -> bytes:
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
        assert run_one(lambda: b"done", lambda: None) == (b"done", "")
        assert run_one(lambda: os._exit(1), lambda: None) == (
            None,
            "its process ended (how is not known)",
        )
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_long_result_comes_whole() -> None:
    result, _ = run_one(lambda: b"x" * 3_000_000, lambda: None)
    assert result == b"x" * 3_000_000


def test_a_pipe_of_the_node_s_is_at_its_end_though_the_fork_lives(tmp_path: Path) -> None:
    """A peer learns of a node's death by the end of their pipe."""
    ours, peers = socket.socketpair()
    peers.settimeout(PATIENCE_S)
    seen = tmp_path / "seen"

    def work() -> bytes:
        while not seen.exists():
            time.sleep(0.01)
        return b"done"

    def meanwhile() -> None:
        ours.close()
        assert peers.recv(1) == b"", "else it waits for the fork, which waits for it"
        seen.touch()

    assert run_one(work, meanwhile)[0] == b"done"


PARENT = """
import asyncio, os, sys, time
from node.fork import Forks

def work():
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
