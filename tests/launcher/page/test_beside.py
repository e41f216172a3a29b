"""A long command of the page runs in a process of its own, on the page's cluster."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from launcher.cli import pages
from launcher.cli.context import Context
from launcher.cluster import Cluster
from launcher.control import asking
from launcher.control.requests import NotePage
from launcher.errors import NotRunning


@pytest.mark.parametrize("source", [None, Path("other/cluster.yaml")])
def test_it_names_the_cluster_where_several_run_side_by_side(
    source: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[list[str]] = []
    noted: list[str] = []

    def run(line: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        lines.append(line)
        return subprocess.CompletedProcess(line, 0, "done", "")

    def ask(_: object, request: NotePage, timeout_s: float) -> None:
        noted.append(request.line)
        raise NotRunning("the cluster has just gone down")

    monkeypatch.setattr(subprocess, "run", run)
    monkeypatch.setattr(asking, "ask", ask)
    config = SimpleNamespace(source=source, name="second")
    context = Context(attached=cast("Cluster", SimpleNamespace(config=config)))
    assert pages._run(context, ["chaos", "--seed", "3"]).status == 0
    words = lines[0][3:]
    assert words[words.index("-p") + 1] == "second"
    assert words[-3:] == ["chaos", "--seed", "3"]
    assert noted == ["launcher chaos --seed 3"]
