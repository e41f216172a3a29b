"""The course of a run: its folder, its cluster, clients, faults, healing, and the evidence.

    begin       the folder, run.json, cluster.yaml
    up          a fresh cluster within the folder, and a first write
    load        clients begin; for a second nothing is broken
    faults      the seed's schedule is played meanwhile
    recovered   all faults have ended, all nodes agree, a last write was taken (or: not-recovered)
    copied      the cluster is down, and all that its nodes wrote is copied
    stopped     nothing of the run is left but its folder

The supervisor compares what the nodes report. When it finds that a promise is broken, the run ends
at once (`violated`), and the nodes are left as they are.

Each step is a line of course.jsonl. Whatever happens, an error, a signal or a full disk, what was
begun is ended in reverse order: faults, clients, cluster. What was recorded is kept.

The clients are run from this thread, and the faults from another one.
"""

from __future__ import annotations

import platform
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

import msgspec

from launcher import __version__
from launcher.cluster import Cluster
from launcher.errors import LauncherError, NotRunning, TimedOut, UsageError, saying
from launcher.lab import clients, folder
from launcher.lab.chaos.healing import probe
from launcher.lab.chaos.player import Outcome, Player
from launcher.lab.chaos.record import Happening, steady_clock
from launcher.lab.chaos.schedule import Schedule, write
from launcher.lab.clients import Plan, Tally
from launcher.lab.folder import FORMAT, Made, RunFolder
from launcher.lab.trial.alarm import Alarm
from launcher.lab.trial.asked import CALM_S, Asked
from launcher.lab.trial.circumstances import as_yaml
from launcher.lab.trial.keeping import Keeper
from launcher.lab.verdict.judge import (
    COPIED,
    CUT_SHORT,
    FAULTS,
    LOAD,
    NOT_RECOVERED,
    RECOVERED,
    STOPPED,
    VIOLATED,
)
from node.machines.failures import what

UP_S = 30.0
"""How long the cluster may take to have a leader, on a busy machine."""

HEAL_S = 300.0
"""How long faults may take to end and the cluster to be well again, beyond which it is given up."""

_TICK_S = 0.1


class Telling(msgspec.Struct):
    """What is told while a run goes on, all of it in the thread that runs it."""

    began: Callable[[RunFolder], None] = lambda run: None
    step: Callable[[str], None] = lambda text: None
    happened: Callable[[Happening], None] = lambda happening: None
    progress: Callable[[Tally], None] = lambda tally: None


def run(asked: Asked, root: Path, telling: Telling) -> RunFolder:
    """Makes a run and takes it to its end; returns its folder.

    root: the folder of all runs

    Raises UsageError, and LauncherError for a run that could not be finished. A KeyboardInterrupt,
    or another exception of this thread, is raised again when everything is taken down.
    """
    plan, schedule = asked.plan(), asked.schedule()
    trial = folder.begin(root, asked.seed, datetime.now())
    with saying(f"{trial} cannot be used"), trial.held():
        course = _Course(trial, asked, telling, schedule)
        try:
            course.prepare()
            telling.began(trial)
            course.go(plan)
        except LauncherError as error:
            course.cut_short(str(error))
            kinds = {kind.exit_status: kind for kind in (UsageError, NotRunning, TimedOut)}
            kind = kinds.get(error.exit_status, LauncherError)
            raise kind(f"{error}; what was recorded is in {trial}") from error
        except BaseException as error:
            course.cut_short(f"it was interrupted ({type(error).__name__})")
            raise
    return trial


