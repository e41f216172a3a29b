"""`launcher test` and `launcher check` on real processes."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

from launcher.lab.folder import RunFolder
from tests.cluster.lab import PATIENCE_S, ROOT, Lab, eventually

pytestmark = pytest.mark.cluster

ENDS_S = 4 * PATIENCE_S
"""How long a run may take beyond its time, on a slow machine: faults end and all nodes agree."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run of some seconds that is valid, and what `launcher test` printed."""
    lab = Lab(tmp_path_factory.mktemp("made"))
    try:
        done = lab.launcher("test", "--seed", "3", "--time", "8s", timeout_s=ENDS_S)
    finally:
        lab.close()
    return lab, done


def latest(lab: Lab) -> RunFolder:
    return RunFolder((lab.folder / "logs" / "runs" / "latest").resolve())


def leaves_no_process(run: RunFolder) -> bool:
    """Whether no supervisor holds the data folder of the run."""
    done = subprocess.run(
        ["pgrep", "-f", str(run.path)], capture_output=True, text=True, check=False
    )
    return not done.stdout.split()


def test_a_run_is_valid_and_leaves_everything_in_its_folder(made: Any) -> None:
    lab, done = made

    assert done.status == 0, done.out + done.err
    assert done.lines[0].startswith("seed 3, run logs/runs/")
    assert done.lines[-1].startswith("valid")
    assert "again:     launcher test --seed 3 --time 8s --faults all" in done.lines
    run = latest(lab)
    assert [step.step for step in run.course()] == [
        "begin", "up", "load", "faults", "recovered", "copied", "stopped"
    ]  # fmt: skip
    for name in ("run.json", "cluster.yaml", "schedule.jsonl", "chaos.jsonl", "samples.jsonl",
                 "workload.json", "verdict.json", "history", "logs", "data", "wal"):  # fmt: skip
        assert (run.path / name).exists(), name
    assert [path for path in run.path.rglob("*") if path.stat().st_mode & 0o077] == []
    assert leaves_no_process(run)


def test_check_says_the_same_and_again(made: Any) -> None:
    lab, _ = made

    for words in ((), ("latest",), (latest(lab).path.name,), (str(latest(lab).path),)):
        done = lab.launcher("check", *words)
        assert done.status == 0, done.err
        assert done.lines[-1].startswith("valid")
    said = lab.launcher("check", "--json").json
    kept = json.loads(latest(lab).verdict_file.read_text())
    assert (said["outcome"], said["situations"]) == (kept["outcome"], kept["situations"])


def test_a_run_whose_data_is_gone_is_checked_by_its_copies(made: Any, tmp_path: Path) -> None:
    lab, _ = made
    copy = tmp_path / "copy"
    shutil.copytree(latest(lab).path, copy)
    shutil.rmtree(copy / "data")

    assert lab.launcher("check", str(copy)).status == 0


def test_one_edited_line_makes_a_run_invalid(made: Any, tmp_path: Path) -> None:
    lab, _ = made
    copy = tmp_path / "copy"
    shutil.copytree(latest(lab).path, copy)
    path = copy / "history" / "client-1.jsonl"
    lines = path.read_text().splitlines()
    at = next(
        number for number, line in enumerate(lines)
        if '"type":"ok"' in line and '"f":"write"' in line
    )  # fmt: skip
    lines[at] = json.dumps(json.loads(lines[at]) | {"index": 1_000_000})
    path.write_text("".join(f"{line}\n" for line in lines))

    done = lab.launcher("check", str(copy))

    assert done.status == 1
    assert "the acknowledged entry 1000000 is lost" in done.out
    assert done.last_error.startswith("launcher: invalid: exactly-once: ")
    assert "\nwhy, as far as the run's records tell:\n" in done.out
    told = lab.launcher("check", str(copy), "--json").json["why"]
    assert 0 < len(told) <= 10
    assert "the acknowledged entry 1000000 is lost" in told[0]


def test_a_situation_that_is_required_and_not_reached_fails(made: Any, tmp_path: Path) -> None:
    lab, _ = made
    copy = tmp_path / "copy"
    shutil.copytree(latest(lab).path, copy)
    shutil.rmtree(copy / "logs")

    done = lab.launcher("check", str(copy), "--require", "torn-tail")

    assert done.status in (1, 5)
    wrong = lab.launcher("check", "--require", "nonsense")
    assert wrong.status == 2
    assert "there is no such situation" in wrong.last_error


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_is_taken_down_and_can_be_checked(
    lab: Lab, number: signal.Signals
) -> None:
    process = lab.spawn("test", "--seed", "4", "--time", "60s", "--nodes", "3")
    try:
        chaos = lab.folder / "logs/runs/latest/chaos.jsonl"
        eventually(chaos.exists, "faults begin", ENDS_S)
        os.kill(process.pid, number)
        out, err = process.communicate(timeout=ENDS_S)
    finally:
        process.kill()

    assert process.returncode == 128 + number
    assert b"Traceback" not in err
    run = latest(lab)
    steps = [step.step for step in run.course()]
    assert steps[-3:] == ["copied", "stopped", "cut-short"]
    assert leaves_no_process(run)
    done = lab.launcher("check")
    assert done.status in (0, 5), done.err
    assert "the run was ended before its time" in done.out
    assert str(run.path.name).encode() in err + out


