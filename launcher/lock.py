"""The lock of a data folder: who runs a cluster on it, and what a dead one left behind.

    data/supervisor.lock    locked (flock) by the living supervisor: that alone says who is running
    data/supervisor.json    who that is, where its sockets are, and its nodes' processes

The kernel drops the lock when its holder dies, however it dies. So whoever gets the lock knows that
nobody else is here, and may clean up: the folder of the dead supervisor's sockets, and its nodes,
should one have outlived it. A process is only ever killed when its start time is the recorded one
too, since pids are used again.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import psutil

from launcher import runtime, sealed
from launcher.config import ClusterConfig
from launcher.errors import LauncherError
from node.raft.messages import NodeId

_LOCK_PATIENCE_S = 0.3
_KILL_PATIENCE_S = 5.0
_SAME_START_S = 0.1
"""The kernel counts start times in ticks of 10 ms."""


class ProcessRecord(msgspec.Struct, frozen=True):
    """A process, told from others that get the same pid later. create_time: psutil's, in s."""

    pid: int
    create_time: float

    @classmethod
    def of(cls, pid: int) -> ProcessRecord:
        """Raises psutil.NoSuchProcess."""
        return cls(pid, psutil.Process(pid).create_time())

    def find(self) -> psutil.Process | None:
        """The process, if it is still this one and not a zombie."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.create_time) > _SAME_START_S:
                return None
            return None if process.status() == psutil.STATUS_ZOMBIE else process
        except psutil.NoSuchProcess:
            return None


class SupervisorRecord(msgspec.Struct, frozen=True, kw_only=True):
    """supervisor.json: what others need to reach the supervisor, or to clean up after it."""

    pid: int
    create_time: float
    runtime_dir: str
    name: str
    nodes: dict[NodeId, ProcessRecord] = {}

    @property
    def process(self) -> ProcessRecord:
        return ProcessRecord(self.pid, self.create_time)


def running(config: ClusterConfig) -> SupervisorRecord | None:
    """The supervisor that runs on this data folder, or None. Never raises for a missing folder."""
    deadline = time.monotonic() + _LOCK_PATIENCE_S
    while is_locked(config):
        record = read_supervisor(config)
        if record is not None and record.process.find() is not None:
            return record
        # It has just taken the lock and not written the file yet, or it is dying.
        if time.monotonic() > deadline:
            return record
        time.sleep(0.01)
    return None


def is_locked(config: ClusterConfig) -> bool:
    """Some supervisor lives on this data folder."""
    try:
        fd = os.open(config.supervisor_lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        release(fd)
    return False


@contextmanager
def locked(config: ClusterConfig) -> Iterator[None]:
    """Holds the lock, to clean up where nobody runs. Raises LauncherError when somebody does."""
    with disk_errors(config.data_dir):
        lock = take(config)
    try:
        yield
    finally:
        release(lock)


def release(lock: int) -> None:
    """Unlocks, and closes. Closing alone would not do: a child that was forked meanwhile holds the
    same lock, for as long as it lives."""
    fcntl.flock(lock, fcntl.LOCK_UN)
    os.close(lock)


def heal(config: ClusterConfig) -> list[str]:
    """Cleans up after a dead supervisor; the caller holds the lock. Says what it found."""
    left = read_supervisor(config)
    if left is None:
        return []
    healed = []
    alive = {node: process for node, record in left.nodes.items() if (process := record.find())}
    for node, process in alive.items():
        try:
            process.kill()  # psutil compares the start time once more
            healed.append(f"killed n{node} (pid {process.pid}), which had outlived its supervisor")
        except psutil.NoSuchProcess:
            continue
    psutil.wait_procs(list(alive.values()), timeout=_KILL_PATIENCE_S)
    folder = Path(left.runtime_dir)
    if runtime.is_one(folder):
        shutil.rmtree(folder, ignore_errors=True)
        healed.append(f"removed the sockets of the dead supervisor {left.pid}")
    config.supervisor_file.unlink(missing_ok=True)
    return healed


def take(config: ClusterConfig) -> int:
    """The locked file's descriptor, which no child inherits. Raises LauncherError if taken."""
    deadline = time.monotonic() + _LOCK_PATIENCE_S
    while True:
        fd = os.open(config.supervisor_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_file(fd, config.supervisor_lock):
                return fd
        except BlockingIOError:
            # Somebody who only looks whether it is locked holds it for microseconds.
            if time.monotonic() > deadline:
                os.close(fd)
                break
        os.close(fd)
        time.sleep(0.01)
    record = read_supervisor(config)
    who = f"supervisor pid {record.pid}, " if record else ""
    raise LauncherError(
        f"a cluster is running here already ({who}data in {config.data_dir}): "
        "`launcher ps` shows it, `launcher down` stops it, -p NAME runs another beside it"
    )


def is_file(fd: int, path: Path) -> bool:
    """It was not removed, or replaced by another, since it was opened."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def disk_errors(folder: Path, key: str = "data") -> Iterator[None]:
    """An OSError becomes the one line that the user can act on."""
    try:
        yield
    except OSError as error:
        what = error.strerror or str(error)
        raise LauncherError(
            f"the {key} folder {folder} cannot be used: {what} ({error.filename or folder}); "
            f"put that right, or choose another with `{key}:` in cluster.yaml"
        ) from error


def read_supervisor(config: ClusterConfig) -> SupervisorRecord | None:
    """supervisor.json; None when there is nothing that can be understood."""
    try:
        return sealed.decode(config.supervisor_file.read_bytes(), SupervisorRecord)
    except (OSError, sealed.BrokenSeal):
        return None


def write_supervisor(config: ClusterConfig, record: SupervisorRecord) -> None:
    """Not durable: it is worthless after a loss of power. Raises OSError."""
    sealed.replace(config.supervisor_file, msgspec.json.encode(record) + b"\n", durable=False)
