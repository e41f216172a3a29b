"""Lines to events, events to one order, and events to lines that people read."""

from __future__ import annotations

import json
import re
import time
import unicodedata
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.errors import UsageError
from launcher.timeline.events import Event, parse_line, rescue
from launcher.timeline.filter import Filter
from launcher.timeline.order import merge
from launcher.timeline.render import render
from node.events import EventLog, HybridClock

T = 1_790_000_000_123_456_789


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def line(event: str = "some.thing", **fields: object) -> bytes:
    record: dict[str, object] = {"t": T, "node": 3, "life": 2}
    record |= {"term": 4, "role": "leader", "commit": 17}
    return json.dumps(record | {"level": "info", "event": event} | fields).encode()


def an_event(event: str = "some.thing", **fields: object) -> Event:
    parsed = parse_line(line(event, **fields))
    assert parsed is not None
    return parsed


# -- lines -----------------------------------------------------------------------------------------


def test_an_event_keeps_its_line_and_its_own_fields() -> None:
    written = line("vote.denied", candidate=2, reason="its log is behind ours", t=T)
    event = parse_line(written)
    assert event is not None
    assert event.raw == written
    assert event.key == (T, 3)
    assert event.event == "vote.denied"
    assert event.fields == {"candidate": 2, "reason": "its log is behind ours"}


def test_a_field_called_raw_is_just_a_field() -> None:
    event = an_event(raw=5)
    assert event.raw == line(raw=5)
    assert event.fields == {"raw": 5}


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\0\0\0",
        b"\xff",
        line()[:-1],
        line()[1:],
        line() + b"x",
        line(t=-1),
        line().replace(b'"node": 3', b'"node": "3"'),
        line().replace(b'"level": "info", ', b""),
        line()[:-1] + b',"x":' + b"[" * 100_000,
        json.dumps([1, 2]).encode(),
    ],
)
def test_what_is_no_event_is_none(broken: bytes) -> None:
    assert parse_line(broken) is None


def test_whatever_an_event_log_writes_is_read(tmp_path: Path) -> None:
    """Python's JSON has words that strict JSON does not: half a surrogate pair, infinity."""
    path = tmp_path / "node-1.jsonl"
    log = EventLog(path, 1, 1, HybridClock())
    fields = {"name": "caf\udce9", "text": "ü\u2028\n", "inf": float("inf"), "big": 1 << 80}
    log.emit("info", "some.thing", 1, "follower", 0, **fields)
    log.close()
    (written,) = path.read_bytes().split(b"\n")[:-1]
    event = parse_line(written)
    assert event is not None
    assert event.raw == written
    assert event.fields == fields
    assert len(render(event).splitlines()) == 1


@given(st.binary(max_size=20))
def test_what_follows_a_torn_write_is_rescued(torn: bytes) -> None:
    torn = torn.replace(b"\n", b"")
    whole = line().replace(b" ", b"")
    found = rescue(b"x" + torn + whole)
    assert found is not None
    assert found.raw == whole


def test_nothing_is_rescued_from_what_holds_no_event() -> None:
    assert rescue(b"") is None
    assert rescue(b'{"t":1,') is None
    assert rescue(b'x{"t":1,') is None


# -- one order -------------------------------------------------------------------------------------

KEYS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 3)), unique=True, max_size=40)


@given(KEYS, st.data())
def test_merging_gives_everything_once_in_order(
    keys: list[tuple[int, int]], data: st.DataObject
) -> None:
    """However the events are spread over sorted sources, and whichever are in several of them."""
    sources: list[list[Event]] = [[], [], []]
    for t, node in sorted(keys):
        for number in data.draw(st.sets(st.integers(0, 2), min_size=1)):
            sources[number].append(an_event(t=t, node=node))
    assert [event.key for event in merge(sources)] == sorted(keys)


