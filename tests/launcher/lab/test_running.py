"""How a run ends when more than one thing goes wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from launcher.cluster import Cluster
from launcher.errors import LauncherError
from launcher.lab.folder import RunFolder
from launcher.lab.trial import running
from launcher.lab.trial.asked import Asked
from launcher.lab.trial.keeping import Keeper


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (LauncherError("no node could be started"), "no node could be started; what was recorded"),
        (KeyboardInterrupt(), ""),
    ],
)
def test_copies_that_fail_in_the_end_do_not_hide_why_the_run_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, said: str
) -> None:
    def fails(*args: Any, **words: Any) -> None:
        raise error

    def is_full(keeper: Keeper) -> None:
        keeper.stop()
        raise LauncherError("not all logs could be copied: the disk is full")

    monkeypatch.setattr(Cluster, "up", fails)
    monkeypatch.setattr(Keeper, "finish", is_full)

    with pytest.raises(type(error)) as raised:
        running.run(Asked(seed=1, nodes=3), tmp_path / "runs", running.Telling())

    assert str(raised.value).startswith(said)
    (path,) = (one for one in (tmp_path / "runs").iterdir() if not one.is_symlink())
    steps = [step.step for step in RunFolder(path).course()]
    assert steps == ["begin", "cut-short"], "nothing claims that all was copied"
