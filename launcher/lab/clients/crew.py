"""The process of a run's clients: it loads the workload, forks the clients, and waits for them.

    python -P -m launcher.lab.clients.crew REPORT LIFELINE

`plan.py` says what is on its pipes. The workload is loaded here, once, and not in the launcher,
because it may be a user's code. This process is client 0 itself: it does the workload's opening
before it forks the others, and its closing when they have ended.

A client ends when its time is over, when it is told to stop, and at once when the launcher has
gone: the lifeline ends with it, however it was killed.
"""

from __future__ import annotations

import os
import random
import select
import signal
import sys
import threading
import time
from typing import NoReturn

import msgspec

from launcher import streams
from launcher.client.client import Client
from launcher.client.route import HEDGE_S
from launcher.client.sockets import Sockets
from launcher.errors import LauncherError, NotRunning, UsageError
from launcher.folders import lock
from launcher.lab.clients.pace import Pace
from launcher.lab.clients.performing import Performer
from launcher.lab.clients.plan import CrewSpec, Said, bucket_of, decode_crew_spec, pinned_to
from launcher.lab.clients.users_code import LOAD_LIMIT_S, Called, TooSlow, limited
from launcher.lab.history import Done, Writer
from launcher.lab.workloads.loading import load
from node import module_path
from node.printable import error_line
from node.process import signals

REPORT_S = 0.2
"""A client reports what it did this often."""

POLL_S = 0.05


class _Gone(Exception):
    """The launcher has."""


class Crew:
    """All clients of a run."""

    def __init__(self, spec: CrewSpec, report: int, lifeline: int) -> None:
        self._spec = spec
        self._report = report
        os.set_blocking(report, False)
        self._lifeline = lifeline
        self._commands = b""
        self._children: dict[int, int] = {}
        """The clients' numbers by pid."""

    def run(self) -> None:
        """The whole run. Raises LauncherError, and _Gone."""
        plan = self._spec.plan
        try:
            with limited(f"workload {plan.workload}: importing it", LOAD_LIMIT_S):
                workload = load(plan.workload, plan.options)
        except TooSlow as error:
            raise UsageError(str(error)) from None
        called = Called(plan.workload, workload, self._spec.config.entry_limit_bytes)
        self.say(Said(what="loaded", machine=workload.machine))
        self._await("go")
        own = self._performer(0)
        self._frame(called, own, "opening")
        self.say(Said(what="opened"))
        self._traffic(called)
        self.say(Said(what="ended"))
        self._await("close")
        self._frame(called, own, "closing")
        self.say(Said(what="closed"))

    def say(self, said: Said) -> None:
        """One line to the launcher, in one write, so that lines of several clients do not mix."""
        while not self.say_if_heard(said):
            streams.await_writable(self._report)

    def say_if_heard(self, said: Said) -> bool:
        """The same, unless the launcher is slow to listen: no client waits for it."""
        try:
            os.write(self._report, msgspec.json.encode(said) + b"\n")
        except BlockingIOError:
            return False
        return True

    # -- what the launcher says ------------------------------------------------------------------

    def _await(self, wanted: str) -> None:
        while self._heard(None) != wanted:
            pass

    def _heard(self, timeout_s: float | None) -> str | None:
        """The next command, if it comes in time."""
        while b"\n" not in self._commands:
            ready, _, _ = select.select([0, self._lifeline], [], [], timeout_s)
            if not ready:
                return None
            data = b"" if self._lifeline in ready else os.read(0, 1 << 12)
            if not data:
                raise _Gone
            self._commands += data
        line, _, self._commands = self._commands.partition(b"\n")
        return line.decode()

    # -- what clients do -------------------------------------------------------------------------

    def _performer(self, process: int) -> Performer:
        spec = self._spec
        config = spec.config
        sockets = Sockets(config, spec.runtime_dir)
        client = Client(
            sockets,
            timeout_s=spec.plan.timeout_s,
            hedge_s=HEDGE_S * config.patience,
            max_entry_bytes=config.entry_limit_bytes,
            idle_s=config.session_timeout_s / 2,
        )
        return Performer(
            process,
            client,
            Writer(spec.folder, process),
            node=pinned_to(process, list(sockets)) if process else None,
            offset_ns=spec.offset_ns,
            still_there=self._check_runs,
        )

    def _check_runs(self) -> None:
        found = lock.running(self._spec.config)
        if found is None or found.runtime_dir != self._spec.runtime_dir:
            raise NotRunning("the cluster has gone while the workload ran")

    def _frame(self, called: Called, performer: Performer, method: str) -> None:
        number, last = 0, None
        while (operation := called.framing(method, number, last)) is not None:
            last = performer.do(operation)
            while last.outcome == "info":
                self._heard(0)  # ends this when the launcher has gone
                last = performer.do(operation)
            number += 1

    def _traffic(self, called: Called) -> None:
        """Forks the clients, and returns when all have ended."""
        until_s = time.monotonic() + self._spec.plan.time_s
        stopping, stop = os.pipe()
        for number in range(1, self._spec.plan.clients + 1):
            pid = os.fork()
            if pid == 0:
                os.close(stop)
                self._be_client(called, number, until_s, stopping)
            self._children[pid] = number
        os.close(stopping)
        told = False
        while self._children:
            if self._heard(POLL_S) == "stop" and not told:
                os.close(stop)
                told = True
            self._reap()
        if not told:
            os.close(stop)

    def _reap(self) -> None:
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if not pid:
                return
            number = self._children.pop(pid, None)
            code = os.waitstatus_to_exitcode(status)
            if number is not None and code < 0:
                raise LauncherError(f"client {number} was ended by {signal.Signals(-code).name}")
            if number is not None and code:  # it has said why, if it could
                raise LauncherError(f"client {number} ended itself with exit status {code}")

    def _be_client(self, called: Called, number: int, until_s: float, stopping: int) -> NoReturn:
        """One client, from its fork to its end."""
        threading.Thread(target=_end_with, args=(self._lifeline,), daemon=True).start()
        status = 1
        try:
            _Client(self, called, self._performer(number), number, until_s, stopping).work()
            status = 0
        except LauncherError as error:
            self.say(_failed(error))
        except BaseException as error:
            self.say(Said(what="failed", error=f"client {number}: {error_line(error, 500)}"))
        finally:
            os._exit(status)

    def plan_of(self, number: int) -> tuple[random.Random, random.Random, float]:
        """A client's chance for what it does, for when, and its rate."""
        plan = self._spec.plan
        what, when = (random.Random(f"{plan.seed}/{number}/{use}") for use in ("what", "when"))
        return what, when, plan.rate / plan.clients


