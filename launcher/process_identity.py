"""Which process a pid meant when it was written down.

Pids are used again, and a file that names one can be copied to a place where the number means
another process. So a process is recorded by its pid and its `start`, which no other process with
that pid shares:

    Linux       the boot, the pid namespace, and the tick at which the kernel started the process
    elsewhere   the time at which it started

On Linux no wall clock takes part: that clock may step, and psutil derives its start times from it.
A record from before a reboot, or from another container or machine, names nobody here.
"""

from __future__ import annotations

import os
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
        """The process, if it is still this one and not a zombie."""
        try:
            process = psutil.Process(self.pid)
        except (psutil.Error, ValueError, OverflowError):
            return None
        # Asked second: psutil compares its own idea of the start before it sends a signal.
        return process if start_of(self.pid) == self.start else None


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
