"""A process that has as many files open as it may."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
from collections.abc import Iterator
from contextlib import suppress

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
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)  # or it would lower ours, for good
    monkeypatch.setattr(resource, "getrlimit", lambda _: (200, 200))

    assert descriptors.room_for_clients(512) == 200 - descriptors.OWN_OF_NODE
    assert descriptors.room_for_clients(50) == 50

    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    assert descriptors.room_for_clients(512) == descriptors.LEAST_CLIENTS
