"""A process that has as many files open as it may."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from node import wire
from node.process import descriptors
from node.process.transport import ControlChannel


def allow(soft: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def no_descriptor_left() -> Iterator[None]:
    before, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    taken = []
    allow(max(map(int, os.listdir("/dev/fd"))) + 8)
    try:
        with suppress(OSError):
            while True:
                taken.append(os.open(os.devnull, os.O_RDONLY))
        yield
    finally:
        allow(before)
        for descriptor in taken:
            os.close(descriptor)


def test_a_link_for_which_there_is_no_descriptor_is_missed_and_no_later_one(
    request: pytest.FixtureRequest,
) -> None:
    async def story() -> list[bool]:
        ours, theirs = socket.socketpair()
        before, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        came: list[bool] = []
        channel = ControlChannel(
            ours, lambda _: came.append(channel.take_descriptor() is not None), lambda: None
        )
        end, other = socket.socketpair()
        for number in range(2):
            if number == 0:
                request.getfixturevalue("no_descriptor_left")
            socket.send_fds(theirs, [wire.frame(b"link")], [end.fileno()])
            while len(came) == number:
                await asyncio.sleep(0)
            allow(before)
        for one in (theirs, end, other):
            one.close()
        channel.close()
        return came

    assert asyncio.run(story()) == [False, True]


def test_clients_are_let_in_as_far_as_the_limit_has_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)  # the limit of this process stays
    monkeypatch.setattr(resource, "getrlimit", lambda _: (200, 200))

    assert descriptors.room_for_clients(512) == 200 - descriptors.OWN_OF_NODE
    assert descriptors.room_for_clients(50) == 50

    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    assert descriptors.room_for_clients(512) == descriptors.LEAST_CLIENTS


def test_a_few_connections_are_accepted_in_a_turn_and_the_others_wait_in_the_kernel(
    tmp_path: Path,
) -> None:
    path, clients = tmp_path / "s", 3 * descriptors.ACCEPTED_AT_ONCE

    async def story() -> list[int]:
        """How many connections are accepted in each turn of the loop."""
        accepted: list[int] = []
        server = await asyncio.get_running_loop().create_unix_server(
            asyncio.Protocol, path, backlog=descriptors.ACCEPTED_AT_ONCE
        )
        descriptors.let_many_wait(server)
        with ExitStack() as stack:
            for _ in range(clients):
                client = stack.enter_context(socket.socket(socket.AF_UNIX))
                client.setblocking(False)
                client.connect(str(path))  # raises BlockingIOError if it may not wait
            open_before = len(os.listdir("/dev/fd"))
            while sum(accepted) < clients:
                await asyncio.sleep(0)
                accepted.append(len(os.listdir("/dev/fd")) - open_before - sum(accepted))
            server.close()
        return accepted

    most = max(asyncio.run(asyncio.wait_for(story(), 30)))
    assert most in (descriptors.ACCEPTED_AT_ONCE, descriptors.ACCEPTED_AT_ONCE + 1)
    # some versions of asyncio accept one more than the backlog
