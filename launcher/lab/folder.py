"""A run's folder: all that is kept of one run of `launcher test`, and for how long.

    logs/runs/20261129-014500-7/    a run: when it began, and its seed
        run.json        what was asked for, by which version, in which circumstances; its format
        cluster.yaml    the configuration of its cluster; data and logs are beside it
        course.jsonl    what the run had reached when: a line for each step
        schedule.jsonl  the faults of the seed
        chaos.jsonl     the faults as they were injected
        samples.jsonl   the cluster's status, ten times a second
        workload.json   what the clients were to do
        history/        what they asked for and saw
        logs/           the event logs, and the timeline
        data/           what the nodes had on their disks when the cluster was stopped
        wal/            copies of the segments of their logs, also of those that they have dropped
        verdict.json    the verdict
    logs/runs/latest                a link to the run that began last

`verdict` needs nothing but this folder. A run that was killed leaves it as it was at that second.

The oldest runs are removed when there are more than KEPT. A run that is going on is never removed:
its process holds a lock on its folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from launcher.config import ClusterConfig
from launcher.errors import LauncherError, UsageError, saying
from launcher.folders import private

FORMAT: Final = 1
"""The format of a run's folder. A program reads this one and every earlier one."""

KEPT: Final = 20
"""How many runs are kept, the newest ones."""

RUNS, LATEST = "runs", "latest"

_NAME = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9]+(-[0-9]+)?")


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What run.json says: how the run was made. It is written before anything is started.

    begun: local time, to the second, as ISO 8601 writes it
    versions: of this product, of Python, of the system
    asked: what the user asked for, with the defaults filled in; by option
    circumstances: the settings that the seed has drawn, by key of cluster.yaml
    again: the command that repeats the run
    """

    format: int
    seed: int
    begun: str
    versions: dict[str, str]
    asked: dict[str, Any]
    circumstances: dict[str, str]
    again: str


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A line of course.jsonl: what a run has reached.

    t: nanoseconds since the epoch, by the clock of the history
    step: its name
    """

    t: int
    step: str
    detail: dict[str, Any] = {}


