"""Plays a schedule on a running cluster, within the budget, and leaves the cluster well.

    outcome = Player(cluster, schedule.make(7, parse_kinds("all"), 60)).run()

Each fault has a thread of its own, since some commands take long: a rolling restart goes on while
links are cut. Before a fault begins, the budget is asked, with what is in force and what the status
says; a fault that would take too much is left out, and it is said why. A command that fails is
recorded and ends nothing: a node may have died meanwhile, and other operators may be at work.

However the run ends, by its time, by `stop`, or by a signal that arrives as an exception: all its
faults end, everything is healed, what it stopped is started, and the cluster has to converge.
"""

from __future__ import annotations

import fcntl
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from launcher.cluster import Cluster
from launcher.control import asking, requests
from launcher.errors import LauncherError, NotRunning, saying
from launcher.lab.chaos import healing
from launcher.lab.chaos.aiming import Aim, View
from launcher.lab.chaos.budget import describe, holds, state_of
from launcher.lab.chaos.course import Course
from launcher.lab.chaos.record import (
    CHAOS_FILE,
    SAMPLES_FILE,
    SCHEDULE_FILE,
    Happening,
    Lines,
    NowNs,
    steady_clock,
)
from launcher.lab.chaos.schedule import Fault, Schedule, write
from launcher.lab.chaos.striking import BEGINS, Strike
from launcher.lab.chaos.watching import Broken, Sampler

ENDS_S = 30.0
"""How long faults may take to end before everything is healed in spite of them."""

GONE_S = 3.0
"""A cluster that has not been there for so long does not come back: it is somebody's `down`."""

LOCK_FILE = "chaos.lock"
"""In the runtime folder of the cluster."""

MOST_NOTED_CHARACTERS = 1000
"""Of why something failed, in the event log."""

