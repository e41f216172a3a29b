"""The claim: which supervisor may run a cluster on a data folder, and what its predecessors left.

    data/supervisor.lock    locked (flock) by the living supervisor: that alone says who is running
    data/supervisor.json    who that is, where its sockets are, and its nodes' processes
    data/cluster.json       the cluster's identity, made at its first start
    data/lives.json         how often each process was started; node 0 is the supervisor

The kernel drops the lock when its holder dies, however it dies. So whoever gets the lock knows that
nobody else is here, and may clean up: the folder of the dead supervisor's sockets, and its nodes,
should one have outlived it. A process is only ever killed when its start time is the recorded one
too, since pids are used again.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec
import psutil

from launcher import runtime
from launcher.config import ClusterConfig
from launcher.errors import LauncherError
from launcher.settings import write_duration
from node.raft.messages import Floor, NodeId

FORMAT = 2

_LOCK_PATIENCE_S = 0.3
_KILL_PATIENCE_S = 5.0
_SAME_START_S = 0.1
"""The kernel counts start times in ticks of 10 ms."""

_NODE_FOLDER = re.compile(r"node-[0-9]+")
_LOG_FILE = re.compile(r"(node-[0-9]+|supervisor|timeline)\.jsonl(\.late)?(\.[0-9]+)?")
_T = TypeVar("_T")


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


class Renewed(msgspec.Struct, frozen=True):
    """A node's data was removed, and by then the log was committed up to `floor`."""

    node: NodeId
    floor: Floor


class ClusterRecord(msgspec.Struct, frozen=True, kw_only=True):
    """cluster.json: whose data this is.

    nodes: with how many it began, numbered from 1
    session_timeout_s, most_sessions: when sessions end; never to change, for then nodes that apply
        the same entry would differ
    members: which nodes are to run now; who votes, the log says. None: those it began with
    last_id: the highest id that any node has had that it did not begin with; none is given twice
    renewed: the nodes whose data was removed, and what is to bind them: they learn everything anew
    """

    format: int
    cluster_id: str
    name: str
    nodes: int
    machine: str
    session_timeout_s: float = 0.0
    most_sessions: int = 0
    members: list[NodeId] | None = None
    last_id: NodeId = 0
    renewed: list[Renewed] = []

    @property
    def founders(self) -> list[NodeId]:
        """The nodes that it began with."""
        return list(range(1, self.nodes + 1))

    def voters_of(self, node: NodeId) -> list[NodeId]:
        """With which voters the log of `node` begins; a node that joins learns who they are."""
        joins = node not in self.founders or any(one.node == node for one in self.renewed)
        return [] if joins else self.founders

    def floor_of(self, node: NodeId) -> Floor:
        """What was committed when its data was last removed."""
        return max((one.floor for one in self.renewed if one.node == node), default=Floor())

    @property
    def running(self) -> list[NodeId]:
        """The nodes that are to run."""
        return self.founders if self.members is None else self.members


