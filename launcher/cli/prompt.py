"""The prompt on a terminal.

    [n3 leads, term 4, commit 17] > ADD notes.txt
    18  added
    [n3 leads, term 4, commit 18] > :kill leader

The prompt is live: a thread asks the supervisor twice a second, so an election shows while nothing
is typed. The history is kept with the logs. Completion offers for a command what a shell is offered
(`completion.py`), and for an entry the words of earlier entries.

Ctrl-C cancels the line, or the command that is running. Ctrl-D leaves. Ctrl-Z stops the prompt, as
it stops any program; the cluster goes on.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from types import FrameType

import click
from click.shell_completion import split_arg_string
from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory
from prompt_toolkit.shortcuts import CompleteStyle

from launcher.cli import completion, shell
from launcher.cli.context import Context
from launcher.cli.repl import names, run_line
from launcher.cli.table import launcher
from launcher.cluster import Cluster
from launcher.control.status import ClusterStatus
from launcher.errors import LauncherError, NotRunning
from launcher.folders import private
from node.errors import LeekyError

REFRESH_S = 0.5


class Glance:
    """The summary of the cluster in the prompt, which a thread keeps up to date.

    changed: called in that thread when the summary has changed
    """

    def __init__(self, cluster: Cluster, changed: Callable[[], None]) -> None:
        self._cluster = cluster
        self._changed = changed
        self._text = ""
        self._red = False
        self._ended = threading.Event()
        self.refresh()
        threading.Thread(target=self._watch, name="prompt", daemon=True).start()

    def refresh(self) -> None:
        """Asks the cluster now."""
        try:
            status = self._cluster.status()
            self._text, self._red = summary(status), bool(status.violations)
        except NotRunning:
            self._text = "not running"
        except (LeekyError, OSError):
            self._text = "no answer"

    def shown(self) -> StyleAndTextTuples:
        """For the prompt."""
        return [("ansired" if self._red else "", f"[{self._text}] "), ("ansigreen", "> ")]

    def close(self) -> None:
        """Ends the thread."""
        self._ended.set()

    def _watch(self) -> None:
        while not self._ended.wait(REFRESH_S):
            before = self._text
            self.refresh()
            if self._text != before:
                self._changed()


def summary(status: ClusterStatus) -> str:
    """The cluster in a few words: the leader, its term, the commit index, nodes that are not up."""
    leads = "no leader" if status.leader is None else f"n{status.leader} leads"
    away = [f"n{node.id} {node.state}" for node in status.nodes if node.state != "up"]
    if status.violations:
        away.append("SAFETY IS VIOLATED (`:ps`)" + ("; frozen" if status.frozen else ""))
    return ", ".join([leads, f"term {status.term}", f"commit {status.commit_index}", *away])


def run(cluster: Cluster) -> int:
    """Reads lines from the terminal until the user leaves; returns the exit status."""
    with _terminal_as_it_was():
        return _read_lines(Context(attached=cluster, at_prompt=True, typed=True))


def _read_lines(context: Context) -> int:
    cluster = context.cluster()
    session = _session(context)
    glance = Glance(cluster, session.app.invalidate)
    click.echo("A plain line is an entry; :help lists commands; Ctrl-D leaves.")
    try:
        while True:
            try:
                with _signals_end(session):
                    line = session.prompt(glance.shown)
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
    """Has a signal end the prompt and raise Terminated from it.

    Raised in the middle of the prompt's event loop, the exception would be lost there.
    """
    before = {}

    def end(number: int, frame: FrameType | None) -> None:
        app = session.app
        if app.loop is not None:
            ended = partial(app.exit, exception=shell.Terminated(number))
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
    """Whether the cluster has been stopped, for example by another process."""
    try:
        cluster.status()
    except NotRunning:
        return True
    except LauncherError:
        return False
    return False


def _session(context: Context) -> PromptSession[str]:
    log_dir = context.load_config().log_dir
    private.make_folder(log_dir)
    file = log_dir / "history"
    os.close(private.open_file(file, os.O_RDWR | os.O_CREAT))
    history = FileHistory(str(file))
    return PromptSession(
        history=history,
        auto_suggest=AutoSuggestFromHistory(),
        completer=TableCompleter(context, list(history.load_history_strings())),
        complete_while_typing=False,
        complete_style=CompleteStyle.READLINE_LIKE,
        reserve_space_for_menu=0,
        enable_history_search=True,
        enable_suspend=True,
    )


class TableCompleter(Completer):
    """Completes commands and their words after a colon, and words of earlier entries elsewhere."""

    def __init__(self, context: Context, history: Sequence[str]) -> None:
        self._context = context
        self._words = {
            word for line in history if not line.startswith(":") for word in line.split()
        }

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterator[Completion]:
        """What can take the place of the word before the cursor."""
        line = document.text_before_cursor
        before, _, word = line.rpartition(" ")
        if not line.startswith(":"):
            self._words.update(before.split())
            offered = sorted(self._words)
        elif not before:
            offered = [f":{name}" for name in [*names(), "help", "quit"]]
        else:
            words = split_arg_string(before[1:])
            offered = completion.offers(launcher, words, word, self._context)
        for offer in offered:
            if offer.startswith(word) and offer != word:
                yield Completion(offer, start_position=-len(word))


@contextlib.contextmanager
def _terminal_as_it_was() -> Iterator[None]:
    """Restores the terminal's settings, however the prompt ends."""
    descriptor = sys.stdin.fileno()
    settings = termios.tcgetattr(descriptor)
    try:
        yield
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, settings)
