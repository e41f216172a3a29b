"""Keeps copies of what nodes write into their logs, also of what they drop later.

A node drops the segments of its log that two snapshots cover, and `rebuild` removes all of them. So
while a run goes on, each segment is copied as soon as another one follows it: from then on it does
not change until it is dropped. In the end everything is copied that is still there.

A segment that is dropped before it was copied is in no copy. `launcher check` says so, if no other
node's log has its entries.
"""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path

from launcher.errors import LauncherError
from launcher.folders import private
from launcher.lab.folder import RunFolder
from launcher.lab.verdict.written import copy_name, header_of, node_folders
from node.printable import error_line
from node.storage.segment import SPARE_PREFIX, is_spare, segment_number

POLL_S = 0.2


class Keeper:
    """`with Keeper(run):` copies while the run goes on. `finish` copies the rest."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._known: set[tuple[str, int, int]] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="keeper", daemon=True)
        self.failed = ""
        """Why something could not be copied; empty if everything could."""

    def __enter__(self) -> Keeper:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Copies nothing any more until `finish`."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def finish(self) -> None:
        """Copies all that is left: the cluster is down. Raises LauncherError."""
        self.stop()
        self.failed = ""
        self._look(whole=True)
        if self.failed:
            raise LauncherError(f"not all logs of the nodes could be copied: {self.failed}")

    def _go_on(self) -> None:
        while not self._ended.wait(POLL_S):
            self._look(whole=False)

    def _look(self, *, whole: bool) -> None:
        for node, folder in node_folders(self._run.data_dir).items():
            target = self._run.wal_dir / f"node-{node}"
            try:
                self._copy_segments(folder, target, whole=whole)
                if whole:
                    _copy_snapshots(folder, target)
            except FileNotFoundError:
                continue  # it was dropped, or the node's data was removed, in this moment
            except OSError as error:
                self.failed = error_line(error)

    def _copy_segments(self, folder: Path, target: Path, *, whole: bool) -> None:
        names = sorted(name for name in os.listdir(folder) if segment_number(name) is not None)
        spares = [name for name in os.listdir(folder) if is_spare(name)]
        for name in (names if whole else names[:-1]) + spares:
            path = folder / name
            about = path.stat()
            key = (str(path), about.st_ino, about.st_mtime_ns)
            if key in self._known and not whole:
                continue
            data = path.read_bytes()
            header = header_of(data, name.removeprefix(SPARE_PREFIX))
            if header is not None:
                _write(target / copy_name(header), data)
            self._known.add(key)


def _copy_snapshots(folder: Path, target: Path) -> None:
    for path in folder.glob("*.snapshot"):
        private.make_folder(target)
        shutil.copyfile(path, target / path.name)


def _write(file: Path, data: bytes) -> None:
    """Writes a copy whole or not at all."""
    private.make_folder(file.parent)
    new = file.with_name(f"{file.name}.new")
    descriptor = private.open_file(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with open(descriptor, "wb") as opened:
        opened.write(data)
    new.replace(file)
