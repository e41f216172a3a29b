"""Runs one command line: a command of the table, and the exit status that its outcome gives.

Results go to standard output and diagnostics to standard error, whose last line says what failed.

    0 done    1 it failed    2 usage, or a bad config    3 no such cluster is running
    4 timed out    5 a verdict that is unknown    129, 130, 143 ended by SIGHUP, SIGINT, SIGTERM

When the reader of standard output leaves (`| head -1`), that is no error, unless part of the work
was not done: `submit`, a script of `repl`, and `simulate` then report it and exit with status 1.

No error shows a traceback, unless LAUNCHER_TRACEBACK is set.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING

import click

from launcher import streams
from launcher.cli.context import Context
from launcher.cli.table import NOT_AT_PROMPT, launcher
from launcher.errors import LauncherError
from node.errors import LeekyError
from node.printable import printable_line
from node.process import signals

if TYPE_CHECKING:
    from launcher.cluster import Cluster


_MEANT_WHEN_IGNORED = frozenset(
    {
        signal.SIGHUP,  # nohup: the command outlives its terminal
        *(signal.SIGINT, signal.SIGQUIT),  # a script's `&`: Ctrl-C is for the foreground
        *(signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),  # a shell without job control
    }
)
"""Signals that a parent process ignores on purpose. Any other is ignored by accident."""


class Terminated(BaseException):
    """SIGTERM or SIGHUP. It unwinds as KeyboardInterrupt does, so that everything is cleaned up."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    def __reduce__(self) -> tuple[object, ...]:
        return Terminated, (self.number,), self.__dict__


def main(argv: Sequence[str], open_prompt: Callable[[Cluster], int]) -> int:
    """Runs one command line and returns its exit status.

    open_prompt: see `Context`
    """
    signals.begin(keep_ignored=_MEANT_WHEN_IGNORED)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _terminate)
    streams.begin()
    status = 0
    try:
        status = run(argv, Context(open_prompt=open_prompt))
        sys.stdout.flush()
    except streams.ReaderGone:
        status = 0
    except streams.OutputFailed as error:
        if not status:
            report(str(error))
        status = error.exit_status
    except KeyboardInterrupt:
        status = 130
    except Terminated as ended:
        status = 128 + ended.number
    finally:
        _flush()
    return status


def _flush() -> None:
    """Writes what is still buffered, or drops it, so that Python reports no error at exit."""
    try:
        sys.stdout.flush()
    except (streams.ReaderGone, streams.OutputFailed):
        streams.silence()


def run(argv: Sequence[str], context: Context) -> int:
    """Runs one command of the table, reports its error if any, and returns the exit status.

    context: what the command can reach
    """
    if argv[:1] == ["help"]:
        argv = [*argv[1:2], "--help"]
    try:
        result = launcher.main(list(argv), prog_name="launcher", standalone_mode=False, obj=context)
    except click.exceptions.Exit as ended:
        return ended.exit_code
    except click.Abort:
        return 130
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return 2
    except click.ClickException as error:
        report(_usage(error), context)
        return 2
    except LauncherError as error:
        report(str(error), context)
        return error.exit_status
    except LeekyError as error:
        report(str(error), context)
        return 1
    except streams.ReaderGone:
        raise
    except OSError as error:
        said = f"{error.filename}: {error.strerror}" if error.filename else str(error)
        report(said, context)
        return 1
    except Exception as error:
        if os.environ.get("LAUNCHER_TRACEBACK"):
            traceback.print_exc()
        report(
            f"internal error: {type(error).__name__}: {error} "
            "(this is a bug; LAUNCHER_TRACEBACK=1 shows where)"
        )
        return 1
    return result if isinstance(result, int) else 0


def report(text: str, context: Context | None = None) -> None:
    """Prints an error on standard error, in one line.

    context: of the command; where a prompt runs it, the text names commands as the prompt has them
    """
    if context is not None and context.at_prompt:
        text = for_prompt(text)
    click.echo(f"launcher: {printable_line(text)}", err=True)


def for_prompt(text: str) -> str:
    """An error's text, with each command of a shell in back quotes as it is typed at the prompt."""
    text = re.sub(r"`launcher ([\w-]+) --help`", r"`:help \1`", text)
    text = text.replace("`launcher --help`", "`:help`")
    return re.sub(
        r"`launcher ([\w-]+)",
        lambda found: found[0] if found[1] in NOT_AT_PROMPT else f"`:{found[1]}",
        text,
    )


def _usage(error: click.ClickException) -> str:
    said = error.format_message()
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None:
        return said
    if isinstance(error, click.NoSuchOption) and context.info_name in ("submit", "read"):
        name = error.option_name
        said = (
            f"{name} is no option of {context.info_name}; text that begins with a dash comes after "
            f"--, as in: {context.info_name} -- '{name}'."
        )
    ended = said if said.endswith(("?", ".")) else f"{said}."
    return f"{ended} See `{context.command_path} --help`"


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(number)
