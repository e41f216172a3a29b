"""Draws the picture of a session that the README begins with: `make picture`.

    python docs/session.py [FILE]        (by default docs/session.svg)

It really runs a cluster, in a folder of its own, each command on a terminal of `COLUMNS` columns,
and draws what the terminal shows. So which node leads, and the times, are others each time. One
thing is changed: the folder is shown as `SHOWN_FOLDER`, for its real name is long and temporary.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parents[1]
COLUMNS = 150
SHOWN_FOLDER = "~/raft"
PROGRAM = "leeky-raft"

COMMANDS = (
    "up 5 -d",
    "submit 'ADD notes.txt' 'ADD plan.txt'",
    "kill leader",
    "submit 'ADD after the crash'",
    "ps",
    "timeline -n 13",
    "start all",
    "wait --converged",
    "read LS",
    "down",
)

CHARACTER, LINE, MARGIN = 8, 18, 16
"""The width of a character, the height of a line, and the margin, in pixels."""

BACKGROUND, TEXT, PROMPT = "#1e2227", "#d7dae0", "#8fd18f"
COLOURS = {
    "30": "#5c6370", "31": "#f07178", "32": "#8fd18f", "33": "#e5c07b",
    "34": "#7aa9f7", "35": "#d291e4", "36": "#67c7d0", "37": "#d7dae0",
    "90": "#7f8691", "91": "#f78c91", "92": "#a8e0a8", "93": "#f0d399",
    "94": "#9dc0fa", "95": "#e0b0ee", "96": "#8fdbe2", "97": "#ffffff",
}  # fmt: skip
TAB = 8
_WORDS = re.compile(r"([ \t]*)((?:[^ \t]| (?! ))*)")
"""A gap, and words with one blank between them; where there are more, columns begin."""

_ESCAPE = re.compile(r"\x1b\[([0-9;]*)m|\x1b\[[0-9;?]*[A-Za-z]|\x1b[()][A-Z0-9]")


class Span(NamedTuple):
    """Characters of one line that look alike. style: attributes of SVG"""

    column: int
    text: str
    style: str


def run(words: list[str], folder: Path) -> str:
    """What a terminal gets from one command. Raises RuntimeError when the command fails."""
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 50, COLUMNS, 0, 0))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm-256color"}
    for name in ("NO_COLOR", "COLUMNS", "LINES"):
        environment.pop(name, None)
    command = [sys.executable, "-m", "launcher", *words]
    child = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=its, stdout=its, stderr=its
    )
    os.close(its)
    said = b""
    while True:
        ended = child.poll() is not None
        while select.select([ours], [], [], 0.0 if ended else 0.05)[0]:
            try:
                data = os.read(ours, 1 << 16)
            except OSError:  # on Linux: nobody has the other end any more
                data = b""
            if not data:
                break
            said += data
        if ended:
            break
    os.close(ours)
    text = said.decode("utf-8", "replace").replace("\r\n", "\n")
    if child.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: exit status {child.returncode}\n{text}")
    return text


def record() -> list[list[Span]]:
    """The lines of the whole session."""
    lines: list[list[Span]] = []
    with tempfile.TemporaryDirectory(prefix="leeky-picture-") as name:
        folder = Path(name).resolve()
        try:
            for command in COMMANDS:
                typed = f"{PROGRAM} {command}"
                lines.append([Span(0, "$", f'fill="{PROMPT}"'), Span(2, typed, BOLD)])
                said = run(shlex.split(command), folder).replace(str(folder), SHOWN_FOLDER)
                lines += [list(spans(line)) for line in said.splitlines()]
        except BaseException:
            subprocess.run([sys.executable, "-m", "launcher", "down"], cwd=folder, check=False)
            raise
    return lines


BOLD = 'font-weight="bold"'


def spans(line: str) -> Iterator[Span]:
    """A line of a terminal, taken apart where its colours change."""
    column, at, codes = 0, 0, ["0"]
    for match in [*_ESCAPE.finditer(line), None]:
        text = line[at : match.start()] if match else line[at:]
        for gap, word in _WORDS.findall(text):
            for character in gap:
                column += TAB - column % TAB if character == "\t" else 1
            if word:
                yield Span(column, word, style(codes))
            column += len(word)
        if match:
            at = match.end()
            codes = (match[1] or "0").split(";") if match[1] is not None else codes


def style(codes: list[str]) -> str:
    """The attributes of SVG for some codes of a terminal."""
    attributes = [f'fill="{COLOURS[code]}"' for code in codes if code in COLOURS]
    if "1" in codes:
        attributes.append(BOLD)
    if "2" in codes:
        attributes.append('opacity="0.65"')
    return " ".join(attributes)


def draw(lines: list[list[Span]]) -> str:
    """The picture. Each span has a fixed width, so columns stand straight in any font."""
    width = 2 * MARGIN + COLUMNS * CHARACTER
    height = 2 * MARGIN + len(lines) * LINE
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"',
        f'  width="{width}" height="{height}" fill="{TEXT}" font-size="13"',
        '  font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace">',
        "<title>A session on a terminal</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="{BACKGROUND}"/>',
    ]
    for number, line in enumerate(lines, 1):
        for span in line:
            text = span.text.rstrip(" ")
            x = MARGIN + span.column * CHARACTER
            parts.append(
                f'<text x="{x}" y="{MARGIN + number * LINE - 4}" {span.style} '
                f'textLength="{len(text) * CHARACTER}">{escape(text)}</text>'
            )
    return "\n".join([*parts, "</svg>\n"])


def main() -> None:
    """Runs the session and writes the picture."""
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "session.svg"
    file.write_text(draw(record()), encoding="utf-8")
    print(f"{file.name}: {len(COMMANDS)} commands on a terminal of {COLUMNS} columns")


if __name__ == "__main__":
    main()
