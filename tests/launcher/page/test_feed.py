"""The stream's source: in order, thinned, resumed, bounded."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from launcher.errors import NotRunning
from launcher.evidence.messages.files import NodeRecord
from launcher.evidence.messages.records import Record
from launcher.page import feed as module
from launcher.page.feed import SETTLE_S, Feed, Thinning
from launcher.timeline.events import Event, parse_line
from node.raft.messages import TimeoutNow
from tests.launcher.page.test_recorded import line
from tests.node.tap.lab import NOW, frame, records_in, tap_in

LATER = 10**12
"""A time at which everything that these tests write has settled."""


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def feed(logs: Path) -> Iterator[Feed]:
    made = Feed(logs)
    yield made
    made.stop()


def add(logs: Path, *lines: str) -> None:
    with (logs / "timeline.jsonl").open("a") as file:
        file.writelines(lines)


def times(feed: Feed, number: int = 0) -> list[str]:
    return [record["t"] for _, record in feed.take(number)[1]]


def test_events_are_handed_on_when_they_have_settled(logs: Path, feed: Feed) -> None:
    add(logs, line(1_000_000_000, "node.ready"), line(2_000_000_000, "node.ready"))
    feed.poll(1_300_000_000)
    assert times(feed) == ["1000000000"]
    feed.poll(2_300_000_000)
    assert times(feed) == ["1000000000", "2000000000"]


def test_a_reader_goes_on_after_the_last_id_without_a_gap_or_a_double(
    logs: Path, feed: Feed
) -> None:
    add(logs, *(line(i, "node.ready") for i in range(1, 11)))
    feed.poll(LATER)
    number, first, lost = feed.take(0, most=4)
    assert (number, lost) == (4, False)
    last_id = first[-1][0]
    assert last_id == "4.1"
    add(logs, line(11, "node.ready"))
    feed.poll(LATER)
    assert times(feed, feed.after(last_id)) == [str(t) for t in range(5, 12)]
    again = Feed(logs)  # the page's process was started anew
    again.poll(LATER)
    assert times(again, again.after(last_id)) == [str(t) for t in range(5, 12)]
    again.stop()


def test_a_late_event_comes_and_a_timeline_that_is_written_anew_doubles_nothing(
    logs: Path, feed: Feed
) -> None:
    add(logs, line(1, "node.ready"), line(3, "node.ready"))
    feed.poll(LATER)
    (logs / "timeline.jsonl.late").write_text(line(2, "node.ready"))
    feed.poll(LATER)
    assert times(feed) == ["1", "3", "2"], "the page puts it into its place"
    repaired = logs / "repaired"
    repaired.write_text("".join(line(t, "node.ready") for t in (1, 2, 3, 4)))
    (logs / "timeline.jsonl.late").unlink()
    repaired.rename(logs / "timeline.jsonl")
    feed.poll(LATER)
    assert times(feed) == ["1", "3", "2", "4"]


def test_an_id_that_is_not_known_begins_with_the_oldest(logs: Path, feed: Feed) -> None:
    add(logs, line(1, "node.ready"))
    feed.poll(LATER)
    assert feed.after("77.3") == 0
    assert feed.after("") == 0


def test_only_so_many_are_kept_and_a_reader_that_is_behind_is_told(
    logs: Path, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_KEPT", 10)
    add(logs, *(line(i, "node.ready") for i in range(1, 31)))
    feed.poll(LATER)
    number, events, lost = feed.take(0)
    assert lost
    assert number == 30
    assert [record["t"] for _, record in events] == [str(t) for t in range(21, 31)]
    assert feed.take(30) == (30, [], False)


def test_a_ring_that_was_overwritten_before_it_was_read_is_an_event(logs: Path, feed: Feed) -> None:
    (logs / "tap").mkdir()
    tap = tap_in(logs / "tap", "ring")

    def fill(count: int) -> list[dict[str, Any]]:
        for number in range(count):
            tap.sent(2, frame(TimeoutNow(number, 1), NOW + number))
        feed.poll(NOW * 2)
        return [one for _, one in feed.take(0, 10**6)[1] if one["event"] == "tap.missed"]

    assert fill(5) == []
    (missed,) = fill(5000)
    text = f"{missed['segments']} files of n1's messages were overwritten before they were read"
    assert (missed["node"], missed["text"]) == (1, text)
    assert len(fill(5)) == 1


class Overwritten(NodeRecord):
    """A record whose next file has nothing yet, when those before it are found to be gone."""

    later: list[Record]

    def read(self) -> list[Record]:
        self.missing = 2
        found, self.later = self.later, []
        return found


def test_what_is_missing_is_told_when_the_next_message_is_there(logs: Path, feed: Feed) -> None:
    other = logs / "other"
    other.mkdir()
    tap_in(other).sent(2, frame(TimeoutNow(1, 1), NOW))
    record = Overwritten(logs, 1)
    record.later = []
    feed._records[1] = record
    feed.poll(NOW * 2)
    assert times(feed) == []
    record.later = records_in(other)
    feed.poll(NOW * 2)
    feed.poll(NOW * 2)
    told = [one for _, one in feed.take(0)[1]]
    assert [(one["event"], one.get("segments")) for one in told] == [
        ("message.sent", None), ("tap.missed", 2)
    ]  # fmt: skip


def sent(t: int, kind: str, event: str = "message.sent", **fields: Any) -> tuple[Event, Any]:
    text = line(t, event, type=kind, **fields)
    event_read = parse_line(text.encode())
    assert event_read is not None
    return event_read, json.loads(text)


def test_frequent_messages_are_thinned_and_say_for_how_many_they_stand() -> None:
    thinning = Thinning()
    kept = []
    for i in range(100):  # a second, one each ten milliseconds
        event, record = sent(i * 10_000_000, "AppendEntries", to=2)
        if thinning.take(event, record):
            kept.append(record)
    assert len(kept) == 10
    assert [record.get("of", 1) for record in kept] == [1] + [10] * 9


def test_what_became_of_a_message_is_handed_on_with_it_and_rare_kinds_always_are() -> None:
    thinning = Thinning()
    assert thinning.take(*sent(1_000_000_000, "AppendEntries", to=2))
    assert not thinning.take(*sent(1_000_000_001, "AppendEntries", to=2))
    received = {"from": 1, "node": 2}
    for sent_t, handed_on in ((1_000_000_000, True), (1_000_000_001, False)):
        event, record = sent(
            1_000_000_009, "AppendEntries", "message.lost", to=2, sent_t=sent_t, **{"from": 1}
        )
        assert thinning.take(event, record) is handed_on, received
    for i in range(20):
        assert thinning.take(*sent(i, "RequestVote", to=2))


def test_the_status_is_asked_for_only_while_somebody_reads(logs: Path) -> None:
    asked = []

    def status() -> dict[str, Any]:
        asked.append(1)
        if len(asked) > 1:
            raise NotRunning("no cluster is running")
        return {"nodes": []}

    feed = Feed(logs, status)
    feed.poll(LATER)
    assert asked == []
    feed.readers = 1
    feed.poll(LATER)
    assert feed.latest is None, "it would be ahead of the events that lead to it"
    feed._next_status = time.monotonic() + 3600
    feed.poll(LATER + int(SETTLE_S * 1e9))
    assert feed.latest is not None
    assert feed.latest["event"] == "status.seen"
    assert feed.latest["t"] == str(LATER)
    feed._next_status = 0.0
    feed.poll(LATER)
    assert feed.gone == "no cluster is running"
    feed.stop()


def test_a_torn_or_hostile_line_does_not_end_the_stream(logs: Path, feed: Feed) -> None:
    add(logs, '{"t": 5, "no\n', line(6, "machine.failed", reason="</script>\u202e\x00"))
    feed.poll(LATER)
    assert times(feed) == ["6"]
