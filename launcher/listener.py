"""The supervisor's side of the control socket: takes requests, and answers them.

Each connection's requests are answered in order; different connections do not wait for each other.
Nothing that a client sends, and nothing that goes wrong with one request, ends the supervisor.
"""

from __future__ import annotations

import asyncio
import struct
import sys
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec

from launcher.control import Reply, Request
from launcher.errors import LauncherError
from node import wire
from node.errors import WireError

MAX_REQUEST_BYTES = 1 << 20
_LENGTH = struct.Struct("!i")


async def serve(path: Path, answer: Callable[[Request], Awaitable[Reply]]) -> asyncio.Server:
    """Answers whoever connects, each connection's requests in order. Raises OSError.

    A client that disconnects before its answer stops nothing of what it asked for.
    """

    async def on_client(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                (size,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
                if not 0 < size <= MAX_REQUEST_BYTES:
                    raise WireError(f"a request of {size} bytes")
                reply = await _answer(await reader.readexactly(size), answer)
                writer.write(wire.frame(msgspec.json.encode(reply)))
                await writer.drain()
        except (OSError, EOFError, WireError, asyncio.CancelledError):
            pass  # it has gone, or speaks another language; or we are going
        finally:
            writer.close()

    return await asyncio.start_unix_server(on_client, path)


async def _answer(body: bytes, answer: Callable[[Request], Awaitable[Reply]]) -> Reply:
    try:
        return await answer(msgspec.json.decode(body, type=Request))
    except msgspec.DecodeError as error:
        return Reply(ok=False, error=f"not a request: {error}", exit_status=2)
    except LauncherError as error:
        return Reply(ok=False, error=str(error), exit_status=error.exit_status)
    except Exception as error:  # the cluster outlives a mistake of ours; the operator hears of it
        traceback.print_exception(error, file=sys.stderr)
        said = f"the supervisor failed: {type(error).__name__}: {error}; see supervisor.stderr"
        return Reply(ok=False, error=said, exit_status=1)
