"""What stands in a runtime folder, and how it is found by those who did not make it.

    owner.json        for which data folder it was made, and by which process; written first
    processes.json    the nodes' processes; written anew with each start of a node
    settings.json     the settings that are in force; written anew when one is changed
    frozen            there while the cluster is frozen: what those are told who ask its nodes
    control.sock, node-N.sock, and what multiprocessing makes

The files are sealed (`launcher/folders/sealed.py`): one that is damaged says nothing.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from launcher.folders import sealed
from launcher.folders.ownership import FolderId, NodeProcesses, Owner, RuntimeSeen
from launcher.folders.process_identity import ProcessRecord
from launcher.folders.runtime import PREFIX, RuntimeFolder, parent
from node.printable import printable
from node.raft.messages import NodeId

OWNER_FILE = "owner.json"
PROCESSES_FILE = "processes.json"
SETTINGS_FILE = "settings.json"
FROZEN_FILE = "frozen"
_LARGEST_FILE = 1 << 16
_T = TypeVar("_T")


class Settings(msgspec.Struct, frozen=True):
    """Settings by the keys of cluster.yaml, as text (`launcher/overrides.py`)."""

    texts: dict[str, str]


def assign(
    folder: RuntimeFolder, data: FolderId, data_dir: Path, supervisor: ProcessRecord
) -> None:
    """Writes down for which data folder this process has made the folder. Raises OSError."""
    owner = Owner(
        home=FolderId.of(folder.status),
        folder=data,
        data_dir=printable(data_dir),
        pid=supervisor.pid,
        start=supervisor.start,
    )
    sealed.replace(folder.path / OWNER_FILE, sealed.seal(owner), durable=False)


def record(folder: RuntimeFolder, nodes: Mapping[NodeId, ProcessRecord]) -> None:
    """Writes down which processes are the nodes'. Raises OSError."""
    listed = sealed.seal(NodeProcesses(dict(nodes)))
    sealed.replace(folder.path / PROCESSES_FILE, listed, durable=False)


def publish(folder: RuntimeFolder, texts: Mapping[str, str]) -> None:
    """Writes down which settings are in force. Raises OSError."""
    settings = sealed.seal(Settings(dict(texts)))
    sealed.replace(folder.path / SETTINGS_FILE, settings, durable=False)


def mark_frozen(folder: RuntimeFolder, why: str) -> None:
    """Writes down that the cluster is frozen, and what those are told who ask its nodes; or, where
    that is empty, that it is not frozen. Raises OSError."""
    file = folder.path / FROZEN_FILE
    if why:
        sealed.replace(file, why.encode(), durable=False)
    else:
        file.unlink(missing_ok=True)


def why_frozen(path: Path) -> str:
    """What those are told who ask the nodes of this runtime folder's cluster, while it is frozen;
    empty: it is not."""
    try:
        return (path / FROZEN_FILE).read_text()
    except OSError:  # as a rule it is not there
        return ""


def settings_in(path: Path) -> dict[str, str]:
    """The settings in force by settings.json; none when it cannot be understood."""
    descriptor = _open(path)
    if descriptor is None:
        return {}
    try:
        settings = _read(descriptor, SETTINGS_FILE, Settings)
        return {} if settings is None else settings.texts
    finally:
        os.close(descriptor)


def look(path: Path) -> RuntimeSeen | None:
    """What is there; None unless it is a runtime folder of this user's, that nobody else enters."""
    descriptor = _open(path)
    if descriptor is None:
        return None
    try:
        status = os.fstat(descriptor)
        if status.st_uid != os.getuid() or status.st_mode & 0o077:
            return None
        owner = _read(descriptor, OWNER_FILE, Owner)
        return RuntimeSeen(path, status, _is_held(descriptor), owner)
    finally:
        os.close(descriptor)


def look_around() -> Iterator[RuntimeSeen]:
    """All runtime folders of this user's in the folder for temporary files."""
    with suppress(OSError), os.scandir(parent()) as entries:
        for entry in entries:
            seen = look(Path(entry.path))
            if seen is not None:
                yield seen


def listed_in(seen: RuntimeSeen) -> dict[NodeId, ProcessRecord]:
    """The nodes' processes by processes.json; none when it cannot be understood."""
    descriptor = _open(seen.path)
    if descriptor is None:
        return {}
    try:
        if not os.path.samestat(os.fstat(descriptor), seen.status):
            return {}
        listed = _read(descriptor, PROCESSES_FILE, NodeProcesses)
        return listed.nodes if listed is not None else {}
    finally:
        os.close(descriptor)


def _open(path: Path) -> int | None:
    """A descriptor of the folder, if there is one with such a name and it is no link."""
    if not path.name.startswith(PREFIX):
        return None
    try:
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None


def _is_held(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:  # also where folders cannot be locked: nothing is then known to be dead
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _read(folder: int, name: str, kind: type[_T]) -> _T | None:
    """A sealed file; None when it is not there or not intact."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(name, flags, dir_fd=folder)
    except OSError:
        return None
    try:
        return sealed.unseal(os.read(descriptor, _LARGEST_FILE), kind)
    except (OSError, sealed.BrokenSeal):
        return None
    finally:
        os.close(descriptor)
