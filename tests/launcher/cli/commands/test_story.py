"""`launcher story`: the list, a story that holds, one that does not, steps, and bad input."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from launcher.cli import shell, stories
from launcher.cli.context import Context
from launcher.cluster import Cluster
from launcher.simulation.stage import library
from launcher.simulation.stage.script import COMMAND, Step

GOOD = "# Mine.\nstart 3\n\n# S1 wins.\nelect S1\nexpect leader S1\nexpect term all 1\n"


ON_A_TERMINAL = """
import fcntl, runpy, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
sys.argv = ["launcher", "story", "./mine.txt", "--step"]
runpy.run_module("launcher", run_name="__main__")
"""


def story(*arguments: str) -> int:
    """Runs the command in this process; its exit status."""
    return shell.run(["story", *arguments], Context())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


# -- the list ------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [[], ["--list"]])
def test_the_list_has_each_story_with_its_title_on_one_line(
    arguments: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    assert story(*arguments) == 0
    lines = capfd.readouterr().out.splitlines()
    for one in library.stories():
        assert any(re.fullmatch(rf"[* ] {one.label} +{re.escape(one.title)}", x) for x in lines)
    assert any(line.startswith("* two_leaders ") for line in lines)
    assert any(line.startswith("  figure8 ") for line in lines)


def test_the_list_as_json(capfd: pytest.CaptureFixture[str]) -> None:
    assert story("--json") == 0
    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    (one,) = [row for row in rows if row["name"] == "two_leaders"]
    assert one["topic"] == "demonstrations"
    assert one["real"] is True
    assert len(rows) == len(library.names())


def test_no_line_of_the_list_is_wrapped_by_a_terminal_of_80_columns() -> None:
    for one in library.stories():
        for line in stories._entry(f"* {one.label}  ", one.title, 80):
            assert len(line) <= 80


# -- playing -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["leader_dies_unnoticed", "split_vote", "two_leaders", "who_may_lead", "figure8"]
)
def test_a_demonstration_is_one_command(name: str) -> None:
    """As a teacher types it: a process, and its exit status."""
    words = [sys.executable, "-m", "launcher", "story", name]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    assert ran.returncode == 0
    assert ran.stderr == ""
    assert re.search(r"\n\d+ expectations, all held\n$", ran.stdout)
    assert ran.stdout.splitlines()[0].startswith("# ")
    if name != "figure8":  # whose comments have the letters of the paper's figure
        assert "Predict: " in ran.stdout
        assert "What is seen: " in ran.stdout


def test_a_story_of_the_users_own(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "mine.txt").write_text(GOOD)

    assert story("./mine.txt") == 0

    out, err = capfd.readouterr()
    assert out.startswith("# Mine.\nstart 3\n")
    assert out.endswith("expect term all 1\n  | ok\n2 expectations, all held\n")
    assert err == ""


def test_what_does_not_hold_ends_it(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "mine.txt").write_text(f"{GOOD}expect commit S1 7\nexpect agreement\n")

    assert story("./mine.txt") == 1

    out, err = capfd.readouterr()
    assert out.endswith("expect commit S1 7\n2 of 4 expectations held, and then this did not:\n")
    assert err == (
        "launcher: ./mine.txt, line 8: expected: commit S1 7; "
        "found: the commit index of S1 is '1', not '7'\n"
    )


def test_a_command_that_is_impossible_now(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "mine.txt").write_text("start 3\nrelease\n")

    assert story("./mine.txt") == 1
    assert "line 2: cannot release: nothing is delayed" in capfd.readouterr().err


def test_quiet_prints_comments_and_tables(capfd: pytest.CaptureFixture[str]) -> None:
    assert story("split_vote", "--quiet") == 0
    out = capfd.readouterr().out
    assert "# S1 and S2 have their election timeouts at the same time." in out
    assert "| server  role " in out
    assert "RequestVote term" not in out
    assert not re.search(r"(?m)^(expect|show|elect)", out)
    assert "\n\n\n" not in out


def test_json_has_an_object_for_each_step(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "mine.txt").write_text(GOOD)

    assert story("./mine.txt", "--json") == 0

    *steps, end = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [step["kind"] for step in steps if step["text"]] == [
        "comment", "command", "comment", "command", "expectation", "expectation",
    ]  # fmt: skip
    assert steps[-1] == {
        "line": 7, "kind": "expectation", "text": "expect term all 1", "told": ["ok"],
    }  # fmt: skip
    assert end == {"story": "./mine.txt", "expectations": 2, "held": 2}


def test_json_of_a_failure(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (folder / "mine.txt").write_text("start 1\nexpect leader S1\n")

    assert story("./mine.txt", "--json") == 1

    end = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert end["failed"] == {"line": 2, "text": "expect leader S1", "found": "there is no leader"}


# -- steps ---------------------------------------------------------------------------------------


def run_steps(folder: Path, keys: bytes) -> tuple[int, str]:
    """Plays a story with `--step`, with these bytes on a pipe; its status and what it printed."""
    (folder / "mine.txt").write_text(GOOD)
    root = str(Path(stories.__file__).parents[2])
    ran = subprocess.run(
        [sys.executable, "-m", "launcher", "story", "./mine.txt", "--step"],
        input=keys,
        capture_output=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": root},
        timeout=60,
        check=False,
    )
    assert ran.stderr == b""
    return ran.returncode, ran.stdout.decode()


def test_each_step_waits_for_a_line_of_the_pipe(folder: Path) -> None:
    status, out = run_steps(folder, b"\n" * 10)

    assert status == 0
    assert out.endswith("2 expectations, all held\n")


@pytest.mark.parametrize(
    ("keys", "last"),
    [
        (b"", "# Mine."),
        (b"\n", "# S1 wins."),
        (b"\n\n", "  | S1 <- S3 AppendEntriesReply term=1 success match=1"),
    ],
)
def test_the_end_of_the_pipe_ends_the_story(folder: Path, keys: bytes, last: str) -> None:
    status, out = run_steps(folder, keys)

    assert status == 0
    lines = [line for line in out.splitlines() if line]
    assert lines[-2] == last
    assert re.fullmatch(r"stopped before line \d; 0 of 2 expectations held so far", lines[-1])


@pytest.mark.parametrize(
    ("key", "status", "said"), [(b"\x04", 0, b"stopped before line"), (b"\x03", 130, b"^C")]
)
def test_a_key_of_a_terminal_ends_it(folder: Path, key: bytes, status: int, said: bytes) -> None:
    """Ctrl-D and Ctrl-C."""
    (folder / "mine.txt").write_text(GOOD)
    root = str(Path(stories.__file__).parents[2])
    ours, theirs = pty.openpty()
    running = subprocess.Popen(
        [sys.executable, "-c", ON_A_TERMINAL],
        stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, start_new_session=True,
        env={**os.environ, "PYTHONPATH": root},
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    while b"Ctrl-D: the end" not in shown:
        shown += os.read(ours, 4096)
    os.write(ours, key)
    assert running.wait(timeout=30) == status
    rest = os.read(ours, 4096)
    os.close(ours)
    assert said in shown + rest
    assert b"Traceback" not in shown + rest


def test_a_command_that_takes_a_while_is_printed_when_it_begins(
    capfd: pytest.CaptureFixture[str],
) -> None:
    shown = stories._Output(stories.Playing())
    begun = Step(1, "crash S1", (), COMMAND, is_over=False)

    assert shown.show(begun)
    assert capfd.readouterr().out == "crash S1\n"
    assert shown.show(replace(begun, told=("it is killed",), is_over=True))
    assert capfd.readouterr().out == "  | it is killed\n"


def test_a_script_of_commands_cannot_have_steps(capfd: pytest.CaptureFixture[str]) -> None:
    """The lines that `--step` would read are the script's next ones."""
    context = Context(attached=Cluster(nodes=3))
    taken = os.dup(0)
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    try:
        assert shell.run(["story", "figure8", "--step"], context) == 2
    finally:
        os.dup2(taken, 0)
        os.close(taken)
    assert "--step reads standard input, and so does the script" in capfd.readouterr().err


