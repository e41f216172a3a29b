"""What a client costs a node, whatever it does with its connection: a whole node, real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from node import wire
from node.process.connections import (
    MAX_ALL_UNFINISHED_BYTES,
    MAX_ALL_UNREAD_BYTES,
    MAX_UNREAD_BYTES,
)
from node.process.node import Node
from node.wire import Answers, Read, ReadResult, Redirect, Stop, Submit
from tests.node.process.test_process import events, until, with_a_supervisor
from tests.node.server.test_server import config

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def running(folder: Path, **changes: object) -> AsyncIterator[Node]:
    """A node that leads alone."""
    control, supervisor = with_a_supervisor()
    log = folder / "log.jsonl"
    roomy = {"max_entry_bytes": 1 << 20, "max_uncommitted_bytes": 64 << 20, "log_level": "debug"}
    values = {"event_log": log, "socket": folder / "s", **roomy, **changes}
    node = Node(config(folder, 1, 1, **values), control, {})
    running = asyncio.create_task(node.run())
    try:
        await until(lambda: log.exists() and "leader.elected" in events(log))
        yield node
        assert not running.done(), "the node lives"
        supervisor.send(wire.frame(wire.encode(2, Stop())))
        assert await running == 0
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


def connect(folder: Path) -> asyncio.Future[Streams]:
    return asyncio.ensure_future(asyncio.open_unix_connection(str(folder / "s")))


async def say(writer: asyncio.StreamWriter, request: wire.ClientRequest) -> None:
    writer.write(wire.frame(wire.encode_client(request)))
    await writer.drain()


async def hear(reader: asyncio.StreamReader) -> wire.ClientReply:
    (size,) = struct.unpack("!i", await reader.readexactly(4))
    return wire.decode_reply(await reader.readexactly(size))


async def ask(folder: Path) -> wire.ClientReply:
    """What a client is told that comes, asks and waits."""
    reader, writer = await connect(folder)
    try:
        await say(writer, Read(1, [b"COUNT"], stale=True))
        return await asyncio.wait_for(hear(reader), 20)
    finally:
        writer.close()


async def has_ended(reader: asyncio.StreamReader) -> bool:
    try:
        return await asyncio.wait_for(reader.read(1), 20) == b""
    except ConnectionResetError:
        return True


# -- idle ----------------------------------------------------------------------------------------


def test_silent_clients_lock_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that has been idle longest loses its place to one that comes."""
    monkeypatch.setattr("node.process.connections.IDLE_S", 0.2)

    async def scenario() -> None:
        async with running(tmp_path, most_clients=3) as node:
            silent = [await connect(tmp_path) for _ in range(3)]
            await until(lambda: len(node.connections) == 3)
            assert isinstance(await ask(tmp_path), Redirect), "nobody has been idle for long"
            await asyncio.sleep(0.3)
            await say(silent[0][1], Read(7, [], stale=True))
            assert isinstance(await hear(silent[0][0]), ReadResult)

            assert isinstance(await ask(tmp_path), ReadResult)
            assert await has_ended(silent[1][0]), "the one that was idle longest"
            await say(silent[0][1], Read(8, [], stale=True))
            assert isinstance(await hear(silent[0][0]), ReadResult), "who speaks keeps its place"
            await say(silent[2][1], Read(9, [], stale=True))
            assert isinstance(await hear(silent[2][0]), ReadResult), "and one was enough"
            for _, writer in silent:
                writer.close()

    asyncio.run(scenario())


def test_who_waits_for_an_answer_keeps_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.process.connections.IDLE_S", 0.0)

    async def scenario() -> None:
        async with running(tmp_path, most_clients=1) as node:
            reader, writer = await connect(tmp_path)
            await until(lambda: len(node.connections) == 1)
            (client,) = node.connections._clients
            client.waits = True
            assert isinstance(await ask(tmp_path), Redirect)
            client.waits = False
            assert isinstance(await ask(tmp_path), ReadResult)
            assert await has_ended(reader)
            writer.close()

    asyncio.run(scenario())


# -- half of a frame -----------------------------------------------------------------------------


