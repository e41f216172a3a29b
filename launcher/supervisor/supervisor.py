"""The supervisor: the process that owns a cluster's processes, from `up` to `down`.

It is always a process of its own, in a session of its own (`launcher/supervisor/boot.py` is how it
begins), so that neither Ctrl-C nor a closed terminal reaches it or its nodes behind its back. It
does little:

    claim      data folder and identity                    claim.py
    nodes      start, pipes, deaths, restarts, statuses    nodes.py, processes.py
    listener   what operators ask                          listener.py, operations.py
    home       the sockets' folder                         homing.py
    timeline   the nodes' event logs, merged               launcher/timeline/combiner.py

Entries never pass through it: clients talk to the nodes, and the nodes to each other.

It ends, and takes the nodes down in good order, on `down`, SIGINT, SIGTERM, SIGHUP, and when a
launcher in the foreground has died (the lifeline). A second signal makes it kill at once. When it
is itself killed, its nodes see their control pipes close, and exit; the next supervisor finds what
is left in the temporary folder and removes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from random import Random

import msgspec

from launcher.control import requests
from launcher.control.requests import Reply, Request
from launcher.control.spec import Report, Spec, decode_spec
from launcher.errors import LauncherError
from launcher.folders.lives import SUPERVISOR
from launcher.folders.runtime import RuntimeFolder
from launcher.supervisor import limits, printed
from launcher.supervisor.changes import stay_down
from launcher.supervisor.claim import Claim
from launcher.supervisor.homing import Home
from launcher.supervisor.nodes import Nodes
from launcher.supervisor.operations import Operations
from launcher.timeline.combiner import Combiner
from node.events import EventLog, HybridClock, last_time
from node.printable import printable

STOP_PATIENCE_S = 2.0
"""How long `down` waits for nodes before it kills them."""

TAIL_INTERVAL_S = 0.1
RECORD_INTERVAL_S = 1.0


def run(
    spec_bytes: bytes, report_fd: int, lifeline_fd: int, runtime: RuntimeFolder, entry: str
) -> int:
    """Runs the cluster that the spec asks for. Returns the exit status."""
    spec = decode_spec(spec_bytes)
    try:
        claim = Claim.take(spec.config, runtime, fresh=spec.fresh)
    except LauncherError as error:
        _report(report_fd, Report(ok=False, error=str(error), exit_status=error.exit_status))
        return error.exit_status
    try:
        return asyncio.run(_supervise(spec, claim, report_fd, lifeline_fd, entry))
    finally:
        claim.release()


async def _supervise(spec: Spec, claim: Claim, report_fd: int, lifeline_fd: int, entry: str) -> int:
    try:
        supervisor = Supervisor(spec, claim, entry)
        await supervisor.home.listen()
    except OSError as error:
        said = f"the supervisor cannot start: {error}"
        _report(report_fd, Report(ok=False, error=said, exit_status=1))
        return 1
    supervisor.watch_signals()
    supervisor.watch_lifeline(lifeline_fd)
    ready = Report(
        ok=True,
        runtime_dir=str(claim.runtime_dir),
        healed=claim.healed,
        remarks=list(map(printable, claim.remarks)),
    )
    _report(report_fd, ready)
    try:
        await supervisor.run()
    finally:
        supervisor.home.close()
    return 0


def _report(fd: int, report: Report) -> None:
    with contextlib.suppress(OSError):  # nobody wants to know any more
        os.write(fd, msgspec.json.encode(report) + b"\n")
    os.close(fd)


class Supervisor:
    """One cluster's supervisor, in a running event loop. Raises OSError for a log not writable."""

    def __init__(self, spec: Spec, claim: Claim, entry: str) -> None:
        config = spec.config
        log = config.event_log(0)
        clock = HybridClock(after=last_time(log))
        self._events = EventLog(
            log,
            0,
            claim.next_life(SUPERVISOR).number,
            clock,
            level=config.log_level,
            rotate_bytes=config.log_rotate_bytes,
        )
        self._nodes = Nodes(
            config, claim, clock, self._events, entry=entry, python_path=spec.python_path
        )
        self._config = config
        self._operations = Operations(self._nodes, Random())
        self._claim = claim
        room = limits.allow_files(len(claim.cluster.members))
        self.home = Home(claim, self._nodes, self.answer, room)
        self._combiner = Combiner(config)
        self._trouble: str | None = None
        self._loop = asyncio.get_running_loop()
        self._ending = asyncio.Event()
        self._hurry = asyncio.Event()
        self._ended = asyncio.Event()
        self._why = ""
        for said in claim.healed:
            self._nodes.emit("warn", "cluster.healed", what=said)
        for said in claim.warnings:
            self._nodes.emit("warn", "record.damaged", what=said)
        self._nodes.emit(
            "info",
            "supervisor.started",
            pid=os.getpid(),
            cluster=config.name,
            nodes=len(self._nodes.all),
            machine=config.machine,
        )

    # -- from outside ------------------------------------------------------------------------

    def watch_signals(self) -> None:
        """The first one takes the cluster down in good order, the second at once."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            self._loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: signal.Signals) -> None:
        if self._ending.is_set():
            self._hurry.set()
        self.end(signal.Signals(number).name)

    def watch_lifeline(self, fd: int) -> None:
        """Ends with whoever holds the other end, unless we are let go of first."""

        def on_readable() -> None:
            let_go = os.read(fd, 1)
            self._loop.remove_reader(fd)
            os.close(fd)
            if not let_go:
                self.end("the launcher has gone")

        self._loop.add_reader(fd, on_readable)

    async def answer(self, request: Request) -> Reply:
        """One operator's request. Raises LauncherError."""
        if isinstance(request, requests.Down):
            self.end("asked to")
            await self._ended.wait()
            return Reply(ok=True)
        return await self._operations.perform(request)

    def end(self, why: str) -> None:
        """Begins to take the cluster down."""
        self._why = self._why or why
        self._nodes.close()
        self._operations.membership.close()
        self._ending.set()

    # -- the one life of it ------------------------------------------------------------------

    async def run(self) -> None:
        """Starts the nodes, waits for the end, and sees to it that nothing is left."""
        tailing = asyncio.create_task(self._tail())
        recording = asyncio.create_task(self._keep_records())
        homing = asyncio.create_task(self.home.keep())
        try:
            await self._start_nodes()
            self._operations.membership.resume()
            await self._ending.wait()
        finally:
            self._nodes.close()
            self._operations.membership.close()
            self._nodes.emit("info", "supervisor.stopping", reason=self._why)
            killed = await self._nodes.end_all(STOP_PATIENCE_S, self._hurry)
            tailing.cancel()
            recording.cancel()
            homing.cancel()
            if self._claim.holds:  # else the logs may be another's by now
                self._complete_timeline(killed)
            self._ended.set()

    async def _start_nodes(self) -> None:
        """All that are on record, but for those whose data is about to be removed."""
        for node in stay_down(self._nodes.roster.change):
            if node in self._nodes.all:
                self._nodes.all[node].lifecycle.stay_down("its data is to be removed")
        for node in list(self._nodes.all):
            if node in self._nodes.all:  # it may have been dismissed meanwhile
                await self._nodes.start(node, automatic=True)  # nothing, once the end has begun

    def _complete_timeline(self, killed: list[int]) -> None:
        self._combiner.drain()
        self._look()
        self._nodes.emit("info", "supervisor.stopped", reason=self._why, killed=killed)
        self._events.close()
        incomplete = self._combiner.finish()
        if incomplete is not None:
            print(incomplete, file=sys.stderr)  # the logs are closed

    async def _keep_records(self) -> None:
        """Notes how far each node's log reaches (`launcher/folders/lives.py`)."""
        while True:
            await asyncio.sleep(RECORD_INTERVAL_S)
            await self._nodes.ask()
            self._nodes.save_records()
            with contextlib.suppress(OSError):  # removed, or on a disk that fails
                printed.keep_bounded(self._config.supervisor_stderr)

    async def _tail(self) -> None:
        while True:
            await asyncio.sleep(TAIL_INTERVAL_S)
            if not self._claim.holds:
                # Nobody could find this cluster any more, and the next `up` would be beside it.
                self.end(self._claim.loss)
                return
            for node in self._nodes.all:
                self._combiner.include(self._config.event_log(node))
            self._combiner.prunes = not self._nodes.roster.guard.violations
            self._combiner.poll()
            self._look()

    def _look(self) -> None:
        """Says what is wrong with the logs that the timeline is made of."""
        for file, lines in self._combiner.take_broken().items():
            self._nodes.emit("warn", "log.lost", file=file, lines=lines)
        trouble = self._combiner.trouble
        if trouble is not None and trouble != self._trouble:
            self._nodes.emit("warn", "timeline.lagging", reason=trouble)
        self._trouble = trouble
