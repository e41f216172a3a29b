"""The client of a `Cluster` object: one for all threads of a process, made when it is needed.

It is made anew when the cluster was taken down and came up again, since its sockets are elsewhere
then. The one before is let go of; a call of another thread that still uses it keeps it until then.
A forked child begins with no client, and with a lock that nobody holds.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from launcher import forked
from launcher.client.answers import Submitted
from launcher.client.client import Client
from launcher.client.route import HEDGE_S
from launcher.client.sockets import Sockets
from launcher.client.unanswered import NoAnswer
from launcher.config import ClusterConfig
from launcher.control import asking, calling, requests
from launcher.errors import LauncherError
from launcher.folders import lock, runtime_files
from launcher.overrides import with_texts
from node.raft.messages import NodeId

KNOWN_OF_TIMEOUT_S = 1.0
"""How long the supervisor may take to say why nodes do not answer."""


class SharedClient:
    """Safe for several threads at once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._settings_seen = 0
        """when the settings were written by which the client waits"""
        self._made: tuple[Client, Path] | None = None
        """The client, and the folder of the sockets that it uses."""
        forked.tell_children(self)

    def get(self, config: ClusterConfig) -> Client:
        """The client of the cluster as it runs now.

        Raises NotRunning, as `asking.running`, and LauncherError while the cluster is frozen.
        """
        made = self._made
        if made is not None and _still_runs(config, made[1]):
            asking.check_thawed(made[1])
            self._keep_pace(config, made)
            return made[0]
        runtime_dir = asking.runtime_dir(config)
        asking.check_thawed(runtime_dir)
        with self._lock:
            if self._made is None or self._made[1] != runtime_dir:
                self._made = _client_of(config, runtime_dir), runtime_dir
                self._settings_seen = 0
            self._keep_pace(config, self._made)
            return self._made[0]

    def _keep_pace(self, config: ClusterConfig, made: tuple[Client, Path]) -> None:
        """The client waits as long as the timers that are in force now make it necessary."""
        client, runtime_dir = made
        try:
            written_at = (runtime_dir / runtime_files.SETTINGS_FILE).stat().st_mtime_ns
        except OSError:
            return
        if written_at != self._settings_seen:
            now = with_texts(config, runtime_files.settings_in(runtime_dir))
            client.keep_pace(now.answer_timeout_s, HEDGE_S * now.patience)
            self._settings_seen = written_at

    def close(self) -> None:
        """Ends the connections; `get` makes others. A call that waits raises UsageError."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made[0].close()

    def after_fork(self) -> None:
        """See `forked.Forkable`."""
        self._lock = threading.Lock()
        self._made = None


def _still_runs(config: ClusterConfig, runtime_dir: Path) -> bool:
    """Whether the cluster whose sockets are in that folder still runs.

    This is asked at each call, and to find out who runs costs more than to submit an entry. A
    supervisor removes its own folder, and that of a dead one before it. When somebody else has
    removed it, the same supervisor makes another, under the same name if it can.
    """
    return lock.is_locked(config) and (runtime_dir / runtime_files.OWNER_FILE).exists()


def _client_of(config: ClusterConfig, runtime_dir: Path) -> Client:
    return Client(
        Sockets(config, runtime_dir),
        timeout_s=config.answer_timeout_s,
        hedge_s=HEDGE_S * config.patience,
        max_entry_bytes=config.entry_limit_bytes,
        idle_s=config.session_timeout_s / 2,
        resend=partial(_resend, config),
        known_of=partial(_known_of, runtime_dir),
    )


def _known_of(runtime_dir: Path, nodes: Sequence[NodeId]) -> str:
    """Which of these nodes have failed or hang, and why, as the supervisor knows; or empty.

    A node that was stopped on purpose is not told of: whoever stopped it knows.
    """
    path = runtime_dir / requests.CONTROL_SOCKET
    try:
        status = calling.call(path, requests.AskStatus(), KNOWN_OF_TIMEOUT_S).status
    except LauncherError:
        return ""
    assert status is not None, "the reply to AskStatus has a status"
    ill = [node.id for node in status.nodes if node.state == "failed" or node.hangs]
    return status.missing(among=set(ill) & set(nodes))


def _resend(config: ClusterConfig, error: NoAnswer, timeout_s: float | None) -> list[Submitted]:
    """As `Client.resend`, wherever the cluster runs by now, and in whichever process this is."""
    runtime_dir = asking.runtime_dir(config)
    now = with_texts(config, runtime_files.settings_in(runtime_dir))
    with _client_of(now, runtime_dir) as client:
        return client.resend(error, timeout_s=timeout_s)
