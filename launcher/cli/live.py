"""Text that is redrawn in place: `ps --watch` on a terminal."""

from __future__ import annotations

import os
import shutil
import sys
from types import TracebackType

_ENTER = "\x1b[?1049h\x1b[?25l\x1b[?7l"  # another screen, no cursor, long lines are cut
_LEAVE = "\x1b[?7h\x1b[?25h\x1b[?1049l"
_HOME, _CLEAR_LINE, _CLEAR_BELOW = "\x1b[H", "\x1b[K", "\x1b[J"


def can_redraw() -> bool:
    """Whether the output is a terminal that can do this."""
    return sys.stdout.isatty() and os.environ.get("TERM", "") not in ("", "dumb")


class Live:
    """A screen of its own, in a `with`, which leaves the terminal as it was, and the last text.

    Each text is written over the one before, in one write, so nothing flickers.
    """

    def __init__(self) -> None:
        self._last = ""

    def __enter__(self) -> Live:
        self._write(_ENTER)
        return self

    def show(self, text: str) -> None:
        """Shows the text, as far as it fits on the screen."""
        self._last = text
        most = max(1, shutil.get_terminal_size().lines - 1)
        lines = [*text.splitlines()[:most], "(Ctrl-C ends)"]
        self._write(_HOME + f"{_CLEAR_LINE}\r\n".join(lines) + _CLEAR_LINE + _CLEAR_BELOW)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        last = f"{self._last}\n" if self._last else ""
        self._write(_LEAVE + last)

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()
