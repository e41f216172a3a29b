"""A process of the lab as the launcher sees it: started, listened to, and ended for certain.

It runs a user's code, so it is a process of its own in a process group of its own, with no
terminal; what it prints is dropped. It says what it has to say on a pipe. Whatever happens to the
launcher, the process ends: it holds the reading end of a lifeline, whose other end is only here.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from contextlib import suppress
from types import TracebackType

from launcher import forked, streams
from launcher.errors import LauncherError
from node import module_path

_READ_BYTES = 1 << 16


class LabProcess:
    """`with LabProcess(module, spec) as process:`, which leaves none of its processes behind."""

    def __init__(self, module: str, spec: bytes) -> None:
        """module: run with two arguments, the report's descriptor and the lifeline's
        spec: written to its standard input

        Raises LauncherError when it cannot be started.
        """
        self._report, report_theirs = streams.pipe()
        lifeline_theirs, self._lifeline = streams.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, str(report_theirs), str(lifeline_theirs)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(report_theirs, lifeline_theirs),
                env=module_path.environment(),
                start_new_session=True,  # Ctrl-C is for us; and its group can be ended whole
            )
        except OSError as error:
            os.close(self._report)
            os.close(self._lifeline)
            raise LauncherError(f"a process for the workload cannot be started: {error}") from error
        finally:
            os.close(report_theirs)
            os.close(lifeline_theirs)
        self._rest = b""
        forked.tell_children(self)
        self.write(spec)

    @property
    def pid(self) -> int:
        return self._process.pid

    def write(self, data: bytes) -> None:
        """To its standard input. One that has ended hears nothing; its report says why."""
        assert self._process.stdin is not None, "it was asked for"
        with suppress(BrokenPipeError):
            self._process.stdin.write(data)
            self._process.stdin.flush()

    def line(self, timeout_s: float) -> bytes | None:
        """The next line of its report; None when none comes in time. Raises EOFError."""
        deadline = time.monotonic() + timeout_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._report, selectors.EVENT_READ)
            while b"\n" not in self._rest:
                if not selector.select(max(0.0, deadline - time.monotonic())):
                    return None
                data = os.read(self._report, _READ_BYTES)
                if not data:
                    raise EOFError
                self._rest += data
        line, _, self._rest = self._rest.partition(b"\n")
        return line

    def how_it_ended(self) -> str:
        """For one that said nothing before: `by SIGKILL`, `with exit status 1`."""
        try:
            status = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return "without a word"
        if status >= 0:
            return f"with exit status {status}"
        return f"by {signal.Signals(-status).name}"

    def end(self) -> None:
        """Ends it, and all that it has started."""
        # Its own pid is still its own here, and so is its group's: it is reaped only after this.
        if self._process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self.after_fork()
        self._process.wait()
        assert self._process.stdin is not None, "it was asked for"
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def after_fork(self) -> None:
        """See `forked.Forkable`: only the launcher's life is what the process depends on."""
        for name in ("_report", "_lifeline"):
            descriptor = getattr(self, name)
            if descriptor >= 0:
                os.close(descriptor)
                setattr(self, name, -1)

    def __enter__(self) -> LabProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.end()
