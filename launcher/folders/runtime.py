"""The runtime folder: one short, private folder for the sockets of one life of a cluster.

The path of a Unix socket may have about a hundred bytes (104 on macOS), so it does not lie with the
data, whose path may be long, but in the folder for temporary files; or in /tmp when that is long.

The supervisor holds a lock (flock) on the folder itself for as long as it lives. That tells others
that it lives (`launcher/folders/ownership.py`), and `systemd-tmpfiles`, which removes what is old
in such places, passes over a folder that is locked. What stands in the folder:
`launcher/folders/runtime_files.py`.

The supervisor makes it before it loads anything else, so this imports nothing of ours.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

PREFIX = "leeky-"
_LONGEST_PARENT = 60
"""Leaves room for our own name, and for the longest socket of ours and of multiprocessing."""

_LOCK_PATIENCE_S = 5.0
LAST_RESORT = "/tmp"


class RuntimeFolder:
    """The one that this process has made, and holds until it is removed.

    status: of the folder, which tells it from any other that is found at its path
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.status = os.fstat(descriptor)
        self._descriptor = descriptor

    @classmethod
    def make(cls) -> RuntimeFolder:
        """A new one, that only we can enter (mode 0700), locked. Raises OSError."""
        return cls._lock(Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent())))

    def another(self) -> RuntimeFolder:
        """One in the place of this one, which was removed: of the same name, if that is free, so
        that those who know it find it. Raises OSError."""
        try:
            self.path.mkdir(0o700)
            return self._lock(self.path)
        except FileExistsError:
            return self.make()  # that is somebody else's
        except FileNotFoundError:
            return self._lock(Path(tempfile.mkdtemp(prefix=PREFIX, dir=LAST_RESORT)))

    @property
    def is_in_place(self) -> bool:
        """Nobody has removed or replaced it."""
        try:
            return os.path.samestat(self.path.lstat(), self.status)
        except OSError:
            return False

    @classmethod
    def _lock(cls, path: Path) -> RuntimeFolder:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        give_up = time.monotonic() + _LOCK_PATIENCE_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return cls(path, descriptor)
            except BlockingIOError:
                # Whoever looks around in the folder for temporary files holds it for microseconds.
                if time.monotonic() > give_up:
                    raise
            time.sleep(0.001)

    def remove(self) -> None:
        """Removes it, unless that has happened."""
        if self._descriptor >= 0:
            remove(self.path, self.status)
            os.close(self._descriptor)
            self._descriptor = -1


def remove(path: Path, status: os.stat_result) -> None:
    """Removes the folder of this status and all in it; another in its place is left alone."""
    with suppress(OSError):
        if os.path.samestat(path.lstat(), status):
            shutil.rmtree(path, ignore_errors=True)


@cache
def parent() -> Path:
    """Where runtime folders lie. Raises FileNotFoundError when there is no such place."""
    usual = os.path.abspath(tempfile.gettempdir())  # the current folder may be the last resort
    is_short = len(os.fsencode(usual)) <= _LONGEST_PARENT
    return Path(usual if is_short and _is_text(usual) else LAST_RESORT)


def _is_text(path: str) -> bool:
    """It can be written into a JSON file; a path may be any bytes."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True
