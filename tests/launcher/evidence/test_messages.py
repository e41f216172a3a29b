"""Reading tap files: torn tails, segments that are gone, foreign bytes, files that grow; bounds."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from random import Random

import pytest

from launcher.cli.rates_table import rates_table
from launcher.evidence.messages.files import NodeRecord
from launcher.evidence.messages.rates import Counting
from launcher.evidence.messages.reading import Messages
from launcher.evidence.messages.top import Top
from node.events import HybridClock
from node.raft.messages import AppendEntries, Batch, BatchKind, RequestVote, TimeoutNow
from node.tap.format import HEAD, RECORD
from node.tap.segment import segments
from node.tap.writer import Tap
from node.wire import SetTap
from tests.node.tap.lab import NOW, Noted, frame, records_in, tap_in


def fill(tap: Tap, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        tap.sent(2, frame(TimeoutNow(number, 1), NOW + number))


def length_at(data: bytes, position: int) -> int:
    """Of the record that begins there."""
    return int(RECORD.unpack_from(data, position)[4])


def test_a_file_that_is_cut_at_any_byte_gives_the_whole_records_before_it(tmp_path: Path) -> None:
    fill(tap_in(tmp_path), 3)
    ((_, _, path),) = segments(tmp_path)
    data = path.read_bytes()
    ends = [HEAD.size]
    for _ in range(3):
        ends.append(ends[-1] + length_at(data, ends[-1]))
    for length in range(ends[-1] + 1):
        path.write_bytes(data[:length])
        whole = sum(end <= length for end in ends[1:])
        assert len(records_in(tmp_path)) == whole, length


def test_a_record_that_its_writer_did_not_finish_is_not_there(tmp_path: Path) -> None:
    """Its mark is written last; whatever else of it is there."""
    fill(tap_in(tmp_path), 3)
    ((_, _, path),) = segments(tmp_path)
    data = path.read_bytes()
    start = HEAD.size
    for _ in range(2):
        start += length_at(data, start)
    length = length_at(data, start)
    for written in range(1, length + 1):
        torn = bytearray(data)
        torn[start] = 0
        torn[start + written : start + length] = bytes(length - written)
        path.write_bytes(torn)
        assert len(records_in(tmp_path)) == 2


def test_random_bytes_in_a_file_are_told_of_and_raise_nothing(tmp_path: Path) -> None:
    rng = Random(7)
    fill(tap_in(tmp_path), 50)
    ((_, _, path),) = segments(tmp_path)
    data = path.read_bytes()[:8000]
    for _ in range(300):
        broken = bytearray(data)
        for _ in range(rng.randrange(1, 9)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        path.write_bytes(broken)
        messages = Messages(tmp_path)
        assert len(list(messages.events())) <= 51


@pytest.mark.parametrize("content", [b"", b"foreign", b"LEEKYTAP", b"x" * 5000, bytes(5000)])
def test_a_file_of_somebody_else_has_no_records(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "node-1.000001.tap").write_bytes(content)
    (tmp_path / "other.txt").write_bytes(content)
    messages = Messages(tmp_path)
    assert list(messages.events()) == []
    assert bool(messages.problems) == any(content)


def test_a_file_of_a_newer_version_is_told_of(tmp_path: Path) -> None:
    fill(tap_in(tmp_path), 1)
    ((_, _, path),) = segments(tmp_path)
    data = bytearray(path.read_bytes())
    data[8] = 9
    path.write_bytes(data)
    messages = Messages(tmp_path)
    assert list(messages.events()) == []
    assert messages.problems == [
        "node-1.000001.tap: it has version 9, and this program reads version 1"
    ]


def test_a_folder_that_is_not_there_has_no_events(tmp_path: Path) -> None:
    assert list(Messages(tmp_path / "tap").events()) == []


# -- rings, and files that grow ------------------------------------------------------------------


def test_a_ring_that_has_turned_over_says_when_its_record_begins(tmp_path: Path) -> None:
    fill(tap_in(tmp_path, "ring"), 5000)
    messages = Messages(tmp_path)
    first = next(messages.events()).t
    list(messages.events())
    assert first > NOW
    assert messages.begins == {1: first}
    assert messages.problems == []


def test_a_ring_that_turns_over_while_it_is_read_says_what_is_missing(tmp_path: Path) -> None:
    tap = tap_in(tmp_path, "ring")
    fill(tap, 800)
    messages = Messages(tmp_path)
    events = messages.events()
    next(events)
    fill(tap, 9000, 800)
    left = list(events)
    assert left[-1].t == NOW + 9799
    (problem,) = messages.problems
    assert "segments were removed before they were read" in problem


def test_a_reader_follows_a_record_that_grows(tmp_path: Path) -> None:
    tap = tap_in(tmp_path)
    reader = NodeRecord(tmp_path, 1)
    seen = 0
    for count in (1, 1000, 2000, 1, 3000):
        fill(tap, count, seen)
        found = []
        while some := reader.read():
            found += some
        assert [one.t for one in found] == [NOW + seen + one for one in range(count)]
        seen += count
    assert reader.read() == []
    assert reader.missing == 0


def test_a_reader_that_starts_at_the_end_sees_only_what_is_new(tmp_path: Path) -> None:
    tap = tap_in(tmp_path)
    fill(tap, 4000)
    reader = NodeRecord(tmp_path, 1, at_end=True)
    assert reader.read() == []
    fill(tap, 2, 4000)
    assert [one.t for one in reader.read()] == [NOW + 4000, NOW + 4001]


def test_events_of_all_nodes_come_in_one_order(tmp_path: Path) -> None:
    one, other = (Tap(tmp_path, n, 1, HybridClock(lambda: NOW), Noted()) for n in (1, 2))
    for tap in (one, other):
        tap.obey(SetTap("full", 64 << 10))
    for number in range(200):
        one.sent(2, frame(TimeoutNow(number, 1), NOW + 10 * number))
        other.received(1, frame(TimeoutNow(number, 1), NOW + 10 * number), NOW + 10 * number + 3)
    keys = [event.key for event in Messages(tmp_path).events()]
    assert keys == sorted(keys)
    assert len(keys) == 400


def test_a_long_record_is_read_in_little_memory(tmp_path: Path) -> None:
    fill(tap_in(tmp_path, segment_bytes=1 << 20), 60_000)
    tracemalloc.start()
    count = sum(1 for _ in Messages(tmp_path).events())
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == 60_000
    assert peak < 16 << 20


# -- top -----------------------------------------------------------------------------------------


def entries(count: int) -> AppendEntries:
    batch = Batch(1, 1, BatchKind.COMMANDS, count, b"data" * count)
    return AppendEntries(1, 1, 0, 0, (batch,), 0)


def test_rates_are_of_the_last_seconds(tmp_path: Path) -> None:
    tap = tap_in(tmp_path)
    counting = Counting(100.0)
    for _ in range(20):
        tap.sent(2, frame(entries(7)))
    tap.lost(2, frame(entries(7)), "cut")
    tap.lost_from(3, frame(entries(7)), "cut")
    counting.add(records_in(tmp_path), 101.0)

    rates = counting.rates(102.0)
    one, other = rates.links
    assert (one.source, one.target, one.messages, one.entries) == (1, 2, 10, 70)
    assert one.bytes == 10 * len(frame(entries(7)))
    assert (one.lost, other.source, other.target, other.lost) == (0.5, 3, 1, 0.5)

    counting.add((), 104.5)
    assert [link.messages for link in counting.rates(105.0).links] == [0, 0]


def test_an_election_counts_once_however_many_votes_are_asked_for(tmp_path: Path) -> None:
    tap = tap_in(tmp_path)
    for term in (5, 6):
        for peer in (2, 3, 2):
            tap.sent(peer, frame(RequestVote(term, 1, 0, 0)))
        tap.sent(2, frame(RequestVote(term + 1, 1, 0, 0, pre_vote=True)))
    counting = Counting(0.0)
    counting.add(records_in(tmp_path), 0.5)
    assert counting.rates(1.0).elections == 2


def test_top_says_which_nodes_record_nothing(tmp_path: Path) -> None:
    tap = tap_in(tmp_path)
    top = Top(tmp_path)
    assert top.off([1, 2]) == [2]
    fill(tap, 5)
    top.read()
    assert [link.target for link in top.rates().links] == [2]
    tap.close()
    assert top.off([1, 2]) == [1, 2]
    top.close()


def test_top_says_of_whom_it_has_missed_something(tmp_path: Path) -> None:
    tap = tap_in(tmp_path, "ring")
    top = Top(tmp_path)
    fill(tap, 5)
    top.read()
    assert top.missed() == {}
    fill(tap, 5000, first=5)
    top.read()
    (missed,) = top.missed().values()
    assert missed >= 2
    said = rates_table(top.rates(), [], top.missed())
    assert f"n1: {missed} files of its messages were overwritten before top read it" in said
    top.close()


def test_a_record_that_ended_with_its_file_full_has_ended(tmp_path: Path) -> None:
    """How long the file is says whether its record goes on."""
    tap = tap_in(tmp_path)
    fill(tap, 4)  # 72 bytes each
    for _ in range(815):  # 80 bytes each
        tap.event("debug", "x", 0, "follower", 0, {"f": "y" * 8})
    ((_, _, path),) = segments(tmp_path)
    data = path.read_bytes()
    position = HEAD.size + 4 * 72 + 814 * 80
    assert position + length_at(data, position) + 8 == len(data), "there is no room for one more"
    tap.close()
    assert Top(tmp_path).off([1]) == [1]
