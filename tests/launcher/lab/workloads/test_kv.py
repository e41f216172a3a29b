"""The workload kv: what its check finds, and what it lets pass."""

from __future__ import annotations

import random

import pytest

from launcher.checking.checker import Validity
from launcher.lab.history import Done
from launcher.lab.workloads.kv import KeyValueLoad
from launcher.lab.workloads.mix import Mix
from tests.launcher.lab.workloads.edited import op

K = {"key": "k0"}


def write(begin: int, end: int | None, value: str, client: int = 1) -> Done:
    result = None if end is None else "ok"
    return op(begin, end, "write", {"key": "k0", "value": value}, result, client=client)


def read(begin: int, end: int, value: str, client: int = 2) -> Done:
    return op(begin, end, "read", K, value, client=client)


def stale(begin: int, end: int, value: str) -> Done:
    return op(begin, end, "stale", K, value, client=3)


def cas(begin: int, end: int, expected: str, value: str, *, error: str = "") -> Done:
    asked = {"key": "k0", "expected": expected, "value": value}
    return op(begin, end, "cas", asked, None if error else "ok", error=error)


def check(*history: Done) -> tuple[Validity, tuple[Done, ...], str]:
    workload = KeyValueLoad(Mix(KeyValueLoad.MIX), 10)
    judgement = workload.check(sorted(history, key=lambda one: one.invoked))
    return judgement.validity, judgement.window, judgement.reason


def test_a_read_of_a_value_that_was_overwritten_is_invalid() -> None:
    history = [write(0, 1, "1.1"), write(2, 3, "1.2"), read(4, 5, "1.1")]

    validity, window, reason = check(*history, write(6, 7, "1.3"), read(8, 9, "1.3"))

    assert validity is Validity.INVALID
    assert list(window) == history
    assert "k0" in reason


def test_a_write_that_was_lost_is_invalid() -> None:
    first, lost, late = write(0, 1, "1.1"), write(2, 3, "1.2"), read(10, 11, "1.1")

    validity, window, _ = check(first, lost, late, read(12, 13, "1.1"))

    assert validity is Validity.INVALID
    assert lost in window


def test_a_write_that_took_effect_twice_is_invalid() -> None:
    """Another write came between, so the second time shows."""
    doubled, between = write(0, 1, "1.1"), write(2, 3, "2.1", client=2)

    validity, window, _ = check(doubled, between, read(4, 5, "2.1"), read(6, 7, "1.1"))

    assert validity is Validity.INVALID
    assert {one.value.get("value") for one in window} >= {"1.1"}


@pytest.mark.parametrize("seen", ["1.1", "1.2"])
def test_reads_beside_a_write_may_see_it_or_not(seen: str) -> None:
    assert check(write(0, 1, "1.1"), write(2, 9, "1.2"), read(4, 5, seen))[0] is Validity.VALID


def test_a_write_without_an_answer_may_happen_at_any_time_or_never() -> None:
    unknown = write(2, None, "1.2")

    for seen in (["1.1", "1.1"], ["1.1", "1.2"], ["1.2", "1.2"]):
        reads = [read(10 * n, 10 * n + 1, value) for n, value in enumerate(seen, 1)]
        assert check(write(0, 1, "1.1"), unknown, *reads)[0] is Validity.VALID
    back = [read(10, 11, "1.2"), read(20, 21, "1.1")]
    assert check(write(0, 1, "1.1"), unknown, *back)[0] is Validity.INVALID


def test_a_refused_cas_says_what_the_key_held() -> None:
    refused = cas(4, 5, "9.9", "2.1", error="CAS failed: k0 is 1.1")

    assert check(write(0, 1, "1.1"), refused)[0] is Validity.VALID
    assert check(write(0, 1, "1.1"), write(2, 3, "1.2"), refused)[0] is Validity.INVALID


def test_a_stale_read_may_be_old_and_may_see_nothing() -> None:
    absent = op(8, 9, "stale", K, error="no key k0", client=3)
    history = [write(0, 1, "1.1"), write(2, 3, "1.2"), stale(4, 5, "1.1"), absent]

    assert check(*history)[0] is Validity.VALID


def test_a_stale_read_of_what_nobody_wrote_is_invalid() -> None:
    odd = stale(4, 5, "7.7")

    validity, window, reason = check(write(0, 1, "1.1"), odd)

    assert (validity, window) == (Validity.INVALID, (odd,))
    assert "nobody wrote it" in reason


def test_a_stale_read_of_a_refused_cas_is_invalid() -> None:
    refused = cas(2, 3, "9.9", "2.1", error="CAS failed: k0 is 1.1")

    assert check(write(0, 1, "1.1"), refused, stale(4, 5, "2.1"))[0] is Validity.INVALID


def test_a_stale_read_that_ended_before_the_write_began_is_invalid() -> None:
    early, late = stale(1, 2, "1.1"), write(3, 4, "1.1")

    assert check(early, late)[:2] == (Validity.INVALID, (early, late))
    assert check(stale(1, 3, "1.2"), write(2, 9, "1.2"))[0] is Validity.VALID


@pytest.mark.parametrize(
    "odd",
    [
        op(0, 1, "write", {"key": "k0", "value": "1.1"}, "yes"),
        op(0, 1, "write", {"key": "k0", "value": "1.1"}, error="no"),
        op(0, 1, "read", K, error="the machine failed: KeyError"),
        op(0, 1, "cas", {"key": "k0", "expected": "a", "value": "b"}, error="no such thing"),
    ],
)
def test_an_answer_that_the_machine_does_not_give_is_invalid(odd: Done) -> None:
    assert check(odd)[:2] == (Validity.INVALID, (odd,))


def test_an_empty_history_is_valid() -> None:
    assert check()[0] is Validity.VALID


def test_keys_and_values_of_two_runs_are_never_the_same() -> None:
    workload = KeyValueLoad(Mix({"write": 1}), 2, "r1-")
    rng = random.Random(1)

    values = [workload.next(client, n, rng, None).value for client in (1, 2) for n in range(20)]

    assert {one["key"] for one in values} == {"r1-k0", "r1-k1"}
    assert len({one["value"] for one in values}) == 40


def test_a_stale_read_of_a_value_that_is_written_twice_is_judged_by_the_first() -> None:
    assert check(write(0, 1, "v1"), stale(2, 3, "v1"), write(4, 5, "v1"))[0] is Validity.VALID


def test_a_few_values_are_written_again_and_again() -> None:
    workload = KeyValueLoad(Mix({"write": 1}), 2, values=3)
    rng = random.Random(1)

    values = {workload.next(1, n, rng, None).value["value"] for n in range(100)}

    assert values == {"v0", "v1", "v2"}


def test_a_cas_expects_what_its_client_saw_last() -> None:
    workload = KeyValueLoad(Mix({"cas": 1}), 1)
    rng = random.Random(1)

    first = workload.next(1, 0, rng, None)
    second = workload.next(1, 1, rng, read(0, 1, "5.5"))
    refused = cas(2, 3, "5.5", "1.1", error="CAS failed: k0 is 6.6")
    third = workload.next(1, 2, rng, refused)

    assert first.f == "write"
    assert [second.command, third.command] == ["CAS k0 5.5 1.1", "CAS k0 6.6 1.2"]
