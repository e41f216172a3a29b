"""What processes have used of the machine so far: time on its cores, writes to its disks, memory.

What their ended children used (a node's snapshots are written by forks) counts as theirs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
import psutil


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Of several processes together.

    cpu_s: seconds of a core
    written_bytes: what they handed over with write and pwrite (`wchar` of /proc/PID/io): files, not
        sockets. (`write_bytes` is no use: it counts the whole of a page, which today may be 1 MiB.)
        None where the system does not say, which is everywhere but on Linux
    memory_bytes: proportional set size, or where there is none the resident set
    """

    cpu_s: float
    written_bytes: int | None
    memory_bytes: int


def usage(pids: Iterable[int]) -> Usage:
    """What the processes have used since they began. One that has ended raises psutil.Error."""
    processes = [psutil.Process(pid) for pid in pids]
    written = [_written_bytes(process) for process in processes]
    return Usage(
        cpu_s=sum(sum(process.cpu_times()[:4]) for process in processes),
        written_bytes=None if None in written else sum(filter(None, written)),
        memory_bytes=sum(_memory_bytes(process) for process in processes),
    )


def _written_bytes(process: Any) -> int | None:
    try:
        return int(process.io_counters().write_chars)
    except (AttributeError, psutil.AccessDenied):
        return None


def _memory_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (AttributeError, psutil.AccessDenied):
        return int(process.memory_info().rss)
