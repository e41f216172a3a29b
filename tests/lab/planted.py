"""`python -m tests.lab.planted NAME -- test --seed 3`: the launcher of a product with a bug in it.

Without NAME it lists the bugs, each with the command that finds it. With NAME it makes a copy of
the product in a temporary folder, plants the bug there, and runs `launcher` from the copy with the
arguments after `--`: in the current folder, with its terminal, and with its exit status. Without
arguments they are those that find the bug. The copy is removed when that command ends, so a cluster
that is started with `up` must stay in the foreground.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from launcher.errors import LauncherError
from tests.lab.bugs import BUGS, bug_named
from tests.lab.copies import environment, patched_copy

USAGE = "usage: python -m tests.lab.planted [NAME [-- ARGUMENTS OF launcher]]"


def main(words: Sequence[str]) -> int:
    """Returns the exit status of the launcher; 2 for a word that means nothing."""
    if not words:
        print(listed())
        return 0
    name, *rest = words
    bug = bug_named(name)
    if bug is None or (rest and rest[0] != "--"):
        names = ", ".join(one.name for one in BUGS)
        print(f"{USAGE}\nNAME is one of: {names}", file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(prefix="planted-"))
    try:
        root = patched_copy(folder, bug.planted)
        return run(root, rest[1:] or bug.command.split())
    except LauncherError as error:
        print(f"the bug cannot be planted: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run(root: Path, words: Sequence[str], folder: Path | None = None) -> int:
    """Runs the launcher of the product at `root`. Returns its exit status.

    folder: where it runs; None: the current one
    """
    command = [sys.executable, "-m", "launcher", *words]
    with subprocess.Popen(command, env=environment(root), cwd=folder) as process:
        # Ctrl-C reaches the launcher too, which takes everything down: its end is waited for.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        ended = signal.signal(signal.SIGTERM, lambda number, frame: process.terminate())
        try:
            status = process.wait()
        finally:
            signal.signal(signal.SIGINT, before)
            signal.signal(signal.SIGTERM, ended)
    return status if status >= 0 else 128 - status


def listed() -> str:
    """All bugs: what each is, and the command that finds it."""
    lines = []
    for bug in BUGS:
        lines.append(f"{bug.name}: {bug.kind}")
        lines.append(f"    python -m tests.lab.planted {bug.name} -- {bug.command}")
    return os.linesep.join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
