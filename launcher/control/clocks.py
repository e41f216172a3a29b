"""CLOCK: the words for what a node's clock is to do, and for what it does. Pure.

    bump 200ms            one step forward; bump -200ms: one step back
    strobe 200ms 100ms    jumps forward by 200 ms and back again, in turn, once in each 100 ms
    rate 1.05             runs at 1.05 times its speed; rate 1: at its own
    ok                    all of that is over, and the clock runs true from where it is

They are Jepsen's. A command changes only what it names: the steps of several `bump` add up, and a
new `rate` or `strobe` replaces the one before. What a clock does then is told in
`node/faults/clocks.py`; the simulated world calls all of it `clock`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from launcher.control.targets import shown
from launcher.errors import UsageError
from node.faults import clocks
from node.quantities import parse_duration_s, write_duration
from node.wire import ClockFault

ClockWord: TypeAlias = Literal["bump", "strobe", "rate", "ok"]
CLOCK_WORDS: tuple[ClockWord, ...] = ("bump", "strobe", "rate", "ok")

EXAMPLES: dict[str, tuple[tuple[str, ...], ...]] = {
    "bump": (("200ms", "-200ms"),),
    "strobe": (("200ms",), ("100ms",)),
    "rate": (("1.05", "0.5", "2"),),
    "ok": (),
}
"""What may follow a word, place by place: what a shell offers there."""

_USAGE = "write bump 200ms, bump -200ms, strobe 200ms 100ms, rate 1.05, or ok"
_MINUS = "\N{MINUS SIGN}"


class ClockChange(msgspec.Struct, frozen=True, kw_only=True):
    """What is to change about a clock.

    by_s: how far it steps (`bump`) or jumps (`strobe`)
    period_s: of a `strobe`
    rate: of a `rate`
    only: what an `ok` ends; empty: everything, of the wall clock too unless `wall`
    wall: it is the wall clock that is meant
    """

    word: ClockWord
    by_s: float = 0.0
    period_s: float = 0.0
    rate: float = 1.0
    only: Literal["", "bump", "strobe", "rate"] = ""
    wall: bool = False


def split_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """The targets, and the words for the clock, which begin with the first of `CLOCK_WORDS`."""
    for place, word in enumerate(words):
        if word.lower() in CLOCK_WORDS:
            return list(words[:place]), list(words[place:])
    return list(words), []


def parse_change(text: str, *, wall: bool = False) -> ClockChange:
    """What the words mean. Raises UsageError."""
    text = text.lower().replace(_MINUS, "-")
    match text.split():
        case ["bump", step]:
            change = ClockChange(word="bump", by_s=_duration_s(step), wall=wall)
        case ["strobe", step, period]:
            change = ClockChange(
                word="strobe", by_s=_duration_s(step), period_s=_duration_s(period), wall=wall
            )
        case ["rate", rate]:
            change = ClockChange(word="rate", rate=_number(rate), wall=wall)
        case ["ok"]:
            change = ClockChange(word="ok", wall=wall)
        case _:
            raise UsageError(f"a clock cannot do {shown(text)}: {_USAGE}")
    try:
        check_change(change)
    except UsageError as error:
        raise UsageError(f"a clock cannot do {shown(text)}: {error}") from error
    return change


def check_change(change: ClockChange) -> None:
    """Raises UsageError for a change that no clock can have, wherever it comes from."""
    most = f"at most {write_duration(clocks.MOST_STEP_S)}, forward or back"
    is_step = 0 < abs(change.by_s) <= clocks.MOST_STEP_S
    match change.word:
        case "bump" if not is_step:
            raise UsageError(f"bump takes a duration with a unit, such as 200ms or -200ms, {most}")
        case "strobe" if not is_step:
            raise UsageError(
                f"strobe takes two durations with units, such as 200ms 100ms; the first is {most}"
            )
        case "strobe" if not clocks.LEAST_PERIOD_S <= change.period_s <= clocks.MOST_PERIOD_S:
            least, longest = map(write_duration, (clocks.LEAST_PERIOD_S, clocks.MOST_PERIOD_S))
            raise UsageError(f"the second duration of strobe is from {least} to {longest}")
        case "rate" if not clocks.LEAST_RATE <= change.rate <= clocks.MOST_RATE:
            raise UsageError(
                "rate takes a number, such as 1.05, "
                f"from {clocks.LEAST_RATE:g} to {clocks.MOST_RATE:g}"
            )
    if change.by_s and change.word not in ("bump", "strobe"):
        raise UsageError(f"{change.word} takes no duration")
    if change.period_s and change.word != "strobe":
        raise UsageError(f"{change.word} takes no second duration")
    if change.rate != 1.0 and change.word != "rate":
        raise UsageError(f"{change.word} takes no rate")


def apply(change: ClockChange, fault: ClockFault) -> ClockFault:
    """What moves the clock once this has changed. Raises UsageError for too many steps."""
    replace = msgspec.structs.replace
    match change.word, change.only:
        case "bump", _:
            fault = clocks.bumped(fault, change.by_s)
            if round(fault.bump_s or 0.0, 6) == 0.0:  # to the microsecond, as durations are written
                return replace(fault, bump_s=0.0)
            if abs(fault.bump_s or 0.0) > clocks.MOST_STEP_S:
                raise UsageError(
                    "the steps of one clock come to more than "
                    f"{write_duration(clocks.MOST_STEP_S)}: `ok` ends them"
                )
            return fault
        case "strobe", _:
            return replace(fault, strobe_s=change.by_s, period_s=change.period_s)
        case "rate", _:
            return replace(fault, rate=change.rate)
        case _, "bump":
            return replace(fault, bump_s=None)
        case _, "strobe":
            return replace(fault, strobe_s=0.0, period_s=0.0)
        case _, "rate":
            return replace(fault, rate=1.0)
        case _:
            return clocks.TRUE


def describe_change(change: ClockChange) -> str:
    """In the words of the command: `bump 200ms`, `ok`, `rate 1.05 of the wall clock`."""
    said = {
        "bump": f"bump {_write(change.by_s)}",
        "strobe": f"strobe {_write(change.by_s)} {_write(change.period_s)}",
        "rate": f"rate {change.rate:g}",
        "ok": "ok",
    }[change.word]
    return f"{said} of the wall clock" if change.wall else said


def describe(monotonic: ClockFault, wall: ClockFault) -> str:
    """What a node's clocks do, in the words of `ps`; empty when nothing moves them:
    `bump 400ms, rate 1.05; wall: bump 5s`."""
    said = [_describe(monotonic)]
    if of_wall := _describe(wall):
        said.append(f"wall: {of_wall}")
    return "; ".join(filter(None, said))


def _describe(fault: ClockFault) -> str:
    said = []
    if fault.bump_s:
        said.append(f"bump {_write(fault.bump_s)}")
    if fault.rate != 1.0:
        said.append(f"rate {fault.rate:g}")
    if fault.strobe_s:
        said.append(f"strobe {_write(fault.strobe_s)} {_write(fault.period_s)}")
    return ", ".join(said)


def _write(seconds: float) -> str:
    return f"{'-' if seconds < 0 else ''}{write_duration(abs(seconds))}"


def _duration_s(text: str) -> float:
    """Seconds; nan for what is no duration, which no bound admits."""
    try:
        return -parse_duration_s(text[1:]) if text.startswith("-") else parse_duration_s(text)
    except ValueError:
        return math.nan


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
