"""What is said of a user's machine that fails: in one line, where in its code, and the traceback.

A machine is a user's code, so anything may come out of it: an exception whose text has many lines
or steers a terminal, one whose `__str__` raises, `SystemExit`, a traceback of megabytes. What is
made of it here is of bounded length and can be printed.

`FailedOn` says which entry it was; `raised` makes the one sentence that the node ends with.
"""

from __future__ import annotations

import os
import sysconfig
import traceback
from pathlib import Path
from types import FrameType, TracebackType

from node.errors import MachineError
from node.printable import printable_line

MOST_LINE_CHARACTERS = 500
"""No sentence about a machine is longer."""

MOST_TRACEBACK_CHARACTERS = 8000
"""Of a traceback the end is kept, since there stands what was raised."""

_OURS = str(Path(__file__).resolve().parents[1]) + os.sep
"""Where the node's own code is."""

_LIBRARY = tuple(
    path + os.sep
    for name, path in sysconfig.get_paths().items()
    if name in ("stdlib", "platstdlib", "purelib", "platlib")
)
"""Where Python's own modules are, and those that were installed."""


class FailedOn(Exception):
    """A machine raised what is no refusal, or answered with what is no answer: the `__cause__`.

    first_index, last_index: of the entries that it was handed; the same when it is known which
    command: the first of them
    """

    def __init__(self, first_index: int, last_index: int, command: bytes) -> None:
        super().__init__(first_index, last_index, command)
        self.first_index = first_index
        self.last_index = last_index
        self.command = command


def what(error: BaseException) -> str:
    """The exception in one line: its type, its text, and where in the machine's code it came from.

    `ValueError: no such key (counter.py:12)`. Never raises, whatever the exception's own code does.
    """
    try:
        text = str(error)
    except BaseException as failed:  # a __str__ of the user's that fails
        text = f"its text cannot be had: {type(failed).__name__}"
    where = place(error)
    whole = f"{type(error).__name__}: {text}" if text else type(error).__name__
    said = printable_line(whole, MOST_LINE_CHARACTERS)
    return f"{said} ({where})" if where else said


def place(error: BaseException) -> str:
    """The file and line of the user's code where it was raised: `counter.py:12`; empty when no
    code of the user's took part."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{shown_path(error.filename)}:{error.lineno}"
    found = innermost(error)
    return "" if found is None else f"{shown_path(found[0])}:{found[1]}"


def innermost(error: BaseException) -> tuple[str, int] | None:
    """The file and line of the innermost frame in the user's own code, if there is any."""
    found = None
    step: TracebackType | None = error.__traceback__
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        if is_users(file):
            found = file, step.tb_lineno
        step = step.tb_next
    return found


def place_of_frame(frame: FrameType | None) -> str:
    """The same for code that runs: where it is."""
    while frame is not None and not is_users(frame.f_code.co_filename):
        frame = frame.f_back
    return "" if frame is None else f"{shown_path(frame.f_code.co_filename)}:{frame.f_lineno}"


def is_users(file: str) -> bool:
    """Whether a file of code is the user's own: neither the node's, nor Python's, nor installed."""
    return not file.startswith(("<", _OURS, *_LIBRARY))


def shown_path(file: str) -> str:
    """Relative when it is below the current folder."""
    try:
        relative = os.path.relpath(file)
    except (OSError, ValueError):  # the current folder has been removed
        return printable_line(file, MOST_LINE_CHARACTERS)
    shown = file if relative.startswith("..") else relative
    return printable_line(shown, MOST_LINE_CHARACTERS)


def traceback_of(error: BaseException) -> str:
    """The whole traceback, of bounded length: the end of it when it is longer. Never raises."""
    try:
        text = "".join(traceback.format_exception(error, limit=-40))
    except BaseException as failed:  # the exception's own code
        text = f"{type(error).__name__}, and no traceback can be made: {type(failed).__name__}"
    text = text.encode("utf-8", "backslashreplace").decode()
    if len(text) > MOST_TRACEBACK_CHARACTERS:
        text = "..." + text[-MOST_TRACEBACK_CHARACTERS:]
    return text


def raised(machine: str, doing: str, error: BaseException) -> MachineError:
    """What ends the node: the machine `machine` failed `doing` something, and what to do.

    SystemExit and its like are named for what they are: a machine ends no process.
    """
    if isinstance(error, Exception):
        said = f"the machine {machine} failed {doing} ({what(error)})"
    else:
        said = f"the machine {machine} ended itself {doing} ({what(error)}), which it may not"
    return MachineError(f"{said}; mend the machine, then start the node")
