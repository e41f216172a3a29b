"""A user's machine is tried in a process of its own before anything is started for it.

Importing a machine runs the user's code, and that may do anything: raise, loop, call `os._exit`,
print, change signals. Here it does so to a child, which has a time limit, and finds modules where
a node finds them. The child imports the machine's module, constructs a machine, takes a snapshot of
the empty one and restores that into another. What it then says, one line, comes over a pipe of its
own: what the user's code prints is none of it.

    python -P -m launcher.supervisor.machine_check REPORT LIMIT_S NAME FOLDER...
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import FrameType

from launcher.errors import UsageError
from launcher.supervisor.lifecycle import signal_name

_GRACE_S = 2.0
"""How much longer than the limit the child may take to say where it hangs: until its interpreter
has started, and where the user's code lets no signal through."""

_MOST_BYTES = 1 << 16


def check(name: str, folders: Sequence[str], env: Mapping[str, str], limit_s: float) -> None:
    """Tries the machine called so. Blocks.

    folders: where the nodes look for modules before everything else
    env: of the child's process

    Raises UsageError, with one line that says what is wrong and where in the user's code.
    """
    report, theirs = os.pipe()
    words = [
        "-P",
        "-m",
        "launcher.supervisor.machine_check",
        str(theirs),
        f"{limit_s:g}",
        name,
        *folders,
    ]
    try:
        child = subprocess.Popen(
            [sys.executable, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(theirs,),
            env=dict(env),
            start_new_session=True,
        )
    except OSError as error:
        os.close(report)
        raise UsageError(f"machine {name}: it cannot be tried: {error}") from error
    finally:
        os.close(theirs)
    try:
        problem = _outcome(child, report, limit_s)
    finally:
        os.close(report)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)  # it, and whatever it has started
        child.wait()
    if problem:
        raise UsageError(f"machine {name}: {problem}" if _lacks_name(problem) else problem)


def _lacks_name(problem: str) -> bool:
    return not problem.startswith(("machine ", "the machine ", "no machine "))


def _outcome(child: subprocess.Popen[bytes], report: int, limit_s: float) -> str:
    """What is wrong; empty when nothing is."""
    try:
        status = child.wait(limit_s + _GRACE_S)
    except subprocess.TimeoutExpired:
        return f"trying it takes longer than {limit_s:g} s, and it cannot be interrupted"
    os.set_blocking(report, False)
    with suppress(BlockingIOError):
        said = os.read(report, _MOST_BYTES)
        if said:
            return said[1:].decode("utf-8", "replace")
    how = f"by {signal_name(-status)}" if status < 0 else f"with exit status {status}"
    return f"it ends the process that imports it, {how}"


# -- the child -----------------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> None:
    """Tries one machine, and says what came of it. Ends the process."""
    report, limit_s, name = int(arguments[0]), float(arguments[1]), arguments[2]
    from node import module_path
    from node.errors import MachineError
    from node.machines.failures import place_of_frame, raised

    module_path.use(arguments[3:])
    doing = "importing and constructing it"

    def say(problem: str) -> None:
        os.write(report, b"=" + problem.encode("utf-8", "backslashreplace")[: _MOST_BYTES - 1])
        os._exit(0)

    def late(_: int, frame: FrameType | None) -> None:
        where = place_of_frame(frame)
        at = f"; it is at {where}" if where else ""
        say(f"machine {name}: {doing} takes longer than {limit_s:g} s{at}")

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        from node.machines.registry import load

        machine = load(name)
        doing = "taking a snapshot of it"
        chunks = list(machine.snapshot())
        if not all(isinstance(chunk, bytes | bytearray | memoryview) for chunk in chunks):
            raise TypeError("snapshot must give pieces of bytes")
        doing = "restoring an empty one"
        load(name).restore(iter(chunks))
    except MachineError as error:
        say(str(error))
    except BaseException as error:
        say(str(raised(name, f"when it was tried, by {doing}", error)).partition("; mend")[0])
    say("")


if __name__ == "__main__":
    main(sys.argv[1:])
