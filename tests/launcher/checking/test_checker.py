"""The checker against every order tried one by one, against simulated registers, and by name."""

from __future__ import annotations

import heapq
import itertools
import math
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from launcher.checking.budget import STEPS_PER_LOOK, Budget
from launcher.checking.checker import Validity, Verdict, check, explain
from launcher.checking.history import Kind, Operation
from tests.launcher.checking.brute_force_checker import Keys, answered, is_linearizable

X, Y = b"x", b"y"
A, B, C = b"a", b"b", b"c"
VALUES = (A, B, C)
BYTES_EACH = 6
HONEST = 56


# -- a vocabulary --------------------------------------------------------------------------------


def read(invoked: float, completed: float | None, saw: bytes | None, key: bytes = X) -> Operation:
    return Operation(1, Kind.READ, key, invoked, completed, observed=saw)


def write(invoked: float, completed: float | None, value: bytes, key: bytes = X) -> Operation:
    return Operation(2, Kind.WRITE, key, invoked, completed, value=value)


def swap(invoked: float, completed: float | None, old: bytes, new: bytes) -> Operation:
    return Operation(3, Kind.CAS, X, invoked, completed, expected=old, value=new)


def refused(operation: Operation, saw: bytes | None = None) -> Operation:
    return replace(operation, ok=False, observed=saw)


def delete(invoked: float, completed: float | None) -> Operation:
    return Operation(4, Kind.DELETE, X, invoked, completed)


def verdict_of(*history: Operation) -> Verdict:
    """The checker's, once the verdict and its proof have been held to brute force."""
    verdict = check(history)
    assert (verdict.validity is Validity.VALID) == is_linearizable(history)
    assert_proves(verdict, history)
    return verdict


def assert_proves(verdict: Verdict, history: Iterable[Operation]) -> None:
    """The window is of the history, no order explains it, and every part of it is needed."""
    if verdict.validity is not Validity.INVALID:
        assert (verdict.window, verdict.initial) == ((), ())
        return
    window, key = verdict.window, verdict.key
    assert key is not None
    assert verdict.reason
    assert window
    assert not Counter(window) - Counter(one for one in history if one.key == key)
    assert list(window) == sorted(window, key=lambda one: one.invoked_s)
    assert verdict.initial
    starts: list[Keys] = [{} if value is None else {key: value} for value in verdict.initial]
    assert not any(is_linearizable(window, start) for start in starts)
    if len(window) == 1:
        return
    # Whatever completes after the failure need not be answered to fail.
    ends = sorted(one.completed_s for one in window if one.completed_s is not None)
    failure = next(
        end
        for end in ends
        if not any(is_linearizable(until(end, window), start) for start in starts)
    )
    for one in window:
        if one.kind is Kind.READ or not one.ok:
            rest = until(failure, (other for other in window if other is not one))
            assert any(is_linearizable(rest, start) for start in starts), f"not needed: {one}"


def until(end: float, window: Iterable[Operation]) -> list[Operation]:
    """What had been answered by then, and what was still open."""
    return [
        one if one.completed_s is None or one.completed_s <= end else replace(one, completed_s=None)
        for one in window
        if one.invoked_s <= end
    ]


def simulated(
    seed: int, count: int, clients: int, *, keys: int = 2, indeterminate: float = 0.1
) -> list[Operation]:
    """What clients of real registers see. Each is always busy; no value is written twice."""
    random = Random(seed)
    effects: list[tuple[float, int, float, float | None]] = []
    for client in range(clients):
        now = random.random()
        for number in range(client, count, clients):
            took = random.expovariate(1.0)
            completed: float | None = now + took
            takes_effect = now + took * random.random()
            if random.random() < indeterminate:
                completed = None
                takes_effect = random.choice([takes_effect, now + 20 * took, math.inf])
            heapq.heappush(effects, (takes_effect, number, now, completed))
            now += took
    registers: Keys = {}
    history = []
    while effects:
        takes_effect, number, invoked, completed = heapq.heappop(effects)
        key, value = b"key-%d" % random.randrange(keys), b"%d" % number
        kind = random.choices(list(Kind), [4, 3, 2, 1])[0]
        expected = registers.get(key, B) if random.random() < 0.7 else A
        one = Operation(number, kind, key, invoked, completed)
        if kind in (Kind.WRITE, Kind.CAS):
            one = replace(one, value=value, expected=expected if kind is Kind.CAS else None)
        if takes_effect != math.inf:
            registers, one = answered(registers, one)
        history.append(one)
    return history


