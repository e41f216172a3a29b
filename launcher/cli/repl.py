"""The lines of the prompt: a plain line is an entry, a line that begins with `:` is a command.

    ADD notes.txt
    :kill leader

The commands are those of the table (`table.py`), run in this process. `prompt.py` reads lines from
a terminal; this module runs them, and reads them from a pipe. There is no prompt then: each line is
run, and the exit status is that of the last line that failed.

A line with control characters is not run, because its user would not see what is in the entry.
"""

from __future__ import annotations

import shlex
import sys
from difflib import get_close_matches
from typing import TYPE_CHECKING
from unicodedata import category

import click

from launcher import streams
from launcher.cli import shell
from launcher.cli.context import Context
from launcher.cli.table import NOT_AT_PROMPT, ROWS, SECTIONS, launcher
from launcher.client.intake import lines
from launcher.errors import LauncherError

if TYPE_CHECKING:
    from launcher.cluster import Cluster

LEAVE = ("quit", "exit", "q")
_LEAVES = "`:quit` leaves, as Ctrl-D does"
MEANT = {"help": "`:help` lists the commands", "?": "`:help` lists the commands", "exit": _LEAVES,
         "quit": _LEAVES, "q": _LEAVES}  # fmt: skip
"""Lines that are typed by one who means a command, and what to type instead. They are legal entries
of some machines, so a script submits them."""


def run_line(context: Context, line: str, called: str = "this line") -> int | None:
    """Runs one line; its exit status, or None when it asks to leave.

    called: which line it is, for messages
    """
    if not line.strip():
        return 0
    unseen = next((letter for letter in line if category(letter) == "Cc" and letter != "\t"), None)
    if unseen is not None:
        shell.report(
            f"{called} has a control character in it, {_shown(unseen)}, and was not run; "
            "`launcher submit -` takes entries of any bytes"
        )
        return 2
    if not line.startswith(":"):
        word = line.strip().lower()
        if context.typed and word in MEANT:
            click.echo(
                f"{MEANT[word]}. A line without a colon is an entry; to submit this one all the "
                f"same: :submit {word}",
                err=True,
            )
            return 2
        return shell.run(["submit", "--", line], context)
    try:
        words = shlex.split(line[1:])
    except ValueError as error:
        shell.report(f"{line}: {error}; quotes come in pairs", context)
        return 2
    if not words:
        return 0
    if words[0] in LEAVE:
        return None
    if words[0] == "help":
        return _help(context, words[1:])
    if launcher.load(words[0]) is None and not words[0].startswith("-"):
        near = get_close_matches(words[0], [*names(), "help", *LEAVE], 1)
        hint = f"; did you mean :{near[0]}?" if near else ";"
        shell.report(f"no command {words[0]!r}{hint} `:help` lists the commands")
        return 2
    return shell.run(words, context)


def _shown(control: str) -> str:
    """As a keyboard has it: ^Z."""
    return f"^{chr(ord(control) ^ 0x40)}" if ord(control) < 0x80 else ascii(control)[1:-1]


def _help(context: Context, words: list[str]) -> int:
    if words:
        command = launcher.load(words[0])
        if command is None:
            return shell.run([words[0], "--help"], context)
        click.echo(command.get_help(click.Context(command, info_name=f":{words[0]}")))
        return 0
    click.echo("A plain line is an entry to submit. Commands:")
    for topic, briefs in SECTIONS.items():
        here = {name: brief for name, brief in briefs.items() if name not in NOT_AT_PROMPT}
        if here:
            click.echo(f"{topic}:")
        for name, brief in here.items():
            click.echo(f"  :{name:<10} {brief}")
    click.echo("  :help NAME  explains one of them\n  :quit       leaves, as Ctrl-D does")
    return 0


def names() -> list[str]:
    """The commands that the prompt has."""
    return [name for name in ROWS if name not in NOT_AT_PROMPT]


# -- from a pipe ----------------------------------------------------------------------------------


def run_script(cluster: Cluster) -> int:
    """Runs the lines of standard input; returns the status of the last that failed, or 0.

    Raises LauncherError when a reader of standard output leaves before the last line was run.
    """
    context = Context(attached=cluster, at_prompt=True)
    worst = 0
    numbered = enumerate(lines(0, context.cluster().config.entry_limit_bytes), 1)
    for number, data in numbered:
        try:
            status = _run_bytes(context, data, number)
            sys.stdout.flush()
        except streams.ReaderGone:
            streams.silence()
            status = 0
        if status is None:
            break
        worst = status or worst
        if streams.is_silent() and next(numbered, None) is not None:
            raise LauncherError(
                f"nobody reads the output any more: line {number} was the last that was run"
            )
    return worst


def _run_bytes(context: Context, data: bytes, number: int) -> int | None:
    """Runs one line of a script, as `run_line`."""
    encoding = sys.stdin.encoding
    try:
        line = data.decode(encoding)
    except UnicodeDecodeError:
        shell.report(
            f"line {number} is not {encoding.upper()} text, and was not run; `launcher submit -` "
            "takes entries of any bytes"
        )
        return 2
    return run_line(context, line, f"line {number}")
