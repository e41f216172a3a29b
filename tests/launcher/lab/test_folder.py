"""A run's folder: made, found, read again, and removed when there are too many."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from launcher.errors import LauncherError, UsageError
from launcher.lab import folder
from launcher.lab.folder import FORMAT, Made, RunFolder

NOW = datetime(2026, 11, 29, 1, 45, 0)
MADE = Made(
    format=FORMAT,
    seed=7,
    begun="2026-11-29T01:45:00",
    versions={"leeky-raft": "9.9"},
    asked={"rate": 200.0},
    circumstances={},
    again="launcher test --seed 7",
)


def test_a_run_is_called_by_its_time_and_seed_and_latest_leads_to_it(tmp_path: Path) -> None:
    root = tmp_path / "logs" / "runs"

    first = folder.begin(root, 7, NOW)
    second = folder.begin(root, 7, NOW)

    assert first.path.name == "20261129-014500-7"
    assert second.path.name == "20261129-014500-7-2"
    assert (root / "latest").resolve() == second.path.resolve()
    assert folder.find(root, None).path == second.path.resolve()
    assert os.stat(first.path).st_mode & 0o777 == 0o700


def test_a_run_is_found_by_its_folder_its_name_and_a_file_of_it(tmp_path: Path) -> None:
    run = folder.begin(tmp_path / "runs", 7, NOW)
    run.write_made(MADE)

    for name in (str(run.path), run.path.name, str(run.made_file)):
        assert folder.find(tmp_path / "runs", name).path == run.path.resolve()


def test_without_a_run_one_line_says_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="launcher test"):
        folder.find(tmp_path / "runs", None)
    with pytest.raises(UsageError, match="does not exist"):
        folder.find(tmp_path / "runs", "nothing").read_made()
    with pytest.raises(UsageError, match="is no run's folder"):
        folder.find(tmp_path, str(tmp_path)).read_made()


def test_what_was_made_is_read_again(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_made(MADE)

    assert run.read_made() == MADE


def test_a_run_with_more_than_we_know_is_read(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.made_file.write_bytes(msgspec.json.encode({**msgspec.to_builtins(MADE), "more": 1}))

    assert run.read_made() == MADE


def test_a_newer_format_ends_in_one_line_that_names_the_version(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    newer = {**msgspec.to_builtins(MADE), "format": FORMAT + 1, "circumstances": 3}
    run.made_file.write_bytes(msgspec.json.encode(newer))

    with pytest.raises(LauncherError, match=rf"is of format {FORMAT + 1}.*\(9\.9\)") as error:
        run.read_made()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"format": "x"}', b'{"format": 1}', b"7"])
def test_a_damaged_folder_ends_in_one_line(tmp_path: Path, content: bytes) -> None:
    run = RunFolder(tmp_path)
    run.made_file.write_bytes(content)

    with pytest.raises(LauncherError, match=r"is damaged: run\.json"):
        run.read_made()


def test_the_course_is_read_without_its_torn_end(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.note(5, "load", rate=200)
    run.note(6, "faults")
    with run.course_file.open("a") as opened:
        opened.write('{"t": 7, "st')

    assert [(step.t, step.step) for step in run.course()] == [(5, "load"), (6, "faults")]
    assert run.course()[0].detail == {"rate": 200}


@pytest.mark.parametrize(
    "damage", [b"null\n", b"\xff\x00\n", b'{"t": 7, "st\n', b"[" * 5000 + b"\n"]
)
def test_a_course_that_is_damaged_elsewhere_is_one_line(tmp_path: Path, damage: bytes) -> None:
    run = RunFolder(tmp_path)
    run.note(5, "load")
    with run.course_file.open("ab") as opened:
        opened.write(damage)
    run.note(6, "faults")

    with pytest.raises(LauncherError, match=r"is damaged: course\.jsonl, line 2: ") as raised:
        run.course()
    assert "\n" not in str(raised.value)


def test_the_oldest_runs_are_removed_but_none_that_goes_on(tmp_path: Path) -> None:
    root = tmp_path / "runs"
    runs = [folder.begin(root, seed, NOW.replace(minute=seed)) for seed in range(5)]
    (root / "mine").mkdir()

    with runs[0].held():
        removed = folder.prune(root, keep=2)

    assert removed == [runs[1].path.name, runs[2].path.name]
    assert [run.path.name for run in folder.all_runs(root)] == [
        runs[0].path.name, runs[3].path.name, runs[4].path.name
    ]  # fmt: skip
    assert (root / "mine").is_dir()
    assert folder.prune(root, keep=2) == [runs[0].path.name]