def test_slow_waits_for_each_step(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "mine.txt").write_text(GOOD)
    waited: list[float] = []
    monkeypatch.setattr(time, "sleep", waited.append)

    assert story("./mine.txt", "--slow") == 0

    # after "# Mine.", after "# S1 wins.", after "elect": never after the last line
    assert len(waited) == 3
    assert max(waited) == waited[2], "the longest step has the longest pause"


# -- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["splitvote"], "no story 'splitvote'; did you mean split_vote? (`launcher story` lists"),
        (["./gone.txt"], "cannot read the story gone.txt: No such file or directory"),
        (["./bad.txt"], "./bad.txt, line 2: no command 'elcet'; did you mean elect? There are st"),
        (["./empty.txt"], "nothing to play: it is empty"),
        (["./real.txt"], "nothing to play: it has only a part for real processes (--real)"),
        (
            ["figure8", "--real"],
            ": `start .. max_append_bytes` cannot be played on real processes; ",
        ),
        (["split_vote", "--real"], "`time-out` cannot be played on real processes; these words"),
        (["--list", "figure8"], "--list lists all stories; leave out the name, or --list"),
        (["figure8", "--step", "--slow"], "either --step or --slow, not both"),
        (["figure8", "figure7"], "unexpected extra argument"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    arguments: list[str], said: str, folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (folder / "bad.txt").write_text("start 3\nelcet S1\n")
    (folder / "empty.txt").write_text("# Nothing.\n")
    (folder / "real.txt").write_text(f"# Real.\n{library.REAL}\nstart 1\n")

    assert story(*arguments) == 2

    err = capfd.readouterr().err
    assert said in err
    assert err.count("\n") == 1
