"""What the fingerprint of a machine's code covers, and what it does not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PROGRAM = """\
import sys
sys.path.insert(0, ".")
from node.machines.fingerprint import fingerprint
from node.machines.registry import load
load(sys.argv[1])
print(fingerprint(sys.argv[1]))
"""
MACHINE = """\
import json, helper
from package import part
class M:
    def apply(self, index, command): return b""
    def query(self, request): return b""
    def snapshot(self): return []
    def restore(self, chunks): pass
"""


def folder_of(path: Path) -> Path:
    path.mkdir()
    (path / "mine.py").write_text(MACHINE)
    (path / "helper.py").write_text("STEP = 1\n")
    (path / "package").mkdir()
    (path / "package" / "__init__.py").write_text("")
    (path / "package" / "part.py").write_text("PART = 1\n")
    (path / "stranger.py").write_text("X = 1\n")
    return path


def fingerprint_in(folder: Path, machine: str = "mine:M") -> str:
    """As a node of its own would say it."""
    ran = subprocess.run(
        [sys.executable, "-P", "-c", PROGRAM, machine],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return ran.stdout.strip()


def test_the_same_code_has_the_same_fingerprint_wherever_it_is(tmp_path: Path) -> None:
    one, other = folder_of(tmp_path / "one"), folder_of(tmp_path / "other")

    assert fingerprint_in(one) == fingerprint_in(other) != ""


def test_every_file_of_the_users_that_was_imported_counts(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "one")
    seen = {fingerprint_in(folder)}
    for file in ("mine.py", "helper.py", "package/__init__.py", "package/part.py"):
        with (folder / file).open("a") as opened:
            opened.write("# a comment counts too\n")
        seen.add(fingerprint_in(folder))

    assert len(seen) == 5


def test_a_file_that_is_not_imported_does_not_count(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "one")
    before = fingerprint_in(folder)
    (folder / "stranger.py").write_text("X = 2\n")

    assert fingerprint_in(folder) == before


def test_a_shipped_machine_has_none(tmp_path: Path) -> None:
    """Our own code is the same in all nodes of a cluster, whatever was installed meanwhile."""
    assert fingerprint_in(folder_of(tmp_path / "one"), "kv") == ""
