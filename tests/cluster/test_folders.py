"""A cluster's folders: whatever they are called, whatever they lie on, whoever removes them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cluster.lab import Lab

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(240)]

SETTINGS = "name: lab\nnodes: 3\n"


@pytest.mark.parametrize(
    "name",
    [
        b"bytes \xff\xfe",
        b"two\nlines",
        b"'quotes' \"and\" $HOME; *",
        b"long" * 60 + b"/" + b"x" * 250,
    ],
    ids=["no UTF-8", "newline", "quotes", "long"],
)
def test_a_folder_may_have_any_name(tmp_path: Path, name: bytes) -> None:
    folder = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), name)))
    folder.mkdir(parents=True)
    lab = Lab(folder, SETTINGS)
    try:
        up = lab.launcher("up", "3", "-d", stdin="", check=True)
        assert len(up.err.splitlines() + up.lines) == 1
        assert lab.launcher("submit", "ADD a", check=True).lines == ["2\tadded"]
        lab.launcher("snapshot", "all", check=True)
        lab.launcher("restart", "all", check=True)
        assert lab.launcher("read", "LS", check=True).lines == ["a"]
        again = lab.launcher("up", "3", "-d", stdin="")
        assert (again.status, len(again.err.splitlines())) == (1, 1)
        assert lab.launcher("timeline", "-n", "3", check=True).lines
        shown = lab.launcher("config", check=True).out
        (folder / "same.yaml").write_text(shown)
        assert lab.launcher("-c", "same.yaml", "config", "--json", check=True).json["data_dir"] == (
            str(folder / "data")
        )
        down = lab.launcher("down", "-v", check=True)
        assert len(down.lines) == 1
        assert not (folder / "data").exists()
    finally:
        lab.close()
