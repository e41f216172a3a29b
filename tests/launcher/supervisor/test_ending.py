"""Ending a cluster whose supervisor does not react: it is noticed soon, said, and done."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from launcher.life import DownReport
from tests.launcher.control.test_asking import connections
from tests.launcher.fake_cluster import FakeCluster, all_gone, fake_cluster, until

pytestmark = pytest.mark.cluster

SOON_S = 8.0
"""What is waited for a supervisor that might still react: 12 s, and 5 s after that."""


def stop_supervisor(cluster: FakeCluster) -> int:
    """It stays stopped until it is killed."""
    process = cluster.record().process
    os.kill(process.pid, signal.SIGSTOP)
    until(process.is_stopped, "the supervisor to be stopped")
    return process.pid


def test_a_supervisor_that_is_stopped_is_killed_at_once(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        processes = cluster.processes()
        pid = stop_supervisor(cluster)
        began = time.monotonic()

        report = cluster.down()

        assert time.monotonic() - began < SOON_S
        assert report.was_running
        said = f"killed the supervisor (pid {pid}), which was stopped by a signal"
        assert report.healed[0] == said
        until(lambda: all_gone(processes), "every process to end")
        cluster.up()  # and the data is none the worse for it


def test_a_supervisor_that_is_stopped_while_it_takes_the_cluster_down(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.stop(1)
        cluster.behave(1, stubborn=True)  # which takes two seconds, and is then killed
        cluster.start(1)
        reports: list[DownReport] = []
        down = threading.Thread(target=lambda: reports.append(cluster.down()))
        record = cluster.record()
        began = time.monotonic()

        down.start()
        until(lambda: connections(record), "the request to be there")
        os.kill(record.pid, signal.SIGSTOP)
        down.join(30)

        assert time.monotonic() - began < SOON_S
        (report,) = reports
        assert "which was stopped by a signal" in report.healed[0]


def test_a_supervisor_that_ends_when_asked_is_not_mentioned(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        assert cluster.down() == DownReport(was_running=True)
