"""A project that is copied or moved while its cluster runs, by commands, with real nodes.

Each command in each situation: `tests/launcher/folders/test_copies.py`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from node.storage.disk import held
from tests.cluster.lab import Lab, eventually

pytestmark = pytest.mark.cluster


@pytest.fixture
def original(tmp_path: Path) -> Iterator[Lab]:
    """A cluster that runs and holds an entry."""
    (tmp_path / "p").mkdir()
    lab = Lab(tmp_path / "p")
    try:
        lab.up(3)
        lab.launcher("submit", "ADD ours", check=True)
        lab.converge()
        yield lab
    finally:
        lab.close()


@pytest.fixture
def copy(original: Lab, tmp_path: Path) -> Iterator[Lab]:
    subprocess.run(["cp", "-a", original.folder, tmp_path / "q"], check=True)
    lab = Lab(tmp_path / "q")
    try:
        yield lab
    finally:
        lab.close()


def pids(lab: Lab) -> set[int]:
    status = lab.ps()
    return {status["supervisor_pid"], *(node["pid"] for node in status["nodes"])}


def runtime_dir(lab: Lab) -> Path:
    said = json.loads((lab.folder / "data" / "supervisor.json").read_text())
    return Path(said["runtime_dir"])


def test_a_copy_is_a_cluster_of_its_own(original: Lab, copy: Lab) -> None:
    before = pids(original)
    for words in (["ps"], ["down"], ["kill", "1"]):
        done = copy.launcher(*words)
        assert (done.status, "no cluster is running here" in done.last_error) == (3, True)
        assert pids(original) == before

    copy.up(3)
    assert copy.launcher("read", "LS", check=True).lines == ["ours"]
    copy.launcher("submit", "ADD theirs", check=True)
    copy.launcher("kill", "1", check=True)
    assert pids(original) == before
    assert not (pids(copy) - {None}) & before
    copy.launcher("down", "-v", check=True)
    copy.up(3, "--fresh")
    copy.launcher("down", check=True)

    assert pids(original) == before
    assert original.launcher("read", "LS", check=True).lines == ["ours"]


def test_a_copy_of_a_killed_cluster_leaves_it_what_is_its_own(original: Lab, copy: Lab) -> None:
    sockets = runtime_dir(original)
    os.kill(original.ps()["supervisor_pid"], signal.SIGKILL)
    eventually(lambda: original.launcher("ps").status == 3, "the supervisor to be gone")

    copy.up(3)
    assert sockets.is_dir()
    back = original.launcher("up", "3", "-d", stdin="", check=True)

    assert "removed the sockets of the dead supervisor" in back.err
    assert not sockets.exists()
    assert not pids(original) & pids(copy)
    for lab in (original, copy):
        assert lab.launcher("read", "LS", check=True).lines == ["ours"]


def test_a_moved_project_goes_on_where_it_is(original: Lab, tmp_path: Path) -> None:
    before = pids(original)
    original.folder = original.folder.rename(tmp_path / "r")

    assert before <= set(original.seen)
    eventually(lambda: not original.left(), "every process to end")
    assert original.launcher("ps").status == 3
    said = [event["reason"] for event in original.events("supervisor.stopping")]
    assert [f"moved to {original.folder / 'data'}" in reason for reason in said] == [True]
    original.up(3)
    assert original.launcher("read", "LS", check=True).lines == ["ours"]


def test_up_in_the_foreground_says_that_its_folder_was_moved(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    lab = Lab(tmp_path / "p")
    up = lab.spawn("up", "1")
    try:
        assert up.stderr is not None
        assert b"1 node up" in up.stderr.readline()
        (tmp_path / "p").rename(tmp_path / "q")
        _, said = up.communicate(timeout=60)
    finally:
        up.kill()
        up.communicate()
        lab.close()
    assert up.returncode == 1
    assert b"was moved or removed, so the cluster has ended: `launcher up` goes on" in said
    assert b"Traceback" not in said


def test_a_folder_that_another_process_runs_on_is_not_started_on(original: Lab) -> None:
    """Such as a node that is on nobody's record any more, with its supervisor and its sockets gone.
    Two processes that write one log would destroy it."""
    original.launcher("stop", "2", check=True)
    with held(original.folder / "data" / "node-2"):
        refused = original.launcher("start", "2")
        assert refused.status == 1
        folder = original.folder / "data" / "node-2"
        assert f"another process runs on {folder}: end it first" in refused.last_error
    original.launcher("start", "2", check=True)
    original.converge()
