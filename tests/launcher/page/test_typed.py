"""A command line that is typed in the page becomes words as in a shell."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from launcher.page.doing import parse
from tests.launcher.page.javascript import evaluated, needs_node

LINES = [
    "kill 2",
    "  link  1-2   delay 50ms 10ms ",
    "partition '1 | 2,3'",
    'partition "1 | 2,3"',
    "arm 2 before-sync '3*off->kill'",
    r"set a b\ c",
    r"""disk "a\"b" 'c"d' e''f""",
    r"kill 'a\b'",
    "clock ''",
    "",
]


@needs_node
@pytest.mark.parametrize("line", LINES)
def test_words_are_those_of_a_shell(tmp_path: Path, line: str) -> None:
    assert evaluated(tmp_path, "wordsOf(line)", line=line) == shlex.split(line)


@needs_node
@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("launcher kill leader", ["kill", "leader"]),
        ("submit 'ADD a b'", ["submit", "--", "ADD a b"]),
        ("launcher read LS", ["read", "--", "LS"]),
        ("submit --node n2 -- -x", ["submit", "--node", "n2", "--", "-x"]),
    ],
)
def test_what_stands_before_an_entry_may_be_left_out(
    tmp_path: Path, line: str, words: list[str]
) -> None:
    assert evaluated(tmp_path, "wordsOf(line)", line=line) == words
    assert evaluated(tmp_path, "wordsOf(commandLine(words))", words=words) == words


@needs_node
@pytest.mark.parametrize("line", ["kill '2", 'kill "2', "submit 'it''s"])
def test_a_quote_that_is_not_closed_gives_no_words(tmp_path: Path, line: str) -> None:
    assert evaluated(tmp_path, "wordsOf(line)", line=line) is None


@needs_node
def test_what_a_menu_begins_is_a_command_of_the_page(tmp_path: Path) -> None:
    state = (
        "{nodes: {1: {id: 1, process: 'up'}, 2: {id: 2, process: 'up'}}, links: {}, flights: {}}"
    )
    rows = evaluated(tmp_path, f"[...ofNode({state}, {{id: 1}}), ...ofLink({state}, 1, 2)]")
    begun = [row[1] for row in rows if len(row) > 2 and row[2]]
    assert begun == [["disk", "1"], ["arm", "1"], ["link", "1-2"]]
    for _, words, *_ in rows:
        assert parse(json.dumps({"words": words}).encode()) == words