def decoded(data: bytes, longest: int = 5) -> list[Operation]:
    """A small history: each few bytes are an operation, and now and then one that lies."""
    keys: Keys = {}
    history = []
    for at in range(0, len(data) - BYTES_EACH + 1, BYTES_EACH):
        what, values, before, after, fate, lie = data[at : at + BYTES_EACH]
        kind = list(Kind)[what % 4]
        key = Y if what >= 224 else X
        time = float(at // BYTES_EACH * 2)
        one = Operation(at, kind, key, time - before % longest, time + after % longest)
        if kind in (Kind.WRITE, Kind.CAS):
            held = keys.get(key, A) if values >= 128 else VALUES[values // 3 % 3]
            old = held if kind is Kind.CAS else None
            one = replace(one, value=VALUES[values % 3], expected=old)
        after_it, honest = answered(keys, one)
        if lie < HONEST and kind is not Kind.WRITE:
            is_read = kind is Kind.READ
            saw = (
                (None, *VALUES)[lie % 4] if is_read or (kind is Kind.CAS and lie % 8 < 4) else None
            )
            honest = replace(one, ok=is_read or (lie % 8 >= 4), observed=saw)
        if fate % 4 == 0:
            honest = replace(one, completed_s=None)
        if fate != 0:
            keys = after_it
        history.append(honest)
    return history


# -- against brute force -------------------------------------------------------------------------


@pytest.mark.parametrize("examples", [3_000, pytest.param(20_000, marks=pytest.mark.slow)])
def test_agrees_with_every_order_tried_one_by_one(examples: int) -> None:
    found: Counter[str] = Counter()

    @settings(max_examples=examples, database=None, suppress_health_check=list(HealthCheck))
    @given(st.binary(min_size=2 * BYTES_EACH, max_size=6 * BYTES_EACH))
    def agrees(data: bytes) -> None:
        history = decoded(data)
        verdict = verdict_of(*history)
        found[verdict.validity.value] += 1
        found["indeterminate"] += any(one.completed_s is None for one in history)
        found["window of several"] += len(verdict.window) > 1

    agrees()

    assert found["valid"] > examples / 5
    assert found["invalid"] > examples / 5
    assert found["indeterminate"] > examples / 5
    assert found["window of several"] > examples / 200


def test_agrees_with_brute_force_where_much_overlaps() -> None:
    """More operations on one key, closer together, from few values: the rules that leave out."""
    random = Random(1)
    found: Counter[Validity] = Counter()
    windows: Counter[int] = Counter()
    for _ in range(3_000):
        count = random.randint(4, 7)
        data = bytearray(random.randbytes(count * BYTES_EACH))
        for at in range(0, len(data), BYTES_EACH):
            data[at] %= 224
            data[at + 2] |= 3
            data[at + 5] |= 32 if random.random() < 0.7 else 0
        verdict = verdict_of(*decoded(bytes(data)))
        found[verdict.validity] += 1
        windows[len(verdict.window)] += 1

    assert min(windows[size] for size in (1, 2, 3)) > 30
    assert min(found[Validity.VALID], found[Validity.INVALID]) > 500


def test_what_is_made_linearizable_is_found_so() -> None:
    """More than can be tried one by one. A rule that leaves out too much denies some of these.

    Short and long operations mixed, from few values, are what such rules have tripped over.
    """
    random = Random(2)
    for _ in range(5_000):
        data = bytearray(random.randbytes(random.randint(4, 16) * BYTES_EACH))
        for at in range(0, len(data), BYTES_EACH):
            data[at] = random.choice((0, 1, 1, 2, 2, 3))
            data[at + 2], data[at + 3] = random.choices((0, 1, 1, 3, 5, 9), k=2)
            data[at + 5] = HONEST
        history = decoded(bytes(data), longest=10)
        assert check(history).validity is Validity.VALID, history


# -- simulated registers -------------------------------------------------------------------------


@pytest.mark.parametrize("indeterminate", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("clients", [1, 5, 12])
def test_what_registers_do_is_linearizable(clients: int, indeterminate: float) -> None:
    history = simulated(clients, 2_000, clients, indeterminate=indeterminate)

    assert check(history) == Verdict(Validity.VALID)
    assert check(reversed(history)) == Verdict(Validity.VALID)


def lies(history: list[Operation], random: Random) -> tuple[list[Operation], Operation]:
    """The same with one read of what nobody wrote, or of what is long gone."""
    reads = [
        place
        for place, one in enumerate(history)
        if one.kind is Kind.READ and one.completed_s is not None
    ]
    place = random.choice(reads[len(reads) // 2 :])
    honest = history[place]
    saw = b"never written"
    if random.random() < 0.7:
        # Overwritten by an answered write before the read began, and written but once.
        overwritten = [
            one.value
            for one in history[: place // 2]
            if one.kind is Kind.WRITE and one.key == honest.key and one.completed_s is not None
        ]
        saw = overwritten[0] or saw
    lie = replace(honest, observed=saw)
    return [*history[:place], lie, *history[place + 1 :]], lie


@pytest.mark.parametrize("seed", range(12))
def test_one_lie_is_found(seed: int) -> None:
    history, lie = lies(simulated(seed, 1_000, 4 + seed % 4), Random(seed))

    verdict = check(history)

    assert verdict.validity is Validity.INVALID
    assert lie in verdict.window
    assert len(verdict.window) <= 8
    assert_proves(verdict, history)


def test_values_that_come_again() -> None:
    """Uniqueness is never relied upon: the same with three values for all."""
    history = simulated(3, 400, 4)
    fewer: dict[bytes, bytes] = {
        one.value: VALUES[number % 3] for number, one in enumerate(history) if one.value is not None
    }

    def renamed(value: bytes | None) -> bytes | None:
        return None if value is None else fewer.get(value, value)

    history = [
        replace(
            one,
            value=renamed(one.value),
            expected=renamed(one.expected),
            observed=renamed(one.observed),
        )
        for one in history
        if one.kind is not Kind.CAS or one.ok  # one that was refused might now have to succeed
    ]

    assert check(history).validity is Validity.VALID


# -- famous cases --------------------------------------------------------------------------------

VALID: dict[str, list[Operation]] = {
    "a write whose read is open is all that the second delete can find": [
        write(0, 3, A),
        delete(1, 6),
        write(2, 7, B),
        read(4, 8, B),
        delete(5, 9),
    ],
    "a delete without an answer makes room for one that is refused": [
        write(0, 1, A),
        delete(2, None),
        refused(delete(3, 4)),
    ],
    "nothing happened": [],
    "a read of what was written": [write(0, 1, A), read(2, 3, A)],
    "a read beside a write sees the old": [write(0, 9, A), read(1, 2, None), read(3, 4, A)],
    "equal times are concurrent": [write(0, 1, A), write(1, 2, B), read(3, 4, A)],
    "either of two writes may be last": [write(0, 9, A), write(1, 8, B), read(10, 11, A)],
    "an indeterminate write is never seen": [write(0, None, A), read(1, 2, None)],
    "an indeterminate write shows up very late": [
        write(0, None, A),
        *(write(i, i + 0.5, B) for i in range(1, 6)),
        read(7, 8, B),
        read(9, 10, A),
        read(11, 12, A),
    ],
    "an indeterminate CAS chain": [
        write(0, 1, A),
        swap(2, None, B, C),
        swap(3, None, A, B),
        read(4, 5, A),
        read(6, 7, C),
    ],
    "an indeterminate CAS may have been refused": [
        write(0, 1, A),
        swap(2, None, B, C),
        read(3, 4, A),
    ],
    "an indeterminate delete between two reads": [
        write(0, 1, A),
        delete(2, None),
        read(3, 4, A),
        read(5, 6, None),
    ],
    "a delete proves an indeterminate write": [write(0, None, A), delete(1, 2), read(3, 4, None)],
    "two deletes of a write and an indeterminate one": [
        write(0, None, A),
        write(0, 9, B),
        delete(1, 9),
        delete(1, 9),
    ],
    "a refused CAS tells the value": [write(0, 9, A), refused(swap(1, 2, B, C), A), read(3, 4, A)],
    "a refused CAS on nothing": [refused(swap(0, 1, A, B), None)],
    "a refused delete": [
        refused(delete(0, 1)),
        write(2, 3, A),
        delete(4, 5),
        refused(delete(6, 7)),
    ],
    "a CAS that can go at once, but must wait": [
        write(0, 1, A),
        *(write(2, 9, B), write(2, 9, A), read(2, 9, B)),
        swap(2, 5, A, C),
        read(10, 11, C),
    ],
    "the value is written again, so that another write can have come before": [
        write(0, 2, A),
        write(2, None, A),
        swap(1, 5, A, C),
        write(3, 7, B),
        *(read(8, 8, C), read(10, 11, C)),
    ],
    "a CAS to the same value": [write(0, 1, A), swap(2, 3, A, A), read(4, 5, A)],
}

INVALID: dict[str, tuple[list[Operation], int]] = {
    "a stale read": ([write(0, 1, A), write(2, 3, B), read(4, 5, B), read(6, 7, A)], 1),
    "a read that goes back": ([write(0, 9, A), read(1, 2, A), read(3, 4, None)], 1),
    "a read of a value never written": ([write(0, 1, A), read(2, 3, C)], 1),
    "a lost update": ([write(0, 1, A), swap(2, 5, A, B), swap(3, 6, A, C)], 2),
    "a lost write": ([write(0, 1, A), read(2, 3, None)], 1),
    "a CAS applied twice": (
        [
            write(0, 1, A),
            swap(2, 3, A, B),
            write(4, 5, A),
            read(6, 7, A),
            read(8, 9, B),
        ],
        1,
    ),
    "an indeterminate CAS applied twice": (
        [
            write(0, 1, A),
            swap(2, None, A, B),
            read(3, 4, B),
            write(5, 6, A),
            read(7, 8, B),
        ],
        1,
    ),
    "an indeterminate write that shows up twice": (
        [
            write(0, None, A),
            read(1, 2, A),
            write(3, 4, B),
            read(5, 6, A),
        ],
        1,
    ),
    "two clients disagree on the order of two writes": (
        [write(0, 20, A), write(0, 20, B), read(1, 2, A), read(3, 4, B), read(5, 6, A)],
        5,
    ),
    "a delete of nothing": ([delete(0, 1)], 1),
    "two deletes of one write": ([write(0, 9, A), delete(1, 8), delete(2, 7)], 3),
    "a refused delete of something": ([write(0, 1, A), refused(delete(2, 3))], 1),
    "a CAS that was refused in spite of its value": ([refused(swap(0, 1, A, B), A)], 1),
    "a refused CAS that saw what was never there": ([refused(swap(0, 1, A, B), C)], 1),
    "an indeterminate delete seen twice": (
        [write(0, 1, A), delete(2, None), read(3, 4, None), write(5, 6, B), read(7, 8, None)],
        1,
    ),
}


@pytest.mark.parametrize("history", VALID.values(), ids=VALID)
def test_a_valid_history(history: list[Operation]) -> None:
    assert verdict_of(*history) == Verdict(Validity.VALID)


@pytest.mark.parametrize(("history", "most"), INVALID.values(), ids=INVALID)
def test_an_invalid_history(history: list[Operation], most: int) -> None:
    verdict = verdict_of(*history)

    assert verdict.validity is Validity.INVALID
    assert len(verdict.window) <= most


def test_keys_are_apart() -> None:
    """P-compositionality: a failure of one key is told of that key, with its operations alone."""
    verdict = verdict_of(write(0, 1, A), write(0, 1, B, Y), read(2, 3, A), read(2, 3, A, Y))

    assert verdict.key == Y
    assert verdict.window == (read(2, 3, A, Y),)
    assert verdict.initial == (B,)


# -- the window ----------------------------------------------------------------------------------


def test_the_window_begins_late() -> None:
    long_ago = [write(i, i + 0.5, b"%d" % i) for i in range(1_000)]
    verdict = check(
        [*long_ago, write(1_000, 1_002, A), write(1_001, 1_003, B), read(1_004, 1_005, C)]
    )

    assert verdict.window == (read(1_004, 1_005, C),)
    assert set(verdict.initial) <= {A, B}  # nobody asks for either: one may stand for both


def test_the_window_leaves_out_bystanders() -> None:
    """There is no quiescent moment: a slow operation is open all the time."""
    bystanders = [write(i, i + 0.5, b"%d" % i) for i in range(2, 500)]
    reads = [read(i + 0.6, i + 0.7, b"%d" % i) for i in range(2, 500)]
    stale = read(600, 601, A)
    verdict = check([write(0, 700, B), write(1, 1.5, A), *bystanders, *reads, stale])

    assert stale in verdict.window
    assert len(verdict.window) <= 3
    assert_proves(verdict, [write(0, 700, B), write(1, 1.5, A), *bystanders, *reads, stale])


def test_the_window_holds_what_could_have_explained_it() -> None:
    """Without the one write of A, a read of A would look like one of a value never written."""
    history = (write(0, 2, A), write(1, 4, C), read(3, 6, C), read(5, 8, A))

    assert verdict_of(*history).window == history


# -- bounds --------------------------------------------------------------------------------------


def hard(key: bytes = X, values: int = 8) -> list[Operation]:
    """From each value an indeterminate CAS to each other; then reads. Which of them were it?"""
    swaps = [
        Operation(0, Kind.CAS, key, 1.0, None, expected=b"%d" % old, value=b"%d" % new)
        for old, new in itertools.permutations(range(values), 2)
    ]
    reads = [read(2 * i, 2 * i + 1, b"%d" % (i * i % values), key) for i in range(1, 60)]
    return [write(0, 0.5, b"0", key), *swaps, *reads]


def test_memory_is_bounded() -> None:
    verdict = check(hard(), max_states=5_000)

    assert verdict.validity is Validity.UNKNOWN
    assert verdict.key == X
    assert "more possible states" in verdict.reason


def test_time_is_bounded() -> None:
    begun = time.monotonic()
    verdict = check(hard(), timeout_s=0.05)

    assert verdict.validity is Validity.UNKNOWN
    assert "time" in verdict.reason
    assert time.monotonic() - begun < 30, "it ends long before the search would"


def test_steps_are_bounded_and_need_no_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """So the verdict is the same on a machine that is busy."""
    steps, spend = 0, Budget.spend

    def count(budget: Budget, states: int = 0, width_bits: int = 0) -> None:
        nonlocal steps
        steps += 1
        spend(budget, states, width_bits)

    monkeypatch.setattr(Budget, "spend", count)
    verdict = check(hard(), timeout_s=0.0, max_steps=10 * STEPS_PER_LOOK)

    assert verdict.validity is Validity.UNKNOWN
    assert "steps" in verdict.reason
    assert 8 * STEPS_PER_LOOK < steps <= 10 * STEPS_PER_LOOK


def test_a_hard_key_hides_no_easy_failure() -> None:
    verdict = check([*hard(key=Y), read(0, 1, A)], max_steps=100 * STEPS_PER_LOOK)

    assert (verdict.validity, verdict.key) == (Validity.INVALID, X)


def test_out_of_steps_for_a_small_window_is_still_invalid() -> None:
    """What has been proved stands: only the proof is longer."""
    reads = [read(i, i + 0.5, None) for i in range(2_000)]
    verdict = check([*reads, read(3_000, 3_001, A)], max_steps=8 * STEPS_PER_LOOK)

    assert verdict.validity is Validity.INVALID
    assert "more could be left out" in verdict.reason


STEPS = """
from launcher.checking.checker import check
from launcher.checking.budget import Budget
from tests.launcher.checking.test_checker import simulated

steps, spend = 0, Budget.spend

def count(self, *arguments):
    global steps
    steps += 1
    spend(self, *arguments)

Budget.spend = count
check(simulated(7, 3000, 30))
print(steps)
"""


def test_what_it_costs_is_the_same_in_any_process() -> None:
    """Where the steps are bounded, a verdict must not depend on the order of a set."""
    runs = [
        subprocess.run(
            [sys.executable, "-c", STEPS],
            env=os.environ | {"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    ]
    assert len(set(runs)) == 1
    assert int(runs[0]) > 10_000


def test_deep_histories_do_not_recurse() -> None:
    """One read makes thousands take effect, each of which needs the one before."""
    depth = 1_200
    chain = [swap(1, None, b"%d" % i, b"%d" % (i + 1)) for i in range(depth)]
    history = [write(0, 0.5, b"0"), *chain, read(2, 3, b"%d" % depth)]

    assert check(history).validity is Validity.VALID


def test_hundreds_of_indeterminate_writes_are_easy() -> None:
    """Whoever tries which of them took effect tries for ever."""
    lasting = [write(i, None, b"%d" % i) for i in range(800)]
    deletes = [refused(delete(900, 901)), write(902, 903, A), delete(904, 905)]
    seen = [read(1_000 + 2 * i, 1_001 + 2 * i, b"%d" % i) for i in range(0, 800, 7)]
    history = [*lasting, *deletes, *seen]

    assert check(history, max_states=2_000).validity is Validity.VALID
    verdict = check([*history, read(5_000, 5_001, b"0")], max_states=2_000)
    assert verdict.validity is Validity.INVALID


# -- what cannot be, and what people see ---------------------------------------------------------


@pytest.mark.parametrize(
    "operation",
    [
        read(2, 1, None),
        read(math.nan, 1, None),
        refused(write(0, 1, A)),
        Operation(1, Kind.WRITE, X, 0, 1),
        Operation(1, Kind.CAS, X, 0, 1, value=A),
        Operation(1, Kind.CAS, X, 0, None, expected=A),
    ],
)
def test_an_operation_that_cannot_be_raises(operation: Operation) -> None:
    with pytest.raises(ValueError, match=r"a write|a CAS|completes"):
        check([operation])


def test_a_failure_is_told_line_by_line() -> None:
    verdict = Verdict(
        Validity.INVALID,
        X,
        (
            write(0.5, 1.25, b"a\n\xff\x1b[31m"),
            swap(2, 3, A, B),
            refused(swap(2, 3, A, B), None),
            refused(delete(4, 5)),
            delete(6, None),
            read(7, 8, None),
        ),
        (None, A),
        "because",
    )

    lines = explain(verdict).splitlines()

    assert lines[0] == "not linearizable: because"
    assert lines[1] == '"x" is absent or "a"; then'
    assert lines[2].startswith("  0.500000 s .. 1.250000 s  client 2: write ")
    assert all(line.isascii() and line.isprintable() for line in lines)
    assert lines[3].endswith('client 3: CAS "a" to "b": ok')
    assert lines[4].endswith('client 3: CAS "a" to "b": refused, saw absent')
    assert lines[5].endswith("client 4: delete: refused, saw absent")
    assert lines[6] == "  6.000000 s ..  client 4: delete: no answer"
    assert lines[7].endswith("client 1: read: saw absent")
    assert len(lines) == 2 + len(verdict.window)


def test_the_other_verdicts_are_told_in_a_line() -> None:
    assert explain(Verdict(Validity.VALID)) == "valid: linearizable"
    assert explain(Verdict(Validity.UNKNOWN, X, reason="why")) == "unknown: why"
