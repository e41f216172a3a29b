"""What a dead supervisor left behind: its runtime folder, and nodes that have outlived it.

Whoever holds the lock of a data folder knows that nobody else is here, and may clean up. What
belongs to this data folder, and what to another of which this one is a copy, is decided in
`launcher/folders/ownership.py`.
"""

from __future__ import annotations

import signal
import time

from launcher.config import ClusterConfig
from launcher.errors import LauncherError
from launcher.folders import ownership, runtime, runtime_files
from launcher.folders.ownership import FolderId
from launcher.folders.process_identity import start_of
from launcher.folders.supervisor_file import read_supervisor, runtime_folders

_KILL_PATIENCE_S = 5.0
_ENDING_PATIENCE_S = 8.0
"""How long a supervisor may take to end after it has lost the lock of its data folder."""

_POLL_S = 0.01


def heal(config: ClusterConfig) -> list[str]:
    """Cleans up after a dead supervisor; the caller holds the lock. Says what it found.

    Raises LauncherError when a former supervisor, or a node of it, cannot be got rid of: it may
    still write to the data.
    """
    folder = FolderId.of(config.data_dir.stat())
    healed = []
    for dead in _dead_runtime_folders(config, folder):
        healed += _kill_outlived(dead)
        runtime.remove(dead.path, dead.status)
        pid = dead.owner.pid if dead.owner is not None else "unknown"
        healed.append(f"removed the sockets of the dead supervisor {pid}")
    config.supervisor_file.unlink(missing_ok=True)
    return healed


def _dead_runtime_folders(config: ClusterConfig, folder: FolderId) -> list[ownership.RuntimeSeen]:
    """Those of this data folder, when the last that served it has ended. Raises LauncherError."""
    give_up = time.monotonic() + _ENDING_PATIENCE_S
    named = read_supervisor(config)
    while True:
        left = ownership.left_behind(folder, runtime_folders(named))
        if not left.ending:
            return left.dead
        if time.monotonic() > give_up:
            pids = " and ".join(f"pid {one.owner.pid}" for one in left.ending if one.owner)
            raise LauncherError(
                f"the supervisor that ran on {config.data_dir} before ({pids}) has lost its lock "
                "and has not ended yet: try again in a moment, or kill it"
            )
        time.sleep(_POLL_S)


def _kill_outlived(dead: ownership.RuntimeSeen) -> list[str]:
    """Kills the nodes of a dead supervisor. Raises LauncherError when one does not end."""
    listed = ownership.outlived(runtime_files.listed_in(dead), start_of)
    killed = {node: one for node, one in listed.items() if one.send_signal(signal.SIGKILL)}
    give_up = time.monotonic() + _KILL_PATIENCE_S
    while alive := [record for record in killed.values() if record.lives()]:
        if time.monotonic() > give_up:
            raise LauncherError(
                f"a node that outlived its supervisor (pid {alive[0].pid}) was killed and has not "
                "ended; it may still write to the data: try again when it is gone"
            )
        time.sleep(_POLL_S)
    return [
        f"killed n{node} (pid {record.pid}), which had outlived its supervisor"
        for node, record in killed.items()
    ]
