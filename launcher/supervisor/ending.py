"""Ending the cluster that runs on a data folder, from outside its supervisor.

The nodes end with their supervisor, however it ends. A signal goes only to a process that
`launcher/folders/ownership.py` has found to be the supervisor of this very data folder.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from launcher.config import ClusterConfig
from launcher.control import calling, requests
from launcher.errors import LauncherError, NotRunning, TimedOut
from launcher.folders import emptying, healing, lock
from launcher.folders.ownership import CutOff, Running
from launcher.folders.process_identity import ProcessRecord
from launcher.supervisor import claim

DOWN_TIMEOUT_S = 12.0
_LISTEN_PATIENCE_S = 2.0
_UNLOCK_PATIENCE_S = 5.0
_FORCE_PATIENCE_S = 0.5
_POLL_S = 0.01


class _Stopped(Exception):
    """The supervisor is stopped by a signal: it answers nobody, and ends at no other signal."""


def end(config: ClusterConfig, found: Running | CutOff) -> list[str]:
    """Asks the supervisor to end; makes it, when it does not. Returns when nobody has the lock.

    Returns what else had to be done, a phrase each. Raises LauncherError when it cannot be ended.
    """
    supervisor = found.process
    try:
        if not _ends_when_asked(config, found):
            _kill(config, supervisor)
            return [f"killed the supervisor (pid {supervisor.pid}), which did not react"]
    except _Stopped:
        _kill(config, supervisor)
        return [f"killed the supervisor (pid {supervisor.pid}), which was stopped by a signal"]
    return []


def force(config: ClusterConfig, found: Running | CutOff) -> None:
    """Has the supervisor kill its nodes and end; kills it, when it does not.

    Raises LauncherError when it cannot be ended.
    """
    for _ in range(2):  # the first may begin the end, the second forces it
        found.process.send_signal(signal.SIGTERM)
        if _is_unlocked(config, _FORCE_PATIENCE_S):
            return
    _kill(config, found.process)


def _ends_when_asked(config: ClusterConfig, found: Running | CutOff) -> bool:
    """Whether nobody has the lock any more. Raises _Stopped."""

    def look() -> None:
        if found.process.is_stopped():
            raise _Stopped

    look()
    patience_s = _UNLOCK_PATIENCE_S
    socket = found.runtime_dir / requests.CONTROL_SOCKET
    try:
        calling.call(socket, requests.Down(), DOWN_TIMEOUT_S, look)
    except NotRunning:  # it is ending already, or its socket was removed
        if _is_unlocked(config, _LISTEN_PATIENCE_S, look):
            return True
        found.process.send_signal(signal.SIGTERM)
        patience_s = DOWN_TIMEOUT_S
    except TimedOut:
        pass
    return _is_unlocked(config, patience_s, look)


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
        healed = healing.heal(config)
        if volumes:
            emptying.remove_data(config)
            claim.remove_folder(config)
    return True, healed


def _kill(config: ClusterConfig, supervisor: ProcessRecord) -> None:
    supervisor.send_signal(signal.SIGKILL)
    if not _is_unlocked(config, _UNLOCK_PATIENCE_S):
        raise LauncherError(f"the supervisor (pid {supervisor.pid}) cannot be ended")


def _is_unlocked(
    config: ClusterConfig, patience_s: float, look: Callable[[], None] | None = None
) -> bool:
    """Whether nobody has the lock, or has it no more within this time.

    look: called now and then meanwhile; what it raises ends the wait
    """
    deadline = time.monotonic() + patience_s
    while lock.is_locked(config):
        if look is not None:
            look()
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_S)
    return True
