"""The workload `multicast`: messages that all clients get once, and in one order.

    send     a new message; the answer is its number
    after    the messages behind the last one that this client has seen; linearizable
    stale    the same, of any node's own state
    kept     the numbers of the oldest and the newest message; where a client begins

The check: a number has one text, for everybody; a text has one number; a list has no gap; nothing
comes that was not sent, or before it was sent; and what is known does not get lost: a message gets
a higher number than all that were known when it was sent, and a linearizable answer reaches as far
as anything that was known when it was asked. Stale answers may end earlier.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from launcher.lab.history import Done
from launcher.lab.workloads.mix import Mix
from launcher.lab.workloads.protocol import How, Judgement, Operation, invalid, valid

PAGE = 100
"""The most messages that a client asks for at once."""


class MulticastLoad:
    """How far each client has come."""

    machine = "multicast"
    MIX: ClassVar[Mapping[str, int]] = {"send": 50, "after": 40, "stale": 10}

    def __init__(self, mix: Mix, keys: int, tag: str = "") -> None:
        self._mix = mix
        self._prefix = f"{tag}m"
        self._seen: dict[int, int] = {}

    def next(self, client: int, number: int, rng: random.Random, last: Done | None) -> Operation:
        """The next operation: see `Workload`."""
        self._note(client, last)
        f = self._mix.draw(rng)
        if f == "send":
            text = f"{self._prefix}{client}.{number}"
            return Operation(f="send", command=f"SEND {text}", value=text)
        if client not in self._seen:
            return _kept()
        return _after(self._seen[client], "stale" if f == "stale" else "read")

    def opening(self, number: int, last: Done | None) -> Operation | None:
        """Asks which message is the newest before all."""
        self._note(0, last)
        return _kept() if number == 0 else None

    def closing(self, number: int, last: Done | None) -> Operation | None:
        """Reads all messages of the run."""
        self._note(0, last)
        is_over = last is not None and (last.outcome == "fail" or len(_messages(last)) < PAGE)
        if (number and is_over) or 0 not in self._seen:
            return None
        return _after(self._seen[0], "read")

    def check(self, history: Sequence[Done]) -> Judgement:
        """One order for all, each message once."""
        answered = [one for one in history if one.outcome == "ok"]
        broken = _gap(answered) or self._disagreement(history) or _shortfall(answered)
        return broken or valid("one order for all, and every message once")

    def _note(self, client: int, last: Done | None) -> None:
        if last is None:
            return
        if last.f == "kept" and last.outcome == "ok":
            self._seen[client] = _newest(last)
        elif last.f in ("after", "stale") and last.outcome == "fail":
            self._seen.pop(client, None)  # what comes next was dropped
        elif last.f in ("after", "stale") and last.outcome == "ok":
            self._seen[client] = max(self._seen[client], _newest(last))

    def _disagreement(self, history: Sequence[Done]) -> Judgement | None:
        """A number with two texts, a text with two numbers, a text that nobody had sent."""
        sends = {one.value: one for one in history if one.f == "send"}
        texts: dict[int, tuple[str, Done]] = {}
        numbers: dict[str, tuple[int, Done]] = {}
        for one in history:
            for number, text in _messages(one):
                known, first = texts.setdefault(number, (text, one))
                if known != text:
                    return invalid(f"message {number} is {known} and {text}", [first, one])
                if not text.startswith(self._prefix):
                    continue  # of another run
                before, first = numbers.setdefault(text, (number, one))
                if before != number:
                    said = f"{text} is message {before} and message {number}: it came twice"
                    return invalid(said, [first, one])
                if (broken := _unsent(text, one, sends.get(text))) is not None:
                    return broken
        return None


def _kept() -> Operation:
    return Operation(f="kept", how="read", command="KEPT")


def _after(seen: int, how: How) -> Operation:
    f = "stale" if how == "stale" else "after"
    return Operation(f=f, how=how, command=f"AFTER {seen} {PAGE}", value=seen)


def _messages(one: Done) -> list[tuple[int, str]]:
    """The messages that an answer names."""
    if one.outcome != "ok" or not one.result or one.f == "kept":
        return []
    if one.f == "send":
        return [(int(one.result), one.value)]
    return [_numbered(line) for line in one.result.split("\n")]


def _numbered(line: str) -> tuple[int, str]:
    number, _, text = line.partition(" ")
    return int(number), text


def _newest(one: Done) -> int:
    """The highest number that an answer shows to be there."""
    if one.f == "kept":
        return int((one.result or "0 0").split()[1])
    messages = _messages(one)
    return messages[-1][0] if messages else int(one.value)


def _unsent(text: str, one: Done, send: Done | None) -> Judgement | None:
    if send is None:
        return invalid(f"{text} came, and nobody sent it", [one])
    if one.completed is not None and send.invoked > one.completed:
        return invalid(f"{text} came before it was sent", [one, send])
    return None


def _gap(answered: Sequence[Done]) -> Judgement | None:
    """A list of messages that leaves one out."""
    for one in answered:
        if one.f in ("after", "stale"):
            numbers = [number for number, _ in _messages(one)]
            if numbers != list(range(one.value + 1, one.value + 1 + len(numbers))):
                return invalid(f"the messages behind {one.value} have a gap", [one])
    return None


class _Known:
    """The highest number that was known at a moment: what an answer had shown by then."""

    def __init__(self, answered: Sequence[Done]) -> None:
        self._ends: list[int] = []
        self._highest: list[tuple[int, Done]] = []
        for end, one in _by_end(answered):
            number = _newest(one)
            before = self._highest[-1] if self._highest else (number, one)
            self._ends.append(end)
            self._highest.append((number, one) if number > before[0] else before)

    def before(self, moment: int) -> tuple[int, Done] | None:
        """The number, and what had shown it."""
        place = bisect_left(self._ends, moment)
        return self._highest[place - 1] if place else None


def _by_end(answered: Sequence[Done]) -> Iterator[tuple[int, Done]]:
    ended = [(one.completed, one) for one in answered if one.completed is not None]
    yield from sorted(ended, key=lambda pair: pair[0])


def _shortfall(answered: Sequence[Done]) -> Judgement | None:
    """An answer that does not know of a message which was known before."""
    known = _Known([one for one in answered if one.f != "stale"])
    for one in answered:
        found = known.before(one.invoked)
        if found is None or one.f == "stale":
            continue
        number, source = found
        if one.f == "send":
            if _newest(one) <= number:
                said = f"{one.value} is message {one.result}, and message {number} was there before"
                return invalid(said, [source, one])
            continue
        needed = number if one.f == "kept" else min(number, one.value + PAGE)
        if _newest(one) < needed:
            return invalid(f"message {needed} was lost: it was there before", [source, one])
    return None
