"""The locks of a cluster's folders: who runs here, and who may.

    data/supervisor.lock    locked (flock) by the living supervisor: that alone says that one runs
    data/supervisor.json    where it is to be found: its runtime folder
    logs/timeline.lock      locked by the supervisor that writes these logs

The kernel drops the locks when their holder dies, however it dies. So whoever gets the lock of a
data folder knows that nobody else is here, and may clean up (`launcher/folders/healing.py`).
"""

from __future__ import annotations

import fcntl
import os
import stat
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from launcher.config import ClusterConfig
from launcher.errors import LauncherError, NotRunning
from launcher.folders import ownership, private
from launcher.folders.ownership import CutOff, FolderId, Holder, Linked, Running
from launcher.folders.process_identity import ProcessRecord
from launcher.folders.supervisor_file import read_supervisor, runtime_folders
from node.printable import printable

_LOCK_PATIENCE_S = 0.3
_RENEWAL_PATIENCE_S = 4.0
"""How long a supervisor may take to make its sockets anew, when their folder was removed."""

_POLL_S = 0.01


# -- who runs here ---------------------------------------------------------------------------------


def running(config: ClusterConfig) -> Running | None:
    """The cluster that runs on this data folder, or None. Never raises for a missing folder.

    Raises NotRunning when the lock is held for another data folder, and LauncherError when a
    cluster runs that cannot be reached; either says why.
    """
    holder = look(config)
    if holder is None or isinstance(holder, Running):
        return holder
    raise refusal(config, holder)


def look(config: ClusterConfig) -> Holder | None:
    """Who holds the lock of this data folder; None: nobody does."""
    began = time.monotonic()
    while is_locked(config):
        holder = _look_once(config)
        # Otherwise it has just taken the lock, is about to drop it, or is making its sockets anew.
        patience_s = _RENEWAL_PATIENCE_S if isinstance(holder, CutOff) else _LOCK_PATIENCE_S
        if isinstance(holder, Running) or time.monotonic() > began + patience_s:
            return holder
        time.sleep(_POLL_S)
    return None


def is_locked(config: ClusterConfig) -> bool:
    """Some supervisor lives on this data folder. Raises LauncherError when that is another user's
    to know."""
    try:
        fd = os.open(config.supervisor_lock, os.O_RDWR | os.O_CLOEXEC)
    except PermissionError:
        refused = private.refusal(config.supervisor_lock, f"the data in {config.data_dir}")
        if refused is not None:
            raise refused from None
        return False
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        release(fd)
    return False


def refusal(config: ClusterConfig, holder: Holder) -> LauncherError:
    """Why a command cannot reach a cluster here, and what to do. Not for one that is Running."""
    data = config.data_dir
    owner = _other_user(config, holder)
    if owner is not None:
        return private.belongs_to(owner, f"the cluster that runs here (data in {data})")
    if isinstance(holder, CutOff):
        return LauncherError(
            f"a cluster is running here (supervisor pid {holder.pid}, data in {data}), but its "
            f"sockets' folder {holder.runtime_dir} was removed, and it has not made another: "
            "`launcher down` ends the cluster"
        )
    if isinstance(holder, Linked):
        other = f" on {holder.other}" if holder.other else ""
        return NotRunning(
            f"no cluster is running here: the files in {data} are hard links to those of a cluster "
            f"that runs{other}; to have a cluster here too, make a real copy (`cp -a`, not `-al`)"
        )
    named = holder.named if isinstance(holder, ownership.Unknown) else None
    if named is not None:
        return LauncherError(
            f"a cluster is running here (data in {data}) and cannot be reached: neither its "
            f"sockets' folder {named.runtime_dir} nor its supervisor (pid {named.pid}) is to be "
            "found; use the container or the machine on which it was started"
        )
    return LauncherError(
        f"a cluster is just starting or ending here (data in {data}): try again in a moment; if "
        f"this does not pass, `fuser {config.supervisor_lock}` names the process that holds the "
        "lock"
    )


