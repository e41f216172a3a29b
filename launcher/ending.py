"""Ending the supervisor of a data folder: asked first, and killed when it does not end.

Its nodes end with it, however it ends.
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import psutil

from launcher import control, lock
from launcher.config import ClusterConfig
from launcher.errors import LauncherError, NotRunning, TimedOut
from launcher.lock import SupervisorRecord

DOWN_TIMEOUT_S = 12.0
UNLOCK_PATIENCE_S = 5.0
FORCE_PATIENCE_S = 0.5
_POLL_S = 0.01


def end(config: ClusterConfig, record: SupervisorRecord) -> None:
    """Asks the supervisor to end, and kills it when it does not. Returns when the lock is free.

    Raises LauncherError when it cannot be ended.
    """
    path = Path(record.runtime_dir) / control.CONTROL_SOCKET
    with contextlib.suppress(NotRunning, TimedOut):
        control.call(path, control.Down(), DOWN_TIMEOUT_S)
    if not _is_unlocked(config, UNLOCK_PATIENCE_S):
        _kill(config, record)


def force(config: ClusterConfig, record: SupervisorRecord) -> None:
    """Ends it at once, waiting for no node. Raises LauncherError when it cannot be ended."""
    for _ in range(2):  # the first may begin the end, the second forces it
        process = record.process.find()
        if process is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        if _is_unlocked(config, FORCE_PATIENCE_S):
            return
    _kill(config, record)


def _kill(config: ClusterConfig, record: SupervisorRecord) -> None:
    process = record.process.find()
    if process is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    if not _is_unlocked(config, UNLOCK_PATIENCE_S):
        raise LauncherError(f"the supervisor (pid {record.pid}) cannot be ended")


def _is_unlocked(config: ClusterConfig, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while lock.is_locked(config):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
