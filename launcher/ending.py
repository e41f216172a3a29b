"""Ending the cluster that runs on a data folder, from outside its supervisor.

The nodes end with their supervisor, however it ends. A signal goes only to a process that
`launcher/ownership.py` has found to be the supervisor of this very data folder.
"""

from __future__ import annotations

import contextlib
import signal
import time

import psutil

from launcher import claim, control, emptying, lock
from launcher.config import ClusterConfig
from launcher.errors import LauncherError, NotRunning, TimedOut
from launcher.ownership import CutOff, Running
from launcher.process_identity import ProcessRecord

DOWN_TIMEOUT_S = 12.0
_LISTEN_PATIENCE_S = 2.0
_UNLOCK_PATIENCE_S = 5.0
_FORCE_PATIENCE_S = 0.5
_POLL_S = 0.01


def end(config: ClusterConfig, found: Running | CutOff) -> None:
    """Asks the supervisor to end; makes it, when it does not. Returns when nobody has the lock.

    Raises LauncherError when it cannot be ended.
    """
    patience_s = _UNLOCK_PATIENCE_S
    try:
        control.call(found.runtime_dir / control.CONTROL_SOCKET, control.Down(), DOWN_TIMEOUT_S)
    except NotRunning:  # it is ending already, or its socket was removed
        if _is_unlocked(config, _LISTEN_PATIENCE_S):
            return
        _signal(found.process, signal.SIGTERM)
        patience_s = DOWN_TIMEOUT_S
    except TimedOut:
        pass
    if not _is_unlocked(config, patience_s):
        _kill(config, found.process)


def force(config: ClusterConfig, found: Running | CutOff) -> None:
    """Has the supervisor kill its nodes and end; kills it, when it does not.

    Raises LauncherError when it cannot be ended.
    """
    for _ in range(2):  # the first may begin the end, the second forces it
        _signal(found.process, signal.SIGTERM)
        if _is_unlocked(config, _FORCE_PATIENCE_S):
            return
    _kill(config, found.process)


def check_removable(config: ClusterConfig) -> None:
    """Raises LauncherError when the data of this cluster could not be removed now."""
    with lock.disk_errors(config.data_dir):
        emptying.check_removable(config)


def clean_up(config: ClusterConfig, *, volumes: bool) -> tuple[bool, list[str]]:
    """Cleans up after a dead supervisor. volumes: removes the data as well.

    Returns whether there has been a cluster, and what was left behind, a phrase each. Raises
    LauncherError.
    """
    if not claim.exists(config):
        return False, []
    with lock.locked(config), lock.disk_errors(config.data_dir):
        healed = lock.heal(config)
        if volumes:
            emptying.remove_data(config)
            claim.remove_folder(config)
    return True, healed


def _kill(config: ClusterConfig, supervisor: ProcessRecord) -> None:
    _signal(supervisor, signal.SIGKILL)
    if not _is_unlocked(config, _UNLOCK_PATIENCE_S):
        raise LauncherError(f"the supervisor (pid {supervisor.pid}) cannot be ended")


def _signal(record: ProcessRecord, number: signal.Signals) -> None:
    """Sends a signal to this process, unless it has ended."""
    process = record.find()
    if process is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _is_unlocked(config: ClusterConfig, patience_s: float) -> bool:
    deadline = time.monotonic() + patience_s
    while lock.is_locked(config):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
