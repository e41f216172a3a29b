"""Asking the supervisor that runs on a data folder, and noticing when it cannot answer.

A request may take minutes, a rolling restart say; so a long silence alone means nothing. But a
supervisor that is well answers within a moment how its nodes are, whatever else it does. So
whoever waits looks every second whether its process is stopped, and asks now and then for that.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from launcher.config import ClusterConfig
from launcher.control import calling, requests
from launcher.control.requests import Reply, Request
from launcher.errors import LauncherError, NotRunning, TimedOut
from launcher.folders import lock, runtime_files
from launcher.folders.ownership import Running

LISTEN_PATIENCE_S = 2.0
"""How long a supervisor that is just starting may take until it listens."""

PING_INTERVAL_S = 5.0
PING_TIMEOUT_S = 5.0
"""A supervisor that takes longer to say how its nodes are does not react at all."""

_POLL_S = 0.02


def running(config: ClusterConfig) -> Running:
    """The cluster that runs on this data folder.

    Raises NotRunning, and LauncherError when it cannot be reached; see `lock.running`.
    """
    found = lock.running(config)
    if found is None:
        raise NotRunning(
            f"no cluster is running here (data in {config.data_dir}): `launcher up` starts one"
        )
    return found


def runtime_dir(config: ClusterConfig) -> Path:
    """The folder of the sockets of the cluster that runs. Raises as `running`."""
    return running(config).runtime_dir


def check_thawed(runtime_dir: Path) -> None:
    """Raises LauncherError while the cluster is frozen: its nodes answer nobody."""
    if why := runtime_files.why_frozen(runtime_dir):
        raise LauncherError(why)


def ask(
    config: ClusterConfig, request: Request, timeout_s: float, *, at_pace: bool = False
) -> Reply:
    """Asks the supervisor; one that is just starting is given a moment to listen.

    at_pace: the answer waits for elections, so it may take longer where the timers are slow

    Raises NotRunning, LauncherError when it cannot be reached, or is stopped and nothing was asked
    of it, TimedOut when it is stopped or hangs after that, and what it answers.
    """
    give_up = time.monotonic() + LISTEN_PATIENCE_S
    while True:
        found = running(config)
        path = found.runtime_dir / requests.CONTROL_SOCKET
        if found.process.is_stopped():
            raise LauncherError(_stopped(found))
        patience = _patience(found) if at_pace else 1.0
        try:
            return calling.call(path, request, timeout_s * patience, _watch(found, path))
        except NotRunning:
            if path.exists():
                raise
            if time.monotonic() > give_up:
                raise LauncherError(
                    f"a cluster is running here, but its control socket {path} was removed: "
                    "`launcher down` ends the cluster"
                ) from None
        time.sleep(_POLL_S)


def _patience(found: Running) -> float:
    """That of the settings in force; see `ClusterConfig.patience`."""
    text = runtime_files.settings_in(found.runtime_dir).get("timescale", "1")
    with suppress(ValueError):
        return max(1.0, float(text))
    return 1.0


def _watch(found: Running, path: Path) -> Callable[[], None]:
    """What is done each second while an answer is awaited. It raises TimedOut."""
    ping_at = time.monotonic() + PING_INTERVAL_S

    def look() -> None:
        nonlocal ping_at
        if found.process.is_stopped():
            raise TimedOut(f"{_stopped(found)}; what was asked of it may be done then")
        if time.monotonic() >= ping_at:
            try:
                calling.call(path, requests.AskStatus(), PING_TIMEOUT_S)
            except TimedOut:
                raise TimedOut(
                    f"the supervisor (pid {found.pid}) does not react: `launcher down` ends it, "
                    "and the nodes with it"
                ) from None
            except LauncherError:
                pass  # it reacts; and whether it is gone shows where the answer is awaited
            ping_at = time.monotonic() + PING_INTERVAL_S

    return look


def _stopped(found: Running) -> str:
    pid = found.pid
    return (
        f"the supervisor (pid {pid}) is stopped by a signal and answers nobody: "
        f"`kill -CONT {pid}` lets it go on"
    )
