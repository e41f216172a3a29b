"""The workload files: a set whose names come once and go once."""

from __future__ import annotations

from launcher.checking.checker import Validity
from launcher.lab.history import Done
from launcher.lab.workloads.files import FilesLoad
from launcher.lab.workloads.mix import Mix
from launcher.lab.workloads.protocol import Judgement
from tests.launcher.lab.workloads.edited import op

A = "f1.1"
GONE = f"no file {A}"


def add(begin: int, end: int | None, name: str = A, index: int | None = 5) -> Done:
    result = None if end is None else "added"
    return op(begin, end, "add", name, result, index=None if end is None else index)


def delete(begin: int, end: int | None) -> Done:
    return op(begin, end, "delete", A, None if end is None else "deleted")


def read(begin: int, end: int, index: int = 5, f: str = "read") -> Done:
    return op(begin, end, f, A, f"added at index {index}", client=2)


def absent(begin: int, end: int, f: str = "read") -> Done:
    return op(begin, end, f, A, error=GONE, client=2)


def listed(begin: int, end: int, *names: str) -> Done:
    return op(begin, end, "list", None, "\n".join(names), client=3)


def check(*history: Done) -> Judgement:
    workload = FilesLoad(Mix(FilesLoad.MIX), 10)
    return workload.check(sorted(history, key=lambda one: one.invoked))


def is_valid(*history: Done) -> bool:
    return check(*history).validity is Validity.VALID


def broken(*history: Done) -> tuple[Done, ...]:
    """The window of an invalid history."""
    judgement = check(*history)
    assert judgement.validity is Validity.INVALID, judgement
    assert judgement.reason
    return judgement.window


def test_a_read_that_does_not_see_what_was_added_is_invalid() -> None:
    there, lost = add(0, 1), absent(2, 3)

    assert broken(there, lost) == (there, lost)


def test_a_list_that_lacks_what_was_added_is_invalid() -> None:
    there, lost = add(0, 1), listed(2, 3, "f1.2")

    assert broken(there, add(0, 1, "f1.2"), lost) == (there, lost)


def test_a_name_that_comes_back_is_invalid() -> None:
    """Its ADD took effect twice: once before its DELETE and once after."""
    there, gone, back = add(0, 1), delete(2, 3), listed(4, 5, A)

    assert broken(there, gone, back) == (there, gone, back)
    assert broken(add(0, 1), delete(2, 3), read(4, 5))


def test_a_new_name_that_is_there_already_was_added_twice() -> None:
    odd = op(0, 1, "add", A, error=f"{A} is there already, added at index 4")

    assert broken(odd) == (odd,)


def test_a_name_is_deleted_once() -> None:
    assert broken(add(0, 1), delete(2, 3), delete(4, 5))


def test_a_name_that_nobody_added_is_invalid_and_one_of_another_run_is_not() -> None:
    assert broken(listed(0, 1, "f9.9"))
    assert is_valid(listed(0, 1, "notes.txt"))


def test_a_name_that_is_seen_before_its_add_began_is_invalid() -> None:
    assert broken(listed(0, 1, A), add(2, 3))
    assert broken(read(0, 1, f="stale"), add(2, 3))


def test_the_index_of_an_add_is_what_reads_see() -> None:
    assert is_valid(add(0, 1, index=5), read(2, 3, 5))
    assert broken(add(0, 1, index=5), read(2, 3, 6))
    assert broken(add(0, None), read(2, 3, 5), read(4, 5, 6))


def test_beside_an_add_or_a_delete_both_may_be_seen() -> None:
    assert is_valid(add(0, 9), absent(1, 2), read(3, 4), listed(5, 6, A))
    assert is_valid(add(0, 1), delete(2, 9), read(3, 4), absent(5, 6), listed(7, 8))
    assert broken(add(0, 9), read(1, 2), absent(3, 4))
    assert broken(add(0, 1), delete(2, 9), absent(3, 4), read(5, 6))


def test_without_an_answer_an_add_and_a_delete_may_happen_later_or_never() -> None:
    assert is_valid(add(0, None), absent(1, 2), listed(3, 4), absent(5, 6))
    assert is_valid(add(0, None), absent(1, 2), read(3, 4))
    assert broken(add(0, None), read(1, 2), absent(3, 4))
    assert is_valid(add(0, 1), delete(2, None), read(3, 4), read(5, 6), absent(7, 8))
    assert is_valid(add(0, 1), delete(2, None), read(3, 4))
    assert broken(add(0, 1), delete(2, None), absent(3, 4), read(5, 6))


def test_a_refused_delete_says_that_the_name_was_not_there() -> None:
    refused = op(2, 3, "delete", A, error=GONE)

    assert broken(add(0, 1), refused)
    assert is_valid(refused, absent(4, 5))


def test_stale_reads_may_be_late() -> None:
    assert is_valid(add(0, 1), absent(2, 3, "stale"), delete(4, 5), read(6, 7, f="stale"))
