"""Durations and sizes as people write them: `150ms`, `1h30m`, `8MiB`. Pure.

A quantity is a number and a unit, with at most one blank between them. The number may have a
fraction. A duration may have several parts, as in `1h30m`; they are added up. Durations are read as
microseconds and sizes as bytes, both as whole numbers, so that reading what was written gives the
same value. Both functions that read raise ValueError with a text that says what to write; a caller
that knows the option's name or its bounds says so in an error of its own.
"""

from __future__ import annotations

import re
from decimal import Decimal

SECOND_US = 1_000_000

_DURATION_UNITS = {
    "h": 3600 * SECOND_US, "m": 60 * SECOND_US, "s": SECOND_US, "ms": 1_000,
}  # fmt: skip
_READ_DURATION_UNITS = {"d": 24 * 3600 * SECOND_US, **_DURATION_UNITS}
_SIZE_UNITS = {
    "GiB": 1 << 30, "MiB": 1 << 20, "KiB": 1 << 10,
    "GB": 10**9, "MB": 10**6, "kB": 10**3, "KB": 10**3, "B": 1,
}  # fmt: skip
_PART = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?) ?([A-Za-z]+) ?")


def parse_duration_us(text: str) -> int:
    """Microseconds, of a duration with a unit: `150ms`, `2s`, `10m`, `1h30m`, `2d`.

    Raises ValueError for any other text.
    """
    parts = _parts(text, _READ_DURATION_UNITS)
    if not parts:
        raise ValueError(f"{text!r} is not a duration: write 150ms, 2s, 10m or 1h30m")
    return sum(parts)


def parse_duration_s(text: str) -> float:
    """The same in seconds."""
    return parse_duration_us(text) / SECOND_US


def parse_size(text: str) -> int:
    """Bytes, of a size with a unit: `512KiB`, `8MiB`, `1MB`.

    Raises ValueError for any other text.
    """
    parts = _parts(text, _SIZE_UNITS)
    if len(parts) != 1:
        raise ValueError(f"{text!r} is not a size: write 512KiB, 8MiB or 1MB")
    return parts[0]


def write_duration_us(microseconds: int) -> str:
    """The inverse of `parse_duration_us`: one part, in the largest unit up to h that divides it."""
    return _write(microseconds, _DURATION_UNITS)


def write_duration(seconds: float) -> str:
    """The inverse of `parse_duration_s`, to the microsecond."""
    return write_duration_us(round(seconds * SECOND_US))


def write_size(size_bytes: int) -> str:
    """The inverse of `parse_size`, in the largest unit that divides it."""
    return _write(size_bytes, _SIZE_UNITS)


def _parts(text: str, units: dict[str, int]) -> list[int]:
    """The value of each part; empty if any of the text is no quantity."""
    values: list[int] = []
    at = 0
    while at < len(text):
        part = _PART.match(text, at)
        if part is None or part[2] not in units:
            return []
        values.append(round(Decimal(part[1]) * units[part[2]]))
        at = part.end()
    return [] if text.endswith(" ") else values


def _write(value: int, units: dict[str, int]) -> str:
    """In the largest unit that divides the value, else as a fraction of the smallest unit."""
    smallest = min(units, key=units.__getitem__)
    for unit, factor in units.items():
        if value % factor == 0 and (value or unit == smallest):
            return f"{value // factor}{unit}"
    return f"{(Decimal(value) / units[smallest]).normalize():f}{smallest}"