def test_two_events_that_share_a_place_both_come() -> None:
    one, other = an_event(number=1), an_event(number=2)
    merged = list(merge([[one, other], [one], [other]]))
    assert sorted(event.raw for event in merged) == [one.raw, other.raw]


def test_merging_is_lazy() -> None:
    def endless(node: int) -> Iterator[Event]:
        t = 0
        while True:
            t += 1
            yield an_event(t=t, node=node)

    merged = merge([endless(1), endless(2)])
    assert [next(merged).key for _ in range(4)] == [(1, 1), (1, 2), (2, 1), (2, 2)]


# -- choosing --------------------------------------------------------------------------------------


def test_nothing_chosen_accepts_everything() -> None:
    assert Filter().accepts(an_event())
    assert Filter().accepts(an_event(t=0, node=0))


def test_by_node() -> None:
    assert Filter(node=0).accepts(an_event(node=0))
    assert not Filter(node=0).accepts(an_event(node=3))
    assert Filter(node=3).accepts(an_event(node=3))


@pytest.mark.parametrize(
    ("level", "accepted"),
    [("debug", "debug info warn error odd"), ("warn", "warn error odd"), ("error", "error odd")],
)
def test_by_level(level: str, accepted: str) -> None:
    levels = ["debug", "info", "warn", "error", "odd"]
    passed = [each for each in levels if Filter(level=level).accepts(an_event(level=each))]
    assert passed == accepted.split()


@pytest.mark.parametrize(
    ("glob", "name", "accepted"),
    [
        ("election.*", "election.started", True),
        ("election.*", "pre.election.started", False),
        ("election", "election.started", False),
        ("*.started", "node.started", True),
        ("vote.?enied", "vote.denied", True),
        ("[nl]*", "leader.elected", True),
        ("[!nl]*", "leader.elected", False),
    ],
)
def test_by_name(glob: str, name: str, accepted: bool) -> None:
    assert Filter(event=glob).accepts(an_event(name)) is accepted


@pytest.mark.parametrize(
    ("since", "age_s"),
    [
        ("10s", 10),
        ("0.5s", 0.5),
        ("150ms", 0.15),
        ("5m", 300),
        ("1h30m", 5400),
        ("2d", 172800),
        ("2026-09-21T14:13:10.123456789", 10),
        ("2026-09-21T16:13:10.123456+02:00", 10),
        ("2026-09-21T14:13:10Z", 10.123456789),
        ("2026-09-21", 14 * 3600 + 13 * 60 + 20.123456789),
        ("14:13:19", 1.123456789),
        ("14:12", 80.123456789),
    ],
)
def test_by_age(since: str, age_s: float) -> None:
    assert datetime.fromtimestamp(T // 10**9).isoformat() == "2026-09-21T14:13:20"
    limit = T - round(age_s * 10**9)
    chosen = Filter(since=since, now_ns=T)
    assert chosen.accepts(an_event(t=limit + 1000))
    assert not chosen.accepts(an_event(t=limit - 1000))


@pytest.mark.parametrize(
    "since", ["", "10", "s", "-5s", "10 parsecs", "yesterday", "25:00", "5s x"]
)
def test_a_time_that_is_none_is_refused(since: str) -> None:
    with pytest.raises(
        UsageError, match=r"^since .*: a duration \(10s, 5m, 1h30m\) or an ISO time"
    ):
        Filter(since=since)


def test_what_cannot_be_chosen_is_refused() -> None:
    with pytest.raises(UsageError, match=r"^level 'loud': one of debug, info, warn, error$"):
        Filter(level="loud")
    with pytest.raises(UsageError, match=r"^node -1: "):
        Filter(node=-1)
    for glob in ("", "Election started", "a\nb", "a,", "a,,b"):
        with pytest.raises(
            UsageError, match=r"^event .*: a name or a pattern, as in 'election\.\*'"
        ):
            Filter(event=glob)


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [
        ("leader.elected", ["leader.elected"]),
        ("leader.*,vote.*", ["leader.elected", "vote.denied"]),
        ("vote.denied,moon.*", ["vote.denied", "moon.rose"]),
    ],
)
def test_events_are_chosen_by_one_pattern_or_several(wanted: str, chosen: list[str]) -> None:
    accepts = Filter(event=wanted).accepts
    names = ["leader.elected", "vote.denied", "node.exited", "moon.rose", "leader"]

    assert [name for name in names if accepts(an_event(name))] == chosen


