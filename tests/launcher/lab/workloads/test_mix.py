"""Mixes: shares of operations."""

from __future__ import annotations

import random

import pytest

from launcher.errors import UsageError
from launcher.lab.workloads.mix import Mix, parse_mix, write_mix

KNOWN = {"read": 40, "write": 60}


def test_a_mix_is_written_as_it_is_read() -> None:
    assert parse_mix("read=1, write=3", KNOWN) == {"read": 1, "write": 3}
    assert write_mix({"read": 1, "write": 3}) == "read=1,write=3"
    assert parse_mix("write=3", KNOWN) == {"write": 3}


def test_shares_are_what_comes_out() -> None:
    rng = random.Random(1)
    mix = Mix({"read": 1, "write": 3, "cas": 0})

    drawn = [mix.draw(rng) for _ in range(4000)]

    assert drawn.count("cas") == 0
    assert 0.7 < drawn.count("write") / len(drawn) < 0.8


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "there is no operation ''"),
        ("fly=1", "there is no operation 'fly'; there are read, write"),
        ("read", "write read=N"),
        ("read=", "write read=N"),
        ("read=-1", "write read=N"),
        ("read=1.5", "write read=N"),
        ("read=٣", "write read=N"),
        ("read=99999999", "write read=N"),
        ("read=0,write=0", "nothing would be done"),
        ("read=1,read=2", "read stands there twice"),
        ("read=1,,write=1", "there is no operation ''"),
    ],
)
def test_an_impossible_mix_is_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError, match="--mix") as raised:
        parse_mix(text, KNOWN)

    assert said in str(raised.value)
