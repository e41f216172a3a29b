"""Tables on a terminal of 80 columns: no line wraps, whatever goes wrong with the nodes."""

from __future__ import annotations

import pytest

from tests.cluster.lab import Lab, eventually
from tests.cluster.test_repl import ESCAPES, PROMPT, Terminal

pytestmark = pytest.mark.cluster

COLUMNS = 80
LONG = "ADD " + "a-very-long-name-" * 8


def tables_of(text: str) -> list[str]:
    """The lines of what a command printed; not those of the prompt, which may be of any length."""
    return [line.rstrip() for line in text.replace("\r", "").split("\n") if "] > " not in line]


def check_width(lines: list[str]) -> None:
    assert len(lines) > 3
    assert [line for line in lines if len(line) > COLUMNS] == []


def run(lab: Lab, *words: str) -> list[str]:
    """What a command prints on a terminal."""
    terminal = Terminal(lab, *words, columns=COLUMNS)
    try:
        assert terminal.wait() == 0
        terminal.read()
        return tables_of(ESCAPES.sub(b"", terminal.seen).decode())
    finally:
        terminal.close()


def test_no_table_wraps_on_a_terminal_of_80_columns(lab: Lab) -> None:
    lab.up(5)
    lab.launcher("submit", *[f"{LONG}{number}" for number in range(12)], check=True)
    leader = lab.leader()
    down = leader % 5 + 1
    lab.launcher("kill", str(down), check=True)
    lab.launcher("disk", "followers", "slow", "1ms", check=True)
    lab.launcher("partition", f"{leader}|{','.join(str(n) for n in range(1, 6) if n != leader)}")
    eventually(lambda: lab.ps()["leader"] not in (None, leader), "a leader on the other side")
    for words in (["ps"], ["ps", "--raft"], ["log"], ["log", "-n", "30"]):
        check_width(run(lab, *words))
    assert any(line.startswith(f"n{down}: killed with SIGKILL") for line in run(lab, "ps"))

    prompt = Terminal(lab, "repl", columns=COLUMNS)
    try:
        prompt.expect(PROMPT)
        for command, ends in ((":ps", "killed"), (":ps --raft", "match_index"), (":log", "index")):
            prompt.type(f"{command}\r")
            shown = prompt.expect(f"(?s){ends}.*{PROMPT}")
            check_width(tables_of(shown))
        prompt.type("\x04")
        assert prompt.wait() == 0
    finally:
        prompt.close()


def test_ps_watch_redraws_in_place_and_leaves_the_terminal_as_it_was(lab: Lab) -> None:
    lab.up(3)
    terminal = Terminal(lab, "ps", "--watch", columns=COLUMNS)
    try:
        terminal.expect(r"(?s)n1.*n1.*Ctrl-C ends")
        terminal.type("\x03")
        assert terminal.wait() == 130
        terminal.read()
        assert terminal.settings() == terminal.before
    finally:
        terminal.close()
    entered, _, rest = terminal.seen.partition(b"\x1b[?1049h")
    assert entered == b""
    on_screen, left, after = rest.partition(b"\x1b[?1049l")
    assert left
    assert b"\x1b[2J" not in on_screen, "a screen that is cleared flickers"
    assert b"\x1b[?25h" in on_screen
    assert after.count(b"leader") >= 1, "the last table stays"


def test_ps_watch_on_a_pipe_prints_one_table_after_the_other(lab: Lab) -> None:
    lab.up(3)
    process = lab.spawn("ps", "--watch")
    assert process.stdout is not None
    try:
        lines = [process.stdout.readline() for _ in range(9)]
    finally:
        process.kill()
        process.communicate()
    assert [line.split()[:1] for line in lines] == [
        *([b"node"], [b"n1"], [b"n2"], [b"n3"], []),
        *([b"node"], [b"n1"], [b"n2"], [b"n3"]),
    ]
