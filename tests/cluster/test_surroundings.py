"""What a process inherits from whoever starts it must not stop a cluster."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.cluster.lab import Lab, eventually

pytestmark = pytest.mark.cluster

ALL = sorted(signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP})


def set_signals(ignored: Sequence[int], blocked: Sequence[int]) -> None:
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, blocked)


def run_with_signals(
    lab: Lab, *words: str, ignored: Sequence[int], blocked: Sequence[int]
) -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(
        lab.command(*words),
        cwd=lab.folder,
        env=lab.environment(None),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
        preexec_fn=lambda: set_signals(ignored, blocked),
        restore_signals=False,
        check=False,
    )
    lab.remember()
    return done


# -- signals ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ignored", "blocked"),
    [
        pytest.param([signal.SIGCHLD], [], id="SIGCHLD ignored"),
        pytest.param(ALL, [], id="all ignored"),
        pytest.param([], ALL, id="all blocked"),
    ],
)
def test_a_parent_that_ignores_or_blocks_signals(
    lab: Lab, ignored: Sequence[int], blocked: Sequence[int]
) -> None:
    """Snapshots hung for ever, and a node was said to live on after SIGKILL."""
    up = run_with_signals(lab, "up", "3", "-d", ignored=ignored, blocked=blocked)
    assert up.returncode == 0, up.stderr
    lab.launcher("submit", "ADD a", check=True)

    lab.launcher("snapshot", "all", check=True, timeout_s=30)
    lab.launcher("kill", "n1", check=True, timeout_s=30)
    lab.launcher("stop", "n2", check=True, timeout_s=30)
    lab.launcher("start", "n1", "n2", check=True, timeout_s=30)

    for process in lab.left():
        words = Path(f"/proc/{process.pid}/status").read_text()
        masks = {
            line.split()[0]: int(line.split()[1], 16)
            for line in words.splitlines()[-40:]
            if line.startswith("Sig") and not line.startswith("SigQ")
        }
        assert masks["SigBlk:"] == 0, process.cmdline()
    lab.launcher("down", check=True, timeout_s=30)
    eventually(lambda: not lab.left(), "every process to end")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_launcher_that_inherited_a_blocked_signal_ends_at_it(
    lab: Lab, number: signal.Signals
) -> None:
    running = lab.spawn("up", "3", preexec_fn=lambda: set_signals([], ALL), restore_signals=False)
    eventually(lambda: lab.launcher("wait", "--leader").status == 0, "a leader")

    running.send_signal(number)

    running.communicate(timeout=30)
    assert running.returncode == 128 + number
    assert lab.launcher("ps").status == 3


def test_nohup_keeps_a_cluster_up(lab: Lab) -> None:
    """Whoever ignores SIGHUP for us means it; SIGTERM ends the cluster all the same."""
    running = lab.spawn(
        "up", "3", preexec_fn=lambda: set_signals([signal.SIGHUP, signal.SIGTERM], [])
    )
    eventually(lambda: lab.launcher("wait", "--leader").status == 0, "a leader")

    running.send_signal(signal.SIGHUP)
    lab.launcher("submit", "ADD a", check=True)
    assert running.poll() is None

    running.terminate()
    running.communicate(timeout=30)
    assert running.returncode == 128 + signal.SIGTERM
