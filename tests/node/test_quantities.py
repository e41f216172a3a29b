"""Durations and sizes: what can be written, what is refused, and what is written back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.quantities import (
    parse_duration_s,
    parse_duration_us,
    parse_size,
    write_duration,
    write_duration_us,
    write_size,
)


@pytest.mark.parametrize(
    ("text", "microseconds"),
    [
        ("0s", 0),
        ("150ms", 150_000),
        ("2s", 2_000_000),
        ("1m", 60_000_000),
        ("0.5s", 500_000),
        ("0.001ms", 1),
        ("1.5 m", 90_000_000),
        ("1h", 3_600_000_000),
        ("2d", 172_800_000_000),
        ("1h30m", 5_400_000_000),
        ("1h 30m 0.5s", 5_400_500_000),
    ],
)
def test_durations(text: str, microseconds: int) -> None:
    assert parse_duration_us(text) == microseconds
    assert parse_duration_s(text) == microseconds / 1_000_000


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("8MiB", 8 << 20), ("512KiB", 512 << 10), ("1MB", 1_000_000), ("1.5 MiB", 3 << 19),
     ("5000B", 5000), ("20kB", 20_000), ("20KB", 20_000), ("1GiB", 1 << 30), ("1GB", 10**9)],
)  # fmt: skip
def test_sizes(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize(
    "text",
    ["", " ", "100", "1.5", "ms", "5 minutes", "-1s", "+1s", "1e3ms", "1_0s", "٣s", "1.s", ".5s",
     "5s\n", " 5s", "5s ", "5  s", "5s x", "5S", "8MiB", "1h-30m", "1" * 16 + "s"],
)  # fmt: skip
def test_what_is_no_duration_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration: write 150ms, 2s, 10m or 1h30m$"):
        parse_duration_us(text)


@pytest.mark.parametrize("text", ["", "8", "MiB", "8mib", "8 M", "-1B", "1s", "1MiB 1B", "1MiB1B"])
def test_what_is_no_size_is_refused_with_what_to_write(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a size: write 512KiB, 8MiB or 1MB$"):
        parse_size(text)


@pytest.mark.parametrize(
    ("microseconds", "text"),
    [(0, "0ms"), (1, "0.001ms"), (1500, "1.5ms"), (10_000_000, "10s"), (90_000_000, "90s"),
     (172_800_000_000, "48h")],
)  # fmt: skip
def test_a_duration_is_written_in_the_largest_unit_that_divides_it(
    microseconds: int, text: str
) -> None:
    assert write_duration_us(microseconds) == text


@given(st.integers(0, 10**15 - 1))
def test_what_is_written_is_read_as_the_same_value(value: int) -> None:
    assert parse_duration_us(write_duration_us(value)) == value
    assert parse_size(write_size(value)) == value


@given(st.integers(0, 10**12))
def test_seconds_are_kept_to_the_microsecond(microseconds: int) -> None:
    seconds = microseconds / 1_000_000

    assert parse_duration_s(write_duration(seconds)) == seconds