def _other_user(config: ClusterConfig, holder: Holder) -> int | None:
    """Whose the cluster is, where it is not ours; root gets that far."""
    places = [config.supervisor_lock]
    if isinstance(holder, CutOff):
        places.insert(0, holder.runtime_dir)
    elif isinstance(holder, ownership.Unknown) and holder.named is not None:
        places.insert(0, Path(holder.named.runtime_dir))
    for path in places:
        with suppress(OSError):
            owner = path.stat().st_uid
            return None if owner == os.geteuid() else owner
    return None


def _look_once(config: ClusterConfig) -> Holder:
    try:
        folder = FolderId.of(config.data_dir.stat())
        links = config.supervisor_lock.stat().st_nlink
    except OSError:  # it has been moved away under our hands
        return ownership.Unknown(None)
    named = read_supervisor(config)
    return ownership.who_runs(
        folder, links, named, runtime_folders(named), lambda process: _has_open(config, process)
    )


def _has_open(config: ClusterConfig, process: ProcessRecord) -> bool:
    """The process lives, and has the lock file of this data folder open."""
    found = process.find()
    if found is None:
        return False
    with suppress(psutil.Error, OSError):
        lock = config.supervisor_lock.stat()
        for opened in found.open_files():
            with suppress(OSError):
                if os.path.samestat(os.stat(opened.path), lock):
                    return True
    return False


# -- taking the locks ------------------------------------------------------------------------------


class DataLock:
    """The lock of a data folder, taken. The folder is open and locked too, and no child inherits
    either.

    Both are known by their inodes, so a folder that is moved away is still this one, and another
    in its place is not. The lock on the folder itself keeps others out when the file is removed;
    it is not the one that others look at, since network file systems have no locks on folders.

    folder: which one it is
    """

    def __init__(self, config: ClusterConfig, folder: int, lock: int) -> None:
        self._config = config
        self._folder = folder
        self._lock = lock
        self.folder = FolderId.of(os.fstat(folder))

    @property
    def is_in_place(self) -> bool:
        """The data folder of the config is the one whose lock this is: nobody has removed it, or
        moved it away, or replaced the lock."""
        return is_file(self._folder, self._config.data_dir) and is_file(
            self._lock, self._config.supervisor_lock
        )

    def what_happened(self) -> str:
        """Why it is not in place."""
        if is_file(self._folder, self._config.data_dir):
            return f"its lock, {self._config.supervisor_lock}, was removed"
        now = _path_of(self._folder)
        if now is not None and is_file(self._folder, now):
            return f"its data folder was moved to {now}: `launcher up` goes on from there"
        return "its data folder was removed"

    def forget_supervisor(self) -> None:
        """Removes supervisor.json, wherever the folder is now, unless the lock is another's."""
        with suppress(OSError):
            found = os.stat(self._config.supervisor_lock.name, dir_fd=self._folder)
            if os.path.samestat(found, os.fstat(self._lock)):
                os.unlink(self._config.supervisor_file.name, dir_fd=self._folder)

    def release(self) -> None:
        """Lets others have it."""
        release(self._folder)
        release(self._lock)


def release(fd: int) -> None:
    """Unlocks, and closes. Closing alone would not do: a child that was forked meanwhile holds the
    same lock, for as long as it lives."""
    with suppress(OSError):  # network file systems have no locks on folders
        fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)


