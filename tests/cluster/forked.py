"""Commands in processes of their own, forked from one that has imported the launcher before.

A quarter of a second of a core is what `python -m launcher` needs to start, and the tests give some
thousand commands. Here each is a process too, with its own folder, environment and exit status, but
it begins where `launcher/__main__.py` does. That Python gets there, and that a command reads from a
pipe, is for the tests that start one as a user does (`Lab.spawn`, or any command with input).
"""

from __future__ import annotations

import multiprocessing
import multiprocessing.process
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from launcher.cli.table import ROWS

_one_start = threading.Lock()
_children: set[object] = vars(multiprocessing.process)["_children"]
_forks = multiprocessing.get_context("forkserver")
_forks.set_forkserver_preload(
    [
        "launcher.cli.shell",
        "launcher.cluster",
        "launcher.client.client",
        "launcher.control.status",
        "launcher.timeline.render",
        *sorted({place.partition(":")[0] for place in ROWS.values()}),
    ]
)


def run(
    words: Sequence[str], folder: Path, environment: Mapping[str, str], timeout_s: float
) -> subprocess.CompletedProcess[bytes]:
    """What `launcher WORDS` says in `folder`, when nothing is to be read from its input.

    Raises subprocess.TimeoutExpired, and then it is dead.
    """
    with tempfile.TemporaryDirectory() as said:
        out, err = Path(said) / "out", Path(said) / "err"
        process = _forks.Process(
            target=_run, args=(list(words), folder, dict(environment), out, err)
        )
        with _one_start:
            process.start()
            # Each start looks at all other children, and takes the exit status of one that has
            # ended: in another thread, which waits for it, that one's status would be lost (255).
            _children.discard(process)
        process.join(timeout_s)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(
                list(words), timeout_s, out.read_bytes(), err.read_bytes()
            )
        return subprocess.CompletedProcess(
            list(words), process.exitcode, out.read_bytes(), err.read_bytes()
        )


def _run(words: list[str], folder: Path, environment: dict[str, str], out: Path, err: Path) -> None:
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    for number, path in ((1, out), (2, err)):
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(os.devnull)  # noqa: SIM115, for as long as the process lives
    sys.stdout, sys.stderr = open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    sys.argv = ["launcher", *words]

    from launcher.__main__ import main

    sys.exit(main())
