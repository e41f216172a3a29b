"""The operator's end of the control socket: sends a request, and waits for the answer."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from launcher.control.requests import Reply, Request, check
from launcher.errors import LauncherError, NotRunning, TimedOut, UsageError
from node import wire

_LOOK_INTERVAL_S = 1.0
_BUSY_PAUSE_S = 0.05
"""So long who finds the supervisor busy waits before it asks again."""


def call(
    path: Path, request: Request, timeout_s: float, look: Callable[[], None] | None = None
) -> Reply:
    """Asks the supervisor behind `path`. Blocks.

    look: called each second while it waits; what it raises ends the call

    Raises UsageError for a request that makes no sense, before anything is sent; NotRunning when
    nobody listens or whoever did has died, TimedOut, and what the supervisor answered: UsageError,
    TimedOut or LauncherError.
    """
    check(request)
    deadline = time.monotonic() + timeout_s
    try:
        reply = _ask(path, request, deadline, look)
        while reply is None or (reply.busy and time.monotonic() + _BUSY_PAUSE_S < deadline):
            time.sleep(_BUSY_PAUSE_S)
            reply = _ask(path, request, deadline, look)
    except TimeoutError as error:
        raise TimedOut(f"the supervisor has not answered in {timeout_s:g} s") from error
    except (OSError, EOFError) as error:
        raise NotRunning("the supervisor is gone: `launcher up` starts the cluster") from error
    if reply.ok:
        return reply
    kinds: dict[int, type[LauncherError]] = {2: UsageError, 3: NotRunning, 4: TimedOut}
    raise kinds.get(reply.exit_status, LauncherError)(reply.error)


def _ask(
    path: Path, request: Request, deadline: float, look: Callable[[], None] | None
) -> Reply | None:
    """The supervisor's answer; None when its queue of connections is full at the moment."""
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise TimeoutError
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(left_s)
        try:
            connection.connect(str(path))
        except BlockingIOError:
            return None
        with suppress(BrokenPipeError):  # it has told us already that it is busy
            connection.sendall(wire.frame(msgspec.json.encode(request)))
        return msgspec.json.decode(_receive(connection, deadline, look), type=Reply)


def _receive(connection: socket.socket, deadline: float, look: Callable[[], None] | None) -> bytes:
    frames = wire.FrameReader()
    while True:
        left_s = deadline - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        connection.settimeout(left_s if look is None else min(left_s, _LOOK_INTERVAL_S))
        try:
            data = connection.recv(1 << 16)
        except TimeoutError:
            if look is not None:
                look()
            continue
        if not data:
            raise EOFError
        for body in frames.feed(data):
            return body