class Claim:
    """The lock is held; what it protects is clean, and belongs to the cluster that was asked for.

    healed: what was left behind and has been cleaned up, a phrase each
    """

    def __init__(self, config: ClusterConfig, lock: int, runtime_dir: Path) -> None:
        self._config = config
        self._lock = lock
        self._lives: dict[NodeId, int] = {}
        self.runtime_dir = runtime_dir
        self.healed: list[str] = []
        self.cluster: ClusterRecord

    @classmethod
    def take(cls, config: ClusterConfig, runtime_dir: Path, *, fresh: bool) -> Claim:
        """Locks, cleans up, begins anew when `fresh`, and checks whose data it is.

        Raises LauncherError with one line for the user; then nothing is held.
        """
        with disk_errors(config.log_dir, "logs"):
            config.log_dir.mkdir(parents=True, exist_ok=True)
        with disk_errors(config.data_dir):
            config.data_dir.mkdir(parents=True, exist_ok=True)
            lock = _lock(config)
        claim = cls(config, lock, runtime_dir)
        try:
            with disk_errors(config.data_dir):
                claim.healed = heal(config)
                if fresh:
                    remove_data(config)
                claim._identify()
                claim._lives = _read(_lives_file(config), dict[int, int]) or {}
                claim.record({})
        except BaseException:
            os.close(lock)
            raise
        return claim

    def next_life(self, node: NodeId) -> int:
        """Counts a start of `node`; 0 is the supervisor. Raises OSError."""
        self._lives[node] = self._lives.get(node, 0) + 1
        _write(_lives_file(self._config), self._lives)
        return self._lives[node]

    @property
    def cluster_id(self) -> str:
        """The identity of the cluster."""
        return self.cluster.cluster_id

    def enlist(self, count: int) -> list[NodeId]:
        """So many more nodes are to run; durable before they do. Raises OSError."""
        last = max(self.cluster.last_id, self.cluster.nodes)
        new = list(range(last + 1, last + count + 1))
        self._change(members=[*self.cluster.running, *new], last_id=last + count)
        return new

    def dismiss(self, node: NodeId) -> None:
        """This node is not to run any more, and its data is of no use. Raises OSError."""
        self._change(members=[n for n in self.cluster.running if n != node])
        shutil.rmtree(self._config.node_data_dir(node), ignore_errors=True)

    def renew(self, node: NodeId, floor: Floor) -> None:
        """The data of this node goes, and when it starts again it learns everything anew. It must
        be no voter, and that as much as `floor` be committed. Raises OSError."""
        others = [one for one in self.cluster.renewed if one.node != node]
        self._change(renewed=[*others, Renewed(node, floor)])
        if self._config.node_data_dir(node).exists():
            shutil.rmtree(self._config.node_data_dir(node))

    def _change(self, **fields: object) -> None:
        record = msgspec.structs.replace(self.cluster, **fields)
        _write(self._config.cluster_file, record, durable=True)
        self.cluster = record

    def record(self, nodes: dict[NodeId, ProcessRecord]) -> None:
        """Writes down who we are and which processes are ours. Raises OSError."""
        me = ProcessRecord.of(os.getpid())
        record = SupervisorRecord(
            pid=me.pid,
            create_time=me.create_time,
            runtime_dir=str(self.runtime_dir),
            name=self._config.name,
            nodes=nodes,
        )
        _write(self._config.supervisor_file, record)

    @property
    def holds(self) -> bool:
        """The data is still ours: nobody has removed its folder from under us."""
        return _is_file(self._lock, self._config.supervisor_lock)

    def release(self) -> None:
        """Leaves nothing but the data. The lock goes last."""
        shutil.rmtree(self.runtime_dir, ignore_errors=True)
        if self.holds:
            self._config.supervisor_file.unlink(missing_ok=True)
        os.close(self._lock)

    def _identify(self) -> None:
        """Checks cluster.json against what was asked for, or makes it."""
        config = self._config
        known = read_cluster(config)
        if known is not None:
            self.cluster = known
            _check_same(config, known)
            return
        orphans = [p.name for p in config.data_dir.glob("node-*") if _NODE_FOLDER.fullmatch(p.name)]
        if orphans:
            raise LauncherError(
                f"{config.data_dir} holds {min(orphans)} but no cluster.json: put it back, "
                "or begin anew with --fresh"
            )
        # Whatever logs there are tell of a cluster that is no more; one timeline, one history.
        _remove_logs(config)
        self.cluster = ClusterRecord(
            format=FORMAT,
            cluster_id=secrets.token_hex(8),
            name=config.name,
            nodes=config.nodes,
            machine=config.machine,
            session_timeout_s=config.session_timeout_s,
            most_sessions=config.most_sessions,
        )
        _write(config.cluster_file, self.cluster, durable=True)


def running(config: ClusterConfig) -> SupervisorRecord | None:
    """The supervisor that runs on this data folder, or None. Never raises for a missing folder."""
    deadline = time.monotonic() + _LOCK_PATIENCE_S
    while is_locked(config):
        record = _read(config.supervisor_file, SupervisorRecord)
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
        os.close(fd)
    return False


@contextmanager
def locked(config: ClusterConfig) -> Iterator[None]:
    """Holds the lock, to clean up where nobody runs. Raises LauncherError when somebody does."""
    with disk_errors(config.data_dir):
        lock = _lock(config)
    try:
        yield
    finally:
        os.close(lock)