_TICK_S = 0.05


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run.

    injected, left_out, failed: how many faults began, were left out because of the budget or
        because there was nothing to strike, and failed in whole or in part
    samples: how often the cluster was asked how it is
    broken: the moment at which no majority was left; None: there was none, as far as samples show
    unconverged: what was not well in the end, in one line; empty: all was
    """

    injected: int = 0
    left_out: int = 0
    failed: int = 0
    samples: int = 0
    broken: Broken | None = None
    unconverged: str = ""


class Player:
    """One run of a schedule.

    folder: gets chaos.jsonl, samples.jsonl and schedule.jsonl; None: nothing is kept
    beyond_quorum: the budget does not count
    say: called with each happening, in the thread that runs the player
    now_ns: the clock of all that is recorded, in nanoseconds since the epoch
    write: sees in the end that one write succeeds; by default an entry that changes nothing
    """

    def __init__(
        self,
        cluster: Cluster,
        schedule: Schedule,
        *,
        folder: Path | None = None,
        beyond_quorum: bool = False,
        say: Callable[[Happening], None] | None = None,
        now_ns: NowNs | None = None,
        write: healing.Probe = healing.probe,
    ) -> None:
        self._cluster = cluster
        self._schedule = schedule
        self._folder = folder
        self._beyond_quorum = beyond_quorum
        self._say = say
        self._now_ns = steady_clock() if now_ns is None else now_ns
        self._write = write
        self._threads: list[threading.Thread] = []
        self._counts = dict.fromkeys(("began", "left-out", "failed"), 0)

    def run(self, stop: threading.Event | None = None) -> Outcome:
        """Plays it to its end, or until `stop` is set. Blocks.

        Raises NotRunning when the cluster is gone, LauncherError when it cannot be broken: another
        run of chaos goes on, or a majority does not work to begin with. A KeyboardInterrupt, or
        another exception of this thread, is raised again when everything is healed.
        """
        stop = threading.Event() if stop is None else stop
        with alone(self._cluster):
            status = self._cluster.status()
            self._check(0 if status.membership is None else len(status.membership.voters))
            if not self._beyond_quorum and not holds(state := state_of(status)):
                raise LauncherError(
                    "no majority of the voters works, so no fault is allowed: "
                    f"{describe(state)} (`launcher ps`)"
                )
            view = View(
                status,
                began_with=len(status.nodes),
                leases=self._cluster.settings().reads == "lease",
                beyond_quorum=self._beyond_quorum,
                exclude=tuple(self._schedule.head.exclude),
            )
            view.check_exclude()
            course = Course(self._cluster, view, self._now_ns)
            down = frozenset(node.id for node in status.nodes if not node.running)
            with self._lines() as lines:
                return self._run(course, down, lines, stop)

    def _check(self, voters: int) -> None:
        if voters == 1 and not self._beyond_quorum:
            raise LauncherError(
                "a cluster of one voter survives no fault: `launcher add 2`, or --beyond-quorum"
            )

    def _run(
        self, course: Course, down: frozenset[int], lines: Lines, stop: threading.Event
    ) -> Outcome:
        sampler = Sampler(self._cluster.status, self._now_ns, self._path(SAMPLES_FILE))
        sampler.start()
        head = self._schedule.head
        faults = len(self._schedule.faults)
        count = f"{faults} fault{'s' * (faults != 1)}"
        self._note("began", seed=head.seed, why=count)
        unconverged = "it was not healed"
        try:
            try:
                course.say("run", why=f"{count} in {head.time_s:g} s by seed {head.seed}")
                self._play(course, lines, stop, sampler)
            finally:
                course.ends.set()
                unconverged = self._end(course, down, lines)
        finally:
            sampler.stop()
            self._note("over", seed=head.seed, why=unconverged)
        broken = None if self._beyond_quorum else sampler.found
        return Outcome(
            injected=self._counts["began"],
            left_out=self._counts["left-out"],
            failed=self._counts["failed"],
            samples=sampler.taken,
            broken=broken,
            unconverged=unconverged,
        )

    # -- playing ---------------------------------------------------------------------------------

    def _play(self, course: Course, lines: Lines, stop: threading.Event, sampler: Sampler) -> None:
        left = list(self._schedule.faults)
        while not stop.is_set() and sampler.gone_s < GONE_S:
            now_s = course.at_s
            while left and left[0].at_s <= now_s:
                self._begin(course, left.pop(0))
            going = any(thread.is_alive() for thread in self._threads)
            if now_s >= self._schedule.time_s or not (left or going):
                break
            self._tell(course, lines, wait=True)
        self._tell(course, lines)

    def _begin(self, course: Course, fault: Fault) -> None:
        thread = threading.Thread(
            target=self._fault, args=(course, fault), name=f"fault {fault.number}", daemon=True
        )
        self._threads.append(thread)
        thread.start()

    def _fault(self, course: Course, fault: Fault) -> None:
        """From its beginning to its end, in a thread of its own."""
        key = str(fault.number)
        with course.noting(fault), course.taken(key, fault) as struck:
            if not isinstance(struck, Aim):
                course.say("left-out", fault, why=struck)
                return
            began = False
            try:
                for lasts_s in BEGINS[fault.kind](Strike(course, fault, struck, key)):
                    if not began:
                        course.say("began", fault, struck)
                    began = True
                    course.wait(lasts_s)
            finally:
                if began:
                    course.say("ended", fault, struck)

    # -- ending ----------------------------------------------------------------------------------

    def _end(self, course: Course, down: frozenset[int], lines: Lines) -> str:
        """Returns what did not converge. Raises NotRunning when the cluster is gone."""
        course.say("healing", why="healing everything")
        deadline = time.monotonic() + ENDS_S
        while any(one.is_alive() for one in self._threads) and time.monotonic() < deadline:
            self._tell(course, lines, wait=True)
        self._tell(course, lines)
        try:
            healing.heal(course, down, course.view.began_with)
            self._tell(course, lines)
            why = healing.unconverged(self._cluster, down, self._write)
        except NotRunning:
            raise
        except LauncherError as error:
            why = str(error)
        course.say("over", why=f"not well: {why}" if why else "every node is well")
        self._tell(course, lines)
        return why

    # -- telling ---------------------------------------------------------------------------------

    def _tell(self, course: Course, lines: Lines, *, wait: bool = False) -> None:
        """Tells what has happened. wait: waits a moment for something to happen"""
        while True:
            try:
                one = course.happened.get(wait, _TICK_S)
            except queue.Empty:
                return
            wait = False
            self._counts[one.what] = self._counts.get(one.what, 0) + 1
            with suppress(OSError):  # a full disk ends no run; what happened is in the log, too
                lines.add(one)
            self._log(one)
            if self._say is not None:
                try:
                    self._say(one)
                except Exception:
                    self._say = None  # it is not called again while we heal; after Ctrl-C it is
                    raise

    def _log(self, one: Happening) -> None:
        """To the event log of the supervisor, beside the events of the faults themselves."""
        noted = {"began": "injected", "ended": "ended", "left-out": "left-out", "failed": "failed"}
        if one.what in noted and one.number:
            self._note(
                noted[one.what],
                number=one.number,
                fault=one.kind,
                nodes=one.nodes,
                words=one.words,
                why=one.why[:MOST_NOTED_CHARACTERS],
            )

    def _note(self, what: str, **fields: object) -> None:
        with suppress(LauncherError):  # the run's own record has it
            note = msgspec.convert({"what": what, **fields}, requests.NoteChaos)
            asking.ask(self._cluster.config, note, 5.0)

    @contextmanager
    def _lines(self) -> Iterator[Lines]:
        path = self._path(SCHEDULE_FILE)
        if path is not None:
            with saying(f"cannot write {path}"):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(write(self._schedule))
        lines = Lines(self._path(CHAOS_FILE))
        try:
            yield lines
        finally:
            lines.close()

    def _path(self, name: str) -> Path | None:
        return None if self._folder is None else self._folder / name


@contextmanager
def alone(cluster: Cluster) -> Iterator[None]:
    """Keeps other runs of chaos away from this cluster meanwhile, also those of other processes.

    Raises LauncherError when one goes on already, NotRunning.
    """
    path = asking.runtime_dir(cluster.config) / LOCK_FILE
    with saying(f"cannot lock {path}"):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LauncherError(
                "chaos goes on already on this cluster: one run at a time"
            ) from None
        yield
    finally:
        os.close(descriptor)