def take(config: ClusterConfig) -> DataLock:
    """The lock. Raises LauncherError if another has it, and OSError."""
    deadline = time.monotonic() + _LOCK_PATIENCE_S
    while True:
        folder = os.open(config.data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        lock = None
        try:
            lock = _lock_file(config.supervisor_lock)
            if lock is not None and _lock_folder(folder) and is_file(folder, config.data_dir):
                return DataLock(config, folder, lock)
        except BaseException:
            release(folder)
            raise
        release(folder)
        if lock is not None:
            release(lock)
        # Somebody who only looks whether it is locked holds it for microseconds.
        if time.monotonic() > deadline:
            raise _taken(config)
        time.sleep(_POLL_S)


def take_logs(config: ClusterConfig) -> int:
    """Keeps other clusters out of the log folder for as long as the descriptor is open.

    Raises LauncherError if one is there already, and OSError.
    """
    file = config.log_dir / "timeline.lock"
    deadline = time.monotonic() + _LOCK_PATIENCE_S
    while (lock := _lock_file(file)) is None:
        if time.monotonic() > deadline:
            raise LauncherError(
                f"the logs folder {config.log_dir} belongs to another cluster that is running"
                f"{_writer_of(file)}: choose another with `logs:` in cluster.yaml"
            )
        time.sleep(_POLL_S)
    with suppress(OSError):  # only a message would say less
        os.ftruncate(lock, 0)
        os.write(lock, f"{printable(config.data_dir)}\n".encode())
    return lock


@contextmanager
def locked(config: ClusterConfig) -> Iterator[None]:
    """Holds the lock, to clean up where nobody runs. Raises LauncherError when somebody does."""
    with disk_errors(config.data_dir):
        lock = take(config)
    try:
        yield
    finally:
        lock.release()


def check_unshared(config: ClusterConfig) -> None:
    """Raises LauncherError when a cluster here would write into the files of another data folder.

    A node writes into the files of its log, it does not replace them: so a copy that is made of
    hard links changes with what it was made from.
    """
    files = [config.supervisor_lock, *config.data_dir.glob("node-*/*")]
    for file in files:
        with suppress(FileNotFoundError):
            found = file.lstat()
            if stat.S_ISREG(found.st_mode) and found.st_nlink > 1:
                raise LauncherError(
                    f"{file} is a hard link, and what is written here would be written to its "
                    f"other name too: make a real copy of {config.data_dir} (`cp -a`, not `-al`) "
                    "and use that, or remove one of the two (`launcher down -v` leaves the other)"
                )


def is_file(fd: int, path: Path) -> bool:
    """It was not removed, or replaced by another, since it was opened."""
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except OSError:
        return False


@contextmanager
def disk_errors(folder: Path, key: str = "data") -> Iterator[None]:
    """An OSError becomes the one line that the user can act on."""
    try:
        yield
    except OSError as error:
        if folder.is_symlink() and not folder.exists():
            raise LauncherError(
                f"the {key} folder {folder} is a link to a folder that is not there: make that, "
                "or remove the link"
            ) from error
        if isinstance(error, PermissionError):
            at = Path(os.fsdecode(error.filename or folder))
            refused = private.refusal(at, f"the {key} folder {folder}")
            if refused is not None:
                raise refused from error
        what = error.strerror or str(error)
        raise LauncherError(
            f"the {key} folder {folder} cannot be used: {what} ({error.filename or folder}); "
            f"put that right, or choose another with `{key}:` in cluster.yaml"
        ) from error


def _lock_file(path: Path) -> int | None:
    """The locked file's descriptor, which no child inherits; None when another has it, or it was
    replaced meanwhile. Raises OSError."""
    fd = private.open_file(path, os.O_RDWR | os.O_CREAT)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_file(fd, path):
            return fd
    except BlockingIOError:
        pass
    except BaseException:
        release(fd)
        raise
    release(fd)
    return None


def _lock_folder(fd: int) -> bool:
    """Whether nobody else has it; also where folders cannot be locked."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _taken(config: ClusterConfig) -> LauncherError:
    holder = _look_once(config)
    if isinstance(holder, Running):
        return LauncherError(
            f"a cluster is running here already (supervisor pid {holder.pid}, data in "
            f"{config.data_dir}): `launcher ps` shows it, `launcher down` stops it, -p NAME runs "
            "another beside it"
        )
    return LauncherError(str(refusal(config, holder)))


def _writer_of(file: Path) -> str:
    """Whose logs they are, if that can be read."""
    with suppress(OSError), file.open(errors="replace") as opened:
        said = opened.readline(4096).strip()
        if said.isprintable() and said:
            return f" (data in {said})"
    return ""


def _path_of(fd: int) -> Path | None:
    """Where an open folder is now, where the system says so."""
    try:
        if sys.platform == "darwin":
            said = fcntl.fcntl(fd, fcntl.F_GETPATH, bytes(1024))
            return Path(os.fsdecode(said.rstrip(b"\0")))
        return Path(os.readlink(f"/proc/self/fd/{fd}"))
    except OSError:
        return None
