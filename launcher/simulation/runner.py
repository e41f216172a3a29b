"""Runs many seeds: in this process, in worker processes, or on the machines of a scheduler.

`run_seeds` is the unit of work: some consecutive seeds with the same options. `search` gives such
pieces to an executor with the interface of `concurrent.futures`, only as many at a time as keep it
busy. It ends at the first failure. Then it waits for the pieces with lower seeds, so that it
returns the failure of the lowest seed, however many workers there are.
"""

from __future__ import annotations

import gc
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

import msgspec

from launcher.errors import LauncherError, UsageError
from launcher.simulation.situation import Options, situation
from launcher.simulation.trace import Trace
from launcher.simulation.world import Outcome, World

PIECE_S = 30.0
"""About how many simulated seconds make one piece of work: half a second on one core."""

SCHEDULER_TIMEOUT_S = 10.0
"""How long a scheduler may take to reply."""


class Tally(msgspec.Struct):
    """The sums over many runs.

    failed: the outcome of the lowest seed that failed
    undecided: by seed, why the checker could not decide its history
    """

    seeds: int = 0
    simulated_s: float = 0.0
    operations: int = 0
    acknowledged: int = 0
    faults: int = 0
    crashes: int = 0
    elections: int = 0
    failed: Outcome | None = None
    undecided: dict[int, str] = {}

    def add(self, outcome: Outcome) -> None:
        """Adds one run."""
        self.seeds += 1
        self.simulated_s += outcome.simulated_s
        self.operations += outcome.operations
        self.acknowledged += outcome.acknowledged
        self.faults += outcome.faults
        self.crashes += outcome.crashes
        self.elections += outcome.elections
        if outcome.undecided:
            self.undecided[outcome.seed] = outcome.undecided
        if outcome.failure is not None and (self.failed is None or outcome.seed < self.failed.seed):
            self.failed = outcome


def run_seed(options: Options, seed: int, trace: Trace | None = None) -> Outcome:
    """Simulates one seed. The same arguments give the same outcome, and the same trace."""
    collecting = gc.isenabled()
    gc.disable()  # almost all objects of a world live until it ends
    gc.freeze()  # and older objects need not be looked at when it is freed
    try:
        return World(situation(options, seed), trace=trace).run()
    finally:
        if collecting:
            gc.enable()
        gc.collect()
        gc.unfreeze()


def run_seeds(options: Options, first: int, last: int) -> list[Outcome]:
    """Simulates these seeds, up to the first one that fails."""
    outcomes = []
    for seed in range(first, last + 1):
        outcomes.append(run_seed(options, seed))
        if outcomes[-1].failure is not None:
            break
    return outcomes


def search(
    options: Options,
    first: int,
    last: int,
    *,
    executor: Executor | None = None,
    workers: int = 1,
    piece: Callable[[Options, int, int], list[Outcome]] | None = None,
    progress: Callable[[Tally], None] = lambda tally: None,
) -> Tally:
    """Simulates the seeds from `first` to `last`, until one fails.

    executor: runs the pieces of work; None for this process
    workers: how many pieces the executor can run at a time
    piece: what the executor runs for each piece of work; None for `run_seeds`
    progress: called whenever the tally has changed
    """
    tally = Tally()
    if executor is None:
        for seed in range(first, last + 1):
            tally.add(run_seed(options, seed))
            progress(tally)
            if tally.failed is not None:
                break
        return tally

    size = max(1, min(int(PIECE_S / options.time_s), -(-(last - first + 1) // workers)))
    pieces = iter(range(first, last + 1, size))
    pending: dict[Future[list[Outcome]], int] = {}
    while True:
        while tally.failed is None and len(pending) < 2 * workers:
            start = next(pieces, None)
            if start is None:
                break
            end = min(start + size - 1, last)
            pending[executor.submit(piece or run_seeds, options, start, end)] = start
        if not pending:
            return tally
        done, _ = wait(pending, return_when=FIRST_COMPLETED)
        for future in done:
            del pending[future]
            for outcome in _result(future):
                tally.add(outcome)
        if tally.failed is not None:
            for future in [f for f, start in pending.items() if start > tally.failed.seed]:
                future.cancel()
                del pending[future]
        progress(tally)


def _result(future: Future[list[Outcome]]) -> list[Outcome]:
    try:
        return future.result()
    except BrokenProcessPool as error:
        raise LauncherError(
            "a worker has died (out of memory, or killed); fewer --workers may help"
        ) from error


# -- executors -----------------------------------------------------------------------------------


@contextmanager
def local_workers(count: int) -> Iterator[Executor | None]:
    """An executor with `count` processes of this machine; None, for this process, if it is 1."""
    if count == 1:
        yield None
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    executor = ProcessPoolExecutor(count, mp_context=context, initializer=_begin_worker)
    try:
        yield executor
    finally:
        # Pieces that nobody needs any more are not waited for.
        executor.shutdown(wait=False, cancel_futures=True)
        for worker in multiprocessing.active_children():
            worker.terminate()


@contextmanager
def scheduler(address: str) -> Iterator[tuple[Executor, int]]:
    """The workers of a Dask scheduler, and how many tasks they can run at a time.

    Raises UsageError when Dask is not installed, LauncherError when no scheduler replies there.
    """
    try:
        from distributed import Client
    except ImportError:
        raise UsageError(
            "--scheduler needs Dask, which is not installed: pip install 'leeky-raft[dask]'"
        ) from None
    try:
        client = Client(address, timeout=SCHEDULER_TIMEOUT_S)
    except (OSError, ValueError) as error:
        raise LauncherError(f"no Dask scheduler answers at {address}: {error}") from error
    with client:
        threads = sum(client.nthreads().values())
        if not threads:
            raise LauncherError(f"the Dask scheduler at {address} has no workers; start some")
        yield client.get_executor(pure=False), threads


def _begin_worker() -> None:
    """Lets Ctrl-C end a worker without a traceback, and ends it with its parent process."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    multiprocessing.connection.wait([sentinel])
    os._exit(1)
