"""What is compared with, and how."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from launcher.benchmark import peers
from launcher.benchmark.figures import Figures
from launcher.benchmark.load import Shape
from launcher.benchmark.peers import ETCD, OURS, PYSYNCOBJ, Versus
from launcher.benchmark.ports import free_ports
from launcher.cli import shell
from launcher.cli.context import Context


def figures(*throughputs: float) -> list[Figures]:
    return [Figures(throughput=one, p50_ms=1.0, p99_ms=2.0, p999_ms=3.0) for one in throughputs]


def versus() -> Versus:
    one, eight, sixty_four = ETCD
    alone, slow, fast = PYSYNCOBJ
    return Versus(
        shape=Shape(nodes=3),
        versions={"etcd": "3.4.23", "PySyncObj": "0.3.17"},
        rounds={
            OURS: figures(40_000.0, 20_000.0, 30_000.0),
            one: figures(2_000.0, 1_000.0, 1_500.0),
            eight: figures(4_000.0, 4_000.0, 1_000.0),
            sixty_four: figures(9_000.0, 100.0, 100.0),
            alone: figures(100.0, 100.0, 100.0),
            slow: figures(200.0, 200.0, 200.0),
            fast: figures(300.0, 200.0, 300.0),
        },
    )


def test_each_is_compared_by_the_way_that_is_best_for_it() -> None:
    result = versus()
    assert result.best(list(ETCD)) == "etcd, 8 connections"
    assert result.best(list(PYSYNCOBJ)) == "PySyncObj, every 10 ms"
    assert result.ratio("etcd, 8 connections") == 10.0, "of 10, 5 and 30"


def test_there_is_a_row_for_each_way_and_the_goal_beside_the_best() -> None:
    table = peers.table(versus())
    assert table.title.endswith("; 3 rounds in turn; etcd 3.4.23, PySyncObj 0.3.17")
    rows = {row[0]: row for row in table.rows}
    assert list(rows) == [OURS, *ETCD, *PYSYNCOBJ]
    assert rows[OURS][-2:] == ["", ""]
    assert rows["etcd, 8 connections"][-2:] == ["10.0", "at least 10: reached (its best)"]
    assert rows["etcd, 1 connection"][-2:] == ["20.0", ""]
    assert rows["PySyncObj, every 10 ms"][-2:] == ["100", "at least 10: reached (its best)"]


def test_a_bar_is_drawn_for_each_way() -> None:
    pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    figure: Any = Figure()
    peers.plot(versus(), figure)
    (axis,) = figure.axes
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert labels == [OURS, *ETCD, *PYSYNCOBJ][::-1]
    assert axis.patches[-1].get_width() == 30_000.0, "ours, at the top"


def test_what_is_not_installed_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(peers, "find_spec", lambda name: object())
    assert peers.ways() == [OURS, *PYSYNCOBJ]
    assert peers.missing() == [peers.NO_ETCD]
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    assert peers.ways() == [OURS]
    assert peers.missing() == [peers.NO_ETCD, peers.NO_PYSYNCOBJ]


def test_with_nothing_to_compare_with_it_fails(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr(peers, "find_spec", lambda name: None)
    assert shell.run(["bench", "peers", "--out", str(tmp_path)], Context()) == 1
    out, err = capfd.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f"launcher: {peers.NO_ETCD}",
        f"launcher: {peers.NO_PYSYNCOBJ}",
        "launcher: there is nothing to compare with",
    ]


def test_etcd_is_installed_only_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[list[str]] = []

    def run(words: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        ran.append(words)
        return subprocess.CompletedProcess(words, 0, "", "")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/" + name)
    assert not peers.install_etcd(), "it is there"
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert not peers.install_etcd(), "there is no apt-get"
    monkeypatch.setattr(shutil, "which", lambda name: {"apt-get": "/usr/bin/apt-get"}.get(name))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not peers.install_etcd(), "not root"
    assert ran == []
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert peers.install_etcd()
    assert ran[0][:2] == ["apt-get", "install"]


def test_the_size_has_a_bound(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert shell.run(["bench", "peers", "--size", "16001", "--out", str(tmp_path)], Context()) == 2
    assert "--size 16001: from 1 to 16000" in capfd.readouterr().err


def test_ports_are_free_and_differ() -> None:
    found = free_ports(20)
    assert len(set(found)) == 20
    assert all(1024 <= port < 65536 for port in found)
