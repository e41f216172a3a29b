"""Asking the supervisor that runs on a data folder, and noticing when it cannot answer.

A request may take minutes, a rolling restart say; so a long silence alone means nothing. But a
supervisor that is well answers within a moment how its nodes are, whatever else it does. So
whoever waits looks every second whether its process is stopped, and asks now and then for that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import psutil

from launcher import control, lock
from launcher.config import ClusterConfig
from launcher.control import Reply, Request
from launcher.errors import LauncherError, NotRunning, TimedOut
from launcher.lock import SupervisorRecord

LISTEN_PATIENCE_S = 2.0
"""How long a supervisor that is just starting may take until it listens."""

PING_INTERVAL_S = 5.0
PING_TIMEOUT_S = 5.0
"""A supervisor that takes longer to say how its nodes are does not react at all."""

_POLL_S = 0.02


def running(config: ClusterConfig) -> SupervisorRecord:
    """The supervisor that runs on this data folder. Raises NotRunning."""
    record = lock.running(config)
    if record is None:
        raise NotRunning(
            f"no cluster is running here (data in {config.data_dir}): `launcher up` starts one"
        )
    return record


def runtime_dir(config: ClusterConfig) -> Path:
    """The folder of the sockets of the cluster that runs. Raises NotRunning."""
    return Path(running(config).runtime_dir)


def ask(config: ClusterConfig, request: Request, timeout_s: float) -> Reply:
    """Asks the supervisor; one that is just starting is given a moment to listen.

    Raises NotRunning, LauncherError when it is stopped and nothing was asked of it, TimedOut when
    it is stopped or hangs after that, and what it answers.
    """
    give_up = time.monotonic() + LISTEN_PATIENCE_S
    while True:
        record = running(config)
        path = Path(record.runtime_dir) / control.CONTROL_SOCKET
        if _is_stopped(record):
            raise LauncherError(_stopped(record))
        try:
            return control.call(path, request, timeout_s, _watch(record, path))
        except NotRunning:
            if path.exists() or time.monotonic() > give_up:
                raise
        time.sleep(_POLL_S)


def _watch(record: SupervisorRecord, path: Path) -> Callable[[], None]:
    """What is done each second while an answer is awaited. It raises TimedOut."""
    ping_at = time.monotonic() + PING_INTERVAL_S

    def look() -> None:
        nonlocal ping_at
        if _is_stopped(record):
            raise TimedOut(f"{_stopped(record)}; what was asked of it may be done then")
        if time.monotonic() >= ping_at:
            try:
                control.call(path, control.AskStatus(), PING_TIMEOUT_S)
            except TimedOut:
                raise TimedOut(
                    f"the supervisor (pid {record.pid}) does not react: `launcher down` ends it, "
                    "and the nodes with it"
                ) from None
            except LauncherError:
                pass  # it reacts; and whether it is gone shows where the answer is awaited
            ping_at = time.monotonic() + PING_INTERVAL_S

    return look


def _is_stopped(record: SupervisorRecord) -> bool:
    process = record.process.find()
    try:
        return process is not None and process.status() == psutil.STATUS_STOPPED
    except psutil.NoSuchProcess:
        return False


def _stopped(record: SupervisorRecord) -> str:
    pid = record.pid
    return (
        f"the supervisor (pid {pid}) is stopped by a signal and answers nobody: "
        f"`kill -CONT {pid}` lets it go on"
    )
