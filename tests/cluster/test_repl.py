"""The prompt on a real (pseudo) terminal: keys in, screen out, settings as they were."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.lab import PATIENCE_S, Lab, eventually

pytestmark = pytest.mark.cluster

PROMPT = r"\] > [\s\x08]*$"
"""Behind it there may be room for a menu: empty lines, which are drawn before the terminal has said
where its cursor is."""

ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b[()=>][0-9A-B]?|\x1b\][^\x07]*\x07")


class Terminal:
    """A terminal of its own, with one command in it."""

    def __init__(self, lab: Lab, *words: str, columns: int = 120) -> None:
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.before = self.settings()
        self.seen = b""
        self.mark = 0
        self.process = subprocess.Popen(
            lab.command(*words),
            cwd=lab.folder,
            env={**lab.environment(None), "TERM": "xterm"},
            stdin=self.slave,
            stdout=self.slave,
            stderr=self.slave,
            start_new_session=True,
            preexec_fn=self._own_terminal,
        )

    def settings(self) -> list[Any]:
        return termios.tcgetattr(self.slave)

    def type(self, text: str) -> None:
        """Types, and begins to look for what comes after."""
        self.mark = len(self.seen)
        os.write(self.master, text.encode())

    def expect(self, pattern: str, patience_s: float = PATIENCE_S) -> str:
        """Waits until the screen shows it, after what was typed last."""
        give_up = time.monotonic() + patience_s
        while True:
            shown = ESCAPES.sub(b"", self.seen[self.mark :]).decode("utf-8", "replace")
            if re.search(pattern, shown):
                return shown
            assert time.monotonic() < give_up, f"never {pattern!r} in {shown!r}"
            self.read()

    def read(self) -> None:
        ready, _, _ = select.select([self.master], [], [], 0.1)
        if ready:
            data = os.read(self.master, 65536)
            self.seen += data
            if b"\x1b[6n" in data:  # it asks where the cursor is
                os.write(self.master, b"\x1b[1;1R")

    def wait(self) -> int:
        """Lets it end."""
        give_up = time.monotonic() + PATIENCE_S
        while self.process.poll() is None:
            assert time.monotonic() < give_up, f"it does not end: {self.seen[-600:]!r}"
            self.read()
        return self.process.returncode

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)

    def _own_terminal(self) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)


@pytest.fixture
def terminal(lab: Lab) -> Iterator[Terminal]:
    terminal = Terminal(lab, "up", "3")
    try:
        terminal.expect(PROMPT)
        lab.remember()
        yield terminal
    finally:
        terminal.close()


def test_a_session_at_the_prompt(lab: Lab, terminal: Terminal) -> None:
    terminal.type("ADD hello\r")
    terminal.expect(r"\d+\s+added")
    terminal.type("READ hello\r")
    terminal.expect("added at index")
    terminal.type(":kill leader\r")
    terminal.expect(r"killed n\d: leader, term \d+")  # where cores are scarce, not the first
    terminal.type("ADD after\r")
    terminal.expect(r"\d+\s+added")
    terminal.expect(r"leads, term ([2-9]|\d\d+), commit \d+, n\d down" + PROMPT)
    terminal.type(":ps\r")
    assert "killed with SIGKILL" in terminal.expect(r"(?s)n1.*n2.*n3")
    terminal.type(":nonsense\r")
    terminal.expect("(?s)no command 'nonsense'.*" + PROMPT)
    terminal.type("\x04")
    assert terminal.wait() == 0
    assert terminal.settings() == terminal.before, "the terminal is as it was"
    eventually(lambda: not lab.left(), "all processes gone")


def test_history_and_completion_persist(lab: Lab, terminal: Terminal) -> None:
    terminal.type("ADD remembered-name\r")
    terminal.expect(r"\d+\s+added")
    terminal.type(":pau\t")
    terminal.expect(":pause")
    terminal.type(" lea\t")
    terminal.expect("leader")
    terminal.type("\x03")  # gives up the line
    terminal.expect(PROMPT)
    terminal.type("\x04")
    assert terminal.wait() == 0
    again = Terminal(lab, "up", "3")
    try:
        again.expect(PROMPT)
        again.type("\x1b[A")  # up
        again.expect("ADD remembered-name")
        again.type("\x03")
        again.expect(PROMPT)
        again.type("READ remem\t")
        again.expect("remembered-name")
        again.type("\r")
        again.expect("(?s)added at index.*" + PROMPT)
        again.type("\x04")
        assert again.wait() == 0
    finally:
        again.close()


def test_ctrl_c_gives_up_the_command_and_keeps_the_cluster(lab: Lab, terminal: Terminal) -> None:
    """Pitfall 5: the nodes do not hear it."""
    terminal.type(":timeline -f\r")
    terminal.expect("became leader")
    terminal.type("\x03")
    terminal.expect(PROMPT)
    terminal.type("half a line\x03")
    terminal.expect(PROMPT)
    assert [node["state"] for node in lab.ps()["nodes"]] == ["up"] * 3
    assert [node["restarts"] for node in lab.ps()["nodes"]] == [0] * 3
    terminal.type(":quit\r")
    assert terminal.wait() == 0
    assert terminal.settings() == terminal.before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_restores_the_terminal(
    lab: Lab, terminal: Terminal, number: signal.Signals
) -> None:
    """Pitfalls 2 and 8."""
    terminal.process.send_signal(number)
    assert terminal.wait() == 128 + number
    assert terminal.settings() == terminal.before
    eventually(lambda: not lab.left(), "all processes gone")


def test_the_prompt_shows_an_election_while_nothing_is_typed(lab: Lab, terminal: Terminal) -> None:
    leader = lab.leader()
    terminal.mark = len(terminal.seen)
    lab.launcher("kill", str(leader), check=True)
    terminal.expect(f"n{leader} down\\] > ")  # only what has changed is drawn again


def test_a_progress_bar_on_a_terminal(lab: Lab) -> None:
    lab.up(3)
    (lab.folder / "input").write_text("".join(f"ADD name {n}\n" for n in range(5000)))
    words = " ".join(lab.command("submit", "-"))
    terminal = Terminal.__new__(Terminal)
    terminal.master, terminal.slave = pty.openpty()
    terminal.before, terminal.seen, terminal.mark = terminal.settings(), b"", 0
    terminal.process = subprocess.Popen(
        ["sh", "-c", f"exec {words} < input > output"],
        cwd=lab.folder,
        env={**lab.environment(None), "TERM": "xterm"},
        stdin=subprocess.DEVNULL,
        stdout=terminal.slave,
        stderr=terminal.slave,
    )
    try:
        assert terminal.wait() == 0
        terminal.expect(r"submitting.*100%")
        assert len((lab.folder / "output").read_text().splitlines()) == 5000
    finally:
        terminal.close()


def test_keys_that_nobody_sees_get_into_no_entry(lab: Lab, terminal: Terminal) -> None:
    """Ctrl-Z is for the shell, which this terminal has not; what is pasted may hold anything."""
    terminal.type("ADD a\x1ab\r")
    terminal.expect(r"\d+\s+added")
    terminal.type("\x1b[200~ADD c\x07d\x1b[201~\r")
    terminal.expect(
        r"this line has a control character in it, \^G, and was not run(?s:.*)" + PROMPT
    )
    terminal.type("\x1b[200~ADD e\nADD f\x1b[201~\r")
    terminal.expect(r"\d+\s+added(?s:.*)\d+\s+added(?s:.*)" + PROMPT)
    assert sorted(lab.launcher("read", "LS").lines) == ["ab", "e", "f"]
