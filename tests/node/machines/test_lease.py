"""Leases against a plain dictionary, and how lengths of time are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from node.errors import CommandError
from node.machines.lease import Leases, parse_ttl, shown_time

keys = st.sampled_from([b"a", b"b", b"c"])


@given(st.lists(st.tuples(keys, st.integers(0, 30), st.sampled_from(["grant", "drop", "wait"]))))
def test_leases_end_as_a_dictionary_says(steps: list[tuple[bytes, int, str]]) -> None:
    leases: Leases[bytes] = Leases()
    model: dict[bytes, int] = {}
    now = 0
    for key, amount, what in steps:
        if what == "grant":
            leases.grant(key, amount + 1)
            model[key] = now + amount + 1
        elif what == "drop" and key in model:
            leases.drop(key)
            del model[key]
        elif what == "wait":
            now += amount
            ended = sorted((end, key) for key, end in model.items() if end <= now)
            assert leases.advance(now) == [key for _, key in ended]
            model = {key: end for key, end in model.items() if end > now}
        assert leases.deadline_us() == min(model.values(), default=None)
        assert all(leases.end_us(key) == end for key, end in model.items())


def test_renewing_for_ever_takes_no_more_room() -> None:
    leases: Leases[bytes] = Leases()
    for n in range(10_000):
        leases.time_us = n
        leases.grant(b"%d" % (n % 10), 1_000_000)
    assert len(leases._heap) < 200
    assert len(leases.advance(2_000_000)) == 10


@pytest.mark.parametrize(
    ("text", "time_us"),
    [
        ("10ms", 10_000),
        ("5s", 5_000_000),
        ("1.5s", 1_500_000),
        ("0.25m", 15_000_000),
        ("10.001ms", 10_001),
        ("24h", 86_400_000_000),
    ],
)
def test_a_length_of_time(text: str, time_us: int) -> None:
    assert parse_ttl(text.encode()) == time_us


@pytest.mark.parametrize(
    "text", ["", "s", "5", "5 s", "5us", "+5s", "1_0s", "1e3s", "٣s", "5s\n", "1.s", "1.2345s"]
)
def test_no_length_of_time(text: str) -> None:
    with pytest.raises(CommandError, match="a ttl is written"):
        parse_ttl(text.encode())


@pytest.mark.parametrize("text", ["0s", "9ms", "9.999ms", "24.001h", "999999999h"])
def test_too_short_or_too_long(text: str) -> None:
    with pytest.raises(CommandError, match="from 10ms to 24h"):
        parse_ttl(text.encode())


@pytest.mark.parametrize(
    ("time_us", "text"),
    [(1, "0.001s"), (1000, "0.001s"), (1001, "0.002s"), (4_200_000, "4.2s"), (10**8, "100s")],
)
def test_a_length_of_time_is_shown(time_us: int, text: str) -> None:
    assert shown_time(time_us) == text
