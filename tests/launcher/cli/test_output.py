"""What is printed of a machine's answer, which may be any bytes."""

from __future__ import annotations

import io
import sys

import pytest

from launcher.cli.output import print_bytes

STEERING = b"a\tb\x1b[2J\x07\xc2\x9b\xff\xe2\x80\xae\n\xc3\xa9"


def printed(monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool) -> bytes:
    shown = io.BytesIO()
    output = io.TextIOWrapper(shown, "utf-8")
    monkeypatch.setattr(output, "isatty", lambda: is_terminal)
    monkeypatch.setattr(sys, "stdout", output)
    print_bytes(STEERING)
    output.flush()
    return shown.getvalue()


def test_an_answer_cannot_steer_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    text = printed(monkeypatch, is_terminal=True).decode()

    assert text == "a\tb\\x1b[2J\\x07\\x9b\\xff\\u202e\n\u00e9\n"


def test_a_pipe_gets_an_answer_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert printed(monkeypatch, is_terminal=False) == STEERING + b"\n"
