"""A workload that raises, hangs or returns nonsense, and what is said of it."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest

from launcher.checking.checker import Validity
from launcher.lab.clients import users_code
from launcher.lab.clients.users_code import Called, TooSlow, WorkloadFailed, limited
from launcher.lab.workloads.protocol import Operation, valid


class Odd:
    """Returns whatever it was given."""

    machine = "kv"

    def __init__(self, what: Any) -> None:
        self.what = what

    def next(self, client: int, number: int, rng: random.Random, last: Any) -> Any:
        return self.what() if callable(self.what) else self.what

    def opening(self, number: int, last: Any) -> Any:
        return self.next(0, number, random.Random(), last)

    def check(self, history: Any) -> Any:
        return self.next(0, 0, random.Random(), None)


def called(what: Any) -> Called:
    return Called("a:B", Odd(what), 100)


def failure(what: Any) -> str:
    with pytest.raises(WorkloadFailed) as raised:
        called(what).next(1, 0, random.Random(), None)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def odd(value: Any) -> Any:
    """For arguments of a type that they may not have."""
    return value


def fail() -> None:
    raise KeyError("no such\nkey")


def leave() -> None:
    raise SystemExit(3)


def test_a_good_operation_is_passed_on() -> None:
    operation = Operation(f="read", how="read", command=b"GET a", value={"a": [1]})

    assert called(operation).next(1, 0, random.Random(), None) is operation
    assert called(None).framing("opening", 0, None) is None
    assert called(None).framing("closing", 0, None) is None


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (fail, "next failed: KeyError: 'no such\\nkey' "),
        (leave, "next failed: SystemExit: 3"),
        (None, "next returned None, and not an Operation"),
        ("GET a", "next returned 'GET a', and not an Operation"),
        (Operation(f="", command="a"), "f is a name of 1 to 64 characters"),
        (Operation(f="f" * 65, command="a"), "f is a name of 1 to 64 characters"),
        (Operation(f="read", command=""), "command is text or bytes, and not empty"),
        (Operation(f="read", command=odd(7)), "command is text or bytes"),
        (Operation(f="read", command="a" * 101), "command has at most 100 bytes"),
        (Operation(f="read", command="a", how=odd("write")), "how is one of submit, read, stale"),
        (Operation(f="read", command="a", value=object()), "value is something that JSON can hold"),
    ],
)
def test_nonsense_is_said_in_one_line(what: Any, said: str) -> None:
    assert said in failure(what)
    assert failure(what).startswith("workload a:B: next ")


def test_one_that_hangs_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(users_code, "NEXT_LIMIT_S", 0.1)

    assert "takes longer than 0.1 s" in failure(lambda: time.sleep(60))


def test_one_that_catches_everything_is_interrupted_again() -> None:
    def stubborn() -> None:
        for _ in range(2):
            try:
                time.sleep(60)
            except TooSlow:
                continue

    begun = time.monotonic()
    with limited("it", 0.1):
        stubborn()

    assert time.monotonic() - begun < 30


def test_a_check_that_hangs_is_no_failure_of_the_workload() -> None:
    with pytest.raises(TooSlow, match=r"check takes longer than 0\.1 s"):
        called(lambda: time.sleep(60)).check([], 0.1)


def test_a_check_returns_a_judgement() -> None:
    assert called(valid()).check([], 5).validity is Validity.VALID
    with pytest.raises(WorkloadFailed, match=r"check returned True, and not valid\(\), invalid"):
        called(True).check([], 5)