class RunFolder:
    """The folder of one run, and where everything is in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.made_file = path / "run.json"
        self.config_file = path / "cluster.yaml"
        self.course_file = path / "course.jsonl"
        self.schedule_file = path / "schedule.jsonl"
        self.chaos_file = path / "chaos.jsonl"
        self.samples_file = path / "samples.jsonl"
        self.history_dir = path / "history"
        self.log_dir = path / "logs"
        self.data_dir = path / "data"
        self.wal_dir = path / "wal"
        self.verdict_file = path / "verdict.json"

    def __str__(self) -> str:
        return shown(self.path)

    def read_made(self) -> Made:
        """What run.json says. Raises LauncherError when this is no run, or one that this program
        cannot read."""
        try:
            said = msgspec.json.decode(self.made_file.read_bytes())
        except FileNotFoundError:
            problem = "is no run's folder" if self.path.is_dir() else "does not exist"
            raise UsageError(f"{self} {problem}: `launcher test` makes one") from None
        except (ValueError, RecursionError) as error:
            raise LauncherError(f"{self} is damaged: {self.made_file.name}: {error}") from error
        except OSError as error:
            raise LauncherError(f"{self} cannot be read: {error.strerror}") from error
        number = said.get("format") if isinstance(said, dict) else None
        if isinstance(number, int) and not isinstance(number, bool) and number > FORMAT:
            by = said.get("versions")
            version = by.get("leeky-raft", "a later version") if isinstance(by, dict) else "?"
            raise LauncherError(
                f"{self} is of format {number}, and this program knows formats up to {FORMAT}: "
                f"check it with the version that made it ({version})"
            )
        try:
            return msgspec.convert(said, Made)
        except msgspec.ValidationError as error:
            raise LauncherError(f"{self} is damaged: {self.made_file.name}: {error}") from error

    def write_made(self, made: Made) -> None:
        """Raises LauncherError."""
        with saying(f"{self} cannot be written"):
            _write(self.made_file, msgspec.json.format(msgspec.json.encode(made), indent=2))

    def note(self, t: int, step: str, **detail: object) -> None:
        """Adds a line to course.jsonl. Raises OSError."""
        line = json.dumps({"t": t, "step": step, "detail": detail}, default=str) + "\n"
        descriptor = private.open_file(self.course_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)

    def course(self) -> list[Step]:
        """What the run had reached; a last line that was cut off is left out.

        Raises LauncherError for any other line that is none: what it said may decide the verdict.
        """
        try:
            *lines, torn = self.course_file.read_bytes().split(b"\n")
        except OSError:
            return []
        steps = []
        for number, line in enumerate(lines, 1):
            try:
                steps.append(msgspec.json.decode(line, type=Step))
            except (ValueError, RecursionError) as error:
                name = self.course_file.name
                raise LauncherError(f"{self} is damaged: {name}, line {number}: {error}") from error
        with contextlib.suppress(ValueError, RecursionError):
            steps.append(msgspec.json.decode(torn, type=Step))
        return steps

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """While this is open the run is going on, and nobody removes its folder."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            yield
        finally:
            os.close(descriptor)

    @property
    def is_going_on(self) -> bool:
        """Whether a process holds it."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False


def root_of(config: ClusterConfig) -> Path:
    """Where the runs of a project are: among the logs of its cluster."""
    return config.log_dir / RUNS


def begin(root: Path, seed: int, now: datetime) -> RunFolder:
    """Makes the folder of a run that begins now, and has `latest` lead to it.

    root: the folder of all runs

    Raises LauncherError.
    """
    with saying(f"no folder for this run can be made in {shown(root)}"):
        private.make_folder(root)
        name = f"{now:%Y%m%d-%H%M%S}-{seed}"
        taken = 1
        while True:
            path = root / (name if taken == 1 else f"{name}-{taken}")
            try:
                path.mkdir(private.FOLDER_MODE)
            except FileExistsError:
                taken += 1
                continue
            break
        _point_latest(root, path.name)
    return RunFolder(path)


def find(root: Path, name: str | None) -> RunFolder:
    """The run that a user means: its folder, its name in `root`, or by default the latest.

    Raises UsageError.
    """
    if name is None:
        latest = root / LATEST
        if not latest.exists():
            raise UsageError(
                f"there is no run in {shown(root)}: `launcher test` makes one; "
                "or give the folder of a run"
            )
        return RunFolder(latest.resolve())
    path = Path(name)
    if not path.exists() and path.name == name and (root / name).exists():
        path = root / name
    if path.is_file() and path.parent != path:
        path = path.parent  # a file of the run was named
    return RunFolder(Path(os.path.abspath(path)).resolve())


def all_runs(root: Path) -> list[RunFolder]:
    """Every run in `root`, the oldest first."""
    try:
        found = [path for path in root.iterdir() if _NAME.fullmatch(path.name)]
    except OSError:
        return []
    whole = [path for path in found if path.is_dir() and not path.is_symlink()]
    return [RunFolder(path) for path in sorted(whole, key=_age)]


def prune(root: Path, keep: int = KEPT) -> list[str]:
    """Removes the oldest runs, so that `keep` are left; returns the names of those removed.

    A run that is going on stays, and so does one that cannot be removed.
    """
    runs = all_runs(root)
    removed = []
    for run in runs[: max(0, len(runs) - keep)]:
        with contextlib.suppress(OSError):
            if not run.is_going_on:
                shutil.rmtree(run.path)
                removed.append(run.path.name)
    return removed


def shown(path: Path) -> str:
    """A path as a user would type it here: relative where it lies below the current folder."""
    with contextlib.suppress(ValueError, OSError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def write_json(file: Path, value: object) -> None:
    """Writes a file whole, in place of one that is there. Raises OSError."""
    _write(file, msgspec.json.format(msgspec.json.encode(value), indent=2))


def _write(file: Path, data: bytes) -> None:
    new = file.with_name(f"{file.name}.new")
    descriptor = private.open_file(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    with open(descriptor, "wb") as opened:
        opened.write(data + b"\n")
    new.replace(file)


def _point_latest(root: Path, name: str) -> None:
    new = root / f".{LATEST}-{os.getpid()}"
    with contextlib.suppress(FileNotFoundError):
        new.unlink()
    new.symlink_to(name)
    new.replace(root / LATEST)


def _age(path: Path) -> tuple[str, float]:
    """By the time in its name; runs of one second by when they were made."""
    day, second, *_ = path.name.split("-")
    try:
        made = path.stat().st_ctime
    except OSError:
        made = 0.0
    return day + second, made
