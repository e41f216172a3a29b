"""The record of a run's operations: one line when a client begins one, one when it has ended.

A run has a folder, and in it `history/client-<n>.jsonl`, a file for each client. A line is one
write, straight to the file, so what a process has recorded stays when the process is killed:

    {"t":..,"process":3,"id":17,"type":"invoke","f":"write","value":{..},"node":2,
     "command":"SET k 1"}
    {"t":..,"process":3,"id":17,"type":"ok","f":"write","value":"ok","error":"","index":41}

`invoke` is written before the operation is sent, and the other line when its outcome is known:

    ok     it happened; `value` is the answer
    fail   it certainly did not happen: the machine refused it; `error` is the refusal
    info   unknown: no answer came in time, or the session was lost. It may happen at any time, or
           never. An operation without a second line is the same

`t` is in nanoseconds since the epoch, on a clock that never steps within a run: the monotonic clock
of the machine plus an offset that is fixed when the run begins. So the operations of all processes
have one order, and stand beside the events of the nodes.

A last line that is torn is left out, and counted. A line with fields that this version does not
know is read without them. Any other damage is an error with its file and line.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypeAlias

import msgspec

from launcher.errors import LauncherError, saying
from node.printable import error_line

FOLDER = "history"
_FILE = re.compile(r"client-([0-9]{1,6})\.jsonl")

Outcome: TypeAlias = Literal["ok", "fail", "info"]


class Invoked(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A client begins an operation.

    t: nanoseconds
    process: the number of the client
    id: of the operation; no other of the same client has it
    f: what is done: `read`, `write`, ...
    value: what for, as the workload wrote it
    node: the node that is asked, where the client asks a certain one
    command: what is to be appended to the log, as text; None for a read
    stale: it is a read that may be answered from the past
    """

    t: int
    process: int
    id: int
    type: Literal["invoke"] = "invoke"
    f: str
    value: Any = None
    node: int | None = None
    command: str | None = None
    stale: bool = False


class Completed(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The outcome is known.

    value: the machine's answer, when `ok`
    error: the refusal, or why the outcome is unknown
    index: the entry of the log that the answer comes from
    by: the node that answered
    """

    t: int
    process: int
    id: int
    type: Outcome
    f: str
    value: str | None = None
    error: str = ""
    index: int | None = None
    by: int | None = None


class Done(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One operation, from beginning to end: what a workload's check reads.

    process: the number of the client that did it
    f, value: what was asked for, as the workload wrote it
    node: the node that was asked, where it was a certain one
    command: what was to be appended to the log, as text; None for a read
    stale: it was a read that may be answered from the past
    outcome: `ok`, `fail` or `info`
    invoked: when it began, in nanoseconds
    completed: when its answer was there; None for `info`, for it may yet happen
    given_up: when the client stopped waiting; None when it has not said so, or there was an answer
    result: the machine's answer as text, when `ok`
    error: the refusal, when `fail`; why nothing is known, when `info`
    index: the entry of the log that the answer comes from, if there was one
    by: the node that answered, where that is known
    """

    process: int
    id: int
    f: str
    value: Any = None
    node: int | None = None
    command: str | None = None
    stale: bool = False
    outcome: Outcome
    invoked: int
    completed: int | None = None
    given_up: int | None = None
    result: str | None = None
    error: str = ""
    index: int | None = None
    by: int | None = None


class History(msgspec.Struct, frozen=True):
    """All operations of a run, by when they began.

    torn: how many files end in half a line
    """

    operations: list[Done]
    torn: int = 0

    def find(self, process: int, number: int) -> Done | None:
        """The operation with this number of that client."""
        return next(
            (one for one in self.operations if (one.process, one.id) == (process, number)), None
        )


class Writer:
    """Appends to one client's file.

    folder: of the run; `history/` is made in it

    Raises LauncherError when the file cannot be made or written: the disk is full, say.
    """

    def __init__(self, folder: Path, process: int) -> None:
        self._path = folder / FOLDER / f"client-{process}.jsonl"
        self._encoder = msgspec.json.Encoder()
        with saying(f"{self._path} cannot be made"):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, 0o600)

    def write(self, line: Invoked | Completed) -> None:
        """Appends a line with one write."""
        data = self._encoder.encode(line) + b"\n"
        with saying(f"{self._path} cannot be written"):
            while data:  # a disk that is nearly full takes a part
                data = data[os.write(self._descriptor, data) :]

    def close(self) -> None:
        """Closes the file."""
        os.close(self._descriptor)


