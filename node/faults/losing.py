"""The power of a node fails: what it had not synced is undone on its real files.

The process and its forks have ended, and nothing has started since. What they left unsynced is in
the record (`node/faults/unsynced.py`); what of it is lost, `node/faults/pages.py` decides.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from random import Random

import msgspec

from node.faults.pages import FileState, file_kept
from node.faults.unsynced import Memory, aside, clear_aside


class Lost(msgspec.Struct, frozen=True):
    """What a loss of power took.

    files: those of which bytes or the size changed
    bytes: how many bytes were changed or cut off
    names: those that mean another file now, or none, or mean one again
    """

    files: list[str] = []
    bytes: int = 0
    names: list[str] = []


def lose_power(memory: Memory, folder: Path, part: Random | None) -> Lost:
    """Undoes what was not synced: all of it, or by chance a part.

    Afterwards all of the folder is durable, and the record is empty. Raises OSError.
    """
    unsynced = memory.read(folder, slot=True)
    now = {path.name: path.stat().st_ino for path in folder.iterdir() if path.is_file()}
    names = unsynced.names_kept(now, part)
    kept = aside(folder)
    places = {number: folder / name for name, number in now.items()}
    for number in {*names.values()} - {*places}:
        if (kept / str(number)).exists():
            places[number] = kept / str(number)
    names = {name: number for name, number in names.items() if number in places}
    files, count = [], 0
    for number in dict.fromkeys(names.values()):
        if (state := unsynced.files.get(number)) is not None:
            changed = _undo(places[number], state, part)
            if changed:
                files.append(next(name for name in names if names[name] == number))
                count += changed
    changed_names = [name for name in {**now, **names} if now.get(name) != names.get(name)]
    _rename(folder, {name: names.get(name) for name in changed_names}, places)
    clear_aside(folder)
    memory.begin(folder)
    return Lost(sorted(files), count, sorted(changed_names))


def _undo(path: Path, state: FileState, part: Random | None) -> int:
    """How many bytes of the file have changed, or are cut off."""
    with path.open("r+b", buffering=0) as file:
        descriptor = file.fileno()
        before = os.fstat(descriptor).st_size
        size, patches = file_kept(
            state, before, lambda at, length: os.pread(descriptor, length, at), part
        )
        changed = 0
        for at, data in patches:
            now = os.pread(descriptor, len(data), at).ljust(len(data), b"\0")
            changed += sum(one != other for one, other in zip(now, data, strict=True))
            os.pwrite(descriptor, data, at)
        os.ftruncate(descriptor, size)
        os.fsync(descriptor)
    return changed + abs(before - size)


def _rename(folder: Path, names: dict[str, int | None], places: dict[int, Path]) -> None:
    """Has each name mean this file, or none."""
    kept = aside(folder)
    wanted = {number for number in names.values() if number is not None}
    if wanted:
        kept.mkdir(0o700, exist_ok=True)
    for number in wanted:
        with contextlib.suppress(FileExistsError):
            os.link(places[number], kept / str(number))
    for name, file in names.items():
        (folder / name).unlink(missing_ok=True)
        if file is not None:
            os.link(kept / str(file), folder / name)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
