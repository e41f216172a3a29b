"""Standard streams that are closed, full, left by their reader, slow, or hold odd bytes."""

from __future__ import annotations

import array
import fcntl
import os
import subprocess
import sys
import termios
from typing import Any

import pytest

from launcher.cli.table import ROWS
from tests.cluster.lab import PATIENCE_S, Lab, eventually

pytestmark = pytest.mark.cluster

WORDS = {
    "up": "up 3 -d",
    "wait": "wait --leader",
    "ps": "ps",
    "log": "log",
    "config": "config",
    "submit": "submit ENTRY",
    "read": "read LS",
    "watch": "watch --help",
    "workload": "workload --time 1s --clients 2 --rate 20",
    "repl": "repl",
    "timeline": "timeline",
    "tap": "tap ring",
    "page": "page --help",
    "top": "top --once",
    "explain": "explain term",
    "why": "why n1",
    "snapshot": "snapshot all",
    "partition": "partition 1,2|3",
    "link": "link 1>2 delay 1ms",
    "heal": "heal",
    "chaos": "chaos --seed 1 --time 1s --interval 300ms --faults pause",
    "disk": "disk all ok",
    "arm": "arm all before-sync off",
    "clock": "clock n2 bump -10ms --wall",
    "throttle": "throttle n3 20%",
    "freeze": "freeze",
    "thaw": "thaw",
    "drop": "drop n1>n2 heartbeat",
    "time-out": "time-out follower",
    "set": "set log-level info",
    "pause": "pause n3",
    "resume": "resume n3",
    "transfer": "transfer random",
    "kill": "kill n1",
    "start": "start n1",
    "stop": "stop n2",
    "restart": "restart n2",
    "add": "add",
    "remove": "remove n4",
    "rebuild": "rebuild n1",
    "down": "down",
    "recover": "recover --help",
    "story": "story split_vote",
    "lesson": "lesson",
    "simulate": "simulate --seed 1 --time 1s --workers 1",
    "test": "test --seed 1 --time 2s --interval 500ms --nodes 3 --faults pause",
    "check": "check",
    "bench": "bench --help",
    "completion": "completion bash",
}
"""A way to run each command of the table that succeeds after those before it."""


