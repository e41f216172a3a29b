"""A subscriber of a cluster whose machine is `multicast`: every message once, in one order.

It remembers a single number, that of the last message it has given out, and asks for what comes
after it. So whatever happens in between, nothing comes twice and nothing is left out: a node that
answers may know fewer messages than another one, never different ones.

Each question is a linearizable read, which the leader answers and the client takes to the next
leader when one dies. A stale read would be cheaper, but a node that is cut off would answer it for
ever with the nothing that it knows. Whoever names a node wants to see what that one has applied:
only then the reads are stale.

When it has all there is, it asks again POLL_S later; when an answer did not hold all, at once.
While nobody answers, it waits for ANSWER_S at a time, and goes on when somebody does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import msgspec

from launcher import streams
from launcher.client.answers import ReadAnswer
from launcher.client.client import NoAnswer
from launcher.errors import LauncherError, UsageError

POLL_S = 0.05
ANSWER_S = 2.0

Ask = Callable[[Sequence[str]], Sequence[ReadAnswer]]


class Message(msgspec.Struct, frozen=True):
    """A message: its number, 1 for the first that was ever sent, and its text as it was sent."""

    number: int
    data: bytes

    @property
    def text(self) -> str:
        """The message as text; bytes that are none are kept, as in arguments."""
        return self.data.decode("utf-8", "surrogateescape")


def messages(
    ask: Ask, first: int | None = None, *, pause: Callable[[float], object] = streams.sleep
) -> Iterator[Message]:
    """All messages from number `first` on, without end; by default from the oldest that is kept.

    ask: answers queries of the machine, all at one point of the log; may raise NoAnswer
    pause: waits this number of seconds for the next message. By default it raises ReaderGone when
        `launcher watch` has lost its reader meanwhile

    Raises LauncherError when the machine is not `multicast`, or has dropped what comes next.
    """
    if first is not None and first < 1:
        raise UsageError(f"messages are numbered from 1, so none is {first}")
    seen = None if first is None else first - 1
    while True:
        if seen is None:
            seen = _kept(_patiently(ask, ["KEPT"])[0])[0] - 1
        kept, behind = _patiently(ask, ["KEPT", f"AFTER {seen}"])
        newest = _kept(kept)[1]
        if behind.error is not None:
            raise LauncherError(f"message {seen + 1} is gone: {behind.error}")
        for message in _parsed(behind.result):
            if message.number != seen + 1:
                raise LauncherError(f"message {message.number} came next after message {seen}")
            seen = message.number
            yield message
        if seen >= newest:
            pause(POLL_S)


def _patiently(ask: Ask, queries: Sequence[str]) -> Sequence[ReadAnswer]:
    while True:
        try:
            return ask(queries)
        except NoAnswer:
            continue  # it has waited already


def _kept(answer: ReadAnswer) -> tuple[int, int]:
    """The oldest and the newest number, of an answer to KEPT."""
    if answer.error is not None:
        raise LauncherError(f"only the machine multicast can be watched: {answer.error}")
    try:
        oldest, newest = map(int, answer.result.split())
    except ValueError:
        raise LauncherError(
            f"only the machine multicast can be watched: {answer.text[:80]!r} is no answer to KEPT"
        ) from None
    return oldest, newest


def _parsed(page: bytes) -> Iterator[Message]:
    for line in page.split(b"\n") if page else ():
        number, _, data = line.partition(b" ")
        yield Message(int(number), data)
