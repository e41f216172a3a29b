"""Runs a workload on a running cluster: the launcher's side (`crew.py` is the other)."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from launcher.cluster import Cluster
from launcher.config import ClusterConfig
from launcher.control import asking
from launcher.errors import LauncherError, UsageError, saying
from launcher.folders import private
from launcher.lab import history
from launcher.lab.clients.children import LabProcess
from launcher.lab.clients.plan import (
    CrewSpec,
    Kept,
    Plan,
    Said,
    check_plan,
    encode_spec,
    keep_plan,
)
from launcher.lab.clients.users_code import LOAD_LIMIT_S
from node import module_path

CREW = "launcher.lab.clients.crew"

STEP_S = 0.1
"""How often `stop` and `progress` are asked while clients work."""

GRACE_S = 20.0
"""How much longer than it should a step may take before the clients count as hanging."""

OPENING_S = 60.0
CLOSING_S = 30.0
"""How long these may take, in which every operation must be answered. Without an opening there is
no run; without a closing the check sees less."""


class Tally(msgspec.Struct):
    """What clients have done until now.

    at_s: seconds since they began
    ok, fail, info: operations that ended so
    buckets: how many took how long, all of them: see `plan.latency_ms`
    """

    at_s: float = 0.0
    ok: int = 0
    fail: int = 0
    info: int = 0
    buckets: dict[int, int] = {}

    @property
    def operations(self) -> int:
        return self.ok + self.fail + self.info

    def add(self, said: Said) -> None:
        """Takes in what a client reports."""
        self.ok += said.ok
        self.fail += said.fail
        self.info += said.info
        for bucket, count in said.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + count


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """A run that has ended.

    begun, ended: of what the clients did, in nanoseconds, as in the history
    stopped: it was ended before its time
    closed: the workload's closing operations were answered
    """

    folder: Path
    machine: str
    plan: Plan
    tally: Tally
    begun: int
    ended: int
    stopped: bool
    closed: bool = True

    @property
    def took_s(self) -> float:
        return (self.ended - self.begun) / 1e9


def run(
    cluster: Cluster,
    plan: Plan,
    folder: Path | str,
    *,
    stop: Callable[[], bool] = lambda: False,
    progress: Callable[[Tally], None] = lambda tally: None,
    begun: Callable[[], None] = lambda: None,
    before_closing: Callable[[], None] = lambda: None,
) -> Ran:
    """Has clients do what the plan says, and records it in the folder. Blocks.

    folder: of the run; made when there is none; it may hold other things, but no history
    stop: asked often: whether to end before the time is over
    progress: told often what the clients have done
    begun: called when all clients begin
    before_closing: called between the clients' last operation and the closing reads; this is where
        faults are to be ended

    Raises UsageError for a plan that makes no sense, or that does not fit the cluster's machine;
    NotRunning when the cluster is down, or goes down; LauncherError when the history cannot be
    written, or the workload itself fails. No process is left behind, and what was recorded is kept.
    """
    spec = _spec(cluster, plan, Path(folder))
    folder, offset_ns = spec.folder, spec.offset_ns
    with LabProcess(CREW, encode_spec(spec)) as process:
        crew = _Crew(process, plan)
        machine = crew.expect("loaded", LOAD_LIMIT_S + GRACE_S).machine
        _check_machine(plan, machine, spec.config.machine)
        with saying(f"the run cannot be recorded in {folder}"):
            private.make_folder(folder)
            keep_plan(folder, Kept(machine=machine, plan=plan))
        process.write(b"go\n")
        crew.expect("opened", OPENING_S * spec.config.patience)
        began_s = time.monotonic()
        began = time.monotonic_ns() + offset_ns
        with saying(f"the run cannot be recorded in {folder}"):
            keep_plan(folder, Kept(machine=machine, plan=plan, begun=began))
        begun()
        stopped = crew.traffic(began_s, stop, progress)
        ended = time.monotonic_ns() + offset_ns
        before_closing()
        process.write(b"close\n")
        closed = crew.wait("closed", CLOSING_S * spec.config.patience) is not None
    return Ran(
        folder=folder,
        machine=machine,
        plan=plan,
        tally=crew.tally,
        begun=began,
        ended=ended,
        stopped=stopped,
        closed=closed,
    )


def machine_of(config: ClusterConfig, plan: Plan) -> str:
    """The machine that a plan's workload is for; it is loaded as in `run`, and does nothing. The
    cluster need not run. Blocks.

    Raises UsageError when the workload cannot be loaded, LauncherError when that does not end.
    """
    spec = _crew_spec(config, config.data_dir, plan, config.log_dir)
    with LabProcess(CREW, encode_spec(spec)) as process:
        return _Crew(process, plan).expect("loaded", LOAD_LIMIT_S + GRACE_S).machine


def _spec(cluster: Cluster, plan: Plan, folder: Path) -> CrewSpec:
    """Raises UsageError and NotRunning, as `run` does."""
    check_plan(plan)
    config = cluster.settings()
    runtime_dir = asking.runtime_dir(config)
    asking.check_thawed(runtime_dir)
    folder = folder.resolve()
    if (folder / history.FOLDER).exists():
        raise UsageError(f"{folder} has a history already: choose another folder")
    return _crew_spec(config, runtime_dir, plan, folder)


def _crew_spec(config: ClusterConfig, runtime_dir: Path, plan: Plan, folder: Path) -> CrewSpec:
    return CrewSpec(
        config=config,
        runtime_dir=runtime_dir,
        folder=folder,
        plan=plan,
        python_path=[Path(path) for path in module_path.users()],
        offset_ns=time.time_ns() - time.monotonic_ns(),
    )


def _check_machine(plan: Plan, needed: str, running: str) -> None:
    if needed != running:
        raise UsageError(
            f"workload {plan.workload} needs the machine {needed}; this cluster runs {running} "
            f"(`launcher up --machine {needed}` starts another)"
        )


class _Crew:
    """What the clients' process says."""

    def __init__(self, process: LabProcess, plan: Plan) -> None:
        self._process = process
        self._plan = plan
        self.tally = Tally()

    def expect(self, what: str, limit_s: float) -> Said:
        """Waits until it says so. Raises LauncherError."""
        said = self.wait(what, limit_s)
        if said is None:
            doing = {"loaded": "loading it", "opened": "its opening"}[what]
            raise LauncherError(
                f"workload {self._plan.workload}: {doing} is not done in {limit_s:g} s, and was "
                "ended (does the cluster answer?)"
            )
        return said

    def wait(self, what: str, limit_s: float) -> Said | None:
        """Waits until it says so; None when it has not in time. Raises LauncherError."""
        deadline = time.monotonic() + limit_s
        while (left_s := deadline - time.monotonic()) > 0:
            said = self._next(left_s)
            if said is not None and said.what == what:
                return said
        return None

    def traffic(
        self, began_s: float, stop: Callable[[], bool], progress: Callable[[Tally], None]
    ) -> bool:
        """Waits until all clients have ended; whether they were stopped."""
        plan, tally = self._plan, self.tally
        limit_s = plan.time_s + plan.timeout_s + GRACE_S
        stopped = False
        told_at = 0.0
        while True:
            said = self._next(STEP_S)
            now_s = time.monotonic()
            tally.at_s = now_s - began_s
            if now_s - told_at >= STEP_S:
                progress(tally)
                told_at = now_s
            if said is not None and said.what == "ended":
                progress(tally)
                return stopped
            if not stopped and stop():
                self._process.write(b"stop\n")
                stopped = True
                limit_s = tally.at_s + plan.timeout_s + GRACE_S
            if tally.at_s > limit_s:
                raise LauncherError("the clients of the workload hang, and were ended")

    def _next(self, timeout_s: float) -> Said | None:
        try:
            line = self._process.line(timeout_s)
        except EOFError:
            how = self._process.how_it_ended()
            raise LauncherError(f"the process of the workload's clients ended {how}") from None
        if line is None:
            return None
        said = msgspec.json.decode(line, type=Said)
        if said.what == "did":
            self.tally.add(said)
        if said.what == "failed":
            raise failure(said)
        return said


def failure(said: Said) -> LauncherError:
    """The error that a process reports, with its exit status."""
    from launcher.errors import NotRunning

    kinds = {kind.exit_status: kind for kind in (UsageError, NotRunning)}
    return kinds.get(said.exit_status, LauncherError)(said.error)
