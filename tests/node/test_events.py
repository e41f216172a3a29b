"""The clock never puts an effect before its cause; the event log loses nothing unsaid."""

from __future__ import annotations

import errno
import json
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from node import events
from node.events import EventLog, HybridClock, rotated_files

# -- the hybrid logical clock --------------------------------------------------------------------


def test_the_clock_follows_physical_time_when_that_is_ahead() -> None:
    now = iter([100, 250])
    clock = HybridClock(lambda: next(now))
    assert [clock.tick(), clock.tick()] == [100, 250]


def test_the_clock_goes_on_when_physical_time_stands_still_or_goes_back() -> None:
    now = iter([100, 100, 40, 103, 200])
    clock = HybridClock(lambda: next(now))
    assert [clock.tick() for _ in range(5)] == [100, 101, 102, 103, 200]


def test_what_follows_a_message_is_later_than_the_message() -> None:
    clock = HybridClock(lambda: 100)
    assert clock.observe(5000) == 5001
    assert clock.tick() == 5002


def test_a_message_from_the_past_does_not_set_the_clock_back() -> None:
    clock = HybridClock(lambda: 100)
    clock.tick()
    assert clock.observe(7) == 101
    assert clock.tick() == 102


def test_a_later_life_goes_on_above_the_earlier() -> None:
    assert HybridClock(lambda: 100, after=900).tick() == 901


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 50)), min_size=1, max_size=60
    )
)
def test_an_effect_is_later_than_its_cause(steps: list[tuple[int, int, int]]) -> None:
    """In each step one process tells another something, at any physical time that it believes in;
    the vector clocks beside it know what really came before what."""
    physical = [0, 0, 0]
    clocks = [HybridClock(partial(physical.__getitem__, i)) for i in range(3)]
    vectors = [[0, 0, 0] for _ in range(3)]
    stamped: list[tuple[int, int, list[int]]] = []
    for source, target, now in steps:
        physical[source] = now
        vectors[source][source] += 1
        t = clocks[source].tick()
        stamped.append((t, source, vectors[source].copy()))
        clocks[target].observe(t)
        vectors[target] = [max(a, b) for a, b in zip(vectors[source], vectors[target], strict=True)]

    in_order = [vector for _, _, vector in sorted(stamped, key=lambda s: (s[0], s[1]))]

    for position, vector in enumerate(in_order):
        for later in in_order[position + 1 :]:
            assert not all(a <= b for a, b in zip(later, vector, strict=True))


# -- the event log -------------------------------------------------------------------------------


def test_a_line_is_a_json_object_with_the_contracted_fields_first(tmp_path: Path) -> None:
    log = open_log(tmp_path, clock=HybridClock(lambda: 1234), node=3, life=2)
    log.emit("info", "vote.granted", 7, "follower", 41, candidate=2)
    log.close()

    line = (tmp_path / "node-1.jsonl").read_text()

    assert line == (
        '{"t":1234,"node":3,"life":2,"term":7,"role":"follower","commit":41,'
        '"level":"info","event":"vote.granted","candidate":2}\n'
    )


def test_only_the_levels_asked_for_are_written(tmp_path: Path) -> None:
    log = open_log(tmp_path, level="warn")
    for level in events.LEVELS:
        log.emit(level, f"a.{level}", 1, "leader", 0)
    assert [e["event"] for e in read(tmp_path)] == ["a.warn", "a.error"]


