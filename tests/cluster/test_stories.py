"""Stories on real processes: each that can is played, and the cluster is always taken down."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from launcher.real_stories.words import can_be_played
from launcher.simulation.stage import library
from tests.cluster.lab import PATIENCE_S, ROOT, eventually

pytestmark = pytest.mark.cluster

PLAYABLE = [story.label for story in library.stories() if can_be_played(story)]
STORY_S = 100.0


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where a story makes its temporary folder: nothing is left, in it or running."""
    yield tmp_path
    assert [path.name for path in tmp_path.glob("leeky-story-*")] == []
    eventually(lambda: not processes_of(tmp_path), "every process to end")


def processes_of(folder: Path) -> list[psutil.Process]:
    """The processes that were started for a cluster in this folder."""
    found = []
    for process in psutil.process_iter(["cwd", "cmdline", "environ"]):
        environ = process.info["environ"] or {}
        if environ.get("TMPDIR") == str(folder):
            found.append(process)
    return found


def play(folder: Path, *words: str) -> subprocess.Popen[bytes]:
    """Starts `launcher story` in a folder, with the temporary files there too."""
    return subprocess.Popen(
        [sys.executable, "-m", "launcher", "story", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def test_these_can_be_played() -> None:
    assert set(PLAYABLE) >= {
        "leader_dies_unnoticed", "two_leaders", "follower_behind", "partition_of_the_minority",
        "minority_commits_nothing", "transfer", "whole_cluster_restarts", "failure_hint",
    }  # fmt: skip


@pytest.mark.parametrize("name", PLAYABLE)
def test_a_story_is_played_on_real_processes(folder: Path, name: str) -> None:
    out, err = play(folder, name, "--real").communicate(timeout=STORY_S)

    assert err == b""
    assert out.endswith(b" expectations, all held\n"), out
    assert b"\n  | ok\n" in out


def test_an_expectation_that_does_not_come_fails_it(folder: Path) -> None:
    (folder / "mine.txt").write_text("start 1\nelect S1\npropose S1 a\nexpect unanswered\n")

    running = play(folder, "./mine.txt", "--real")
    _, err = running.communicate(timeout=STORY_S)

    assert running.returncode == 1
    assert err == (
        b"launcher: ./mine.txt, line 4: expected: unanswered; "
        b"found: the last propose has an answer, so it is committed\n"
    )


def test_a_word_that_is_wrong_in_the_middle_ends_it(folder: Path) -> None:
    (folder / "mine.txt").write_text("start 1\nelect S2\n")

    running = play(folder, "./mine.txt", "--real")
    _, err = running.communicate(timeout=STORY_S)

    assert running.returncode == 2
    assert b"./mine.txt, line 2: elect: no server 'S2'; there are S1; write: elect S" in err


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)]
)
def test_a_signal_takes_the_cluster_down(folder: Path, number: int, status: int) -> None:
    """After SIGKILL nobody is left to remove the folder; the processes still end."""
    (folder / "mine.txt").write_text("start 3\nelect S1\nshow\nexpect role S1 follower\n")
    running = play(folder, "./mine.txt", "--real")
    assert running.stdout is not None
    while b"show" not in running.stdout.readline():
        pass
    assert len(processes_of(folder)) > 3

    running.send_signal(number)

    assert running.wait(timeout=PATIENCE_S) == status
    eventually(lambda: not processes_of(folder), "every process to end")
    if number == signal.SIGKILL:
        for left in folder.glob("leeky-story-*"):
            subprocess.run(["rm", "-r", str(left)], check=True)


def test_the_end_of_the_steps_takes_the_cluster_down(folder: Path) -> None:
    running = play(folder, "follower_behind", "--real", "--step")
    out, err = running.communicate(b"\n\n", timeout=STORY_S)

    assert running.returncode == 0
    assert err == b""
    assert b"stopped before line " in out.splitlines()[-1]


def test_a_reader_that_leaves_takes_the_cluster_down(folder: Path) -> None:
    running = play(folder, "follower_behind", "--real")
    assert running.stdout is not None
    running.stdout.readline()
    running.stdout.close()

    assert running.wait(timeout=STORY_S) == 0
