"""What `launcher page` does: it finds what was recorded, writes a file, or serves.

The server is a process of its own. With `up --page` that is a second `launcher page`, which ends
when the cluster's supervisor has ended.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from launcher.cli import shell
from launcher.cli.context import Context
from launcher.cli.output import print_json
from launcher.control import asking, requests
from launcher.errors import LauncherError, UsageError
from launcher.folders import lock
from launcher.page import doing, file, recorded
from launcher.page.recorded import Recorded

if TYPE_CHECKING:
    from launcher.cluster import Cluster
    from launcher.lessons.lesson import Lesson
    from launcher.page.app import Answer
    from launcher.page.serving import Place
    from launcher.simulation.situation import Options

START_S = 20.0
_NOTE_TIMEOUT_S = 2.0
_NEEDED = ("starlette", "uvicorn")


def check_installed() -> None:
    """Raises LauncherError when the extra is not installed."""
    for package in _NEEDED:
        if importlib.util.find_spec(package) is None:
            raise LauncherError(
                f"the page needs {package}: pip install 'leeky-raft[page]' "
                "(`launcher page RECORDED --html FILE` needs nothing)"
            )


# -- what was recorded ---------------------------------------------------------------------------


def find(context: Context, name: str) -> Recorded:
    """A trace, a folder, or a run by its name. Raises UsageError."""
    path = Path(name)
    if not path.exists():
        path = _run_named(context, name)
    return recorded.read(path)


def _run_named(context: Context, name: str) -> Path:
    # Start-up time: loads the configuration.
    from launcher.lab import folder

    path = folder.find(folder.root_of(context.load_config()), name).path
    if not path.exists():
        raise UsageError(f"{name} is no file and no folder, and no run of `launcher test`")
    return path


def write_file(context: Context, name: str | None, html: Path) -> None:
    """Writes one HTML file. Raises UsageError, and OSError for the file."""
    if name is None:
        raise UsageError("--html needs what was recorded: `launcher page logs --html FILE`")
    found = find(context, name)
    text = file.html_file(found)
    html.write_text(text, encoding="utf-8")
    click.echo(f"{html}: {len(found.events)} events, {len(text.encode()) >> 10} KiB")
    if found.left_out:
        click.echo(found.left_out, err=True)


def serve_recorded(found: Recorded, port: int | None) -> None:
    """Serves what was recorded until SIGINT or SIGTERM."""
    check_installed()
    # An extra: only who serves a page has it.
    from launcher.page import app, serving

    place = serving.reserve(port)
    _say(place)
    serving.serve(app.PageApp(found.title, recorded=found), place)


def show_seed(options: Options, seed: int) -> None:
    """`launcher simulate --seed N --page`: runs one seed and serves its trace."""
    check_installed()
    # Start-up time: loads the simulated world.
    from launcher.simulation.runner import run_seed
    from launcher.simulation.trace import Trace

    with tempfile.TemporaryDirectory(prefix="leeky-raft-") as folder:
        trace = Path(folder) / f"seed-{seed}.jsonl"
        with trace.open("w", encoding="utf-8") as opened:
            run_seed(options, seed, Trace(opened.write))
        serve_recorded(recorded.read(trace), None)  # which reads it again to say why


# -- a cluster that runs -------------------------------------------------------------------------


def serve_live(context: Context, port: int | None, *, until_down: bool) -> None:
    """Serves the running cluster until SIGINT or SIGTERM, or (`until_down`) until it is down.

    Raises NotRunning.
    """
    check_installed()
    # An extra: only who serves a page has it.
    from launcher.page import app, serving, status
    from launcher.page.feed import Feed

    cluster = context.cluster()
    config = cluster.config
    place = serving.reserve(port)
    _say(place)
    feed = Feed(config.log_dir, lambda: status.seen(cluster.status(), config.machine))
    feed.start()
    served = app.PageApp(
        config.name,
        feed=feed,
        run=lambda words: _run(Context(attached=cluster), words),
        source=lambda: recorded.events_of(config.log_dir),
        status=cluster.status,
    )
    try:
        serving.serve(served, place, (lambda: not lock.is_locked(config)) if until_down else None)
    finally:
        feed.stop()


def tell(word: str) -> None:
    """`launcher story NAME --page`: plays a story on simulated cores, and serves what happened."""
    # Start-up time: loads the core and the stage.
    from launcher.page import staged
    from launcher.simulation.stage import library

    story = library.find(word)
    try:
        found = staged.recorded(story.label, story.on_cores)
    except UsageError as error:
        raise UsageError(f"{story.label}, {error}") from error
    serve_recorded(found, None)


def teach(lesson: Lesson) -> None:
    """`launcher lesson N --page`: plays a lesson in the page, on a cluster of its own."""
    check_installed()
    # An extra: only who serves a page has it.
    from launcher.lessons.player import Stage
    from launcher.page import app, serving, status
    from launcher.page.feed import Feed
    from launcher.page.teaching import Teaching

    with Stage(lesson.number) as stage:
        teaching = Teaching(lesson, stage)
        place = serving.reserve(None)
        _say(place)
        feed = Feed(teaching.log_dir, lambda: status.seen(teaching.status()))
        feed.start()
        title = f"lesson {lesson.number}: {lesson.title}"
        served = app.PageApp(
            title,
            feed=feed,
            run=lambda words: _run(Context(config=stage.path / "cluster.yaml"), words),
            source=lambda: recorded.events_of(teaching.log_dir),
            status=teaching.status,
            teaching=teaching,
        )
        try:
            serving.serve(served, place)
        finally:
            feed.stop()


def _run(context: Context, words: Sequence[str]) -> Answer:
    """Runs one command of the table in this process, as the prompt does; a long one in its own."""
    # An extra: only who serves a page has it.
    from launcher.page.app import Answer

    _note(context, words)
    if words[0] in doing.LONG:
        return _run_beside(context, words)
    # With bytes beneath, because answers of machines are printed as bytes.
    out, err = _written(), _written()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = shell.run(list(words), context)
    said, printed = (_text(one) for one in (err, out))
    last = said.rsplit("\n", 1)[-1].removeprefix("launcher: ")
    if status == 0:
        return Answer(0, "\n".join(filter(None, (printed, said))), "")
    return Answer(status, printed, last)


def _note(context: Context, words: Sequence[str]) -> None:
    """Has the timeline say what is run on the page, where a supervisor is there to write it."""
    line = doing.noted(words)
    if line is not None:
        with contextlib.suppress(LauncherError):
            asking.ask(context.load_config(), requests.NotePage(line), _NOTE_TIMEOUT_S)


def _run_beside(context: Context, words: Sequence[str]) -> Answer:
    # An extra, as above.
    from launcher.page.app import Answer

    config = context.load_config()
    name = ["-c", str(config.source)] if config.source is not None else []
    done = subprocess.run(
        [sys.executable, "-m", "launcher", *name, "-p", config.name, *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.strip().rsplit("\n", 1)[-1].removeprefix("launcher: ")
    return Answer(done.returncode, done.stdout.strip(), last if done.returncode else "")


def _written() -> io.TextIOWrapper:
    return io.TextIOWrapper(io.BytesIO(), "utf-8", "replace", write_through=True)


def _text(written: io.TextIOWrapper) -> str:
    data = written.detach()
    assert isinstance(data, io.BytesIO)
    return data.getvalue().decode("utf-8", "replace").strip()


def begin_beside(context: Context, cluster: Cluster, *, as_json: bool) -> None:
    """Starts the page of a cluster that is up, as a process of its own, and prints its address.

    The nodes record their messages from now on: without these the page has no arrows.

    Raises LauncherError when it does not begin.
    """
    if cluster.config.tap_mode == "off":
        cluster.tap("ring")
    chosen = ["-c", str(context.config)] if context.config is not None else []
    chosen += ["-p", context.name] if context.name is not None else []
    process = subprocess.Popen(
        [sys.executable, "-m", "launcher", "page", "--until-down", *chosen],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline().strip()
    if not line:
        why = process.stderr.read().strip().removeprefix("launcher: ")
        raise LauncherError(f"the cluster is up, but its page did not begin: {why}")
    if as_json:
        print_json({"page": line.removeprefix("page: ")})
    else:
        click.echo(line)


def _say(place: Place) -> None:
    if place.note:
        click.echo(place.note, err=True)
    click.echo(f"page: {place.address}")
    sys.stdout.flush()
