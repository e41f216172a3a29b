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
from launcher.lab.verdict.written import OWNER_BYTES, copy_name, header_of, node_folders
from node.errors import StorageError
from node.printable import error_line
from node.storage.disk import OsDisk
from node.storage.mark import MARK_FILE, read_mark
from node.storage.segment import SPARE_PREFIX, is_spare, segment_number

POLL_S = 0.2


class Keeper:
    """`with Keeper(run):` copies while the run goes on. `finish` copies the rest."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._known: set[tuple[str, int, int]] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._go_on, name="keeper", daemon=True)
        self._ends: dict[Path, bytes] = {}
        """what was copied of last segments, by the copy"""
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
            except (OSError, StorageError) as error:
                self.failed = error_line(error)

    def _copy_segments(self, folder: Path, target: Path, *, whole: bool) -> None:
        listed = os.listdir(folder)
        names = sorted(name for name in listed if segment_number(name) is not None)
        spares = [name for name in listed if is_spare(name)]
        for name in (names if whole else names[:-1]) + spares:
            data = self._if_changed(folder / name, always=whole)
            header = None if data is None else header_of(data, name.removeprefix(SPARE_PREFIX))
            if data is not None and header is not None:
                copy = target / copy_name(header)
                _write(copy, data)
                self._ends.pop(copy, None)
        if names and not whole:
            self._copy_end(folder, names[-1], target)

    def _copy_end(self, folder: Path, name: str, target: Path) -> None:
        """Copies what of the last segment is synced. Usually that is more than was copied before,
        and only what is new is written; after a loss of power it may be something else."""
        path = folder / name
        with path.open("rb") as opened:
            header = header_of(opened.read(OWNER_BYTES), name)
        if header is None:
            return
        # The mark first: what it says is in the file by now, and more may be.
        mark = read_mark(OsDisk(folder), [MARK_FILE], header.identity.salt())
        data = self._if_changed(path)
        if data is None or mark is None or mark.segment != header.number:
            return
        copy, synced = target / copy_name(header), data[: mark.offset]
        before = self._ends.get(copy, b"")
        if before and synced.startswith(before):
            with copy.open("ab") as opened:
                opened.write(synced[len(before) :])
        else:
            _write(copy, synced)
        self._ends[copy] = synced

    def _if_changed(self, path: Path, *, always: bool = False) -> bytes | None:
        """What the file holds; None when it was read before, and has not changed since."""
        about = path.stat()
        key = (str(path), about.st_ino, about.st_mtime_ns)
        if key in self._known and not always:
            return None
        data = path.read_bytes()
        self._known.add(key)
        return data


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
