"""A mix: how often a client does which operation, as shares. Pure.

    read=40,stale=5,write=40,cas=15

The shares need not add up to a hundred. One that is left out, or 0, is not done at all.
"""

from __future__ import annotations

import random
from collections.abc import Mapping

from launcher.errors import UsageError

MOST_SHARE = 1_000_000


class Mix:
    """Draws operations by their shares."""

    def __init__(self, shares: Mapping[str, int]) -> None:
        """shares: of each operation; one at least is above 0"""
        self._names = [name for name, share in shares.items() if share]
        self._weights = [share for share in shares.values() if share]

    def draw(self, rng: random.Random) -> str:
        """The name of an operation."""
        return rng.choices(self._names, self._weights)[0]


def parse_mix(text: str, known: Mapping[str, int]) -> dict[str, int]:
    """The shares that a text gives. Raises UsageError.

    known: the operations that there are
    """
    shares: dict[str, int] = {}
    for part in text.split(","):
        name, _, share = (piece.strip() for piece in part.partition("="))
        if name not in known:
            raise UsageError(
                f"--mix {text}: there is no operation {name!r}; there are {', '.join(known)}"
            )
        if not (share.isascii() and share.isdigit()) or int(share) > MOST_SHARE:
            raise UsageError(
                f"--mix {text}: write {name}=N, with a whole number from 0 to {MOST_SHARE}"
            )
        if name in shares:
            raise UsageError(f"--mix {text}: {name} stands there twice")
        shares[name] = int(share)
    if not any(shares.values()):
        raise UsageError(f"--mix {text}: nothing would be done; one share must be above 0")
    return shares


def write_mix(shares: Mapping[str, int]) -> str:
    """The inverse of `parse_mix`."""
    return ",".join(f"{name}={share}" for name, share in shares.items())