# -- showing ---------------------------------------------------------------------------------------


def said(event: str, **fields: object) -> str:
    """What stands behind the columns."""
    shown = render(an_event(event, **fields))
    prefix = re.match(r"14:13:20\.123 \S+ +t4   leader        c17     ", shown)
    assert prefix, shown
    return shown[prefix.end() :]


def test_the_columns() -> None:
    assert render(an_event("leader.elected", votes=[1, 3, 5])) == (
        "14:13:20.123 n3   t4   leader        c17     "
        "n3 became leader of term 4 with votes from n1, n5"
    )
    assert render(an_event("cluster.down", node=0)).startswith("14:13:20.123 sup  t4")
    assert " adam " in render(an_event(), names={3: "adam"})


@pytest.mark.parametrize(
    ("event", "fields", "expected"),
    [
        ("leader.elected", {"votes": [3]}, "n3 became leader of term 4 votes=[3]"),
        (
            "election.started",
            {"pre_vote": True, "for_term": 5},
            "n3 asks whether it would be elected in term 5",
        ),
        (
            "election.started",
            {"pre_vote": False, "for_term": 5},
            "n3 asks for votes in term 5",
        ),
        ("vote.granted", {"candidate": 2}, "n3 voted for n2 in term 4"),
        ("vote.denied", {"candidate": 2, "reason": "no"}, "n3 refused n2 its vote: no"),
        ("leader.heard", {"leader": 1}, "n3 follows n1, the leader of term 4"),
        ("term.advanced", {"previous": 3}, "n3 moved from term 3 to term 4"),
        (
            "term.advanced",
            {"previous": 3, "by": 2},
            "n3 moved from term 3 to term 4: n2 has told it of that term",
        ),
        ("node.started", {"pid": 7}, "n3 started: its process is number 2 of this node pid=7"),
        (
            "node.exited",
            {"target": 2, "status": -9, "reason": "killed by SIGKILL"},
            "n2 exited with status -9: killed by SIGKILL",
        ),
        ("fault.injected", {"fault": "kill", "targets": [1, 2]}, "fault injected: kill n1, n2"),
        (
            "power.lost",
            {"target": 2, "files": [], "bytes": 0, "names": []},
            "n2 had nothing unsynced to lose",
        ),
        (
            "power.lost",
            {"target": 2, "files": ["synced.mark", "1.wal"], "bytes": 24, "names": []},
            "n2 lost 24 bytes of synced.mark, 1.wal, which it had not synced",
        ),
        (
            "power.lost",
            {"target": 2, "files": [], "bytes": 0, "names": ["a"]},
            "n2 lost changes of names: a",
        ),
        (
            "power.lost",
            {"target": 2, "files": ["b"], "bytes": 7, "names": ["a"]},
            "n2 lost 7 bytes of b, and changes of names: a",
        ),
        (
            "fault.injected",
            {"fault": "partition", "groups": [[1, 2], [3, 4, 5]]},
            "fault injected: partition 1,2 | 3,4,5",
        ),
        (
            "fault.injected",
            {"fault": "slow-disk", "targets": [2], "delay_s": 0.2},
            "fault injected: slow-disk n2 delay_s=0.2",
        ),
        ("fault.healed", {"fault": "disk", "targets": [1, 2]}, "fault ended: disk n1, n2"),
        ("fault.healed", {"targets": [3]}, "fault ended: n3 may run again"),
        (
            "fault.healed",
            {"fault": "links", "links": [[1, 2], [2, 1]], "ids": [4]},
            "fault ended: links on n1>n2, n2>n1 ids=[4]",
        ),
        ("fault.healed", {}, "every fault has ended"),
        (
            "safety.violated",
            {"index": 9, "nodes": [1, 2]},
            "STATE MACHINE SAFETY IS BROKEN: n1, n2 applied different entries up to 9",
        ),
    ],
)
def test_what_happened_is_a_sentence(event: str, fields: dict[str, object], expected: str) -> None:
    assert said(event, **fields) == expected


