"""Removing a cluster's data: what may be removed, what stays, and why it could not be.

A node's folder may be a link or a mount point, put there on purpose (a disk of its own). So what is
in it goes, and it stays, empty. What would fail is found out first: a command that removes the data
of several nodes, or takes a node's vote before it removes its data, is never left half done.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from launcher.config import ClusterConfig
from launcher.errors import LauncherError

_DATA_FOLDER = re.compile(r"node-[0-9]+(\.recovering|\.before-[0-9a-f]*(\.[0-9]+)?)?")
_LOG_FILE = re.compile(r"(node-[0-9]+|supervisor|timeline)\.jsonl(\.late)?(\.[0-9]+)?")
_TAP_FILE = re.compile(r"node-[0-9]+\.[0-9]+\.tap")
_RECORDS = ("cluster.json", "lives.json", "recovery.json", "safety.json")
_OF_THE_FILE_SYSTEM = "lost+found"
"""What stands at the root of a file system, and is no data."""

_GET_FLAGS, _FIXED_FLAGS = 0x80086601, 0x30
"""FS_IOC_GETFLAGS of Linux; FS_IMMUTABLE_FL and FS_APPEND_FL."""


# -- one folder ------------------------------------------------------------------------------------


def empty(folder: Path) -> None:
    """Removes what is in a folder. The folder stays: it may be a link or a mount point.

    Raises OSError.
    """
    for path in _content(folder):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def why_not_emptied(folder: Path) -> str:
    """What stands in the way of `empty`, or of a folder there; empty if nothing does."""
    if why := _why_no_folder(folder):
        return why
    if not folder.exists():
        return ""
    inside = next(_mounts_below(folder), None)
    if inside is not None:
        return f"{inside} is a mount point: unmount it"
    if not _is_writable(folder):
        return f"{folder} cannot be written to"
    for path in _content(folder):
        for place in (path, *_below(path)):
            if why := _why_it_stays(place):
                return f"{place} {why}"
    return ""


def is_mount_point(path: Path) -> bool:
    """Also where the mounted folder is of the same file system, which a look at it does not say."""
    return path.is_mount() or os.fsencode(os.path.realpath(path)) in _mount_points()


def _content(folder: Path) -> list[Path]:
    if not folder.exists():
        return []
    return [path for path in folder.iterdir() if path.name != _OF_THE_FILE_SYSTEM]


def _below(path: Path) -> Iterator[Path]:
    """All that is in it, if it is a folder, and no link to one."""
    if not path.is_symlink():
        for at, names, files in os.walk(path):
            yield from (Path(at, name) for name in (*names, *files))


def _why_no_folder(path: Path) -> str:
    """Why a node could not have its data there, for what has the name and is no folder."""
    if path.is_symlink() and not path.exists():
        return f"{path} is a link to a folder that is not there: make that, or remove the link"
    if path.exists() and not path.is_dir():
        return f"{path} is no folder, and a node's data is to be in one: remove it"
    return ""


def _why_it_stays(path: Path) -> str:
    """Why it, or what is in it, could not be removed from a folder that can be written to."""
    found = path.lstat()
    if stat.S_ISDIR(found.st_mode) and not _is_writable(path):
        return "cannot be written to"
    around = path.parent.stat()
    owners = (0, around.st_uid, found.st_uid)
    if around.st_mode & stat.S_ISVTX and os.geteuid() not in owners:
        return "is another user's"
    if stat.S_ISREG(found.st_mode) and _is_fixed(path):
        return "was made immutable: `chattr -ia` lets it be removed"
    return ""


def _is_writable(folder: Path) -> bool:
    return os.access(folder, os.R_OK | os.W_OK | os.X_OK)


def _is_fixed(file: Path) -> bool:
    """Whether even its owner cannot remove it, where the file system knows of that."""
    if sys.platform != "linux":
        return False
    import fcntl

    with suppress(OSError):
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            said = fcntl.ioctl(descriptor, _GET_FLAGS, bytes(8))
            return bool(int.from_bytes(said[:4], sys.byteorder) & _FIXED_FLAGS)
        finally:
            os.close(descriptor)
    return False


def _mounts_below(folder: Path) -> Iterator[Path]:
    above = os.fsencode(os.path.realpath(folder)) + b"/"
    for point in _mount_points():
        if point.startswith(above):
            yield Path(os.fsdecode(point))


def _mount_points() -> set[bytes]:
    """All that this process sees; none where the system does not say (proc(5), mountinfo)."""
    try:
        lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    except OSError:
        return set()
    return {re.sub(rb"\\([0-7]{3})", _unescaped, line.split()[4]) for line in lines}


def _unescaped(found: re.Match[bytes]) -> bytes:
    return bytes([int(found[1], 8)])


# -- a cluster's -----------------------------------------------------------------------------------


def check_removable(config: ClusterConfig) -> None:
    """Raises LauncherError when the data could not be removed now, in whole."""
    if not config.data_dir.exists():
        return
    if not _is_writable(config.data_dir):
        raise _stays(f"{config.data_dir} cannot be written to")
    for path in config.data_dir.iterdir():
        if _DATA_FOLDER.fullmatch(path.name):
            if why := why_not_emptied(path) or _why_link_stays(path):
                raise _stays(why)
        elif path.name in _RECORDS and (why := _why_it_stays(path)):
            raise _stays(f"{path} {why}")


def check_logs_removable(config: ClusterConfig) -> None:
    """Raises LauncherError when the logs could not be removed now."""
    for path in _logs(config):
        if path.is_dir() and not path.is_symlink():
            raise LauncherError(f"{path} is a folder, and a log is to be written there: remove it")
        if why := _why_it_stays(path):
            raise LauncherError(
                f"the logs cannot be removed, and nothing was changed: {path} {why}"
            )


def remove_data(config: ClusterConfig) -> None:
    """Removes the cluster's data, and nothing else in the folder; the caller holds the lock.

    A node's folder that is a link or a mount point stays, empty. Raises LauncherError when not all
    of it could be removed, and then nothing is; and OSError.
    """
    check_removable(config)
    for path in list(config.data_dir.iterdir()):
        if _DATA_FOLDER.fullmatch(path.name):
            empty(path)
            if not path.is_symlink() and not is_mount_point(path):
                path.rmdir()
    for name in _RECORDS:
        (config.data_dir / name).unlink(missing_ok=True)


def remove_logs(config: ClusterConfig) -> None:
    """Removes what tells of a cluster that is no more. Raises OSError."""
    for path in _logs(config):
        path.unlink()
    with suppress(OSError):  # it is not there, or something else is in it
        config.tap_folder.rmdir()


def check_no_data(config: ClusterConfig) -> None:
    """Raises LauncherError when there is data of nodes, and nothing says of which cluster."""
    for path in sorted(config.data_dir.iterdir()):
        if re.fullmatch("node-[0-9]+", path.name):
            if why := _why_no_folder(path):
                raise LauncherError(why)
            if _content(path):
                raise LauncherError(
                    f"{config.data_dir} holds {path.name} but no cluster.json: put it back, let "
                    "`launcher recover NODE` begin anew from the data of one node, or begin "
                    "without any data with --fresh"
                )


def _logs(config: ClusterConfig) -> list[Path]:
    if not config.log_dir.exists():
        return []
    logs = [path for path in config.log_dir.iterdir() if _LOG_FILE.fullmatch(path.name)]
    if config.tap_folder.is_dir():
        logs += [path for path in config.tap_folder.iterdir() if _TAP_FILE.fullmatch(path.name)]
    return logs


def _why_link_stays(path: Path) -> str:
    """Why the name of an emptied folder could not be removed from the data folder."""
    if path.is_symlink() or is_mount_point(path):
        return ""  # it is to stay
    why = _why_it_stays(path)
    return f"{path} {why}" if why else ""


def _stays(why: str) -> LauncherError:
    return LauncherError(f"the data cannot be removed, and nothing was changed: {why}")