class _Client:
    """One client's operations, at their moments."""

    def __init__(
        self,
        crew: Crew,
        called: Called,
        performer: Performer,
        number: int,
        until_s: float,
        stopping: int,
    ) -> None:
        self._crew = crew
        self._called = called
        self._performer = performer
        self._number = number
        self._until_s = until_s
        self._stopping = stopping
        self._counts = {"ok": 0, "fail": 0, "info": 0}
        self._buckets: dict[int, int] = {}

    def work(self) -> None:
        """Until its time is over, or it is told to stop."""
        rng, when, rate = self._crew.plan_of(self._number)
        now_s = time.monotonic()
        pace = Pace(rate, when, now_s)
        report_at = now_s + REPORT_S
        last: Done | None = None
        number = 0
        while True:
            due_s = pace.due_s(now_s)
            while (now_s := time.monotonic()) < min(due_s, self._until_s):
                wake_s = min(due_s, self._until_s, report_at)
                if select.select([self._stopping], [], [], max(0.0, wake_s - now_s))[0]:
                    return self._say_done()
                if time.monotonic() >= report_at:
                    self._say_if_heard()
                    report_at = time.monotonic() + REPORT_S
            if now_s >= self._until_s or select.select([self._stopping], [], [], 0)[0]:
                return self._say_done()
            operation = self._called.next(self._number, number, rng, last)
            begun_ns = time.monotonic_ns()
            last = self._performer.do(operation)
            self._count(last, time.monotonic_ns() - begun_ns)
            number += 1
            now_s = time.monotonic()
            if now_s >= report_at:
                self._say_if_heard()
                report_at = now_s + REPORT_S

    def _count(self, last: Done, took_ns: int) -> None:
        self._counts[last.outcome] += 1
        if last.outcome != "info":
            bucket = bucket_of(took_ns)
            self._buckets[bucket] = self._buckets.get(bucket, 0) + 1

    def _say_done(self) -> None:
        self._crew.say(self._did())

    def _say_if_heard(self) -> None:
        if any(self._counts.values()) and self._crew.say_if_heard(self._did()):
            self._counts = dict.fromkeys(self._counts, 0)
            self._buckets = {}

    def _did(self) -> Said:
        ok, fail, info = self._counts.values()
        return Said(
            what="did", client=self._number, ok=ok, fail=fail, info=info, buckets=self._buckets
        )


def _end_with(lifeline: int) -> None:
    """Ends this process when the lifeline ends."""
    os.read(lifeline, 1)
    os._exit(1)


def _failed(error: LauncherError) -> Said:
    return Said(what="failed", error=str(error), exit_status=error.exit_status)


def _read_spec() -> CrewSpec:
    head = b""
    while not head.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            raise _Gone
        head += byte
    left, data = int(head), b""
    while left > len(data):
        more = os.read(0, left - len(data))
        if not more:
            raise _Gone
        data += more
    return decode_crew_spec(data)


def main(arguments: list[str]) -> int:
    """The program. Returns the exit status."""
    signals.begin()
    os.umask(0o077)
    report, lifeline = map(int, arguments)
    try:
        spec = _read_spec()
        module_path.use([os.fspath(path) for path in spec.python_path])
        crew = Crew(spec, report, lifeline)
        try:
            crew.run()
        except LauncherError as error:
            crew.say(_failed(error))
            return 1
    except (_Gone, BrokenPipeError):
        return 1
    return 0


if __name__ == "__main__":
    os._exit(main(sys.argv[1:]))