def run(lab: Lab, command: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Runs it to its end; its standard error is kept unless that is closed."""
    words = command.split(" ")
    if command == WORDS["submit"]:
        words = ["submit", f"ADD {os.urandom(4).hex()}"]
    options.setdefault("input", b":ps\n")
    done = subprocess.run(
        lab.command(*words),
        cwd=lab.folder,
        env=lab.environment(None),
        stderr=subprocess.PIPE,
        timeout=PATIENCE_S * 2,
        check=False,
        **options,
    )
    assert b"Traceback" not in done.stderr, done.stderr
    assert b"internal error" not in done.stderr, done.stderr
    lab.remember()
    return done


def test_every_command_is_run_here() -> None:
    assert sorted(WORDS) == sorted(ROWS)


@pytest.mark.timeout(600)
def test_every_command_works_with_its_streams_closed(lab: Lab) -> None:
    """Otherwise a socket or a log is opened in their place, and is written to as output."""
    for command in WORDS.values():
        done = run(lab, command, preexec_fn=lambda: os.closerange(0, 3), input=None)
        assert done.returncode == 0, command
    assert lab.launcher("ps").status == 3
    eventually(lambda: not lab.left(), "every process to end")


@pytest.mark.timeout(600)
def test_a_reader_that_leaves_is_no_error_of_any_command(lab: Lab) -> None:
    """`launcher ps | true`"""
    for command in WORDS.values():
        reader, writer = os.pipe()
        os.close(reader)
        done = run(lab, command, stdout=writer)
        os.close(writer)
        if command in (WORDS["simulate"], WORDS["test"]):  # their status tells that all was done
            assert (done.returncode, done.stderr.count(b"\n")) == (1, 1), done.stderr
        else:
            assert (command, done.returncode) == (command, 0), done.stderr
            assert b"standard output" not in done.stderr


@pytest.mark.parametrize("command", ["timeline -f --event supervisor.started", "watch"])
def test_a_command_that_waits_for_news_ends_when_its_reader_leaves(lab: Lab, command: str) -> None:
    """`launcher timeline -f | head -1` waited for the next event, which may never come."""
    lab.up(3, "--machine", "multicast")
    lab.launcher("submit", "SEND hello", check=True)
    reader, writer = os.pipe()
    running = lab.spawn(*command.split(" "), stdout=writer)
    os.close(writer)
    assert os.read(reader, 1), "its first line is there"

    os.close(reader)
    _, said = running.communicate(timeout=PATIENCE_S)
    assert (running.returncode, said) == (0, b"")


@pytest.mark.timeout(600)
def test_no_command_succeeds_when_its_output_cannot_be_written(lab: Lab) -> None:
    for command in WORDS.values():
        with open("/dev/full", "wb") as full:
            done = run(lab, command, stdout=full)
        last = done.stderr.decode().splitlines()[-1]
        said = "launcher: standard output cannot be written: No space left on device"
        if command == WORDS["test"]:  # there is a run all the same
            last, _, kept = last.partition("; what was recorded is in ")
            assert (lab.folder / kept / "run.json").exists()
        assert (command, done.returncode, last) == (command, 1, said)


def test_a_failure_is_one_though_nobody_hears_of_it(lab: Lab) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        lab.command("ps"),
        cwd=lab.folder,
        env=lab.environment(None),
        stdout=writer,
        stderr=writer,
        timeout=PATIENCE_S,
        check=False,
    )
    os.close(writer)
    assert done.returncode == 3


def test_what_is_not_all_submitted_is_said(lab: Lab) -> None:
    """`launcher submit - | head -1`"""
    lab.up(3)
    for count, status in ((1, 0), (20_000, 1)):
        reader, writer = os.pipe()
        os.close(reader)
        entries = b"".join(b"ADD %d-%d\n" % (count, number) for number in range(count))
        done = run(lab, "submit -", stdout=writer, input=entries)
        os.close(writer)
        assert done.returncode == status
        assert done.stderr.startswith(b"launcher: nobody reads the output any more") == bool(status)


def test_a_script_that_nobody_reads_says_how_far_it_came(lab: Lab) -> None:
    lab.up(3)
    for script, status in ((b":ps\n", 0), (b":ps\nADD a\n", 1), (b"ADD b\nADD c\n", 1)):
        reader, writer = os.pipe()
        os.close(reader)
        done = run(lab, "repl", stdout=writer, input=script)
        os.close(writer)
        assert (script, done.returncode) == (script, status)
        assert (b"line 1 was the last that was run" in done.stderr) == bool(status)
    assert lab.launcher("read", "LS").lines == ["b"]


# -- pipes that do not block -------------------------------------------------------------------


def waiting(pipe: int) -> int:
    """How many bytes are in it."""
    count = array.array("i", [0])
    fcntl.ioctl(pipe, termios.FIONREAD, count)
    return count[0]


def test_a_slow_pipe_that_does_not_block_loses_no_answers(lab: Lab) -> None:
    lab.up(3)
    count = 20_000
    entries = b"".join(b"ADD %d\n" % number for number in range(count))
    (lab.folder / "entries").write_bytes(entries)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with (lab.folder / "entries").open("rb") as source:
        running = lab.spawn("submit", "-", stdin=source, stdout=writer)
    os.close(writer)

    eventually(lambda: waiting(reader) > 60_000, "a full pipe")
    with open(reader, "rb") as answers:
        assert sum(line.endswith(b"\tadded\n") for line in answers) == count
    _, said = running.communicate(timeout=PATIENCE_S)
    assert (running.returncode, said) == (0, b"")


@pytest.mark.parametrize("command", [["submit", "-"], ["repl"]])
def test_an_input_that_does_not_block_is_waited_for(lab: Lab, command: list[str]) -> None:
    lab.up(3)
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    running = lab.spawn(*command, stdin=reader)
    os.close(reader)
    assert running.stdout is not None
    for entry in (b"ADD a\n", b"ADD b\n"):
        os.write(writer, entry)
        assert running.stdout.readline().endswith(b"\tadded\n")
    os.close(writer)
    _, said = running.communicate(timeout=PATIENCE_S)
    assert (running.returncode, said) == (0, b"")


# -- bytes ---------------------------------------------------------------------------------------

MARK = b"\xef\xbb\xbf"
UTF_8 = {"LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "utf-8:strict"}


def test_a_line_that_is_no_text_is_told_and_the_others_run(lab: Lab) -> None:
    lab.up(3)
    script = MARK + b"ADD first\r\nADD caf\xe9\nADD x\x1a\n:kill \x1b[31m\nADD \xc3\xa9\tt\n"
    done = lab.launcher("repl", stdin=script, env=UTF_8)
    assert done.status == 2
    assert [line.partition("\t")[2] for line in done.lines] == ["added", "added"]
    tail = "and was not run; `launcher submit -` takes entries of any bytes"
    assert done.err.splitlines() == [
        f"launcher: line 2 is not UTF-8 text, {tail}",
        f"launcher: line 3 has a control character in it, ^Z, {tail}",
        f"launcher: line 4 has a control character in it, ^[, {tail}",
    ]
    assert sorted(lab.launcher("read", "LS").lines) == ["first", "é\tt"]


def test_a_byte_order_mark_is_no_part_of_the_first_entry(lab: Lab) -> None:
    lab.up(3)
    done = lab.launcher("submit", "-", stdin=MARK + b"ADD a\nADD b\xff", check=True)
    assert len(done.lines) == 2
    assert lab.launcher("read", "LS").out.encode("utf-8", "surrogateescape") == b"a\nb\xff\n"


# -- the Python API ------------------------------------------------------------------------------

DAEMON = """\
import os, sys
os.closerange(0, 3)
from launcher import Cluster

with Cluster(3) as cluster:
    answer = cluster.submit("ADD a").text
open("answer", "w").write(answer)
"""


def test_a_daemon_with_its_streams_closed_starts_a_cluster(lab: Lab) -> None:
    (lab.folder / "daemon.py").write_text(DAEMON)
    subprocess.run(
        [sys.executable, "daemon.py"],
        cwd=lab.folder,
        env=lab.environment(None),
        timeout=PATIENCE_S * 2,
        check=True,
    )
    assert (lab.folder / "answer").read_text() == "added"
