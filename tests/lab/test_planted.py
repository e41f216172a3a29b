"""The twelve bugs on real processes: `launcher test` finds each, and passes without it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import planted
from tests.lab.bugs import BUGS, Bug
from tests.lab.copies import ROOT, environment, patched_copy

INVALID, UNKNOWN = 1, 5
each_bug = pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)


@each_bug
def test_a_copy_has_the_bug_and_is_what_a_process_imports(bug: Bug, tmp_path: Path) -> None:
    root = patched_copy(tmp_path / "product", bug.planted)

    changed = [
        path.relative_to(root)
        for path in root.rglob("*.py")
        if path.read_bytes() != (ROOT / path.relative_to(root)).read_bytes()
    ]
    modules = ", ".join(".".join(path.with_suffix("").parts) for path in changed)
    code = f"import launcher, {modules}; print(launcher.__file__)"
    imported = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(root),
        cwd=ROOT,
        capture_output=True,
        check=True,
    )

    assert len(changed) == len(bug.planted)
    assert Path(imported.stdout.decode().strip()).is_relative_to(root)


def test_there_is_one_of_each_kind_and_the_docs_have_the_command_of_each() -> None:
    table = (ROOT / "docs" / "TESTING.md").read_text()

    assert len(BUGS) == 12
    assert len({bug.kind for bug in BUGS}) == 12
    for bug in BUGS:
        assert re.search(
            rf"(?m)^\| `{bug.name}` \| {re.escape(bug.kind)} \| `{re.escape(bug.command)}` \|",
            table,
        ), f"{bug.name} is in the table as it is in tests/lab/bugs.py"


def test_without_a_name_the_bugs_are_listed_with_what_finds_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert planted.main([]) == 0

    said = capsys.readouterr().out
    for bug in BUGS:
        assert f"python -m tests.lab.planted {bug.name} -- {bug.command}" in said


@pytest.mark.parametrize("words", [["nonsense"], ["stale-read", "test"], ["--help"]])
def test_what_means_nothing_is_refused_in_one_line_and_the_names(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert planted.main(words) == 2
    assert "usage: python -m tests.lab.planted" in capsys.readouterr().err


def test_the_status_of_the_launcher_is_passed_on() -> None:
    assert planted.main(["stale-read", "--", "no-such-command"]) == 2


@pytest.mark.soak
@each_bug
def test_the_bug_is_found_by_its_command(bug: Bug, tmp_path: Path) -> None:
    root = patched_copy(tmp_path / "product", bug.planted)

    status = planted.run(root, bug.command.split(), tmp_path)

    assert status == INVALID
    verdict = json.loads((tmp_path / "logs" / "runs" / "latest" / "verdict.json").read_text())
    assert verdict["outcome"] == "invalid", "it was judged, and not only broken off"


@pytest.mark.soak
@each_bug
def test_without_the_bug_the_same_command_finds_nothing(bug: Bug, tmp_path: Path) -> None:
    assert planted.run(ROOT, bug.command.split(), tmp_path) in (0, UNKNOWN)
