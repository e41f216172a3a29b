"""The data and logs of a cluster are its user's alone, whatever the umask; another user is told so.

A folder is made with mode 0700, a file with 0600. What an earlier version, or somebody, has left
more open is closed when a cluster starts: files and nodes' folders, which nobody else's can be. The
data folder and the logs folder may be anything, the current one or /tmp; so they are closed only
where nothing in them is another's, and otherwise there is a warning.

What is only its user's cannot be held by another one either: not read, and not locked.
"""

from __future__ import annotations

import os
import pwd
import re
import stat
from contextlib import suppress
from pathlib import Path

from launcher.errors import LauncherError
from launcher.settings import is_cluster_name

FOLDER_MODE, FILE_MODE = 0o700, 0o600
_OTHERS = 0o077
_NODE_FOLDER = re.compile(r"node-[0-9]+(\..*)?")
_OURS = re.compile(
    r"(cluster|lives|recovery|safety|supervisor)\.json(\.new)?|supervisor\.(lock|stderr(\.1)?)"
    r"|history|timeline\.lock|(node-[0-9]+|supervisor|timeline)\.jsonl(\..*)?"
)
_RUN = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9]+(-[0-9]+)?|latest")
_KEPT = {"tap": re.compile(r"node-[0-9]+\.[0-9]+\.tap"), "runs": _RUN, "workloads": _RUN}
"""Folders that are kept beside the logs, and what is in each. Another folder may have the name."""


def make_folder(folder: Path) -> None:
    """Makes a folder that only its user can enter, and those above it, where there is none.

    Raises OSError.
    """
    if folder.is_dir():
        return
    if not folder.parent.exists():
        make_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir(FOLDER_MODE)
        folder.chmod(FOLDER_MODE)  # a umask may have taken its user's rights as well
    if not folder.is_dir():
        folder.mkdir()  # raises: something else has the name


def open_file(path: Path, flags: int) -> int:
    """A descriptor of a file; one that it makes is its user's alone. Raises OSError."""
    descriptor = os.open(path, flags | os.O_CLOEXEC, FILE_MODE)
    with suppress(OSError):  # of a file that is another's
        if os.fstat(descriptor).st_mode & 0o777 != FILE_MODE:
            os.fchmod(descriptor, FILE_MODE)
    return descriptor


def close_to_others(key: str, folder: Path) -> list[str]:
    """Takes the rights of others on what a cluster of ours has there. Never raises.

    key: the folder's in cluster.yaml
    Returns a warning when others may still put something there.
    """
    with suppress(OSError):
        if _close_content(folder):
            _close(folder, follow=True)
        elif folder.stat().st_mode & 0o022:
            more = f"which holds more than this cluster's {key}"
            ways = f"choose another with `{key}:` in cluster.yaml, or `chmod go-w` it"
            return [f"other users can write to the {key} folder {folder}, {more}: {ways}"]
    return []


def _close_content(folder: Path) -> bool:
    """Whether nothing in it is another's."""
    all_ours = True
    for path in folder.iterdir():
        if _NODE_FOLDER.fullmatch(path.name) and path.is_dir():
            for file in path.iterdir():
                _close(file)
            _close(path, follow=True)
        elif _OURS.fullmatch(path.name):
            _close(path)
        elif not _is_another_cluster(path) and not _close_kept(path):
            all_ours = False
    return all_ours


def _close_kept(folder: Path) -> bool:
    """Whether it is one of the folders beside the logs, with nothing of another's in it."""
    pattern = _KEPT.get(folder.name)
    if pattern is None or folder.is_symlink() or not folder.is_dir():
        return False
    if not all(pattern.fullmatch(path.name) for path in folder.iterdir()):
        return False
    for place, folders, files in os.walk(folder):
        for name in (*folders, *files):
            _close(Path(place, name))
    _close(folder)
    return True


def _close(path: Path, *, follow: bool = False) -> None:
    """What has another user stays as it is: that is not ours to decide.

    follow: the path may be a link to a folder
    """
    with suppress(OSError):
        flags = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
        flags |= os.O_DIRECTORY if follow else os.O_NOFOLLOW
        descriptor = os.open(path, flags)
        try:
            found = os.fstat(descriptor)
            mode = FOLDER_MODE if stat.S_ISDIR(found.st_mode) else FILE_MODE
            is_meant = stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)
            if is_meant and found.st_mode & _OTHERS and found.st_uid == os.geteuid():
                os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)


def _is_another_cluster(path: Path) -> bool:
    """Of `-p NAME`: its folders are within those of the cluster without a name."""
    return is_cluster_name(path.name) and any(
        (path / name).exists() for name in ("supervisor.lock", "cluster.json", "timeline.lock")
    )


# -- another user ----------------------------------------------------------------------------------


def refusal(path: Path, what: str) -> LauncherError | None:
    """What a user is told who has no right to something that is another's; None: it is not.

    path: what could not be opened; the nearest folder that can be looked at says whose it is
    what: for the message, as in "the data in /p/data"
    """
    for place in (path, *path.parents):
        try:
            owner = place.stat().st_uid
        except PermissionError:
            continue
        except OSError:
            return None  # it is not there, so it was to be made
        me = os.geteuid()
        return None if owner == me else belongs_to(owner, what)
    return None


def check_readable(folder: Path, what: str) -> None:
    """Raises LauncherError when the folder is there, another user's, and closed to us."""
    try:
        os.listdir(folder)
    except PermissionError as error:
        refused = refusal(folder, what)
        if refused is not None:
            raise refused from error
    except OSError:
        pass  # whoever reads it says so


def belongs_to(owner: int, what: str) -> LauncherError:
    """Somebody uses the cluster of another user."""
    return LauncherError(
        f"{what} belongs to the user {user_name(owner)}, and you are {user_name(os.geteuid())}: "
        f"use it as {user_name(owner)}, or have a cluster in a folder of your own"
    )


def user_name(user: int) -> str:
    """Of a user id; or that it has none."""
    try:
        return pwd.getpwuid(user).pw_name
    except (KeyError, OSError):
        return f"number {user}"
