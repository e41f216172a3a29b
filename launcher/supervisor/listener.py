"""The supervisor's side of the control socket: takes requests, and answers them.

Each connection's requests are answered in order; different connections do not wait for each other.
Nothing that a client sends, and nothing that goes wrong with one request, ends the supervisor.

Nor does a client that sends nothing keep others out: a connection that has sent no whole request
for `REQUEST_TIMEOUT_S` is closed, and so is one that does not read its answer. When as many as
`MOST_CONNECTIONS` are open, the one that has been idle longest makes room for the next. If all of
them are new, or have a request that is being carried out, the next is told to ask again.
"""

from __future__ import annotations

import asyncio
import struct
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from launcher.control.requests import Reply, Request, check
from launcher.errors import LauncherError
from node import wire
from node.errors import WireError
from node.process import descriptors

MAX_REQUEST_BYTES = 1 << 20
MOST_CONNECTIONS = 64
REQUEST_TIMEOUT_S = 10.0
IDLE_S = 0.2
"""A connection that is idle for less may be about to send its request."""

TRACEBACK_EVERY_S = 1.0
"""No more often is the traceback of a request that fails printed."""

_SHOWN_CHARACTERS = 300
"""Of what is wrong with a request: that may hold what was sent."""

_LENGTH = struct.Struct("!i")


async def serve(
    path: Path, answer: Callable[[Request], Awaitable[Reply]], most: int = MOST_CONNECTIONS
) -> asyncio.Server:
    """Answers whoever connects, each connection's requests in order. Raises OSError.

    A client that disconnects before its answer stops nothing of what it asked for.
    most: how many connections there is room for
    """
    listener = Listener(answer, min(most, MOST_CONNECTIONS))
    server = await asyncio.start_unix_server(
        listener.on_client, path, backlog=descriptors.ACCEPTED_AT_ONCE
    )
    descriptors.let_many_wait(server)
    return server


class Listener:
    """All who are connected."""

    def __init__(self, answer: Callable[[Request], Awaitable[Reply]], most: int) -> None:
        self._answer = answer
        self._most = most
        self._idle_since: dict[asyncio.StreamWriter, float] = {}
        """the connections with no request being carried out, the one idle longest first"""
        self._open = 0
        self._printed_at = -TRACEBACK_EVERY_S

    async def on_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection to its end."""
        self._open += 1
        try:
            if self._open > self._most and not self._drop_idle():
                said = f"the supervisor has {self._most} connections; try again in a moment"
                await _send(writer, Reply(ok=False, error=said, exit_status=1, busy=True))
                return
            while True:
                self._idle_since[writer] = asyncio.get_running_loop().time()
                body = await asyncio.wait_for(_request(reader), REQUEST_TIMEOUT_S)
                self._idle_since.pop(writer, None)
                await _send(writer, await self._carry_out(body))
        except TimeoutError:
            writer.transport.abort()  # it is silent, or what it has not read would be kept for it
        except (OSError, EOFError, WireError, asyncio.CancelledError):
            pass  # it has gone, or speaks another language; or we are going
        finally:
            self._open -= 1
            self._idle_since.pop(writer, None)
            writer.close()

    async def _carry_out(self, body: bytes) -> Reply:
        try:
            request = msgspec.json.decode(body, type=Request)
            check(request)
        except LauncherError as error:
            return Reply(ok=False, error=str(error), exit_status=error.exit_status)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            said = " ".join(f"not a request: {error}".split())[:_SHOWN_CHARACTERS]
            return Reply(ok=False, error=said, exit_status=2)
        try:
            return await self._answer(request)
        except LauncherError as error:
            return Reply(ok=False, error=str(error), exit_status=error.exit_status)
        except Exception as error:  # the cluster outlives it; the operator hears of it
            self._print(error)
            said = f"the supervisor failed: {type(error).__name__}: {error}; see supervisor.stderr"
            return Reply(ok=False, error=said, exit_status=1)

    def _print(self, error: Exception) -> None:
        """For whoever mends the supervisor; one that is met again and again is printed once."""
        now = asyncio.get_running_loop().time()
        if now - self._printed_at >= TRACEBACK_EVERY_S:
            self._printed_at = now
            traceback.print_exception(error, file=sys.stderr)

    def _drop_idle(self) -> bool:
        """Makes room for one more; whether there was anybody to hang up on."""
        now = asyncio.get_running_loop().time()
        for writer, since in self._idle_since.items():
            if now - since < IDLE_S:
                return False
            del self._idle_since[writer]
            writer.transport.abort()
            return True
        return False


async def _request(reader: asyncio.StreamReader) -> bytes:
    (size,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if not 0 < size <= MAX_REQUEST_BYTES:
        raise WireError(f"a request of {size} bytes")
    return await reader.readexactly(size)


async def _send(writer: asyncio.StreamWriter, reply: Reply) -> None:
    writer.write(wire.frame(msgspec.json.encode(reply)))
    await asyncio.wait_for(writer.drain(), REQUEST_TIMEOUT_S)