def test_an_unknown_event_is_told_by_its_name_and_fields() -> None:
    assert said("moon.rose", over="the hill", at=[1, None], full=True, name="luna") == (
        'moon.rose over="the hill" at=[1,null] full=true name=luna'
    )


def test_a_known_event_with_strange_fields_is_told_the_same_way() -> None:
    assert said("vote.granted", candidate="x") == "vote.granted candidate=x"
    assert said("vote.granted") == "vote.granted"
    assert said("fault.injected", fault={"a": 1}) == 'fault.injected fault={"a":1}'


def test_other_levels_are_named() -> None:
    assert "WARN: n3 stepped down" in render(an_event("leader.stepped_down", level="warn"))


def test_colour_is_for_those_who_want_it() -> None:
    plain = render(an_event("leader.stepped_down", level="error"))
    coloured = render(an_event("leader.stepped_down", level="error"), colour=True)
    assert "\x1b" not in plain
    assert "\x1b[1;31m n3 stepped down\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == plain
    colours = {
        re.findall(r"\x1b\[[\d;]*m n\d", render(an_event(node=n), colour=True))[0][:-3]
        for n in range(1, 6)
    }
    assert len(colours) == 5


def columns_of(text: str) -> int:
    wide = {"W", "F"}
    return sum(
        1 + (unicodedata.east_asian_width(c) in wide) for c in text if not unicodedata.combining(c)
    )


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_NAMES = ["leader.elected", "vote.denied", "fault.injected", "node.exited", "moon.rose"]
_FIELDS = ["votes", "candidate", "reason", "fault", "groups", "targets", "target", "status", "x"]


@given(
    event=st.sampled_from(_NAMES) | st.text(),
    role=st.text(),
    level=st.text(),
    t=st.integers(0, 1 << 90),
    fields=st.dictionaries(st.sampled_from(_FIELDS) | st.text(), _JSON, max_size=4),
    width=st.none() | st.integers(0, 120),
)
def test_one_line_that_steers_no_terminal_whatever_is_in_the_event(
    event: str,
    role: str,
    level: str,
    t: int,
    fields: dict[str, object],
    width: int | None,
) -> None:
    common = {"t": t, "node": 1, "life": 1, "term": 1, "role": role, "commit": 1, "level": level}
    written = json.dumps({**fields, **common, "event": event})
    parsed = parse_line(written.encode("utf-8", "backslashreplace"))
    assert parsed is not None
    shown = render(parsed, width=width)
    assert shown.isprintable()
    shown.encode()
    if width is not None:
        assert columns_of(shown) <= width
    coloured = render(parsed, width=width, colour=True)
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured).rstrip() == shown.rstrip()


@pytest.mark.parametrize(
    ("nasty", "shown"),
    [
        ("\x1b[31mred", r"\x1b[31mred"),
        ("two\r\nlines", r"two\r\nlines"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\u2028\x85", r"\u2028\x85"),
        ("\ud800", r"\ud800"),
    ],
)
def test_control_characters_are_escaped(nasty: str, shown: str) -> None:
    assert said("node.stopped", reason=nasty) == f"n3 stopped: {shown}"


def test_a_line_is_cut_at_the_width_and_says_so() -> None:
    event = an_event("node.stopped", reason="日本語" * 10)
    whole = render(event)
    cut = render(event, width=70)
    assert cut.endswith("…")
    assert whole.startswith(cut[:-1])
    assert columns_of(cut) in (69, 70)
    assert render(event, width=200) == whole
