"""The prompt: a plain line is an entry to submit, a line that begins with `:` is a command.

    [n3 leads, term 4, commit 17] > ADD notes.txt
    18  added
    [n3 leads, term 4, commit 18] > :kill leader

The commands are those of the table (`commands.py`), run in this process. The prompt is live: a
thread asks the supervisor twice a second, so an election shows while nothing is typed. History is
kept with the logs; completion offers commands, their options, targets, what the machine
understands, and the words of earlier entries.

Ctrl-C gives up the line, or the command that is running. Ctrl-D leaves. Ctrl-Z stops the prompt, as
it does any program; the cluster runs on. A line with other control characters is not run, for
nobody would see what is in its entry. From a pipe there is no
prompt: each line is run, and the status is that of the last that failed.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import sys
import termios
import threading
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING
from unicodedata import category

import click

from launcher import streams
from launcher.cli import shell as cli
from launcher.cli.commands.cluster import Context, launcher
from launcher.client.intake import lines
from launcher.control.disks import FAULT_WORDS
from launcher.control.status import ClusterStatus
from launcher.control.targets import WORDS as TARGET_WORDS
from launcher.errors import LauncherError, NotRunning
from launcher.folders import private
from node.errors import LeekyError

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import Completer

    from launcher.cluster import Cluster

REFRESH_S = 0.5
LEAVE = ("quit", "exit", "q")
_NOT_AT_PROMPT = ("up", "repl", "completion")


def run(cluster: Cluster) -> int:
    """Reads lines until the end of the input; returns the exit status."""
    context = Context(attached=cluster)
    if not sys.stdin.isatty():
        return _run_script(context)
    with _terminal_as_it_was():
        return _run_prompt(context)


def run_line(context: Context, line: str, called: str = "this line") -> int | None:
    """Runs one line; its exit status, or None when it asks to leave.

    called: which line it is, for messages
    """
    if not line.strip():
        return 0
    unseen = next((letter for letter in line if category(letter) == "Cc" and letter != "\t"), None)
    if unseen is not None:
        cli.report(
            f"{called} has a control character in it, {_shown(unseen)}, and was not run; "
            "`launcher submit -` takes entries of any bytes"
        )
        return 2
    if not line.startswith(":"):
        return cli.run(["submit", "--", line], context)
    try:
        words = shlex.split(line[1:])
    except ValueError as error:
        cli.report(f"{line}: {error}; quotes come in pairs")
        return 2
    if not words:
        return 0
    if words[0] in LEAVE:
        return None
    if words[0] == "help":
        return _help(context, words[1:])
    return cli.run(words, context)


def _shown(control: str) -> str:
    """As a keyboard has it: ^Z."""
    return f"^{chr(ord(control) ^ 0x40)}" if ord(control) < 0x80 else ascii(control)[1:-1]


def _help(context: Context, words: list[str]) -> int:
    if words:
        return cli.run([words[0], "--help"], context)
    click.echo("A plain line is an entry to submit. Commands:")
    with click.Context(launcher, info_name="") as ctx:
        for name in _names():
            row = launcher.get_command(ctx, name)
            assert row is not None, "the table lists only what it has"
            click.echo(f"  :{name:<10} {row.get_short_help_str(70)}")
    click.echo("  :help NAME  tells more of one\n  :quit       leaves, as Ctrl-D does")
    return 0


def _names() -> list[str]:
    return [name for name in launcher.commands if name not in _NOT_AT_PROMPT]


# -- from a pipe ----------------------------------------------------------------------------------


def _run_script(context: Context) -> int:
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
        cli.report(
            f"line {number} is not {encoding.upper()} text, and was not run; `launcher submit -` "
            "takes entries of any bytes"
        )
        return 2
    return run_line(context, line, f"line {number}")


# -- on a terminal --------------------------------------------------------------------------------


class Glance:
    """What the prompt says of the cluster, kept fresh by a thread of its own.

    changed: called, in that thread, when it says something new
    """

    def __init__(self, cluster: Cluster, changed: Callable[[], None]) -> None:
        self._cluster = cluster
        self._changed = changed
        self._text = ""
        self._ended = threading.Event()
        self.refresh()
        threading.Thread(target=self._watch, name="prompt", daemon=True).start()

    def refresh(self) -> None:
        """Looks now."""
        try:
            self._text = summary(self._cluster.status())
        except NotRunning:
            self._text = "not running"
        except (LeekyError, OSError):
            self._text = "no answer"

    def __str__(self) -> str:
        return self._text

    def close(self) -> None:
        """Looks no more."""
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(REFRESH_S):
            before = self._text
            self.refresh()
            if self._text != before:
                self._changed()


def summary(status: ClusterStatus) -> str:
    """The cluster in a few words: who leads, in which term, how much is committed, who is away."""
    leads = "no leader" if status.leader is None else f"n{status.leader} leads"
    away = [f"n{node.id} {node.state}" for node in status.nodes if node.state != "up"]
    return ", ".join([leads, f"term {status.term}", f"commit {status.commit_index}", *away])


def _run_prompt(context: Context) -> int:
    cluster = context.cluster()
    session = _session(cluster)
    glance = Glance(cluster, session.app.invalidate)
    click.echo("A plain line is an entry; :help lists commands; Ctrl-D leaves.")
    try:
        while True:
            try:
                with _signals_end(session):
                    line = session.prompt(lambda: [("", f"[{glance}] "), ("ansigreen", "> ")])
            except KeyboardInterrupt:
                continue
            except EOFError:
                return 0
            try:
                # What was pasted may be several lines.
                ended = any(run_line(context, one) is None for one in line.split("\n"))
                if ended or _is_over(cluster):
                    return 0
            except KeyboardInterrupt:
                click.echo("^C", err=True)
            glance.refresh()
    finally:
        glance.close()


@contextlib.contextmanager
def _signals_end(session: PromptSession[str]) -> Iterator[None]:
    """While the prompt waits, signals must not raise in the middle of its event loop, which would
    swallow what they raise: they make it return, and then raise."""
    before = {}

    def end(number: int, frame: FrameType | None) -> None:
        app = session.app
        if app.loop is not None:
            ended = partial(app.exit, exception=cli.Terminated(number))
            app.loop.call_soon_threadsafe(ended)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_over(cluster: Cluster) -> bool:
    """Whether somebody has taken the cluster down."""
    try:
        cluster.status()
    except NotRunning:
        return True
    except LauncherError:
        return False
    return False


def _session(cluster: Cluster) -> PromptSession[str]:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
    from prompt_toolkit.history import FileHistory
    from prompt_toolkit.shortcuts import CompleteStyle

    private.make_folder(cluster.config.log_dir)
    file = cluster.config.log_dir / "history"
    os.close(private.open_file(file, os.O_RDWR | os.O_CREAT))
    history = FileHistory(str(file))
    return PromptSession(
        history=history,
        auto_suggest=AutoSuggestFromHistory(),
        completer=completer(cluster.config.nodes, list(history.load_history_strings())),
        complete_while_typing=False,
        complete_style=CompleteStyle.READLINE_LIKE,
        reserve_space_for_menu=0,
        enable_history_search=True,
        enable_suspend=True,
    )


def completer(nodes: int, history: list[str]) -> Completer:
    """Completes commands and targets behind a colon, and words of earlier entries elsewhere."""
    from prompt_toolkit.completion import Completer, Completion
    from prompt_toolkit.completion.base import CompleteEvent
    from prompt_toolkit.document import Document

    words = {word for line in history if not line.startswith(":") for word in line.split()}
    ids = [f"n{node}" for node in range(1, nodes + 1)]

    class TableCompleter(Completer):
        def get_completions(self, document: Document, event: CompleteEvent) -> Iterator[Completion]:
            line = document.text_before_cursor
            before, _, word = line.rpartition(" ")
            if not line.startswith(":"):
                words.update(before.split())
                offered = sorted(words)
            elif not before:
                offered = [f":{name}" for name in [*_names(), "help", "quit"]]
            else:
                offered = _offers(before[1:].split()[0], ids)
            for offer in offered:
                if offer.startswith(word) and offer != word:
                    yield Completion(offer, start_position=-len(word))

    return TableCompleter()


def _offers(name: str, ids: list[str]) -> list[str]:
    with click.Context(launcher, info_name="") as ctx:
        row = launcher.get_command(ctx, name)
    if row is None:
        return []
    options = [text for parameter in row.params for text in parameter.opts if text.startswith("--")]
    names = {parameter.name for parameter in row.params}
    targets = [*TARGET_WORDS, *ids] if names & {"target", "targets"} else []
    faults = FAULT_WORDS if "fault" in names else ()
    return [*targets, *faults, *options]


@contextlib.contextmanager
def _terminal_as_it_was() -> Iterator[None]:
    """However the prompt ends, the terminal has the settings that it had."""
    descriptor = sys.stdin.fileno()
    settings = termios.tcgetattr(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, settings)
