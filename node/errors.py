"""Every exception of a node, in one tree.

    LeekyError                   everything this project raises on purpose
    ├── RaftError
    │   ├── NotLeader            ask the leader instead
    │   ├── Busy                 the uncommitted tail is full, or another is to lead; retry later
    │   ├── ImpossibleTransfer   this node, or no node, can be handed leadership
    │   ├── ImpossibleElection   this one does not campaign now
    │   └── Nonsense             a message that no correct peer sends; it is skipped
    ├── StorageError             the node must not go on with this disk
    │   ├── DamagedLog           acknowledged entries would be lost; nothing was changed
    │   ├── LostData             missing, or older than what it has promised; nothing was changed
    │   ├── WrongDirectory       another node's, another cluster's, or a newer format
    │   ├── FolderInUse          another process runs on it
    │   └── DiskFailed           a write, a sync or an open failed; never retried on the same file
    ├── WireError                bytes that are no message of ours
    ├── MachineError             the state machine cannot be loaded, or has failed
    └── CommandError             a machine's answer to a command that it refuses

`CommandError` is an answer: the entry stays committed, in its place in the log, and every node
gives the same answer. Any other exception out of a machine's `apply` stops the node.
The launcher's own exceptions hang below `LeekyError` too: see `launcher/errors.py`.
"""

from __future__ import annotations

import errno


class LeekyError(Exception):
    """Everything this project raises on purpose; its text is one line for the user.

    It survives pickling, whatever its `__init__` takes, so that a pool of processes can hand it on.
    Attributes that begin with an underscore stay behind: they belong to the process.
    """

    def __reduce__(self) -> tuple[object, ...]:
        kept = {
            name: value
            for name, value in self.__dict__.items()
            if name == "__notes__" or not name.startswith("_")
        }
        return _restored, (type(self), self.args, kept)


def _restored(kind: type[LeekyError], args: tuple[object, ...], kept: dict[str, object]) -> object:
    """An exception as it was; `__init__` would want what it was made from."""
    error = kind.__new__(kind, *args)
    error.__dict__.update(kept)
    return error


class RaftError(LeekyError):
    """The consensus core refuses a request."""


class NotLeader(RaftError):
    """This server cannot serve the request; retry at `leader_id` when known (§8)."""

    def __init__(self, leader_id: int | None) -> None:
        super().__init__("no leader yet" if leader_id is None else f"leader is node {leader_id}")
        self.leader_id = leader_id


class Busy(RaftError):
    """Too much is proposed and not yet committed, or another is about to lead; retry soon."""


class ImpossibleTransfer(RaftError):
    """Leadership cannot be handed over to this target, or to any node."""


class ImpossibleElection(RaftError):
    """This server does not campaign, even when it is told to."""


class Nonsense(RaftError):
    """A message that no correct peer sends; nothing has been done about it."""


class StorageError(LeekyError):
    """This node must not go on with this disk."""


class DamagedLog(StorageError):
    """Damage where only intact records can be: entries that were acknowledged would be lost."""

    def __init__(self, file: str, offset: int, reason: str) -> None:
        super().__init__(f"{file}: damaged at byte {offset}: {reason}")
        self.file = file
        self.offset = offset
        self.reason = reason


class LostData(StorageError):
    """The data is missing, or an older copy: the node has promised more than it holds."""


class WrongDirectory(StorageError):
    """The directory belongs to another node or cluster, or to a newer format."""


class FolderInUse(StorageError):
    """Another process runs on this directory."""


class DiskFailed(StorageError):
    """A disk operation failed. What reached the disk is unknown, so it is never retried."""

    def __init__(self, operation: str, file: str, cause: OSError) -> None:
        super().__init__(f"{operation} of {file} failed: {cause.strerror or cause}")
        self.operation = operation
        self.file = file
        self.cause = cause

    @property
    def is_for_want_of_space(self) -> bool:
        """The disk is well, and full."""
        return self.cause.errno in (errno.ENOSPC, errno.EDQUOT)


class WireError(LeekyError):
    """Bytes that are no message of ours: the sender is at fault."""


class MachineError(LeekyError):
    """The state machine does not exist, cannot be loaded, or has failed."""


class CommandError(LeekyError):
    """A machine's answer to a command that it refuses; deterministic, and part of its contract."""
