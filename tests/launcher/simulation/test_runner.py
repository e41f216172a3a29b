"""Many seeds: the same answer from one process, from several, and from a Dask cluster."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from launcher.errors import LauncherError
from launcher.simulation import runner
from launcher.simulation.runner import Tally, local_workers, run_seed, scheduler, search
from launcher.simulation.situation import Options
from launcher.simulation.world import Failure, Outcome

SHORT = Options(time_s=1.0)


def outcome(seed: int, *, fails: bool = False) -> Outcome:
    return Outcome(
        seed=seed,
        failure=Failure("liveness", "it was believed to live", 1.0) if fails else None,
        undecided="",
        simulated_s=2.0,
        operations=10,
        acknowledged=5,
        faults=1,
        crashes=0,
        elections=1,
        events=100,
        fingerprint=seed,
    )


@pytest.fixture
def failing_seeds(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Runs that take no time, of which these fail."""
    failing: set[int] = set()
    monkeypatch.setattr(
        runner, "run_seed", lambda options, seed: outcome(seed, fails=seed in failing)
    )
    return failing


@contextmanager
def threads(count: int) -> Iterator[Executor]:
    with ThreadPoolExecutor(count) as executor:
        yield executor


def test_a_tally_adds_up(failing_seeds: set[int]) -> None:
    seen: list[int] = []
    tally = search(SHORT, 11, 30, progress=lambda tally: seen.append(tally.seeds))
    assert (tally.seeds, tally.simulated_s, tally.operations) == (20, 40.0, 200)
    assert tally.failed is None
    assert seen == list(range(1, 21))


def test_a_search_ends_with_the_first_failure(failing_seeds: set[int]) -> None:
    failing_seeds |= {15, 20}
    tally = search(SHORT, 11, 30)
    assert tally.failed == outcome(15, fails=True)
    assert tally.seeds == 5


def test_workers_answer_with_the_lowest_failing_seed(failing_seeds: set[int]) -> None:
    failing_seeds |= {170, 171, 300}
    for workers in (2, 4, 7):
        with threads(workers) as executor:
            tally = search(SHORT, 1, 2000, executor=executor, workers=workers)
        assert tally.failed == outcome(170, fails=True)
        assert tally.seeds < 2000


def test_no_more_is_handed_out_than_keeps_workers_busy(failing_seeds: set[int]) -> None:
    class Counting(Executor):
        def __init__(self, inner: Executor) -> None:
            self.inner, self.open, self.most = inner, 0, 0

        def submit(self, *arguments: Any, **more: Any) -> Future[Any]:
            self.open += 1
            self.most = max(self.most, self.open)
            future = self.inner.submit(*arguments, **more)
            future.add_done_callback(lambda _: self._done())
            return future

        def _done(self) -> None:
            self.open -= 1

    with threads(2) as inner:
        executor = Counting(inner)
        tally = search(Options(time_s=60.0), 1, 300, executor=executor, workers=2)
    assert tally.seeds == 300
    assert executor.most <= 4


def test_processes_come_to_the_same() -> None:
    options = Options(time_s=1.0)
    alone = search(options, 1, 8)
    with local_workers(2) as executor:
        assert executor is not None
        together = search(options, 1, 8, executor=executor, workers=2)
    assert (together.seeds, together.operations) == (alone.seeds, alone.operations)
    assert together.simulated_s == pytest.approx(alone.simulated_s)
    assert together.failed is None


def test_a_worker_that_dies_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with local_workers(2) as executor:
        assert executor is not None
        monkeypatch.setattr(runner, "run_seeds", _die)
        with pytest.raises(LauncherError, match="a worker has died"):
            search(SHORT, 1, 8, executor=executor, workers=2)


def _die(options: Options, first: int, last: int) -> list[Outcome]:
    os._exit(9)


ORPHANS = """
from launcher.simulation.runner import local_workers, search
from launcher.simulation.situation import Options

with local_workers(2) as executor:
    search(Options(time_s=20.0), 1, 1_000_000, executor=executor, workers=2,
           progress=lambda tally: print(tally.seeds, flush=True))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_no_worker_outlives_whoever_started_it(number: signal.Signals) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHANS], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert parent.stdout is not None
    try:
        assert parent.stdout.readline().strip().isdigit(), "they have begun"
        family = psutil.Process(parent.pid).children(recursive=True)
        assert len(family) >= 2
        parent.send_signal(number)
        parent.wait(30)
        while any(map(_is_alive, family)):
            time.sleep(0.02)  # until pytest-timeout says that it never ends
    finally:
        parent.kill()
        parent.wait()


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# -- somebody else's machines ----------------------------------------------------------------------


def test_a_dask_cluster_of_two_workers_comes_to_the_same(tmp_path: Path) -> None:
    distributed = pytest.importorskip("distributed")
    options = Options(time_s=1.0)
    alone = search(options, 1, 6)
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=None,
            local_directory=str(tmp_path),
            silence_logs=50,
        ) as cluster,
        scheduler(cluster.scheduler_address) as (executor, workers),
    ):
        assert workers == 2
        together = search(options, 1, 6, executor=executor, workers=workers)
    assert (together.seeds, together.operations) == (alone.seeds, alone.operations)
    assert together.failed is None


def test_no_scheduler_there_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "SCHEDULER_TIMEOUT_S", 0.5)
    told = pytest.raises(LauncherError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:9")
    with told, scheduler("tcp://127.0.0.1:9"):
        pass


def test_without_dask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    told = pytest.raises(LauncherError, match=r"pip install 'leeky-raft\[dask\]'")
    with told, scheduler("tcp://127.0.0.1:9"):
        pass


# -- one seed ------------------------------------------------------------------------------------


def test_a_run_leaves_the_collector_as_it_was() -> None:
    import gc

    assert gc.isenabled()
    run_seed(SHORT, 1)
    assert gc.isenabled()


def test_a_tally_keeps_what_could_not_be_decided() -> None:
    tally = Tally()
    told = Outcome(
        **{
            name: getattr(outcome(4), name)
            for name in Outcome.__struct_fields__
            if name != "undecided"
        },
        undecided="too many states",
    )
    tally.add(told)
    assert tally.undecided == {4: "too many states"}
