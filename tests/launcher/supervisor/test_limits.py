"""What is told when a shell's limits are too low: before anything is begun, in one line."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

from launcher import Cluster
from launcher.config import load
from launcher.errors import LauncherError
from launcher.supervisor import limits


def test_a_user_with_too_many_processes_is_told_which_limit_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", refuse)

    with pytest.raises(LauncherError, match=r"cannot be started.*`ulimit -u`"):
        Cluster(3, config=load(directory=tmp_path)).up()


@pytest.mark.parametrize(
    ("nodes", "hard", "is_enough"), [(3, 59, True), (3, 58, False), (31, 255, True)]
)
def test_a_cluster_needs_more_files_the_more_nodes_it_has(
    monkeypatch: pytest.MonkeyPatch, nodes: int, hard: int, is_enough: bool
) -> None:
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)  # or it would lower ours, for good
    monkeypatch.setattr(resource, "getrlimit", lambda _: (10, hard))
    if is_enough:
        limits.check_files(nodes)
    else:
        with pytest.raises(LauncherError, match=f"{nodes} nodes need 59 open files"):
            limits.check_files(nodes)
