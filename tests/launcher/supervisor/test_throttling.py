"""The slices of one process: which signals it gets, and when it counts as stopped by them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

from launcher.supervisor.throttling import Throttling

Sent = list[int]


def run(body: Callable[[Throttling, Sent], Awaitable[None]]) -> Sent:
    sent: Sent = []

    async def main() -> None:
        await body(Throttling(sent.append), sent)

    asyncio.run(main())
    return sent


async def until_stopped(throttling: Throttling) -> None:
    async with asyncio.timeout(20):
        while not throttling.stops_it:
            await asyncio.sleep(0.001)


def test_it_is_stopped_and_continued_in_turn() -> None:
    async def body(throttling: Throttling, sent: Sent) -> None:
        throttling.set(0.5)
        async with asyncio.timeout(20):
            while len(sent) < 6:
                assert throttling.stops_it == bool(len(sent) % 2)
                await asyncio.sleep(0.005)

    assert run(body)[:6] == [signal.SIGSTOP, signal.SIGCONT] * 3


def test_whoever_ends_it_leaves_the_process_running() -> None:
    async def body(throttling: Throttling, sent: Sent) -> None:
        throttling.set(0.5)
        await until_stopped(throttling)
        throttling.set(None)
        assert not throttling.stops_it
        assert sent[-1] == signal.SIGCONT
        count = len(sent)
        await asyncio.sleep(0.25)  # two periods
        assert len(sent) == count

    run(body)


def test_it_begins_with_the_next_go_on_where_the_process_is_paused() -> None:
    async def body(throttling: Throttling, sent: Sent) -> None:
        throttling.set(0.2, begin=False)
        await asyncio.sleep(0.15)
        assert sent == []
        throttling.go_on()
        throttling.go_on()
        await until_stopped(throttling)
        assert sent == [signal.SIGSTOP]
        throttling.suspend()
        assert throttling.share == 0.2
        assert sent == [signal.SIGSTOP, signal.SIGCONT]

    run(body)