def test_frames_that_come_in_part_are_bounded_over_all_clients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one with most of a frame is hung up on; what it held is let go."""
    most = 1 << 20
    monkeypatch.setattr("node.process.connections.MAX_ALL_UNFINISHED_BYTES", most)
    assert MAX_ALL_UNFINISHED_BYTES >= 2 * wire.MAX_REQUEST_BYTES, "one whole frame must pass"

    async def scenario() -> None:
        async with running(tmp_path) as node:
            small, large, late = [await connect(tmp_path) for _ in range(3)]
            await until(lambda: len(node.connections) == 3)
            head = struct.pack("!i", 8 << 20)
            small[1].write(head + b"x" * (most // 4))
            large[1].write(head + b"x" * (most // 2))
            await until(lambda: node.connections._unfinished_bytes > most // 2 + 8)
            late[1].write(head + b"x" * (most // 3))
            assert await has_ended(large[0])
            held = node.connections._unfinished_bytes
            assert held == 8 + most // 4 + most // 3 <= most

            assert isinstance(await ask(tmp_path), ReadResult)
            small[1].close()
            late[1].close()
            await until(lambda: node.connections._unfinished_bytes == 0)
            assert "client.dropped" in events(tmp_path / "log.jsonl")

    asyncio.run(scenario())


# -- answers that nobody reads -------------------------------------------------------------------


async def full(node: Node, path: Path) -> None:
    """The journal lists a megabyte."""
    reader, writer = await connect(path)
    await say(writer, Submit(b"filler", 1, 1, [b"x" * (1 << 20)]))
    assert isinstance(await hear(reader), Answers)
    writer.close()


def test_of_a_client_that_reads_no_answers_no_more_requests_are_read_until_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.process.connections.MAX_BACKLOG_BYTES", 2 << 20)

    async def scenario() -> None:
        async with running(tmp_path, max_entry_bytes=1 << 20) as node:
            await full(node, tmp_path)
            reader, writer = await connect(tmp_path)
            await until(lambda: len(node.connections) == 1)
            (client,) = node.connections._clients
            assert client._transport is not None
            asked = 0
            while client._transport.is_reading():
                assert client.unread_bytes <= 2 << 20
                asked, before = asked + 1, client.heard_at
                await say(writer, Read(asked, [b"LS"], stale=True))
                await until(lambda: client.heard_at > before and not client.waits)  # noqa: B023

            heard_at = client.heard_at
            await say(writer, Read(asked + 1, [b"LS"], stale=True))
            assert isinstance(await ask(tmp_path), ReadResult), "others are served meanwhile"
            assert client.heard_at == heard_at, "its next request has not been read"

            for number in range(1, asked + 2):
                reply = await asyncio.wait_for(hear(reader), 20)
                assert isinstance(reply, ReadResult)
                assert reply.read_id == number
            writer.close()

    asyncio.run(scenario())


def test_a_client_that_reads_nothing_is_not_read_from_and_hung_up_on_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.process.connections.MAX_UNREAD_BYTES", 24 << 20)
    assert MAX_UNREAD_BYTES <= MAX_ALL_UNREAD_BYTES

    async def scenario() -> None:
        async with running(tmp_path, max_entry_bytes=1 << 20) as node:
            await full(node, tmp_path)
            _, writer = await connect(tmp_path)
            await until(lambda: len(node.connections) == 1)
            (client,) = node.connections._clients
            # All of it is there before any of it is answered.
            ask_for_much = wire.frame(wire.encode_client(Read(1, [b"LS"] * 10, stale=True)))
            writer.write(ask_for_much * 10)
            most = 0
            give_up = time.monotonic() + 20
            while client in node.connections._clients:
                assert time.monotonic() < give_up
                most = max(most, client.unread_bytes)
                await asyncio.sleep(0)
            assert most <= (24 << 20) + (12 << 20)
            assert isinstance(await ask(tmp_path), ReadResult)
            writer.close()

    asyncio.run(scenario())


def test_unread_answers_are_bounded_over_all_clients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.process.connections.MAX_ALL_UNREAD_BYTES", 12 << 20)

    async def scenario() -> None:
        async with running(tmp_path, max_entry_bytes=1 << 20) as node:
            await full(node, tmp_path)
            lazy = [await connect(tmp_path) for _ in range(4)]
            for number, (_, writer) in enumerate(lazy, 2):
                await say(writer, Read(1, [b"LS"] * number, stale=True))
            await until(lambda: len(node.connections) == 3)
            unread = sum(client.unread_bytes for client in node.connections._clients)
            assert unread <= 12 << 20
            reader = lazy[3][0]
            with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                await hear(reader)  # five megabytes were most
            for client_reader, _ in lazy[:3]:
                assert isinstance(await hear(client_reader), ReadResult)
            for _, writer in lazy:
                writer.close()

    asyncio.run(scenario())