def read(folder: Path) -> History:
    """The history in a run's folder, which may still grow.

    Raises LauncherError when there is none, or it is damaged.
    """
    files = sorted(_files(folder), key=lambda found: found[0])
    if not files:
        raise LauncherError(f"there is no history in {folder / FOLDER}")
    operations: list[Done] = []
    torn = 0
    for process, path in files:
        lines, is_torn = _lines(path)
        operations += _paired(process, path, lines)
        torn += is_torn
    operations.sort(key=lambda one: (one.invoked, one.process, one.id))
    return History(operations, torn)


def _files(folder: Path) -> Iterator[tuple[int, Path]]:
    try:
        names = sorted(os.listdir(folder / FOLDER))
    except OSError:
        return
    for name in names:
        if found := _FILE.fullmatch(name):
            yield int(found[1]), folder / FOLDER / name


_decoder = msgspec.json.Decoder(dict[str, Any])


def _lines(path: Path) -> tuple[Iterator[tuple[int, Invoked | Completed]], bool]:
    """The lines with their numbers, and whether the last one is torn."""
    with saying(f"{path} cannot be read"):
        data = path.read_bytes()
    whole, _, rest = data.rpartition(b"\n")
    lines = whole.split(b"\n") if whole else []
    return _decoded(path, lines), bool(rest)


def _decoded(path: Path, lines: list[bytes]) -> Iterator[tuple[int, Invoked | Completed]]:
    for number, line in enumerate(lines, 1):
        try:
            fields = _decoder.decode(line)
            if fields.get("type") == "invoke":
                yield number, msgspec.convert(fields, Invoked)
            else:
                yield number, msgspec.convert(fields, Completed)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise LauncherError(
                f"{path}:{number}: this is no line of a history: {error_line(error, 200)}"
            ) from error


def _paired(
    process: int, path: Path, lines: Iterator[tuple[int, Invoked | Completed]]
) -> Iterator[Done]:
    begun: dict[int, Invoked] = {}
    seen: set[int] = set()
    for number, line in lines:
        where = f"{path}:{number}: operation {line.id}"
        if line.process != process:
            raise LauncherError(f"{where} is of client {line.process}, in another client's file")
        if isinstance(line, Invoked):
            if line.id in seen:
                raise LauncherError(f"{where} begins twice")
            seen.add(line.id)
            begun[line.id] = line
            continue
        asked = begun.pop(line.id, None)
        if asked is None:
            raise LauncherError(f"{where} ends, and has not begun")
        if line.t < asked.t:
            raise LauncherError(f"{where} ends before it begins")
        yield done(asked, line)
    for asked in begun.values():
        yield done(asked, None)


def done(asked: Invoked, ended: Completed | None) -> Done:
    """The operation that two lines are about; `ended` is None when there is no second line."""
    if ended is None:
        ended = Completed(t=0, process=asked.process, id=asked.id, type="info", f=asked.f)
    is_known = ended.type != "info"
    return Done(
        process=asked.process,
        id=asked.id,
        f=asked.f,
        value=asked.value,
        node=asked.node,
        command=asked.command,
        stale=asked.stale,
        outcome=ended.type,
        invoked=asked.t,
        completed=ended.t if is_known else None,
        given_up=None if is_known else ended.t or None,
        result=ended.value if ended.type == "ok" else None,
        error=ended.error,
        index=ended.index,
        by=ended.by,
    )