def read_cluster(config: ClusterConfig) -> ClusterRecord | None:
    """The identity of this data; None when there is none yet. Raises LauncherError if unusable."""
    try:
        return msgspec.json.decode(config.cluster_file.read_bytes(), type=ClusterRecord)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise LauncherError(
            f"{config.cluster_file} cannot be understood ({error}): put it right, "
            "or begin anew with --fresh"
        ) from error


def heal(config: ClusterConfig) -> list[str]:
    """Cleans up after a dead supervisor; the caller holds the lock. Says what it found."""
    left = _read(config.supervisor_file, SupervisorRecord)
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


def remove_data(config: ClusterConfig) -> None:
    """Removes the cluster's data, and nothing else in the folder; the caller holds the lock."""
    for path in config.data_dir.iterdir():
        if _NODE_FOLDER.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
    config.cluster_file.unlink(missing_ok=True)
    _lives_file(config).unlink(missing_ok=True)


def remove_folder(config: ClusterConfig) -> None:
    """Removes the lock too, and the data folder if nothing else is in it; the caller holds it."""
    config.supervisor_lock.unlink(missing_ok=True)
    with suppress(OSError):
        config.data_dir.rmdir()


def exists(config: ClusterConfig) -> bool:
    """There has been a cluster here, and its data has not been removed."""
    return config.supervisor_file.exists() or config.cluster_file.exists()


def _remove_logs(config: ClusterConfig) -> None:
    for path in config.log_dir.iterdir():
        if _LOG_FILE.fullmatch(path.name):
            path.unlink()


def _check_same(config: ClusterConfig, known: ClusterRecord) -> None:
    if known.format != FORMAT:
        raise LauncherError(
            f"{config.cluster_file} has format {known.format}, and this launcher knows {FORMAT}: "
            "use the launcher that wrote it, or begin anew with --fresh"
        )
    count = len(known.running)
    if config.nodes not in (known.nodes, count):
        raise LauncherError(
            f"the data in {config.data_dir} belongs to a cluster of {count} nodes: "
            f"`up {count}`, or --fresh to begin anew"
        )
    if known.machine != config.machine:
        raise LauncherError(
            f"the data in {config.data_dir} belongs to the machine {known.machine}: "
            f"`up --machine {known.machine}`, or --fresh to begin anew"
        )
    if (known.session_timeout_s, known.most_sessions) != (
        config.session_timeout_s,
        config.most_sessions,
    ):
        raise LauncherError(
            f"the data in {config.data_dir} belongs to a cluster with sessions.timeout "
            f"{write_duration(known.session_timeout_s)} and sessions.most {known.most_sessions}: "
            "put them back into cluster.yaml, or --fresh to begin anew"
        )


def _lives_file(config: ClusterConfig) -> Path:
    return config.data_dir / "lives.json"


def _lock(config: ClusterConfig) -> int:
    """The locked file's descriptor, which no child inherits. Raises LauncherError if taken."""
    deadline = time.monotonic() + _LOCK_PATIENCE_S
    while True:
        fd = os.open(config.supervisor_lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_file(fd, config.supervisor_lock):
                return fd
        except BlockingIOError:
            # Somebody who only looks whether it is locked holds it for microseconds.
            if time.monotonic() > deadline:
                os.close(fd)
                break
        os.close(fd)
        time.sleep(0.01)
    record = _read(config.supervisor_file, SupervisorRecord)
    who = f"supervisor pid {record.pid}, " if record else ""
    raise LauncherError(
        f"a cluster is running here already ({who}data in {config.data_dir}): "
        "`launcher ps` shows it, `launcher down` stops it, -p NAME runs another beside it"
    )


def _is_file(fd: int, path: Path) -> bool:
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


def _read(path: Path, kind: type[_T]) -> _T | None:
    """What `_write` wrote; None when there is nothing that can be understood."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None


def _write(path: Path, record: object, *, durable: bool = False) -> None:
    """Atomic. durable: it survives a power failure; the rest is worthless after one."""
    beside = path.with_name(path.name + ".new")
    with beside.open("wb") as file:
        file.write(msgspec.json.encode(record) + b"\n")
        if durable:
            file.flush()
            os.fsync(file.fileno())
    beside.replace(path)
    if durable:
        folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