def test_each_line_is_in_the_file_when_emit_returns(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    for n in range(3):
        say(log, n)
        assert numbers(tmp_path) == list(range(n + 1))


@pytest.mark.parametrize("text", ["é\n\x00\u2028", "a\udcff", '"\\', "x" * 100_000])
def test_any_text_stays_on_its_line(tmp_path: Path, text: str) -> None:
    log = open_log(tmp_path)
    log.emit("info", "a.b", 1, "leader", 0, text=text, raw=b"\xff", path=tmp_path)
    (event,) = read(tmp_path)
    assert event["text"] == text


@pytest.mark.parametrize("field", ["t", "node", "life"])
def test_an_event_cannot_overwrite_who_says_it_and_when(tmp_path: Path, field: str) -> None:
    log = open_log(tmp_path)
    with pytest.raises(AssertionError, match="overwrites"):
        log.emit("info", "a.b", 1, "leader", 0, **{field: 9})


# -- rotation ------------------------------------------------------------------------------------


def test_rotation_keeps_every_line_in_order_and_whole(tmp_path: Path) -> None:
    log = open_log(tmp_path, rotate_bytes=500)
    for n in range(200):
        say(log, n)

    assert numbers(tmp_path) == list(range(200))
    files = rotated_files(tmp_path / "node-1.jsonl")
    assert len(files) > 10
    assert [f.name for f in files[:2]] == ["node-1.jsonl.000001", "node-1.jsonl.000002"]
    longest_line = 150
    assert all(500 <= f.stat().st_size < 500 + longest_line for f in files)
    times = [int(str(e["t"])) for e in read(tmp_path)]
    assert all(a < b for a, b in pairwise(times))


def test_rotation_goes_on_where_an_earlier_life_stopped(tmp_path: Path) -> None:
    for life in range(1, 6):
        log = open_log(tmp_path, rotate_bytes=500, life=life)
        for n in range(7):
            say(log, 10 * life + n)
        log.close()
    assert numbers(tmp_path) == [10 * life + n for life in range(1, 6) for n in range(7)]


def test_rotation_numbers_go_on_above_those_that_are_left(tmp_path: Path) -> None:
    """Whoever merges the files removes them, the oldest first."""
    log = open_log(tmp_path, rotate_bytes=1)
    for n in range(3):
        say(log, n)
    rotated_files(tmp_path / "node-1.jsonl")[0].unlink()
    say(log, 3)
    names = [f.name for f in rotated_files(tmp_path / "node-1.jsonl")]
    assert names == [f"node-1.jsonl.00000{n}" for n in (2, 3, 4)]


def test_rotated_files_are_sorted_as_numbers_and_are_this_logs_only(tmp_path: Path) -> None:
    for name in ("000010", "9", "1000000", "x", "1x"):
        (tmp_path / f"node-1.jsonl.{name}").touch()
    for name in ("node-1.jsonl", "node-11.jsonl.000001", "node-2.jsonl.000001"):
        (tmp_path / name).touch()
    found = rotated_files(tmp_path / "node-1.jsonl")
    assert [f.suffix for f in found] == [".9", ".000010", ".1000000"]


def test_a_rotation_that_fails_loses_nothing_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No descriptor is left: the log stays with the file that it has."""
    log = open_log(tmp_path, rotate_bytes=500)
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", no_more_files)
        for n in range(20):
            say(log, n)
        assert rotated_files(tmp_path / "node-1.jsonl") == []
    for n in range(20, 23):
        say(log, n)

    assert [f.suffix for f in rotated_files(tmp_path / "node-1.jsonl")] == [".000001"]
    assert numbers(tmp_path) == list(range(23))
    assert all(e["event"] != "log.lost" for e in read(tmp_path))


def test_rotation_leaks_no_descriptor(tmp_path: Path) -> None:
    log = open_log(tmp_path, rotate_bytes=1)
    say(log, 0)
    before = lowest_free_descriptor()
    for n in range(20):
        say(log, n)
    assert lowest_free_descriptor() <= before + 1


# -- a full disk ---------------------------------------------------------------------------------


@pytest.mark.parametrize("room", [0, 1, 40, 110])
def test_what_a_full_disk_lost_is_counted_and_said(tmp_path: Path, room: int) -> None:
    log = open_log(tmp_path)
    say(log, 0)
    with file_size_limit((tmp_path / "node-1.jsonl").stat().st_size + room):
        for n in range(1, 6):
            say(log, n)
    say(log, 6)
    say(log, 7)

    whole = read(tmp_path, skip_broken=True)
    assert [e["event"] for e in whole] == ["a.b", "log.lost", "a.b", "a.b"]
    assert whole[1]["lines"] == 5
    assert [e["n"] for e in whole if e["event"] == "a.b"] == [0, 6, 7]


def test_at_most_one_line_is_broken_by_a_full_disk(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    say(log, 0)
    with file_size_limit((tmp_path / "node-1.jsonl").stat().st_size + 40):
        for n in range(1, 6):
            say(log, n)
    say(log, 6)
    lines = (tmp_path / "node-1.jsonl").read_bytes().splitlines()
    assert [is_event(line) for line in lines] == [True, False, True, True]


def test_a_disk_that_is_full_again_and_again_is_counted_each_time(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    path = tmp_path / "node-1.jsonl"
    for n in range(4):
        say(log, n)
        with file_size_limit(path.stat().st_size + 30 * n):
            say(log, 100)
            say(log, 101)
    say(log, 4)
    whole = read(tmp_path, skip_broken=True)
    assert [e["n"] for e in whole if e["event"] == "a.b"] == list(range(5))
    assert [e["lines"] for e in whole if e["event"] == "log.lost"] == [2, 2, 2, 2]


def test_a_line_broken_by_an_earlier_life_does_not_spoil_the_next(tmp_path: Path) -> None:
    (tmp_path / "node-1.jsonl").write_bytes(b'{"t":1}\n{"t":2,"no')
    say(open_log(tmp_path), 1)
    lines = (tmp_path / "node-1.jsonl").read_bytes().splitlines()
    assert lines[1] == b'{"t":2,"no'
    assert json.loads(lines[2])["n"] == 1


def test_a_log_opens_on_a_full_disk(tmp_path: Path) -> None:
    """A server whose last life broke off a line must still be able to start and say why."""
    path = tmp_path / "node-1.jsonl"
    path.write_bytes(b'{"t":1')
    with file_size_limit(6):
        log = open_log(tmp_path)
        say(log, 1)
    say(log, 2)
    assert [e["event"] for e in read(tmp_path, skip_broken=True)] == ["log.lost", "a.b"]


# -- vocabulary ----------------------------------------------------------------------------------


def open_log(
    folder: Path,
    *,
    clock: HybridClock | None = None,
    node: int = 1,
    life: int = 1,
    level: str = "info",
    rotate_bytes: int = 8 << 20,
) -> EventLog:
    clock = clock or HybridClock()
    path = folder / "node-1.jsonl"
    return EventLog(path, node, life, clock, level=level, rotate_bytes=rotate_bytes)


def say(log: EventLog, n: int) -> None:
    log.emit("info", "a.b", 1, "leader", 0, n=n)


def read(folder: Path, *, skip_broken: bool = False) -> list[dict[str, object]]:
    """All events in the order in which they were written."""
    path = folder / "node-1.jsonl"
    data = b"".join(f.read_bytes() for f in [*rotated_files(path), path] if f.exists())
    assert data.endswith(b"\n")
    lines = data.splitlines()
    return [json.loads(line) for line in lines if not skip_broken or is_event(line)]


def numbers(folder: Path) -> list[object]:
    return [event["n"] for event in read(folder)]


def is_event(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


@contextmanager
def file_size_limit(size: int) -> Iterator[None]:
    """No file of this process grows beyond `size` bytes: what a full disk does to a write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def no_more_files(*_: object) -> int:
    raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


def lowest_free_descriptor() -> int:
    descriptor = os.open(os.devnull, os.O_RDONLY)
    os.close(descriptor)
    return descriptor
