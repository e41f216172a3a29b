"""The load generator for PySyncObj, with its journal, and the nodes that it loads.

    python -m launcher.benchmark.syncobj --nodes 5 --window 256 --size 256 --folder F

(see `measure.py` for what it says and when). Each node is a process. PySyncObj is a library in the
program that uses it, so the load comes from within: the node that leads keeps `window` calls of its
replicated dict unanswered, each begun in the callback of another. No client, no connection and no
thread is between, which is as good as it gets for PySyncObj. Its journal is a mapped file that is
never synced: what it has acknowledged outlives its processes, but not a loss of power.

Entries that are gathered go out every `--period` seconds; with `--period 0` each goes out by
itself, as soon as it is there.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import os
import sys
import time
from multiprocessing.connection import wait
from multiprocessing.synchronize import Lock
from pathlib import Path
from typing import Any

from launcher.benchmark.generator import Stopwatch, keys, say
from launcher.benchmark.ports import free_ports

TICK_S = 0.05
CONNECT_AGAIN_S = 0.3
DEFAULT_PERIOD_S = 0.1


def run_node(asked: argparse.Namespace, addresses: list[str], number: int, load: Lock) -> None:
    """One node, until it is killed. The first that leads takes the `load`, and makes it."""
    from pysyncobj import SyncObj, SyncObjConf
    from pysyncobj.batteries import ReplDict

    store = ReplDict()
    node = SyncObj(
        addresses[number],
        [address for address in addresses if address != addresses[number]],
        conf=SyncObjConf(
            autoTick=False,
            journalFile=str(asked.folder / f"journal-{number}"),
            connectionRetryTime=CONNECT_AGAIN_S,
            appendEntriesUseBatch=asked.period > 0,
            appendEntriesPeriod=asked.period or DEFAULT_PERIOD_S,
        ),
        consumers=[store],
    )
    tick_s = min(TICK_S, asked.period or TICK_S)
    while not (_leads_all(node) and load.acquire(block=False)):
        node.doTick(tick_s)
    watch = Stopwatch(asked.warm_up, asked.duration)
    begin(store, asked.window, asked.size, watch)
    while not watch.is_over:
        node.doTick(tick_s)
    watch.conclude(asked.latencies)
    while True:
        node.doTick(tick_s)


def _leads_all(node: Any) -> bool:
    return bool(node._isLeader() and all(map(node.isNodeConnected, node.otherNodes)))


def begin(store: Any, window: int, size_bytes: int, watch: Stopwatch) -> None:
    """Keeps `window` calls unanswered, from now on, as long as the node ticks."""
    names = keys()
    value = b"x" * size_bytes

    def call() -> None:
        store.set(next(names), value, callback=functools.partial(answered, time.perf_counter()))

    def answered(called_at: float, _: object, failure: int) -> None:
        if not failure:  # what is lost, to another leader, is not answered: it is called anew
            now = time.perf_counter()
            watch.answered(now, [now - called_at])
        if not watch.is_over:
            call()

    for _ in range(window):
        call()


def main() -> None:
    """The program: this process only starts the nodes, and ends them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--nodes", type=int, default=5)
    parser.add_argument("--window", type=int, default=256, help="entries unanswered")
    parser.add_argument("--size", type=int, default=256, help="bytes of a value")
    parser.add_argument("--period", type=float, default=DEFAULT_PERIOD_S, help="seconds")
    parser.add_argument("--warm-up", type=float, default=0.5, help="seconds")
    parser.add_argument("--duration", type=float, default=2.0, help="seconds")
    parser.add_argument("--folder", type=Path, required=True, help="where the journals go")
    parser.add_argument("--latencies", type=Path, help="where the seconds of each entry go")
    asked = parser.parse_args()
    context = multiprocessing.get_context("fork")
    addresses = [f"127.0.0.1:{port}" for port in free_ports(asked.nodes)]
    load = context.Lock()
    nodes = [
        context.Process(target=run_node, args=(asked, addresses, number, load), daemon=True)
        for number in range(asked.nodes)
    ]
    for node in nodes:
        node.start()
    say(servers=[node.pid for node in nodes], client=os.getpid())
    ended = wait([sys.stdin.fileno(), *[node.sentinel for node in nodes]])
    for node in nodes:
        node.kill()
    sys.exit(0 if sys.stdin.fileno() in ended else 1)


if __name__ == "__main__":
    main()
