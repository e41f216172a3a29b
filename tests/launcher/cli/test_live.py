"""Text that is redrawn in place, and the terminal afterwards."""

from __future__ import annotations

import io
import sys

import pytest

from launcher.cli.live import Live, can_redraw


class Screen(io.StringIO):
    """A terminal that keeps what is written; how many writes there were is in `writes`."""

    writes = 0

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


def on_a_screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """From now on the output is a terminal; called in the test, since pytest replaces the output
    after a fixture."""
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("LINES", "10")
    monkeypatch.setenv("TERM", "xterm")
    return screen


def test_a_text_is_written_over_the_last_one_in_one_write(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    screen = on_a_screen(monkeypatch)
    with Live() as live:
        before, seen = screen.writes, len(screen.getvalue())
        live.show("one\ntwo")
        assert screen.writes == before + 1
        drawn = screen.getvalue()[seen:]
    assert drawn.startswith("\x1b[H")
    assert "\x1b[2J" not in drawn, "a screen that is cleared first flickers"
    assert "one\x1b[K\r\ntwo\x1b[K\r\n" in drawn
    assert drawn.endswith("\x1b[J")


def test_the_terminal_is_as_it_was_and_the_last_text_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = on_a_screen(monkeypatch)

    def interrupted() -> None:
        with Live() as live:
            live.show("first")
            live.show("last")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    after = screen.getvalue().rpartition("\x1b[?1049l")
    assert after[2] == "last\n"
    assert after[0].endswith("\x1b[?7h\x1b[?25h"), "lines wrap, and there is a cursor"


def test_no_more_is_shown_than_fits_on_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = on_a_screen(monkeypatch)
    with Live() as live:
        seen = len(screen.getvalue())
        live.show("\n".join(map(str, range(100))))
        drawn = screen.getvalue()[seen:]
    assert drawn.count("\n") == 9


def test_what_cannot_redraw_is_a_pipe_or_a_dumb_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_screen(monkeypatch)
    assert can_redraw()
    monkeypatch.setenv("TERM", "dumb")
    assert not can_redraw()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert not can_redraw()
