"""The end of `launcher test`, when the run is over and something else goes wrong."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from launcher.cli import shell, trials
from launcher.cli.context import Context
from launcher.errors import LauncherError
from launcher.lab.folder import RunFolder
from launcher.lab.verdict.finding import FORMAT, Finding, Verdict


@pytest.fixture
def over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that has just ended, and is valid."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    valid = Verdict(
        format=FORMAT, run="run", seed=1, outcome="valid", operations={},
        findings=[Finding(check="workload kv", outcome="valid", reason="all is well")],
        situations={},
    )  # fmt: skip
    monkeypatch.setattr(trials, "run", lambda *_: RunFolder(tmp_path / "run"))
    monkeypatch.setattr(trials, "judge", lambda *_: valid)


def test_a_verdict_that_cannot_be_kept_is_told_all_the_same(
    over: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def is_full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("launcher.lab.folder.write_json", is_full)

    assert shell.run(["test", "--seed", "1"], Context()) == 0

    said = capsys.readouterr()
    assert "workload kv  valid    all is well" in said.out
    (line,) = said.err.splitlines()
    assert line.startswith("launcher: run: the verdict cannot be kept: ")
    assert "No space left on device" in line


def test_a_check_that_fails_names_the_folder_of_the_run(
    over: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(*_: Any) -> None:
        raise LauncherError("workload my:Load: check failed: KeyError: 'k' (my.py:16)")

    monkeypatch.setattr(trials, "judge", fails)

    assert shell.run(["test", "--seed", "1"], Context()) == 1
    assert capsys.readouterr().err.endswith("(my.py:16); what was recorded is in run\n")
