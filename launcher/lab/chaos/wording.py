"""Reading the words of a fault, which may come from a file that somebody has changed. Pure."""

from __future__ import annotations

from collections.abc import Callable

from launcher.control.clocks import ClockChange
from launcher.control.clocks import parse_change as parse_clock_change
from launcher.control.disks import parse_fault
from launcher.control.links import LinkChange
from launcher.control.links import parse_change as parse_link_change
from launcher.control.partitions import SHAPES
from launcher.control.points import check_point, parse_actions
from launcher.control.steering import check_count, parse_message_type
from launcher.control.throttles import parse_share
from launcher.errors import UsageError
from launcher.fault_kinds import ADD, CYCLE_DISK, HOLD, POINT, RATE, THROTTLE
from launcher.lab.chaos.kinds import DROP

GROUPINGS = {"two groups": 2, "three groups": 3}
"""Words for a partition beside the named shapes: into how many groups, chosen at random."""

IN_VAIN = "in vain"
"""The message that tells the target of a transfer to campaign is lost, so the transfer fails."""

TRANSFERS = {"once": 1, "twice": 2, "3 times": 3, IN_VAIN: 1}
LED_BY_TWO = "1 node, led by two"
"""The leader hands over while the configuration is joint, so that another one leads through it."""

ADDITIONS = {"1 node": 1, "2 nodes": 2, LED_BY_TWO: 1}
HUNTS = ("kill", "pause", "isolate")
DISK_KINDS = ("slow-disk", "hang-disk", "full-disk", "fail-write", "fail-sync", CYCLE_DISK)
LINK_KINDS = ("isolate", "deafen", "mute", "cut", "flaky", "reorder", "slow-link", RATE, HOLD)
_CUTTING = ("isolate", "deafen", "mute", "cut")


def link_words(kind: str, words: str) -> str:
    """What the links do, in the words of `launcher link`."""
    return "cut" if kind in _CUTTING else words


def link_change(kind: str, words: str) -> LinkChange:
    """The same, understood. Raises UsageError."""
    return parse_link_change([link_words(kind, words)])


def clock_change(words: str) -> ClockChange:
    """What a clock does: as `launcher clock` has it, and `wall` at its end for `--wall`."""
    wall = words.endswith(" wall")
    return parse_clock_change(words.removesuffix(" wall"), wall=wall)


def share_of_links(words: str) -> float:
    """The probability with which each link is cut, of `30% of the links`. Raises UsageError."""
    share = parse_share(words.removesuffix(" of the links"))
    if share is None:
        raise UsageError("cut takes a part of the links, such as `30% of the links`")
    return share


def point_and_action(words: str) -> tuple[str, str]:
    """The name of a point, and the chain of actions. Raises UsageError."""
    point, _, action = words.partition(" ")
    if not parse_actions(action):
        raise UsageError("a point is armed with an action, such as `before-sync kill`")
    return check_point(point), action


def type_and_count(words: str) -> tuple[str, int]:
    """The type of a message, and how many of them are lost. Raises UsageError."""
    kind, _, count = words.partition(" ")
    if not count.isascii() or not count.isdigit() or len(count) > 4:
        raise UsageError("drop takes a message and how many are lost, such as `RequestVote 2`")
    check_count(int(count))
    return parse_message_type(kind), int(count)


def check_words(kind: str, words: str) -> None:
    """Raises UsageError for words that say nothing for this kind."""
    if kind in _READ:
        _READ[kind](words)
        return
    allowed = _ALLOWED.get(kind, ("",))
    if words not in allowed:
        takes = f"takes {', '.join(map(repr, allowed))}" if any(allowed) else "takes no words"
        raise UsageError(f"{kind} {takes}, and not {words!r}")


_ALLOWED: dict[str, tuple[str, ...]] = {
    "partition": (*GROUPINGS, *SHAPES),
    "power": ("", "torn"),
    "blackout": ("", "torn"),
    "hunt": HUNTS,
    "transfer": tuple(TRANSFERS),
    ADD: tuple(ADDITIONS),
}
_READ: dict[str, Callable[[str], object]] = {
    "clock": clock_change,
    "ambush": point_and_action,
    POINT: point_and_action,
    THROTTLE: parse_share,
    DROP: type_and_count,
    "cut": share_of_links,
    **dict.fromkeys(
        ("flaky", "reorder", "slow-link", RATE, HOLD), lambda words: parse_link_change([words])
    ),
    **dict.fromkeys(DISK_KINDS, parse_fault),
}