class _Course:
    """One run."""

    def __init__(
        self, trial: RunFolder, asked: Asked, telling: Telling, schedule: Schedule
    ) -> None:
        self._trial = trial
        self._asked = asked
        self._telling = telling
        self._schedule = schedule
        self.clock = steady_clock()
        self.folder = trial.path
        self.beyond_quorum = asked.beyond_quorum
        self._alarm = Alarm(trial.log_dir / "supervisor.jsonl")

    def note(self, step: str, **detail: object) -> None:
        """A line of course.jsonl. Raises LauncherError."""
        with saying(f"{self._trial.course_file} cannot be written"):
            self._trial.note(self.clock(), step, **detail)

    def cut_short(self, reason: str) -> None:
        """The run ends before its time. Never raises."""
        with suppress(LauncherError):
            self.note(CUT_SHORT, reason=reason)

    def prepare(self) -> None:
        """What is asked for is written down, before anything is started."""
        trial, asked = self._trial, self._asked
        settings = asked.settings()
        trial.write_made(
            Made(
                format=FORMAT,
                seed=asked.seed,
                begun=datetime.now().isoformat(timespec="seconds"),
                versions={
                    "leeky-raft": __version__,
                    "python": platform.python_version(),
                    "system": f"{platform.system()} {platform.release()}",
                },
                asked=asked.described(),
                circumstances=settings,
                again=asked.command(),
            )
        )
        with saying(f"{trial} cannot be written"):
            trial.config_file.write_text(as_yaml(settings))
            trial.schedule_file.write_bytes(write(self._schedule))
        self.note("begin")

    def go(self, plan: Plan) -> None:
        """The run, from the start of its cluster to the copy of what it has left."""
        with self._cluster() as cluster:
            faults = _Faults(self, cluster, self._schedule)
            try:
                clients.run(
                    cluster,
                    plan,
                    self._trial.path,
                    stop=lambda: faults.error is not None,
                    progress=lambda tally: self._progress(faults, tally),
                    begun=lambda: self._begin_load(faults),
                    before_closing=lambda: self._await(faults),
                )
            except _Violated:
                # The nodes are frozen, and stay as they are: nothing is healed.
                self.note(VIOLATED)
                self._telling.step("SAFETY IS VIOLATED: the cluster is frozen, and is ended")
                with suppress(NotRunning):
                    cluster.destroy()
            finally:
                faults.stop()
                self._tell(faults)

    @contextmanager
    def _cluster(self) -> Iterator[Cluster]:
        """A cluster in the folder; afterwards it is down, and what its nodes wrote is copied."""
        cluster = Cluster(config=self._trial.config_file)
        with Keeper(self._trial) as keeper:
            try:
                self._telling.step("starting the cluster")
                cluster.up(UP_S * cluster.config.patience)
                probe(cluster)
                cluster.close()
                self.note("up", remarks=cluster.remarks)
                yield cluster
            except BaseException:
                with suppress(LauncherError):  # why the run ended is what is to be told
                    self._end(cluster, keeper)
                raise
            self._end(cluster, keeper)

    def _end(self, cluster: Cluster, keeper: Keeper) -> None:
        """Takes the cluster down, and copies what its nodes wrote. Raises LauncherError."""
        self._telling.step("taking the cluster down")
        _take_down(cluster)
        keeper.finish()
        self.note(COPIED)
        self.note(STOPPED)

    # -- while clients work ------------------------------------------------------------------------

    def _begin_load(self, faults: _Faults) -> None:
        self.note(LOAD)
        self._telling.step("clients begin; nothing is broken for a second")
        faults.start()

    def _progress(self, faults: _Faults, tally: Tally) -> None:
        self._check_alarm()
        self._tell(faults)
        self._telling.progress(tally)

    def _check_alarm(self) -> None:
        if self._alarm.is_raised():
            raise _Violated

    def _tell(self, faults: _Faults) -> None:
        for happening in faults.heard():
            self._telling.happened(happening)

    def _await(self, faults: _Faults) -> None:
        """Waits until all faults have ended and the cluster is well. Raises LauncherError."""
        deadline = time.monotonic() + HEAL_S
        while faults.is_alive() and time.monotonic() < deadline:
            faults.join(_TICK_S)
            self._check_alarm()
            self._tell(faults)
        if faults.is_alive():
            raise LauncherError(f"the faults did not end in {HEAL_S:g} s")
        self._tell(faults)
        if faults.error is not None:
            raise faults.error
        outcome = faults.outcome
        assert outcome is not None, "a thread without an error has an outcome"
        counted = {"injected": outcome.injected, "left_out": outcome.left_out}
        if outcome.unconverged:
            self.note(NOT_RECOVERED, reason=outcome.unconverged, **counted)
        else:
            self.note(RECOVERED, **counted)


class _Violated(Exception):
    """The supervisor has found a broken promise."""


class _Faults(threading.Thread):
    """Plays the schedule beside the clients, after a calm second.

    outcome: what came of it
    error: why it could not be played
    """

    def __init__(self, course: _Course, cluster: Cluster, schedule: Schedule) -> None:
        super().__init__(name="faults", daemon=True)
        self._course = course
        self._ends = threading.Event()
        self._happened: queue.SimpleQueue[Happening] = queue.SimpleQueue()
        self._player = Player(
            cluster,
            schedule,
            folder=course.folder,
            beyond_quorum=course.beyond_quorum,
            say=self._happened.put,
            now_ns=course.clock,
        )
        self.outcome: Outcome | None = None
        self.error: LauncherError | None = None

    def run(self) -> None:
        """The thread. Whatever goes wrong is kept in `error`."""
        try:
            self._ends.wait(CALM_S)
            self._course.note(FAULTS)
            self.outcome = self._player.run(self._ends)
        except LauncherError as error:
            self.error = error
        except Exception as error:
            self.error = LauncherError(f"the faults ended in an error of their own: {what(error)}")

    def stop(self) -> None:
        """Ends all faults, and waits until the cluster is healed."""
        self._ends.set()
        if self.ident is not None:
            self.join(HEAL_S)

    def heard(self) -> Iterator[Happening]:
        """What has happened since this was asked last."""
        with suppress(queue.Empty):
            while True:
                yield self._happened.get_nowait()


def _take_down(cluster: Cluster) -> None:
    """Stops the cluster, whatever state it is in; a second signal ends it at once."""
    try:
        cluster.down()
    except NotRunning:
        return
    except BaseException:
        with suppress(LauncherError):
            cluster.destroy()
        raise
    finally:
        cluster.close()