def test_a_run_that_is_killed_can_be_checked(lab: Lab) -> None:
    process = lab.spawn("test", "--seed", "4", "--time", "60s", "--nodes", "3")
    try:
        history = lab.folder / "logs/runs/latest/history/client-1.jsonl"
        eventually(
            lambda: history.exists() and history.stat().st_size > 5000, "clients work", ENDS_S
        )
    finally:
        process.kill()
        process.communicate()
    run = latest(lab)
    eventually(lambda: leaves_no_process(run), "no process is left", ENDS_S)

    done = lab.launcher("check")

    assert done.status in (0, 5), done.err
    assert "the run was killed, or goes on" in done.out


def test_what_makes_no_sense_is_refused_before_anything_is_made(lab: Lab) -> None:
    for words, says in (
        (("--faults", "none"), "nothing is tested"),
        (("--nodes", "2"), "survives no fault"),
        (("--time", "soon"), "a duration with a unit"),
        (("--machine", "journal"), "--workload package.module:Class"),
        (("--require", "nonsense"), "there is no such situation"),
        (("--machine", "kv", "--workload", "nope.x:Load"), "no module 'nope' here"),
        (
            ("--machine", "files", "--workload", "examples.bank:Transfers"),
            "is for the machine examples.bank:Bank, not for files",
        ),
    ):
        done = lab.launcher("test", *words)
        assert done.status == 2, words
        assert says in done.last_error
    assert not (lab.folder / "logs").exists()
    assert lab.launcher("check").status == 2


def test_a_workload_that_raises_ends_the_run_in_one_line(lab: Lab) -> None:
    (lab.folder / "mine.py").write_text(
        "from launcher.lab.workloads import Operation, valid\n"
        "class Load:\n"
        "    machine = 'kv'\n"
        "    def next(self, client, number, rng, last):\n"
        "        if number == 5: raise ValueError('my mistake')\n"
        "        return Operation(f='write', command='SET a 1')\n"
        "    def check(self, history): return valid()\n"
    )

    words = ("--seed", "1", "--time", "20s", "--machine", "kv", "--workload", "mine:Load")
    done = lab.launcher("test", *words, timeout_s=ENDS_S)

    assert done.status == 1
    assert "my mistake" in done.last_error
    assert "what was recorded is in logs/runs/" in done.last_error
    assert leaves_no_process(latest(lab))
    assert latest(lab).course()[-1].step == "cut-short"


@pytest.mark.parametrize("has_bug", [True, False])
def test_a_bug_in_a_users_machine_is_found_with_its_workload(lab: Lab, has_bug: bool) -> None:
    """The bank of the examples; with the bug it gives money that an account does not have."""
    bank = (ROOT / "examples" / "bank.py").read_text().replace("examples.bank", "bank")
    checked = "if self.accounts[source] < amount:"
    assert checked in bank
    if has_bug:
        bank = bank.replace(checked, "if amount > 1000:")
    (lab.folder / "bank.py").write_text(bank)

    done = lab.launcher(
        "test", "--machine", "bank:Bank", "--workload", "bank:Transfers", "--seed", "1",
        "--time", "6s", "--nodes", "3", "--faults", "kill", timeout_s=ENDS_S,
    )  # fmt: skip

    again = (
        "again:     launcher test --seed 1 --time 6s --faults kill --nodes 3 "
        "--machine bank:Bank --workload bank:Transfers"
    )
    assert again in done.lines
    if has_bug:
        assert done.status == 1
        assert done.last_error.startswith("launcher: invalid: workload bank:Transfers: ")
        assert " has -" in done.last_error
        assert "\nwhy, as far as the run's records tell:\n" in done.out
    else:
        assert done.status == 0, done.out + done.err
        assert "none lost and none done twice" in done.out


def test_a_machine_that_cannot_be_started_ends_the_run_in_one_line(lab: Lab) -> None:
    (lab.folder / "mine.py").write_text(
        "class Machine:\n"
        "    def __init__(self): raise OSError\n"
        "class Load:\n"
        "    machine = 'mine:Machine'\n"
        "    def next(self, client, number, rng, last): pass\n"
        "    def check(self, history): pass\n"
    )

    words = ("--machine", "mine:Machine", "--workload", "mine:Load")
    done = lab.launcher("test", "--seed", "1", *words)

    assert done.status in (1, 2)
    assert "mine:Machine" in done.last_error
    assert latest(lab).course()[-1].step == "cut-short"


def test_a_folder_that_cannot_be_written_ends_the_run_in_one_line(lab: Lab) -> None:
    (lab.folder / "logs").write_text("this is no folder")

    done = lab.launcher("test", "--seed", "1", "--time", "5s")

    assert done.status == 1
    assert "no folder for this run can be made" in done.last_error
