"""LINKS and the words for what links between nodes are to do, and for what they do. Pure.

    LINKS    1>2    1-2    leader>followers    1,2-3    all
    WORD     delay 50ms 10ms    loss 5%    duplicate 1%    reorder 2%    rate 1mbit
             cut    hold    profile NAME    ok

`1>2` is the link on which n1 sends to n2, `1-2` are both directions, and each end is a TARGET. The
words are netem's; what they do to a message is told in `node/faults/links.py`. A command changes
only what it names: a later `loss 5%` keeps the delay, and `loss 0%` ends the loss alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, TypeAlias

import msgspec

from launcher.control.naming import Link
from launcher.control.targets import shown
from launcher.errors import UsageError
from node.faults.links import LEAST_RATE, MOST_DELAY_S, MOST_RATE, nothing
from node.quantities import parse_duration_s, write_duration
from node.raft.messages import NodeId
from node.wire import LinkFault

Part: TypeAlias = Literal["delay", "loss", "duplicate", "reorder", "rate", "cut", "hold"]

PARTS: dict[Part, str] = {
    "delay": "slow-link",
    "loss": "flaky",
    "duplicate": "flaky",
    "reorder": "reorder",
    "rate": "rate",
    "cut": "cut",
    "hold": "hold",
}
"""What a link can do, and the name that the simulated world has for it."""

LINK_WORDS = (*PARTS, "profile", "ok")

_FIELDS: dict[Part, tuple[str, ...]] = {"delay": ("delay_s", "jitter_s")}
"""The fields of a `LinkFault` that a word means, where it has not its name."""


class Profile(msgspec.Struct, frozen=True):
    """A kind of connection.

    delays_s: of one direction, between two regions: none, one and two, none and two. n1 is in the
        first region, n2 in the second and so on, in turn; within a region there is no delay. With
        one delay only, every node is far from every other by that
    rate: bits per second; 0: any number
    """

    delays_s: tuple[float, ...]
    rate: float = 0.0
    loss: float = 0.0


PROFILES = {
    "3g": Profile((0.125,), 750e3, 0.015),
    "dsl": Profile((0.020,), 8e6, 0.005),
    "wifi": Profile((0.020,), 30e6, 0.002),
    "satellite": Profile((0.010,), 0.0, 0.025),
    "wan3": Profile((0.033, 0.073, 0.032)),
}
"""By name. Half of the round trip is the delay of one direction."""

EXAMPLES: dict[str, tuple[tuple[str, ...], ...]] = {
    "delay": (("50ms", "200ms"), ("10ms",)),
    "loss": (("5%",),),
    "duplicate": (("1%",),),
    "reorder": (("2%",),),
    "rate": (("1mbit", "100kbit"),),
    "profile": (tuple(PROFILES),),
}
"""What may follow a word, place by place: what a shell offers there."""

_USAGE = (
    "write delay 50ms, delay 50ms 10ms, loss 5%, duplicate 1%, reorder 2%, rate 1mbit, cut, hold, "
    f"profile NAME ({', '.join(PROFILES)}), several of them, or ok"
)
_UNITS = {"gbit": 1e9, "mbit": 1e6, "kbit": 1e3, "bit": 1.0}
_NUMBER = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?", re.ASCII)
_MOST_WORDS = 20


# -- which links ---------------------------------------------------------------------------------


def split_links(text: str) -> tuple[str, str, bool]:
    """The two ends of LINKS, each a target, and whether both directions are meant.

    Raises UsageError.
    """
    text = text.strip()
    if text.lower() == "all":
        return "all", "all", False
    ends = [end.strip() for end in re.split("[>-]", text)]
    if len(ends) != 2 or not all(ends):
        raise UsageError(
            f"{shown(text)} names no links: write '1>2' for one direction, in quotes because the "
            "shell takes > for a file, 1-2 for both, 'leader>followers', or all"
        )
    return ends[0], ends[1], "-" in text


def pairs(sources: Sequence[NodeId], targets: Sequence[NodeId], both: bool) -> list[Link]:
    """The links from each of these to each of those, and back if `both`. Raises UsageError when
    there is none."""
    one_way = [(a, b) for a in sources for b in targets if a != b]
    found = one_way + ([(b, a) for a, b in one_way] if both else [])
    if not found:
        raise UsageError("a link leads from one node to another, not to itself")
    return sorted(set(found))


# -- what is to change ---------------------------------------------------------------------------


class LinkChange(msgspec.Struct, frozen=True, kw_only=True):
    """What is to change about links; of each None: nothing.

    delay: the seconds, and how much longer or shorter each message may take
    loss, duplicate, reorder: probabilities
    rate: bits per second
    profile: a name of `PROFILES`; it stands for a delay, a loss and a rate
    ok: all of it is over
    ends: this is over
    """

    delay: tuple[float, float] | None = None
    loss: float | None = None
    duplicate: float | None = None
    reorder: float | None = None
    rate: float | None = None
    cut: bool = False
    hold: bool = False
    profile: str = ""
    ok: bool = False
    ends: list[Part] = []


def parse_change(words: Iterable[str]) -> LinkChange:
    """What the words mean. Raises UsageError."""
    left = [word.lower() for text in words for word in text.split()]
    text = " ".join(left)
    found: dict[str, object] = {}
    if not left or len(left) > _MOST_WORDS:
        raise UsageError(f"what shall the links do? {_USAGE}")
    while left:
        word = left.pop(0)
        if word not in LINK_WORDS:
            raise UsageError(f"a link cannot do {shown(word)}: {_USAGE}")
        if word in found:
            raise UsageError(f"{word} is there twice in {shown(text)}: write it once")
        found[word] = _parse_word(word, left)
    if len(found) > 1 and "ok" in found:
        raise UsageError(f"ok ends everything, and stands alone: {shown(text)} is two commands")
    if "profile" in found and not found.keys().isdisjoint(("delay", "loss", "rate")):
        raise UsageError("a profile says delay, loss and rate: change them in a second command")
    return msgspec.convert(found, LinkChange)


def _parse_word(word: str, left: list[str]) -> object:
    """The value of a word; takes what belongs to it from the words that are left."""
    if word in ("cut", "hold", "ok"):
        return True
    values = [left.pop(0)] if left and left[0] not in LINK_WORDS else []
    if word == "delay" and left and left[0] not in LINK_WORDS:
        values.append(left.pop(0))
    match word, values:
        case "delay", [_, *_]:
            return _delay(values)
        case "rate", [value]:
            return _rate(value)
        case "profile", [value] if value in PROFILES:
            return value
        case "profile", _:
            what = f"no profile is called {shown(values[0])}" if values else "profile takes a name"
            raise UsageError(f"{what}: there are {', '.join(PROFILES)}")
        case _, [value]:
            return _percentage(word, value)
        case _:
            raise UsageError(f"{word} takes a value: {_example(word)}")


def _delay(values: Sequence[str]) -> tuple[float, float]:
    try:
        delay_s, *more = [parse_duration_s(value) for value in values]
    except ValueError:
        raise UsageError(
            f"delay takes a duration with a unit, such as 50ms, and perhaps a second one, by which "
            f"it varies, not {shown(' '.join(values))}"
        ) from None
    jitter_s = more[0] if more else 0.0
    change = LinkChange(delay=(delay_s, jitter_s))
    check_change(change)
    return delay_s, jitter_s


def _percentage(word: str, value: str) -> float:
    number = value.removesuffix("%")
    if number == value or not _NUMBER.fullmatch(number) or float(number) > 100:
        raise UsageError(f"{word} takes a percentage from 0% to 100%, not {shown(value)}")
    return float(number) / 100


def _rate(value: str) -> float:
    for unit, factor in _UNITS.items():
        number = value.removesuffix(unit)
        if number != value and _NUMBER.fullmatch(number):
            check_change(LinkChange(rate=float(number) * factor))
            return float(number) * factor
    raise UsageError(_rate_text(shown(value)))


def _rate_text(given: str) -> str:
    return (
        "rate takes bits per second with a unit, from 1kbit to 1000gbit, such as 750kbit or 1mbit, "
        f"not {given}; ok ends it"
    )


def _example(word: str) -> str:
    return f"{word} {EXAMPLES[word][0][0]}"


def check_change(change: LinkChange) -> None:
    """Raises UsageError for a change that no link can have, wherever it comes from."""
    if change.delay is not None:
        delay_s, jitter_s = change.delay
        if not 0 <= jitter_s <= delay_s:
            raise UsageError("the second duration of delay is at most the first one")
        if delay_s + jitter_s > MOST_DELAY_S:
            raise UsageError(f"delay takes at most {write_duration(MOST_DELAY_S)}, both together")
    for word in ("loss", "duplicate", "reorder"):
        value: float | None = getattr(change, word)
        if value is not None and not 0 <= value <= 1:
            raise UsageError(f"{word} takes a percentage from 0% to 100%")
    if change.rate is not None and not LEAST_RATE <= change.rate <= MOST_RATE:
        raise UsageError(_rate_text(_write_rate(change.rate)))
    if change.profile and change.profile not in PROFILES:
        raise UsageError(f"no profile is called {shown(change.profile)}")


def mentions(change: LinkChange) -> Iterator[tuple[str, str, frozenset[Part]]]:
    """What the change begins, word by word: its text, its name in the simulated world, and the
    parts of a link that it sets."""
    if change.profile:
        parts: frozenset[Part] = frozenset(("delay", "loss", "rate"))
        yield f"profile {change.profile}", "slow-link", parts
    fault = apply(msgspec.structs.replace(change, profile=""), nothing(1, 2))
    for part, name in PARTS.items():
        if text := _TEXTS[part](fault):
            yield text, name, frozenset((part,))


def ended_by(change: LinkChange) -> frozenset[Part]:
    """The parts of a link that the change sets back or sets anew."""
    if change.ok:
        return frozenset(PARTS)
    named = {part for part in PARTS if _is_named(change, part)}
    if change.profile:
        named |= {"delay", "loss", "rate"}
    return frozenset(named | set(change.ends))


def does(part: Part, fault: LinkFault) -> bool:
    """Whether the link does anything of this part."""
    return any(getattr(fault, name) for name in _FIELDS.get(part, (part,)))


def apply(change: LinkChange, fault: LinkFault) -> LinkFault:
    """What the link does once this has changed."""
    if change.ok:
        return nothing(fault.source, fault.target)
    fields: dict[str, object] = {}
    for part in change.ends:
        for name in _FIELDS.get(part, (part,)):
            fields[name] = getattr(nothing(1, 2), name)
    if change.profile:
        profile = PROFILES[change.profile]
        delay_s = _delay_between(profile, fault.source, fault.target)
        fields |= {"rate": profile.rate, "loss": profile.loss, "delay_s": delay_s, "jitter_s": 0.0}
    if change.delay is not None:
        delay_s, jitter_s = change.delay
        fields |= {"delay_s": delay_s - jitter_s, "jitter_s": 2 * jitter_s}
    for part in ("loss", "duplicate", "reorder", "rate"):
        if (value := getattr(change, part)) is not None:
            fields[part] = value
    for part in ("cut", "hold"):
        if getattr(change, part):
            fields[part] = True
    return msgspec.structs.replace(fault, **fields)


def _is_named(change: LinkChange, part: Part) -> bool:
    value = getattr(change, part)
    return value is not None and value is not False


def _delay_between(profile: Profile, source: NodeId, target: NodeId) -> float:
    if len(profile.delays_s) == 1:
        return profile.delays_s[0]
    one, other = sorted(((source - 1) % 3, (target - 1) % 3))
    if one == other:
        return 0.0
    return profile.delays_s[{(0, 1): 0, (1, 2): 1, (0, 2): 2}[one, other]]


# -- what a link does ----------------------------------------------------------------------------


def describe(fault: LinkFault) -> str:
    """In the words of the command, without an end: `cut`, `delay 50ms 10ms, loss 5%`; empty when
    it does nothing."""
    return ", ".join(filter(None, (text(fault) for text in _TEXTS.values())))


def _describe_delay(fault: LinkFault) -> str:
    if not fault.delay_s and not fault.jitter_s:
        return ""
    middle, spread = fault.delay_s + fault.jitter_s / 2, fault.jitter_s / 2
    return f"delay {write_duration(middle)}" + (f" {write_duration(spread)}" if spread else "")


def _write_percentage(word: str, value: float) -> str:
    return f"{word} {100 * value:.6g}%" if value else ""


def _write_rate(rate: float) -> str:
    for unit, factor in _UNITS.items():
        if rate >= factor:
            return f"{rate / factor:.9g}{unit}"
    return f"{rate:g}bit"


_TEXTS: dict[Part, Callable[[LinkFault], str]] = {
    "cut": lambda fault: "cut" if fault.cut else "",
    "hold": lambda fault: "hold" if fault.hold else "",
    "delay": _describe_delay,
    "loss": lambda fault: _write_percentage("loss", fault.loss),
    "duplicate": lambda fault: _write_percentage("duplicate", fault.duplicate),
    "reorder": lambda fault: _write_percentage("reorder", fault.reorder),
    "rate": lambda fault: f"rate {_write_rate(fault.rate)}" if fault.rate else "",
}
