"""The workload multicast: one order, each message once."""

from __future__ import annotations

from launcher.checking.checker import Validity
from launcher.lab.history import Done
from launcher.lab.workloads.mix import Mix
from launcher.lab.workloads.multicast import PAGE, MulticastLoad
from launcher.lab.workloads.protocol import Judgement
from tests.launcher.lab.workloads.edited import op


def send(begin: int, end: int | None, text: str, number: int = 0) -> Done:
    return op(begin, end, "send", text, None if end is None else str(number))


def after(begin: int, end: int, seen: int, *texts: str, f: str = "after") -> Done:
    """An answer with the texts of the messages that follow message `seen`."""
    lines = [f"{number} {text}" for number, text in enumerate(texts, seen + 1)]
    return op(begin, end, f, seen, "\n".join(lines), client=2)


def check(*history: Done) -> Judgement:
    workload = MulticastLoad(Mix(MulticastLoad.MIX), 10)
    return workload.check(sorted(history, key=lambda one: one.invoked))


def is_valid(*history: Done) -> bool:
    return check(*history).validity is Validity.VALID


def broken(*history: Done) -> tuple[Done, ...]:
    judgement = check(*history)
    assert judgement.validity is Validity.INVALID, judgement
    assert judgement.reason
    return judgement.window


ONE, TWO = send(0, 1, "m1.1", 1), send(2, 3, "m1.2", 2)


def test_an_answer_that_ends_before_what_was_acknowledged_is_invalid() -> None:
    old = after(4, 5, 0, "m1.1")

    assert broken(ONE, TWO, old) == (TWO, old)


def test_a_message_that_was_lost_is_invalid() -> None:
    other = after(4, 5, 0, "m1.1", "m2.1")

    assert broken(ONE, TWO, send(2, None, "m2.1"), other) == (TWO, other)


def test_a_message_that_came_twice_is_invalid() -> None:
    twice = after(4, 5, 0, "m1.1", "m1.2", "m1.1")

    assert broken(ONE, TWO, twice) == (ONE, twice)


def test_two_orders_are_invalid() -> None:
    unknown = [send(0, None, "m3.1"), send(0, None, "m3.2")]
    one, other = after(4, 5, 0, "m3.1", "m3.2"), after(4, 5, 0, "m3.2", "m3.1", f="stale")

    assert broken(*unknown, one, other) == (one, other)


def test_a_gap_is_invalid() -> None:
    gap = op(4, 5, "after", 0, "1 m1.1\n3 m1.2", client=2)

    assert broken(ONE, TWO, gap) == (gap,)


def test_what_was_never_sent_or_not_yet_sent_is_invalid() -> None:
    assert broken(after(4, 5, 0, "m9.9"))
    assert broken(after(4, 5, 0, "m1.1"), send(6, 7, "m1.1", 1))


def test_a_message_gets_a_higher_number_than_those_known_before() -> None:
    late = send(4, 5, "m2.1", 2)

    assert broken(ONE, send(2, 3, "m1.2", 3), late)
    assert is_valid(ONE, send(2, 9, "m1.2", 3), send(4, 5, "m2.1", 2))


def test_a_stale_answer_may_end_early() -> None:
    assert is_valid(ONE, TWO, after(4, 5, 0, f="stale"), after(6, 7, 0, "m1.1", f="stale"))


def test_a_message_without_an_answer_may_come_later_or_never() -> None:
    unknown = send(2, None, "m1.2")

    assert is_valid(ONE, unknown, after(4, 5, 0, "m1.1"), after(6, 7, 1, "m1.2"))
    assert is_valid(ONE, unknown, after(4, 5, 0, "m1.1"), after(6, 7, 1))
    assert broken(ONE, unknown, after(4, 5, 0, "m1.1", "m1.2"), after(6, 7, 1))


def test_a_full_page_may_end_before_the_newest() -> None:
    sends = [send(n, n + 1, f"m1.{n}", n) for n in range(1, PAGE + 3)]
    full = after(500, 501, 0, *[f"m1.{n}" for n in range(1, PAGE + 1)])

    assert is_valid(*sends, full)
    assert broken(*sends, after(500, 501, 0, *[f"m1.{n}" for n in range(1, PAGE)]))


def test_messages_of_an_earlier_run_are_no_matter() -> None:
    kept = op(0, 1, "kept", None, "1 7", client=2)

    assert is_valid(kept, after(2, 3, 5, "old", "old"), send(4, 5, "m1.1", 8))
    assert broken(kept, send(4, 5, "m1.1", 7))
