"""The load generator for our own cluster: a client that keeps entries, or reads, unanswered.

    python -m launcher.benchmark.generator --config cluster.yaml --window 256 --size 256

(see `measure.py` for what it says and when). Entries go through `launcher/client/client.py`, as
those of every program do: one at a time with `submit` when the window is 1, otherwise with
`submit_many`, whose window it is. With `--keys` they are `SET`s of the machine `kv`. With
`--reads`, instead, calls of `read` with `window` queries each, one call after the other: `GET n` of
the machine `journal`, each answered with an entry of that size.

An entry's time begins when the client takes it from the generator's hands, and ends when the
generator has its answer.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from array import array
from collections import deque
from collections.abc import Iterator
from pathlib import Path

from launcher.client.client import Client
from launcher.client.sockets import Sockets
from launcher.config import load
from launcher.errors import NotRunning
from launcher.folders import lock

KEYS = 10_000

_clock = time.perf_counter


class Stopwatch:
    """Counts what is answered once the time for warming up is over, and says when it all is."""

    def __init__(self, warm_up_s: float, duration_s: float) -> None:
        self.latencies: array[float] = array("d")
        self.seconds = 0.0
        self._began_at = _clock() + warm_up_s
        self._begun = False
        self.is_over = False
        self._duration_s = duration_s

    def answered(self, now: float, took_s: list[float]) -> None:
        """Takes down answers that have just come."""
        if self.is_over:
            return
        if self._begun:
            self.latencies.extend(took_s)
            self.seconds = now - self._began_at
            self.is_over = self.seconds >= self._duration_s
        elif now >= self._began_at:
            self._begun, self._began_at = True, now
            say(begun=True)

    def conclude(self, file: Path | None) -> None:
        """Says what came out, and writes what each took to `file`."""
        if file is not None:
            file.write_bytes(self.latencies.tobytes())
        say(ended=True, entries=len(self.latencies), seconds=self.seconds)


def keys() -> Iterator[bytes]:
    """Keys of eight bytes, `KEYS` of them, again and again."""
    return itertools.cycle([b"%08d" % number for number in range(KEYS)])


def submit_one_by_one(client: Client, entries: Iterator[bytes], watch: Stopwatch) -> None:
    """Each entry when the one before is answered."""
    while not watch.is_over:
        entry = next(entries)
        begun = _clock()
        client.submit(entry)
        now = _clock()
        watch.answered(now, [now - begun])


def submit_pipelined(client: Client, entries: Iterator[bytes], watch: Stopwatch) -> None:
    """As many at once as the client's window allows."""
    sent_at: deque[float] = deque()

    def source() -> Iterator[bytes]:
        for entry in entries:
            if watch.is_over:
                return
            sent_at.append(_clock())
            yield entry

    for _ in client.submit_many(source()):
        now = _clock()
        watch.answered(now, [now - sent_at.popleft()])


def read(client: Client, window: int, entry: bytes, watch: Stopwatch) -> None:
    """Linearizable reads, `window` of them in each call."""
    client.submit(entry)
    queries = [b"GET 1"] * window
    while not watch.is_over:
        begun = _clock()
        answers = client.read(queries)
        now = _clock()
        assert all(answer.result == entry for answer in answers), "a read sees what was submitted"
        watch.answered(now, [now - begun] * window)


def say(**what: object) -> None:
    """A line on standard output."""
    print(json.dumps(what), flush=True)


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--config", type=Path, required=True, help="of a cluster that runs")
    parser.add_argument("--window", type=int, default=256, help="entries unanswered")
    parser.add_argument("--size", type=int, default=256, help="bytes of an entry")
    parser.add_argument("--keys", action="store_true", help="SET entries, for the machine kv")
    parser.add_argument("--reads", action="store_true", help="read, rather than submit")
    parser.add_argument("--warm-up", type=float, default=0.5, help="seconds")
    parser.add_argument("--duration", type=float, default=2.0, help="seconds")
    parser.add_argument("--latencies", type=Path, help="where the seconds of each entry go")
    asked = parser.parse_args()
    config = load(asked.config)
    record = lock.running(config)
    if record is None:
        raise NotRunning(f"no cluster is running by {asked.config}")
    say(servers=[], client=os.getpid())
    entry = b"x" * asked.size
    entries: Iterator[bytes] = itertools.repeat(entry)
    if asked.keys:
        entries = (b"SET %b %b" % (key, entry) for key in keys())
    with Client(
        Sockets(config, record.runtime_dir),
        window=asked.window,
        window_bytes=2 * asked.window * (asked.size + 64),
    ) as client:
        watch = Stopwatch(asked.warm_up, asked.duration)
        if asked.reads:
            read(client, asked.window, entry, watch)
        elif asked.window == 1:
            submit_one_by_one(client, entries, watch)
        else:
            submit_pipelined(client, entries, watch)
        watch.conclude(asked.latencies)
        sys.stdin.read()


if __name__ == "__main__":
    main()
