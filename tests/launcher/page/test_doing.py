"""What the page may run."""

from __future__ import annotations

import json

import pytest

from launcher.cli.table import ROWS
from launcher.page import doing


def body(*words: str) -> bytes:
    return json.dumps({"words": words}).encode()


@pytest.mark.parametrize(
    "words",
    [
        ["kill", "2"],
        ["kill", "2", "--power"],
        ["clock", "2", "bump", "-200ms"],
        ["partition", "1,2 | 3"],
        ["submit", "--", "--power - <script> \u202e"],
        ["read", "--stale", "--node=2", "--", "GET a"],
    ],
)
def test_what_a_user_could_type_is_run_as_it_is(words: list[str]) -> None:
    assert doing.parse(body(*words)) == words


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (body("down"), "does not run 'down'"),
        (body("up"), "does not run 'up'"),
        (body("kill", "2", "--config", "/etc/passwd"), "does not run kill with --config"),
        (body("kill", "--help"), "does not run kill with --help"),
        (body("submit", "-"), "use a terminal"),
        (body("submit", "--", "-"), "a lone dash"),
        (body("submit", "text"), "put -- before the text"),
        (body("submit", "--", "a\0b"), "zero byte"),
        (body(), "not a command"),
        (b"{", "not a command"),
        (b'{"words": ["kill"], "more": 1}', "not a command"),
        (b'{"words": "kill"}', "not a command"),
        (b"\xff", "not a command"),
        (body(*["kill"] * 100), "not a command"),
    ],
)
def test_anything_else_is_refused_in_one_line(data: bytes, why: str) -> None:
    with pytest.raises(doing.Refused, match=why) as refused:
        doing.parse(data)
    assert "\n" not in str(refused.value)


def test_every_command_of_the_page_is_one_of_the_table() -> None:
    assert set(doing.COMMANDS) <= set(ROWS)


def test_a_step_of_a_lesson_is_a_number() -> None:
    assert doing.parse_step(b'{"step": 3}') == 3
    for data in (b"", b'{"step": -1}', b'{"step": "3"}', b'{"step": 3, "more": 1}', b"\xff"):
        with pytest.raises(doing.Refused, match="not a step"):
            doing.parse_step(data)


def test_what_changes_something_is_noted_in_the_timeline_and_bounded() -> None:
    assert (
        doing.noted(["submit", "--", "SET a 'b'"]) == "launcher submit -- 'SET a '\"'\"'b'\"'\"''"
    )
    assert doing.noted(["kill", "2"]) == "launcher kill 2"
    assert doing.noted(["read", "--", "GET a"]) is None
    assert doing.noted(["why", "leader"]) is None
    long = doing.noted(["submit", "--", "x" * (1 << 20)])
    assert long is not None
    assert len(long) < 1100
    assert long.endswith("… (1048595 characters)")
