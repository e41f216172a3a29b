"""A launcher's own supervisor: starting its process, and what ties the two together.

Three things join them, and `launcher/supervisor/boot.py` has the other ends: the spec on its
standard input; the pipe on which it reports, once, that it is ready or why not; and the lifeline, a
pipe whose end tells it that the launcher has gone. Letting go of it is one byte on the lifeline.

A forked child of the launcher must hold neither the lifeline nor the supervisor's standard input:
as long as it lived, the supervisor would see no end of them. So nobody forks while a supervisor is
being started, and in a child the lifeline is closed at once.
"""

from __future__ import annotations

import contextlib
import errno
import os
import selectors
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import BinaryIO

import msgspec

from launcher import forked, streams
from launcher.config import ClusterConfig
from launcher.control.spec import Report, Spec, encode_spec
from launcher.errors import LauncherError, TimedOut
from launcher.folders import private
from launcher.folders.lock import disk_errors
from launcher.supervisor import machine_check
from launcher.supervisor.lifecycle import signal_name
from node import module_path

REPORT_TIMEOUT_S = 20.0
_REAP_TIMEOUT_S = 5.0

_no_fork = threading.RLock()
os.register_at_fork(
    before=_no_fork.acquire, after_in_parent=_no_fork.release, after_in_child=_no_fork.release
)


def check_machine(name: str, limit_s: float) -> None:
    """Raises UsageError before anything is started for a machine that is none.

    limit_s: a user's machine may take so long to be imported, constructed and restored
    """
    from node.machines import registry

    if registry.is_shipped(name):
        return
    machine_check.check(name, list(module_path.users()), module_path.environment(), limit_s)


class OwnSupervisor:
    """A supervisor that this process has started, and that ends with it unless it is let go of.

    healed: what a dead predecessor had left behind, a phrase each
    remarks: what is not well with the cluster's folders, a sentence each
    """

    def __init__(self, config: ClusterConfig, *, fresh: bool, entry: str) -> None:
        """Returns when it has the lock and listens. Raises LauncherError with what it says."""
        with disk_errors(config.log_dir, "logs"):
            private.make_folder(config.log_dir)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
            printed = os.fdopen(private.open_file(config.supervisor_stderr, flags), "ab")
        spec = Spec(
            config=config, fresh=fresh, python_path=[Path(path) for path in module_path.users()]
        )
        self._lifeline: int | None = None
        with printed, _no_fork:
            said_before = printed.seek(0, os.SEEK_END)
            report = self._spawn(spec, entry, printed)
            forked.tell_children(self)
        try:
            said = _await_report(report, config, said_before)
            self.healed, self.remarks = said.healed, said.remarks
        except BaseException:
            self.end()
            raise
        finally:
            os.close(report)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def depends_on_us(self) -> bool:
        """It has not been let go of."""
        return self._lifeline is not None

    def how_it_died(self) -> str:
        """How its process ended, when it did not end in good order; empty when it did, or lives.

        Waits for a moment for a process that is just ending.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            status = self._process.wait(_REAP_TIMEOUT_S)
            if status < 0:
                return f"was ended by {signal_name(-status)}"
            if status > 0:
                return f"ended with exit status {status}"
        return ""

    def after_fork(self) -> None:
        """See `forked.Forkable`: only the parent's life is what the supervisor's depends on."""
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None

    def let_go(self) -> None:
        """It goes on without us."""
        if self._lifeline is not None:
            with contextlib.suppress(OSError):
                os.write(self._lifeline, b"d")
            os.close(self._lifeline)
            self._lifeline = None

    def end(self) -> None:
        """Lets the lifeline end, and so the supervisor, unless it was let go of; leaves no zombie
        of one that ends by itself soon."""
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_REAP_TIMEOUT_S)

    def _spawn(self, spec: Spec, entry: str, printed: BinaryIO) -> int:
        """Starts the process; returns the pipe on which it will report."""
        report, report_theirs = streams.pipe()
        lifeline_theirs, lifeline = streams.pipe()
        try:
            self._process = subprocess.Popen(
                [
                    *(sys.executable, "-P", "-m", "launcher", "_supervise"),
                    *(str(report_theirs), str(lifeline_theirs), entry),
                ],
                stdin=subprocess.PIPE,
                stdout=printed,
                stderr=printed,
                pass_fds=(report_theirs, lifeline_theirs),
                start_new_session=True,
                env=module_path.environment(),
            )
        except OSError as error:
            os.close(report)
            os.close(lifeline)
            hint = " (`ulimit -u` says how many processes a user may have)"
            why = f"{error}{hint if error.errno == errno.EAGAIN else ''}"
            raise LauncherError(f"the supervisor cannot be started: {why}") from error
        finally:
            os.close(report_theirs)
            os.close(lifeline_theirs)
        self._lifeline = lifeline
        assert self._process.stdin is not None, "it was asked for"
        with contextlib.suppress(BrokenPipeError), self._process.stdin as stdin:
            stdin.write(encode_spec(spec))  # one that has died has no report either
        return report


def _await_report(report: int, config: ClusterConfig, said_before: int) -> Report:
    """Of a supervisor that is ready. Raises LauncherError."""
    line = _read_line(report, REPORT_TIMEOUT_S)
    if not line:
        raise LauncherError(f"the supervisor died: {_last_words(config, said_before)}")
    said = msgspec.json.decode(line, type=Report)
    if not said.ok:
        raise LauncherError(said.error)
    return said


def _read_line(fd: int, timeout_s: float) -> bytes:
    """What comes before a newline; nothing when the end comes first. Raises TimedOut."""
    deadline = time.monotonic() + timeout_s
    line = b""
    while not line.endswith(b"\n"):
        with selectors.DefaultSelector() as selector:
            selector.register(fd, selectors.EVENT_READ)
            ready = selector.select(max(0.0, deadline - time.monotonic()))
        if not ready:
            raise TimedOut(f"the supervisor has not come up in {timeout_s:g} s")
        data = os.read(fd, 1 << 16)
        if not data:
            return b""
        line += data
    return line


def _last_words(config: ClusterConfig, offset: int) -> str:
    """The last that the supervisor printed, for one that died without a word to us."""
    with contextlib.suppress(OSError), config.supervisor_stderr.open("rb") as file:
        file.seek(offset)
        lines = file.read().decode("utf-8", "replace").split("\n")
        for line in reversed(lines):
            if line.strip():
                return f"{line.strip()} (see {config.supervisor_stderr})"
    return f"see {config.supervisor_stderr}"
