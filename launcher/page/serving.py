"""Serves the page on an address of this machine, until it is told to end.

The address has a token after the `#`, which a browser sends to nobody; the page itself puts it into
a header. Nothing that a browser asks for is logged.
"""

from __future__ import annotations

import secrets
import socket
import threading
import time
from collections.abc import Callable
from typing import Protocol

import msgspec

from launcher.errors import LauncherError, UsageError
from launcher.page.app import PageApp, is_open
from launcher.page.guard import Guard


class _Server(Protocol):
    should_exit: bool


HOST = "127.0.0.1"
USUAL_PORT = 7350
WATCH_S = 0.5


class Place(msgspec.Struct, frozen=True):
    """Where a page is served. note: what to say of the port, or empty."""

    listening: object
    port: int
    token: str
    note: str

    @property
    def address(self) -> str:
        return f"http://{HOST}:{self.port}/#token={self.token}"


def reserve(port: int | None) -> Place:
    """Takes a port: this one, or else the usual one or any other that is free.

    Raises UsageError when this one is in use, or may not be used.
    """
    note = ""
    try:
        listening = _bound(USUAL_PORT if port is None else port)
    except OSError as error:
        if port is not None:
            raise UsageError(
                f"--port {port}: {error.strerror}; without --port a free one is taken"
            ) from None
        note = f"port {USUAL_PORT} is in use; this one was free"
        listening = _bound(0)
    return Place(listening, listening.getsockname()[1], secrets.token_urlsafe(24), note)


def serve(app: PageApp, place: Place, ended: Callable[[], bool] | None = None) -> None:
    """Serves until SIGINT or SIGTERM, or until `ended()`. Raises LauncherError."""
    try:
        # An extra: only who serves a page needs it.
        import uvicorn
    except ImportError:
        raise missing("uvicorn") from None

    hosts = [f"{host}:{place.port}" for host in (HOST, "localhost")]
    guarded = Guard(app.asgi(), token=place.token, hosts=hosts, is_open=is_open)
    config = uvicorn.Config(
        guarded, access_log=False, log_level="error", lifespan="off", server_header=False,
        timeout_graceful_shutdown=1, ws="none", limit_concurrency=400,
    )  # fmt: skip
    server = uvicorn.Server(config)
    if ended is not None:
        threading.Thread(target=_watch, args=(server, ended), daemon=True).start()
    assert isinstance(place.listening, socket.socket)
    server.run(sockets=[place.listening])


def missing(package: str) -> LauncherError:
    """The error where the extra is not installed."""
    return LauncherError(f"the page needs {package}: pip install 'leeky-raft[page]'")


def _watch(server: _Server, ended: Callable[[], bool]) -> None:
    while not ended():
        time.sleep(WATCH_S)
    server.should_exit = True


def _bound(port: int) -> socket.socket:
    """Raises OSError."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((HOST, port))
        listening.listen(128)
    except OSError:
        listening.close()
        raise
    return listening
