"""THROTTLE: the words for the share of a core that a node's process gets. Pure.

20%    it runs for a fifth of the time, in short slices, and is stopped for the rest
ok     it runs all the time
"""

from __future__ import annotations

import math

from launcher.control.targets import shown
from launcher.errors import UsageError

SHARE_WORDS = ("10%", "20%", "50%", "ok")
"""What a shell offers."""

LEAST_SHARE = 0.01
MOST_SHARE = 0.99


def parse_share(text: str) -> float | None:
    """The share of a core, such as 0.2; None: all of it. Raises UsageError."""
    word = text.strip().lower()
    if word == "ok":
        return None
    try:
        percent = float(word.removesuffix("%")) if word.endswith("%") else math.nan
        share = round(percent / 100, 6)
        check_share(share)
    except (ValueError, UsageError):
        raise UsageError(
            f"a node cannot be throttled to {shown(text)}: write a share of a core from "
            f"{LEAST_SHARE:.0%} to {MOST_SHARE:.0%}, such as 20%, or ok, which ends it "
            "(`pause` stops a node altogether)"
        ) from None
    return share


def check_share(share: float) -> None:
    """Raises UsageError for a share that no node can have, wherever it comes from."""
    if not LEAST_SHARE <= share <= MOST_SHARE:
        raise UsageError(
            f"a throttled node gets a share from {LEAST_SHARE} to {MOST_SHARE} of a core"
        )


def describe(share: float) -> str:
    """In the words of `ps`: `throttled to 20%`."""
    return f"throttled to {write_share(share)}"


def write_share(share: float) -> str:
    """As the command takes it: `20%`, `2.5%`."""
    return f"{100 * share:g}%"
