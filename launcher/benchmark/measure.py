"""Measuring a load generator: a program that keeps entries unanswered, and what it costs.

A generator is a process of its own, and says what it does in lines of JSON on standard output:

    {"servers": [pid, ...], "client": pid}        the processes are there
    {"begun": true}                               it has warmed up, and begins to measure
    {"ended": true, "entries": n, "seconds": s}   so much was answered since; all still run

Then it waits for the end of its standard input, so that what its processes have used can be read.
What each entry took it has written, in seconds, as doubles, to the file named by `--latencies`.
There is one for each thing that is compared: `floor.py`, `generator.py`, and those of `peers.py`.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import psutil

from launcher.benchmark.figures import Figures, percentile
from launcher.benchmark.usage import Usage, usage
from launcher.errors import LauncherError

PATIENCE_S = 60.0
"""So much longer than it should a generator may take before it counts as hanging."""


def measure(
    command: Sequence[str],
    *,
    size_bytes: int,
    warm_up_s: float,
    duration_s: float,
    servers: Sequence[int] = (),
) -> Figures:
    """Runs a generator and returns what it measured.

    command: the program and its arguments; how long, and where to write to, is added
    servers: processes that it uses and does not name itself

    Raises LauncherError when it fails, with the last line of its standard error, and when one of
    the processes ends while it is measured.
    """
    with tempfile.NamedTemporaryFile() as latencies:
        words = [*command, "--warm-up", f"{warm_up_s:g}", "--duration", f"{duration_s:g}"]
        words += ["--latencies", latencies.name]
        with _running(words, warm_up_s + duration_s + PATIENCE_S) as said:
            there = next(said)
            used_by = [*servers, *there["servers"]]
            next(said)
            before = _usage([*used_by, there["client"]])
            ended = next(said)
            after = _usage([*used_by, there["client"]])
            memory_bytes = _usage(used_by).memory_bytes
        took_s = array("d", Path(latencies.name).read_bytes())
    if not took_s:
        raise LauncherError(f"nothing was answered in {duration_s:g} s: the machine is too slow")
    return _figures(ended, sorted(took_s), before, after, size_bytes, memory_bytes)


def _usage(pids: Sequence[int]) -> Usage:
    try:
        return usage(pids)
    except psutil.NoSuchProcess as error:
        raise LauncherError(f"process {error.pid} ended while it was measured") from error


def _figures(
    ended: dict[str, Any],
    took_s: Sequence[float],
    before: Usage,
    after: Usage,
    size_bytes: int,
    memory_bytes: int,
) -> Figures:
    entries = ended["entries"]
    written: float | None = None
    if before.written_bytes is not None and after.written_bytes is not None:
        written = (after.written_bytes - before.written_bytes) / (entries * size_bytes)
    return Figures(
        throughput=entries / ended["seconds"],
        p50_ms=1000 * percentile(took_s, 0.5),
        p99_ms=1000 * percentile(took_s, 0.99),
        p999_ms=1000 * percentile(took_s, 0.999),
        cpu_s_per_1000=1000 * (after.cpu_s - before.cpu_s) / entries,
        written_per_byte=written,
        memory_bytes=memory_bytes,
    )


@contextlib.contextmanager
def _running(words: Sequence[str], patience_s: float) -> Iterator[Iterator[dict[str, Any]]]:
    """What the generator says, as it comes. It is over, with all its processes, in the end."""
    with tempfile.TemporaryFile("w+", errors="replace") as complaints:
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            start_new_session=True,  # Ctrl-C is for us; and a group of its own can be ended whole
        )
        give_up = threading.Timer(patience_s, _kill, [process.pid])
        give_up.start()
        try:
            assert process.stdout is not None
            yield _lines(process.stdout, complaints)
            process.communicate()
        finally:
            give_up.cancel()
            _kill(process.pid)
            process.wait()


def _lines(output: IO[bytes], complaints: IO[str]) -> Iterator[dict[str, Any]]:
    for line in output:
        yield json.loads(line)
    complaints.seek(0)
    last = (complaints.read().strip().splitlines() or ["it hung, and was ended"])[-1]
    raise LauncherError(f"a load generator failed: {last}")


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
