"""Whose a running cluster is, and whose leftovers are: decided from what was seen. Pure.

A data folder can be copied, moved, restored from a backup or shared. The processes of a cluster and
its runtime folder cannot. So each file that names such a thing says in which folder it was written,
by device and inode number; anywhere else it is a copy, and is not believed:

    data/supervisor.json      written in this data folder; says where the runtime folder is
    RUNTIME/owner.json        written in this runtime folder; says for which data folder
    RUNTIME/processes.json    the nodes' processes

Who lives is asked of two locks, which the kernel drops when their holder dies: `supervisor.lock` in
the data folder, and the runtime folder itself. Three rules follow:

1. On a data folder whose lock is held, the cluster runs whose runtime folder is held and names that
   data folder (`who_runs`).
2. Whoever holds the lock of a data folder may clean up after the runtime folders that name it and
   are not held: remove them, and kill the processes that they list (`left_behind`, `outlived`).
3. A supervisor whose runtime folder is gone may be signalled when data/supervisor.json was written
   in that data folder, and the process that it names has the data folder's lock file open.

A copy made of hard links (`cp -al`) shares the lock file itself. Its folder is another one all the
same, since folders cannot be linked: rules 1 to 3 do not apply to it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import msgspec

from launcher.folders.process_identity import Pid, ProcessRecord
from node.raft.messages import NodeId


class FolderId(msgspec.Struct, frozen=True):
    """A folder, wherever it is moved to on its file system. Its copies have others."""

    device: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> FolderId:
        """Of the folder with this status."""
        return cls(status.st_dev, status.st_ino)


def folder_at(path: Path) -> FolderId | None:
    """Which folder is there; None: nobody can say, or none."""
    try:
        return FolderId.of(path.stat())
    except OSError:
        return None


class SupervisorRecord(msgspec.Struct, frozen=True, kw_only=True):
    """supervisor.json: where a data folder's cluster is to be found.

    folder: the data folder in which this was written
    name: the cluster's, for messages
    """

    folder: FolderId
    pid: Pid
    start: str
    runtime_dir: str
    name: str

    @property
    def process(self) -> ProcessRecord:
        return ProcessRecord(self.pid, self.start)


class Owner(msgspec.Struct, frozen=True, kw_only=True):
    """owner.json: for whom a runtime folder was made.

    home: the runtime folder in which this was written
    folder: the data folder
    data_dir: where that was then, for messages
    """

    home: FolderId
    folder: FolderId
    data_dir: str
    pid: Pid
    start: str

    @property
    def process(self) -> ProcessRecord:
        return ProcessRecord(self.pid, self.start)


class NodeProcesses(msgspec.Struct, frozen=True):
    """processes.json: the nodes that run."""

    nodes: dict[NodeId, ProcessRecord]


@dataclass(frozen=True, slots=True)
class RuntimeSeen:
    """A runtime folder as it was found.

    status: of the folder, which tells it from any other
    is_held: some process holds its lock
    owner: what its owner.json says; None: nothing that can be understood
    """

    path: Path
    status: os.stat_result
    is_held: bool
    owner: Owner | None

    def owner_for(self, folder: FolderId) -> Owner | None:
        """Its owner, if this is no copy of a runtime folder and was made for this data folder."""
        owner = self.owner
        here = (FolderId.of(self.status), folder)
        return owner if owner and (owner.home, owner.folder) == here else None


@dataclass(frozen=True, slots=True)
class _Known:
    """The supervisor that holds the lock of a data folder.

    runtime_dir: where its sockets are, or were
    """

    process: ProcessRecord
    runtime_dir: Path

    @property
    def pid(self) -> int:
        return self.process.pid


class Running(_Known):
    """A cluster runs on this data folder, and is reached in this runtime folder."""

    __slots__ = ()


class CutOff(_Known):
    """A cluster runs on this data folder, and its runtime folder has been removed."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Linked:
    """The lock file is another data folder's too, by a hard link, and is held for that one.

    other: where that is; empty when that is not known
    """

    other: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The lock is held, and nothing that can be believed says by whom.

    named: the supervisor.json that was written here, of a process that is not to be found
    """

    named: SupervisorRecord | None


Holder: TypeAlias = Running | CutOff | Linked | Unknown


def who_runs(
    folder: FolderId,
    links: int,
    named: SupervisorRecord | None,
    seen: Iterable[RuntimeSeen],
    has_lock_open: Callable[[ProcessRecord], bool],
) -> Holder:
    """Who holds the lock of this data folder, given that somebody does.

    links: how many names the lock file has
    named: what supervisor.json says; None: nothing that can be understood
    seen: the runtime folders that may be meant, the one that is `named` first
    has_lock_open: whether a process lives and has the data folder's lock file open
    """
    held = []
    for one in seen:  # each that is asked for costs a look into a folder
        owner = one.owner_for(folder)
        if one.is_held and owner is not None:
            return Running(owner.process, one.path)
        if one.is_held:
            held.append(one)
    own = named if named is not None and named.folder == folder else None
    if own is not None and has_lock_open(own.process):
        return CutOff(own.process, Path(own.runtime_dir))
    if links > 1 and named is not None and own is None:
        # It is a copy, and all that it says is where to ask.
        asked = [one.owner for one in held if str(one.path) == named.runtime_dir]
        return Linked(next((owner.data_dir for owner in asked if owner), ""))
    return Unknown(own)


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """The runtime folders of one data folder, as whoever holds its lock finds them.

    ending: somebody still holds these: a supervisor that has lost its data folder's lock
    dead: these are to be cleaned up
    """

    ending: list[RuntimeSeen]
    dead: list[RuntimeSeen]


def left_behind(folder: FolderId, seen: Iterable[RuntimeSeen]) -> LeftBehind:
    """What of all that was seen belongs to this data folder; nothing else may be touched."""
    own = [one for one in seen if one.owner_for(folder) is not None]
    return LeftBehind(
        ending=[one for one in own if one.is_held], dead=[one for one in own if not one.is_held]
    )


def outlived(
    listed: Mapping[NodeId, ProcessRecord], start_of: Callable[[int], str | None]
) -> dict[NodeId, ProcessRecord]:
    """The listed processes that still are who they were: those may be killed.

    start_of: the `start` of the process that has a pid now; None when there is none
    """
    return {
        node: process for node, process in listed.items() if start_of(process.pid) == process.start
    }
