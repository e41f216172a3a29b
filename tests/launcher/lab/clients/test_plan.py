"""What a run is asked to do: bounds, pinned clients, the file beside its history, the pace."""

from __future__ import annotations

import random
from pathlib import Path

import msgspec
import pytest

from launcher.errors import LauncherError, UsageError
from launcher.lab.clients.pace import MOST_BEHIND_S, Pace
from launcher.lab.clients.plan import (
    Kept,
    Plan,
    bucket_of,
    check_plan,
    keep_plan,
    kept_plan,
    latency_ms,
    pinned_to,
)
from launcher.lab.clients.summary import summarise
from tests.launcher.lab.workloads.edited import MILLISECOND, op


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"clients": 0}, "--clients 0: from 1 to 200"),
        ({"clients": 201}, "--clients 201: from 1 to 200"),
        ({"rate": 0.0}, "--rate 0: operations a second, above 0"),
        ({"rate": -1.0}, "--rate -1: operations a second, above 0"),
        ({"rate": float("nan")}, "--rate nan: operations a second, above 0"),
        ({"rate": float("inf")}, "--rate inf: operations a second, above 0"),
        ({"time_s": 0.0}, "--time: from 100ms to 7d"),
        ({"time_s": 1e9}, "--time: from 100ms to 7d"),
        ({"timeout_s": 0.0}, "a timeout is a number of seconds above 0"),
        ({"timeout_s": float("inf")}, "a timeout is a number of seconds above 0"),
        ({"workload": "nobody"}, "no workload is called 'nobody'"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_plan(msgspec.structs.replace(Plan(), **change))


def test_every_second_client_has_a_node_of_its_own() -> None:
    assert [pinned_to(n, [1, 2, 5]) for n in range(1, 9)] == [None, 1, None, 2, None, 5, None, 1]
    assert pinned_to(2, []) is None


def test_the_plan_is_kept_beside_the_history(tmp_path: Path) -> None:
    kept = Kept(machine="kv", plan=Plan(seed=7, workload="files"), begun=5)
    keep_plan(tmp_path, kept)

    assert kept_plan(tmp_path) == kept


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is damaged"),
        ("[]", "is damaged"),
        ('{"format": 1}', "is damaged"),
        ('{"format": 99, "shape": "new"}', "has format 99, by a newer leeky-raft"),
    ],
)
def test_a_plan_that_cannot_be_read_is_said(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "workload.json").write_text(text)

    with pytest.raises(LauncherError, match=said):
        kept_plan(tmp_path)


def test_a_plan_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(LauncherError, match="cannot be read: No such file"):
        kept_plan(tmp_path)


def test_a_latency_is_known_to_a_tenth() -> None:
    for nanoseconds in (1, 999, 123_456, 7_000_000, 60_000_000_000):
        assert latency_ms(bucket_of(nanoseconds)) * 1e6 == pytest.approx(nanoseconds, rel=0.1)


def test_the_pace_keeps_the_rate_and_makes_up_for_a_second_at_most() -> None:
    pace = Pace(100.0, random.Random(1), 0.0)

    now_s, count = 0.0, 0
    while now_s < 50.0:
        now_s = max(now_s, pace.due_s(now_s))
        count += 1
    assert 4700 < count < 5300

    late = [pace.due_s(1000.0) for _ in range(2 * int(100 * MOST_BEHIND_S))]
    assert min(late) >= 1000.0 - MOST_BEHIND_S
    assert sum(due < 1000.0 for due in late) < 150


def test_a_summary_counts_outcomes_rates_and_latencies() -> None:
    history = [op(n, n + 2, "read", client=1) for n in range(0, 100, 10)]
    history += [op(5, None, "write", client=2), op(7, 17, "write", error="no", client=2)]
    history += [op(0, 1, "read", client=0)]

    summary = summarise(history, 0, 2.0)

    assert (summary.all.ok, summary.all.fail, summary.all.info) == (10, 1, 1)
    assert summary.rate == 11 / 2.0
    assert summary.by_operation["read"].p50_ms == 2.0
    assert summary.by_operation["write"].p99_ms == 10.0
    half = summarise(history, 0, 2.0, until=50 * MILLISECOND)
    assert half.all.ok == 5
    assert half.rate == pytest.approx(6 / 0.05)
