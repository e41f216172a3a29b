"""The `Fork` port: work in a copy of this process, which the kernel makes as it is needed.

A fork sees every object as it was at that moment, and costs what is written to meanwhile. It keeps
none of the node's pipes and sockets: a peer must see the node's death at once, whatever its fork
does. It does not outlive the node by more than `_LOOK_S`, and yields to it when both want a core.

A node has threads (`node/process/disk_thread.py`), and Python 3.12 and newer warn when such a
process forks: only the thread that forks is in the child, so a lock that another thread holds at
that moment is never released there. These are the locks, and why none of them can stop the child:

- The thread that forks holds the interpreter's lock. Python makes that lock, the import lock and
  those of `threading` and `logging` new in the child; the C libraries of Linux and macOS do the
  same for their memory allocator.
- A disk thread is in a system call, or tells the loop that it is done, or waits for its queue. The
  locks that this takes (of the queue, of the loop's callbacks) belong to objects that the child
  never uses.
- A disk thread imports modules only while it restores a snapshot, when it makes a new machine. No
  snapshot is begun meanwhile (`node/server/server.py`), so no lock of a module is held.
- The child reads the machine and the sessions, which only the thread that forks ever changes. It
  opens a file of its own and writes to it with system calls. What it shares with the node has no
  lock: the state of the disk (`node/faults/disks.py`), the pipe for its result, its progress.
- It ends with `os._exit`, so it runs no finaliser and flushes no file of the node's.

A machine of the user's own can still break this, by starting threads or by a library that does. The
child may then hang. So it says after each chunk that it goes on, and one that has not said so for
`STUCK_S` is killed: the snapshot fails, which is told (`snapshot.failed`), the log stays as long as
it is, and another snapshot is tried later. A disk that hangs for as long ends in the same way.
"""

from __future__ import annotations

import asyncio
import gc
import mmap
import os
import signal
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn

from node.errors import LeekyError
from node.process import signals

_LOOK_S = 0.2
"""How often a fork looks whether its node still lives."""

STUCK_S = 300.0
"""No chunk takes that long to make and to write, on a disk that works."""

_DONE, _FAILED = b"+", b"-"
_HEAD_BYTES = 9
"""A fork says one of the two, how many bytes follow, and then those."""

Done = Callable[[bytes | None, BaseException | None], None]
Work = Callable[[Callable[[], None]], bytes]


class ForkFailed(LeekyError):
    """The work in a fork failed, or the fork ended before it was done."""


class _Progress:
    """How many steps the child has done, in memory that it shares with its parent."""

    def __init__(self) -> None:
        self._page = mmap.mmap(-1, 8)
        self._steps = 0

    def step(self) -> None:
        """One more is done. Called in the child alone."""
        self._steps += 1
        self._page[:8] = self._steps.to_bytes(8, "little")

    def seen(self) -> bytes:
        """Changes with each step."""
        return self._page[:8]


@dataclass
class _Child:
    """A fork that is at work, as its parent has it.

    said: what it has written into the pipe
    seen: its progress when the parent last looked
    """

    pid: int
    done: Done
    progress: _Progress
    seen: bytes
    said: bytearray = field(default_factory=bytearray)
    look: asyncio.TimerHandle | None = None
    is_stuck: bool = False


class Forks:
    """Runs work in forks, and tells of their ends in the loop.

    report(done, result, error): how an end is told
    stuck_s: a fork that does not go on for so long, twice so long at most, is killed
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        report: Callable[[Done, bytes | None, BaseException | None], None],
        *,
        stuck_s: float = STUCK_S,
    ) -> None:
        self._loop = loop
        self._report = report
        self._stuck_s = stuck_s

    def run(self, work: Work, done: Done) -> None:
        """The port's `run`. Called in the main thread. A process or a pipe that the system does not
        give is told as any other failure is."""
        parent = os.getpid()
        pipe: tuple[int, ...] = ()
        try:
            progress = _Progress()
            pipe = inlet, outlet = os.pipe()
            with warnings.catch_warnings():
                # "This process is multi-threaded": see above.
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = os.fork()
        except OSError as error:
            for end in pipe:
                os.close(end)
            self._loop.call_soon(self._report, done, None, error)
            return
        if pid == 0:
            _work(work, progress, parent, outlet)
        os.close(outlet)
        child = _Child(pid, done, progress, progress.seen())
        self._loop.add_reader(inlet, self._on_readable, inlet, child)
        child.look = self._loop.call_later(self._stuck_s, self._look_at, child)

    def _look_at(self, child: _Child) -> None:
        """Kills a child that has not gone on since the last look; its pipe then ends."""
        before, child.seen = child.seen, child.progress.seen()
        child.is_stuck = child.seen == before
        if child.is_stuck:
            os.kill(child.pid, signal.SIGKILL)  # it is no zombie yet: nobody has waited for it
        else:
            child.look = self._loop.call_later(self._stuck_s, self._look_at, child)

    def _on_readable(self, inlet: int, child: _Child) -> None:
        data = os.read(inlet, 1 << 16)
        child.said += data
        if data:
            return
        self._loop.remove_reader(inlet)
        os.close(inlet)
        if child.look is not None:
            child.look.cancel()
        how = _reap(child.pid)
        said, done = child.said, child.done
        mark, size = said[:1], int.from_bytes(said[1:_HEAD_BYTES])
        text = bytes(said[_HEAD_BYTES:])
        if len(said) < _HEAD_BYTES or len(text) != size:  # it ended before it had said all
            ended = f"its process ended ({how})"
            if child.is_stuck:
                ended = f"it had not gone on for {self._stuck_s:g} s, and was killed"
            self._report(done, None, ForkFailed(ended))
        elif mark == _DONE:
            self._report(done, text, None)
        else:
            self._report(done, None, ForkFailed(text.decode("utf-8", "replace")))


def _reap(pid: int) -> str:
    """How a fork has ended that has closed its pipe."""
    try:
        _, status = os.waitpid(pid, 0)
    except ChildProcessError:  # whatever the machine has loaded ignores SIGCHLD, or waits itself
        return "how is not known"
    return str(os.waitstatus_to_exitcode(status))


def _work(work: Work, progress: _Progress, parent: int, outlet: int) -> NoReturn:
    """The fork's whole life."""
    try:
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signals.begin(keep_ignored={signal.SIGINT})
        os.closerange(3, outlet)
        os.closerange(outlet + 1, os.sysconf("SC_OPEN_MAX"))
        gc.disable()  # it would write to every page
        os.nice(5)
        signal.signal(signal.SIGALRM, lambda *_: os.getppid() == parent or os._exit(1))
        signal.setitimer(signal.ITIMER_REAL, _LOOK_S, _LOOK_S)
        try:
            mark, said = _DONE, work(progress.step)
        except BaseException as error:
            text = (
                str(error) if isinstance(error, LeekyError) else f"{type(error).__name__}: {error}"
            )
            mark, said = _FAILED, text.encode("utf-8", "replace")
        said = mark + len(said).to_bytes(_HEAD_BYTES - 1) + said
        while said:
            said = said[os.write(outlet, said) :]
    finally:
        os._exit(0)
