"""The `Fork` port: work in a copy of this process, which the kernel makes as it is needed.

A fork sees every object as it was at that moment, and costs what is written to meanwhile. It keeps
none of the node's pipes and sockets: a peer must see the node's death at once, whatever its fork
does. It does not outlive the node by more than `_LOOK_S`, and yields to it when both want a core.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import warnings
from collections.abc import Callable
from typing import NoReturn

from node import signals
from node.errors import LeekyError

_LOOK_S = 0.2
"""How often a fork looks whether its node still lives."""

_DONE, _FAILED = b"+", b"-"
_HEAD_BYTES = 9
"""A fork says one of the two, how many bytes follow, and then those."""

Done = Callable[[bytes | None, BaseException | None], None]


class ForkFailed(LeekyError):
    """The work in a fork failed, or the fork ended before it was done."""


class Forks:
    """Runs work in forks, and tells of their ends in the loop.

    report(done, result, error): how an end is told
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        report: Callable[[Done, bytes | None, BaseException | None], None],
    ) -> None:
        self._loop = loop
        self._report = report

    def run(self, work: Callable[[], bytes], done: Done) -> None:
        """The port's `run`. Called in the main thread. A process or a pipe that the system does not
        give is told as any other failure is."""
        parent = os.getpid()
        pipe: tuple[int, ...] = ()
        try:
            pipe = inlet, outlet = os.pipe()
            with warnings.catch_warnings():
                # There is a disk thread. The fork touches no lock that it may hold.
                warnings.simplefilter("ignore", DeprecationWarning)
                child = os.fork()
        except OSError as error:
            for end in pipe:
                os.close(end)
            self._loop.call_soon(self._report, done, None, error)
            return
        if child == 0:
            _work(work, parent, outlet)
        os.close(outlet)
        self._loop.add_reader(inlet, self._on_readable, inlet, child, bytearray(), done)

    def _on_readable(self, inlet: int, child: int, said: bytearray, done: Done) -> None:
        data = os.read(inlet, 1 << 16)
        said += data
        if data:
            return
        self._loop.remove_reader(inlet)
        os.close(inlet)
        how = _reap(child)
        mark, size = said[:1], int.from_bytes(said[1:_HEAD_BYTES])
        text = bytes(said[_HEAD_BYTES:])
        if len(said) < _HEAD_BYTES or len(text) != size:  # it ended before it had said all
            self._report(done, None, ForkFailed(f"its process ended ({how})"))
        elif mark == _DONE:
            self._report(done, text, None)
        else:
            self._report(done, None, ForkFailed(text.decode("utf-8", "replace")))


def _reap(child: int) -> str:
    """How a fork has ended that has closed its pipe."""
    try:
        _, status = os.waitpid(child, 0)
    except ChildProcessError:  # whatever the machine has loaded ignores SIGCHLD, or waits itself
        return "how is not known"
    return str(os.waitstatus_to_exitcode(status))


def _work(work: Callable[[], bytes], parent: int, outlet: int) -> NoReturn:
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
            mark, said = _DONE, work()
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
