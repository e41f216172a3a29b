"""The command line: argv to the command table, and whatever happens to an exit status.

Results go to standard output, diagnostics to standard error; what failed is the last line there.

    0 done    1 it failed    2 usage, or a bad config    3 no such cluster is running
    4 timed out    129, 130, 143 ended by SIGHUP, SIGINT, SIGTERM

A reader of standard output that leaves (`| head -1`) is no error, unless what was asked for is not
all done: `submit`, a script of `repl` and `simulate` say so, with status 1.

Nothing that goes wrong shows a traceback, unless LAUNCHER_TRACEBACK is set.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from types import FrameType
from typing import TYPE_CHECKING

import click

from launcher import streams
from launcher.cli.commands.cluster import Context, launcher
from launcher.errors import LauncherError
from node.errors import LeekyError
from node.process import signals

if TYPE_CHECKING:
    from launcher.cluster import Cluster


_MEANT_WHEN_IGNORED = frozenset(
    {
        signal.SIGHUP,  # nohup: it is to go on when the terminal is gone
        *(signal.SIGINT, signal.SIGQUIT),  # a script's `&`: Ctrl-C is for what is in front
        *(signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU),  # a shell without job control
    }
)
"""What a parent that has these ignored wants. Any other signal is ignored by accident."""


class Terminated(BaseException):
    """SIGTERM or SIGHUP: unwinds like KeyboardInterrupt, so that everything is cleaned up."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number

    def __reduce__(self) -> tuple[object, ...]:
        return Terminated, (self.number,), self.__dict__


def main(argv: Sequence[str], open_prompt: Callable[[Cluster], int]) -> int:
    """Runs one command line and returns its exit status.

    open_prompt: see `commands.Context`
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
    """What is still buffered is written now, or dropped: it must not complain at exit."""
    try:
        sys.stdout.flush()
    except (streams.ReaderGone, streams.OutputFailed):
        streams.silence()


def run(argv: Sequence[str], context: Context) -> int:
    """Runs one command of the table; reports what fails; returns the exit status.

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
        report(_one_line_usage(error))
        return 2
    except LauncherError as error:
        report(str(error))
        return error.exit_status
    except LeekyError as error:
        report(str(error))
        return 1
    except streams.ReaderGone:
        raise
    except OSError as error:
        report(f"{error.filename}: {error.strerror}" if error.filename else str(error))
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


def report(text: str) -> None:
    """Says on standard error, in one line, what went wrong."""
    click.echo(f"launcher: {' '.join(text.split())}", err=True)


def _one_line_usage(error: click.ClickException) -> str:
    said = error.format_message()
    context = error.ctx if isinstance(error, click.UsageError) else None
    if context is None:
        return said
    if isinstance(error, click.NoSuchOption) and context.info_name in ("submit", "read"):
        said += f" Text that begins with a dash goes behind --: {context.info_name} -- TEXT."
    ended = said if said.endswith(("?", ".")) else f"{said}."
    return f"{ended} `{context.command_path} --help` tells more"


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated(number)
