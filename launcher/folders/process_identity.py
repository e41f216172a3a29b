"""Which process a pid meant when it was written down.

Pids are used again, and a file that names one can be copied to a place where the number means
another process. So a process is recorded by its pid and its `start`, which no other process with
that pid shares:

    Linux       the boot, the pid namespace, and the tick at which the kernel started the process
    elsewhere   the time at which it started

On Linux no wall clock takes part: that clock may step, and psutil derives its start times from it.
So signals are not sent through psutil either: before each, some versions of it compare the start
time with an earlier one, and take the process for another one when the clock was set meanwhile.
A record from before a reboot, or from another container or machine, names nobody here.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import cache
from pathlib import Path
from typing import Annotated

import msgspec
import psutil

Pid = Annotated[int, msgspec.Meta(gt=0, lt=1 << 31)]

_ENDED = ("Z", "X")
"""The kernel's letters for a zombie, and for a process that is just being reaped."""


class ProcessRecord(msgspec.Struct, frozen=True):
    """A process, told from others that get the same pid later."""

    pid: Pid
    start: str

    @classmethod
    def of(cls, pid: int) -> ProcessRecord:
        """Raises psutil.NoSuchProcess."""
        start = start_of(pid)
        if start is None:
            raise psutil.NoSuchProcess(pid)
        return cls(pid, start)

    def find(self) -> psutil.Process | None:
        """The process, if it is still this one and not a zombie. To look at; see `send_signal`."""
        try:
            process = psutil.Process(self.pid)
        except (psutil.Error, ValueError, OverflowError):
            return None
        return process if self.lives() else None

    def lives(self) -> bool:
        """The process is still this one and not a zombie."""
        return start_of(self.pid) == self.start

    def is_stopped(self) -> bool:
        """It lives and is stopped by a signal (SIGSTOP, say), so that it does nothing."""
        process = self.find()
        try:
            return process is not None and process.status() == psutil.STATUS_STOPPED
        except psutil.Error:
            return False

    def send_signal(self, number: int) -> bool:
        """Sends a signal to this process, and to no other; returns whether it was there.

        Raises PermissionError.
        """
        handle = _open_handle(self.pid)
        try:
            if not self.lives():
                return False
            if handle is None:
                os.kill(self.pid, number)
            else:  # it stays with this process, also if its pid is given to another now
                signal.pidfd_send_signal(handle, number)
        except ProcessLookupError:
            return False
        finally:
            if handle is not None:
                os.close(handle)
        return True

    def send_signal_to_group(self, number: int) -> bool:
        """Sends a signal to the process group of which this process is the leader; to this process
        alone if it is not one (yet). Returns whether it was there. Raises PermissionError."""
        if not self.lives() or not self._leads_a_group():
            return self.send_signal(number)
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return False
        return True

    def _leads_a_group(self) -> bool:
        try:
            return os.getpgid(self.pid) == self.pid
        except ProcessLookupError:
            return False


def _open_handle(pid: int) -> int | None:
    """A descriptor of the process that has this pid now; None where the system has none."""
    if sys.platform != "linux":
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:  # there is no such process; or an old kernel, or a sandbox
        return None


def start_of(pid: int) -> str | None:
    """The `start` of the process that has this pid now; None when it has ended, or is a zombie."""
    return _start_by_kernel(pid) if sys.platform == "linux" else _start_by_psutil(pid)


def _start_by_kernel(pid: int) -> str | None:
    try:
        said = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # The name stands in parentheses, and may hold any character but a NUL; proc(5).
    state, *fields = said.rpartition(b")")[2].decode("ascii").split()
    return None if state in _ENDED else f"{_here()} {fields[18]}"


def _start_by_psutil(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return f"{process.create_time():.3f}"
    except (psutil.Error, ValueError, OverflowError):
        return None


@cache
def _here() -> str:
    """This boot of this machine, and this process's pid namespace."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # a sandbox may hide them; the tick is still there
        return "here"
