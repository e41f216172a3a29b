"""The combined timeline against writers that are slow, torn, rotated and killed.

`World` writes event logs as processes do, but separately stamps events and writes them, so that
some arrive late; and it can kill the combiner, or fill its disk, within any byte of any write.
"Launchers, 9" and "11" cite the list of pitfalls.
"""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import TypeAlias
from unittest import mock

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.config import ClusterConfig, load
from launcher.timeline import reading
from launcher.timeline.combiner import Combiner
from launcher.timeline.events import Event, parse_line
from launcher.timeline.filter import Filter
from launcher.timeline.logfiles import CHUNK_BYTES, LogFile, open_log
from launcher.timeline.reading import follow_timeline, read_timeline
from launcher.timeline.sorted_log import SortedLog
from launcher.timeline.tail import Tail
from node.events import EventLog, HybridClock, rotated_files

NODES = 2


class Killed(BaseException):
    """SIGKILL, as the code that it hits sees it: nothing after it runs."""


def config_in(
    folder: Path, *, nodes: int = NODES, rotate_bytes: int = 8 << 20, keep: int = 1
) -> ClusterConfig:
    return msgspec.structs.replace(
        load(directory=folder),
        log_dir=folder,
        nodes=nodes,
        log_rotate_bytes=rotate_bytes,
        log_keep=keep,
    )


def line_of(t: int, node: int, event: str = "some.thing", **fields: object) -> bytes:
    record = {"t": t, "node": node, "life": 1, "term": 1, "role": "follower", "commit": 0}
    return json.dumps(record | {"level": "info", "event": event} | fields).encode()


def lines_of(path: Path) -> list[bytes]:
    """All lines of a log, over its files."""
    files = [*rotated_files(path), path]
    return b"".join(file.read_bytes() for file in files if file.exists()).splitlines()


def key_of(line: bytes) -> tuple[int, int]:
    event = parse_line(line)
    assert event is not None, line
    return event.key


def in_order(lines: list[bytes]) -> list[bytes]:
    return sorted(lines, key=key_of)


def raw(events: Iterator[Event] | list[Event]) -> list[bytes]:
    return [event.raw for event in events]


class World:
    """A folder of event logs, their writers, and a combiner."""

    def __init__(self, folder: Path, rotate_bytes: int = 400) -> None:
        self.folder = folder
        self.config = config_in(folder, rotate_bytes=rotate_bytes)
        self.now = 0.0
        self.t = 0
        self.stamped: list[deque[bytes]] = [deque() for _ in range(NODES + 1)]
        self.half: list[bytes] = [b""] * (NODES + 1)
        self.written: list[bytes] = []
        self.combiner = Combiner(self.config, lambda: self.now)

    def __enter__(self) -> World:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.combiner.close()

    @property
    def timeline(self) -> list[bytes]:
        return lines_of(self.config.timeline_file)

    # -- what writers do -----------------------------------------------------------------------

    def stamp(self, node: int) -> None:
        self.t += 1
        self.stamped[node].append(line_of(self.t, node, text="x" * (self.t % 7)))

    def write(self, node: int, *, half: bool = False) -> None:
        """Writes the next event that was stamped, or what is missing of it, or half of that."""
        if not self.stamped[node]:
            return
        line = self.stamped[node][0] + b"\n"
        rest = line[len(self.half[node]) :]
        part = rest[: (len(rest) - 1) // 2] if half else rest  # never all but the newline
        with self.config.event_log(node).open("ab") as log:
            log.write(part)
        if half:
            self.half[node] += part
        else:
            self.half[node] = b""
            self.written.append(self.stamped[node].popleft())

    def emit(self, node: int) -> None:
        """Stamps and writes, all that was stamped before included."""
        self.stamp(node)
        while self.stamped[node]:
            self.write(node)

    def rotate(self, node: int) -> None:
        log = self.config.event_log(node)
        if log.exists() and not self.half[node]:
            number = max((int(path.suffix[1:]) for path in rotated_files(log)), default=0) + 1
            log.rename(log.with_name(f"{log.name}.{number:06d}"))

    # -- what befalls the combiner -------------------------------------------------------------

    def poll(self, after_s: float = 1.0) -> None:
        self.now += after_s
        self.combiner.poll()
        assert self.timeline == in_order(self.timeline), "the file has gone back in time"

    def restart(self) -> None:
        self.combiner.close()
        self.combiner = Combiner(self.config, lambda: self.now)

    def kill_within(self, budget: int) -> None:
        """The supervisor dies when it has written so many bytes more."""
        self.now += 1
        try:
            with writes_end_after(budget, Killed()):
                self.combiner.poll()
        except Killed:
            pass
        self.restart()

    def fill_disk_within(self, budget: int) -> None:
        self.now += 1
        with writes_end_after(budget, OSError(errno.ENOSPC, "No space left on device")):
            self.combiner.poll()
        assert all(parse_line(line) for line in self.timeline)

    def check_reading(self) -> None:
        """Whoever reads now, with or without a supervisor, finds all that was written."""
        assert raw(read_timeline(self.folder)) == in_order(self.written)

    def end(self) -> None:
        for node in range(NODES + 1):
            while self.stamped[node]:
                self.write(node)
        assert self.combiner.finish() is None
        assert self.timeline == in_order(self.written)


@contextmanager
def writes_end_after(budget: int, error: BaseException) -> Iterator[None]:
    """The first write that passes the budget writes what is within it; then comes the error."""
    left = [budget]
    real = os.write

    def write(fd: int, data: bytes) -> int:
        if left[0] <= 0:
            raise error
        done = real(fd, data[: left[0]])
        left[0] -= done
        if isinstance(error, Killed) and left[0] <= 0:
            raise error
        return done

    with mock.patch("os.write", write):
        yield


# -- any interleaving ------------------------------------------------------------------------------

Step: TypeAlias = tuple[str, int]

_nodes = st.integers(0, NODES)
STEPS = st.one_of(
    st.tuples(st.just("emit"), _nodes),
    st.tuples(st.just("stamp"), _nodes),
    st.tuples(st.just("write"), _nodes),
    st.tuples(st.just("half"), _nodes),
    st.tuples(st.just("rotate"), _nodes),
    st.tuples(st.just("poll"), st.sampled_from([0, 100, 1000])),
    st.tuples(st.just("restart"), st.just(0)),
    st.tuples(st.just("kill"), st.integers(0, 600)),
    st.tuples(st.just("fill disk"), st.integers(0, 600)),
    st.tuples(st.sampled_from(["read", "follow"]), st.just(0)),
)


@settings(max_examples=150)
@given(st.lists(STEPS, max_size=60))
def test_whatever_happens_the_timeline_is_all_events_in_order(steps: list[Step]) -> None:
    """Launchers, 9: no event lost, none twice, never back in time."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        world = stack.enter_context(World(folder))
        follower = stack.enter_context(reading._Follower(folder))
        followed: list[bytes] = []
        for what, how in steps:
            take(world, what, how)
            # A reader that looks but once in a while, yet not so rarely as to miss two repairs.
            if what in ("follow", "restart", "kill"):
                while events := follower.poll():
                    followed += raw(events)
        world.end()
        while events := follower.poll():
            followed += raw(events)
        assert Counter(followed) == Counter(world.written)
        world.check_reading()


def take(world: World, what: str, how: int) -> None:
    match what:
        case "emit":
            world.emit(how)
        case "stamp":
            world.stamp(how)
        case "write":
            world.write(how)
        case "half":
            world.write(how, half=True)
        case "rotate":
            world.rotate(how)
        case "poll":
            world.poll(how / 1000)
        case "restart":
            world.restart()
        case "kill":
            world.kill_within(how)
        case "fill disk":
            world.fill_disk_within(how)
        case "read":
            world.check_reading()
        case "follow":
            pass
        case _:
            raise AssertionError(what)


# -- one at a time ---------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as made:
        yield made


def test_an_event_waits_for_slower_writers(world: World) -> None:
    world.stamp(1)
    world.emit(2)
    world.poll(0.1)
    assert world.timeline == []

    world.write(1)
    world.poll(0.15)
    assert world.timeline == [], "it is the earlier one, and has only just come"

    world.poll(0.25)
    assert world.timeline == in_order(world.written)


def test_nobody_is_waited_for_when_every_log_shows_its_next_event(world: World) -> None:
    for node in range(NODES + 1):
        world.emit(node)
    world.combiner.poll()
    assert len(world.timeline) == 1


def test_of_a_long_log_only_a_part_is_in_memory(world: World) -> None:
    """However far behind the timeline is: the rest stays in the log."""
    lines = [line_of(t, 1) for t in range(1, 40_001)]
    world.config.event_log(1).write_bytes(b"\n".join(lines) + b"\n")
    a_chunk = CHUNK_BYTES // len(lines[0])
    for _ in range(20):
        world.poll(1.0)
        assert max(len(one.queue) for one in world.combiner._sources) <= 4096 + a_chunk
    assert world.timeline == lines


def test_a_late_event_comes_into_its_place_at_the_end(world: World) -> None:
    """A node paused between stamping an event and writing it."""
    world.stamp(1)
    for _ in range(20):
        world.emit(2)
    world.poll()
    world.poll()
    passed = world.timeline
    assert len(passed) == 20
    assert rotated_files(world.config.timeline_file), "it lies in an older file"

    world.write(1)
    world.poll()
    world.poll()
    assert world.timeline == passed
    world.check_reading()

    # It is not needed any more where it came from.
    late = world.written[-1]
    for _ in range(3):
        world.rotate(1)
        world.emit(1)
        world.poll()
        world.poll()
    assert late not in lines_of(world.config.event_log(1))
    world.check_reading()

    world.end()
    assert world.timeline[0] == late
    assert raw(follow_timeline(world.folder, stop=lambda: True)) == world.timeline
    world.restart()
    world.stamp(1)
    world.emit(2)
    world.combiner.drain()
    world.write(1)
    world.end()
    assert len(list(world.folder.glob("timeline.jsonl.late*"))) == 1, "the earlier ones are gone"


@pytest.mark.parametrize("budget", range(0, 500, 25))
def test_a_log_whose_clock_has_gone_back_loses_nothing(world: World, budget: int) -> None:
    """It cannot happen, but a log may be edited by hand."""
    world.emit(1)
    world.combiner.drain()
    for t in (5, 3, 7, 6):
        world.t = t - 1
        world.emit(1)
    world.poll(0)
    world.kill_within(budget)
    world.end()


@pytest.mark.parametrize("step", range(3))
def test_dying_within_the_repair_does_no_harm(world: World, step: int) -> None:
    for _ in range(3):
        world.stamp(1)
        for _ in range(5):
            world.emit(2)
        world.poll()
        world.poll()
    for _ in range(3):
        world.write(1)
    world.poll()
    world.poll()
    real = Path.rename if step == 2 else Path.replace
    calls = iter(range(10))

    def dies(path: Path, target: Path) -> Path:
        if path.name.startswith("timeline") and (step == 2 or next(calls) == step):
            raise Killed
        return real(path, target)

    with (
        mock.patch.object(Path, "rename" if step == 2 else "replace", dies),
        pytest.raises(Killed),
    ):
        world.combiner.finish()
    world.check_reading()

    world.combiner = Combiner(world.config, lambda: world.now)
    world.end()
    assert not list(world.folder.glob("*.repair"))


def test_old_files_are_deleted_once_they_are_merged_and_not_needed_again(world: World) -> None:
    log = world.config.event_log(1)
    for _ in range(4):
        world.emit(1)
        world.rotate(1)
    assert len(rotated_files(log)) == 4
    world.poll()
    assert len(rotated_files(log)) == 4, "nothing is merged yet"
    world.emit(1)
    world.poll()
    world.poll()
    assert [path.suffix for path in rotated_files(log)] == [".000004"]

    world.restart()
    world.check_reading()
    world.end()


def test_old_files_that_are_read_but_not_merged_are_kept(world: World) -> None:
    log = world.config.event_log(1)
    world.emit(1)
    world.combiner.drain()
    for _ in range(3):
        world.rotate(1)
        world.emit(1)
    world.poll(0)
    assert len(world.timeline) == 1
    assert [path.suffix for path in rotated_files(log)] == [".000002", ".000003"]
    world.end()


def test_a_broken_line_is_skipped_and_counted_and_what_follows_it_is_not_lost(
    world: World,
) -> None:
    log = world.config.event_log(1)
    world.emit(1)
    with log.open("ab") as file:
        file.write(b'{"t":17,"no\n\0\0\0\0')
    world.emit(1)
    with log.open("ab") as file:
        file.write(b"\xff\xfe\n\n")
    world.emit(1)
    # Whatever was to be written between the zeros and the next event's beginning is gone.
    whole = [line for line in log.read_bytes().splitlines() if parse_line(line)]
    assert len(whole) == 2
    world.poll()
    world.poll()

    assert world.combiner.take_broken() == {"node-1.jsonl": 3}
    assert world.combiner.take_broken() == {}
    world.written[1] = world.written[1].lstrip(b"\0")
    world.end()


def test_a_log_that_begins_anew_is_read_from_its_beginning(world: World) -> None:
    """`--fresh` while somebody still looks at it."""
    log = world.config.event_log(1)
    with closing(Tail(log)) as reader:
        world.emit(1)
        world.rotate(1)
        world.emit(1)
        assert raw([*reader.read(), *reader.read()]) == world.written
        for path in [*rotated_files(log), log]:
            path.unlink()
        assert reader.read() == []
        world.emit(1)
        world.rotate(1)
        world.emit(1)
        assert raw([*reader.read(), *reader.read()]) == world.written[2:]


def test_a_timeline_begun_anew_is_followed_and_old_late_events_are_forgotten(
    world: World,
) -> None:
    world.stamp(1)
    world.emit(2)
    world.poll()
    world.poll()
    world.write(1)
    world.poll()
    world.poll()
    assert (world.folder / "timeline.jsonl.late").exists()
    with reading._Follower(world.folder) as follower:
        assert len(follower.poll()) == 2
        world.restart()
        assert [path.suffix for path in world.folder.glob("timeline.jsonl.late*")] == [".000001"]
        # As `--fresh` does it, which knows nothing of late events.
        for log in (*(world.config.event_log(n) for n in (1, 2)), world.config.timeline_file):
            log.unlink()
        world.written.clear()
        world.t = 0
        world.restart()
        world.emit(2)
        world.end()
        assert raw(follower.poll()) == world.written
        world.check_reading()


def test_an_unreadable_log_holds_up_the_others_only(world: World) -> None:
    world.emit(2)
    with mock.patch.object(Tail, "read", side_effect=OSError(errno.EIO, "Input/output error")):
        world.poll()
    assert world.combiner.trouble is not None
    assert "supervisor.jsonl cannot be read: Input/output error" in world.combiner.trouble or (
        "cannot be read: Input/output error" in world.combiner.trouble
    )
    world.poll()
    assert world.combiner.trouble is None
    world.end()


def test_a_full_disk_is_told_and_the_end_says_that_the_timeline_is_incomplete(
    world: World,
) -> None:
    world.emit(1)
    world.emit(2)
    full = OSError(errno.ENOSPC, "No space left on device")
    with writes_end_after(70, full):
        said = world.combiner.finish()
    assert said == f"{world.config.timeline_file} cannot be written: No space left on device"
    world.check_reading()

    world.combiner = Combiner(world.config, lambda: world.now)
    world.end()


def test_a_last_line_that_lacks_only_its_newline_is_taken_at_the_end(world: World) -> None:
    world.emit(1)
    log = world.config.event_log(1)
    log.write_bytes(log.read_bytes()[:-1])
    world.poll()
    world.poll()
    assert world.timeline == []
    world.end()
    # The next life ends that line, and the event is not new.
    with log.open("ab") as file:
        file.write(b"\n")
    world.restart()
    world.end()


def test_logs_of_nodes_that_are_no_longer_in_the_cluster_are_merged_too(tmp_path: Path) -> None:
    (tmp_path / "node-7.jsonl").write_bytes(line_of(1, 7) + b"\n")
    combiner = Combiner(config_in(tmp_path))
    assert combiner.finish() is None
    assert lines_of(tmp_path / "timeline.jsonl") == [line_of(1, 7)]


# -- readers ---------------------------------------------------------------------------------------


def test_without_logs_there_are_no_events(tmp_path: Path) -> None:
    assert list(read_timeline(tmp_path)) == []
    assert list(read_timeline(tmp_path / "nowhere")) == []
    assert list(follow_timeline(tmp_path / "nowhere", stop=lambda: True)) == []


@pytest.mark.parametrize("merged", [False, True])
def test_reading_can_begin_at_a_time(world: World, merged: bool) -> None:
    for _ in range(15):
        world.emit(1)
        world.emit(2)
        if merged:
            world.combiner.drain()
    if merged:
        world.end()
        assert len(rotated_files(world.config.timeline_file)) > 3
    for since_t in range(32):
        expected = [line for line in world.written if key_of(line)[0] >= since_t]
        assert raw(read_timeline(world.folder, since_t)) == expected


def test_following_shows_the_last_ones_then_what_comes_then_what_was_left(world: World) -> None:
    for _ in range(5):
        world.emit(1)
        world.emit(2)
    world.combiner.drain()

    def what_happens() -> Iterator[bool]:
        yield False
        world.emit(1)
        world.emit(2)
        world.combiner.drain()
        yield False
        world.combiner.close()  # the supervisor dies
        world.emit(2)
        yield True

    stops = what_happens()
    wanted = Filter(node=2)
    shown = raw(follow_timeline(world.folder, lambda: next(stops), count=2, wanted=wanted))
    assert shown == [line for line in world.written if key_of(line)[1] == 2][-4:]


def test_following_goes_on_behind_a_repair(world: World) -> None:
    for _ in range(6):
        world.emit(1)
    world.combiner.drain()
    with reading._Follower(world.folder) as follower:
        followed = raw(follower.poll())
        world.stamp(1)
        world.emit(2)
        world.combiner.drain()
        world.write(1)
        world.end()
        world.restart()
        world.emit(2)
        world.end()
        while events := follower.poll():
            followed += raw(events)
    assert Counter(followed) == Counter(world.written)


@pytest.mark.parametrize("heard", [False, True])
def test_a_late_event_that_turns_up_in_its_place_is_shown_once(world: World, heard: bool) -> None:
    """The follower gets to its place when it is there; it may have heard of it before."""
    for _ in range(6):
        world.emit(1)
    world.combiner.drain()
    assert rotated_files(world.config.timeline_file)
    with reading._Follower(world.folder) as follower:
        followed = raw(follower.poll())
        world.emit(2)
        world.stamp(1)
        world.emit(2)
        world.combiner.drain()
        world.write(1)
        world.combiner.drain()
        if heard:
            with mock.patch.object(follower._timeline, "read", return_value=[]):
                assert follower.poll() == []
        world.end()
        while events := follower.poll():
            followed += raw(events)
    assert followed == in_order(world.written)


# -- files -----------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from([b"", b"{broken", b"\0\0", None]), max_size=30), st.data())
def test_bisection_finds_the_first_wanted_event(
    lines: list[bytes | None], data: st.DataObject
) -> None:
    """None stands for an event."""
    content = b""
    starts = []
    for number, line in enumerate(lines):
        if line is None:
            starts.append(len(content))
        content += (line_of(number, 1) if line is None else line) + b"\n"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        path.write_bytes(content)
        wanted = data.draw(st.integers(0, len(lines)))
        with LogFile(path) as file:
            found = file.event_at(file.locate(lambda event: event.t >= wanted))
            first = next(
                (s for s in starts if key_of(content[s:].split(b"\n")[0])[0] >= wanted), None
            )
            assert (found and found[0]) == first
            last = file.last_event()
            assert (last and last.t) == max(
                (t for t, x in enumerate(lines) if x is None), default=None
            )


def test_lines_longer_than_any_chunk(tmp_path: Path) -> None:
    path = tmp_path / "log"
    long = line_of(1, 1, text="x" * (3 << 20))
    path.write_bytes(long + b"\n" + line_of(2, 1) + b"\n" + b"\0" * (20 << 20) + b"\n")
    with LogFile(path) as file:
        assert [event.t for event in file.events()] == [1, 2]
        assert file.broken == 2
        assert file.locate(lambda event: event.t > 1) == len(long) + 1
        last = file.last_event()
        assert last is not None
        assert last.t == 2


def test_a_rescued_event_begins_where_its_line_does(tmp_path: Path) -> None:
    path = tmp_path / "log"
    rescued = line_of(1, 1).replace(b" ", b"")
    path.write_bytes(b"torn" + rescued + b"\n" + line_of(2, 1) + b"\n")
    with LogFile(path) as file:
        for offset, t in [(0, 1), (1, 2), (4, 2), (5 + len(rescued), 2)]:
            found = file.event_at(offset)
            assert found is not None
            assert found[2].t == t
        assert file.event_at(6 + len(rescued)) is None


def test_several_rotations_between_two_reads(world: World) -> None:
    log = world.config.event_log(1)
    with closing(Tail(log)) as reader:
        assert reader.read() == []
        for _ in range(3):
            world.emit(1)
            assert raw(reader.read()) == world.written[-1:]
            seen = len(world.written)
            for _ in range(4):
                world.emit(1)
                world.rotate(1)
            found = []
            while events := reader.read():
                found += raw(events)
            assert found == world.written[seen:]
        assert reader.count == len(world.written)


def test_what_is_written_just_before_a_rotation_is_not_overlooked(world: World) -> None:
    log = world.config.event_log(1)
    real = LogFile.read
    rotations = iter(range(1))

    def read(file: LogFile) -> list[Event] | None:
        events = real(file)
        if events is None and next(rotations, None) is not None:
            world.emit(1)
            world.rotate(1)
            world.emit(1)
        return events

    with closing(Tail(log)) as reader, mock.patch.object(LogFile, "read", read):
        world.emit(1)
        found = [*reader.read(), *reader.read(), *reader.read()]
    assert raw(found) == world.written


def test_a_log_that_is_rotated_while_it_is_opened_is_opened_whole(world: World) -> None:
    log = world.config.event_log(1)
    world.emit(1)
    world.rotate(1)
    world.emit(1)

    def rotated(path: Path) -> list[Path]:
        world.rotate(1)
        world.emit(1)
        return rotated_files(path)

    with mock.patch("launcher.timeline.logfiles.rotated_files", rotated):
        files = open_log(log)
    found = [event for file in files for event in file.events()]
    for file in files:
        file.close()
    assert raw(found) == world.written[:2]


def test_an_idle_log_costs_one_stat(world: World) -> None:
    world.emit(1)
    with closing(Tail(world.config.event_log(1))) as reader:
        assert len(reader.read()) == 1
        assert reader.read() == []
        with mock.patch("os.open"), mock.patch("os.pread") as pread:
            assert reader.read() == []
            pread.assert_not_called()


def test_a_log_emptied_by_hand_is_read_again(world: World) -> None:
    log = world.config.event_log(1)
    world.emit(1)
    world.emit(1)
    with closing(Tail(log)) as reader:
        assert len(reader.read()) == 2
        os.truncate(log, 0)
        world.emit(1)
        assert raw(reader.read()) == world.written[2:]


def test_a_sorted_log_is_searched_over_its_files(tmp_path: Path) -> None:
    path = tmp_path / "log"
    for number in range(5):
        lines = b"".join(line_of(10 * number + i, 1) + b"\n" for i in range(0, 10, 2))
        path.with_name(f"log.{number + 1:06d}" if number < 4 else "log").write_bytes(lines)
    with SortedLog(path) as log:
        assert log.last_key() == (48, 1)
        assert [t for t in range(-1, 60) if log.contains((t, 1))] == list(range(0, 50, 2))
        assert not log.contains((4, 2))
        assert [event.t for event in log.events(33)] == list(range(34, 50, 2))
    for key, first in [((3, 1), 4), ((18, 1), None), ((47, 0), 48)]:
        with SortedLog(path) as log:
            file = log.open_after(key)
            assert file is not None
            with file:
                events = file.read() or []
                assert (events[0].t if events else None) == first


def begins_at(t: int) -> Callable[[Event], bool]:
    return lambda event: event.t >= t


def test_a_log_is_opened_where_it_is_wanted(world: World) -> None:
    log = world.config.event_log(1)
    for _ in range(4):
        world.emit(1)
        world.emit(1)
        world.rotate(1)
    world.emit(1)
    for wanted in range(11):
        files = open_log(log, begins_at(wanted))
        found = [event for file in files for event in file.events()]
        for file in files:
            file.close()
        assert [event.t for event in found] == list(range(max(wanted, 1), 10))
        assert wanted < 9 or len(files) <= 2, "older files are not kept open"


# -- real writers ----------------------------------------------------------------------------------

WRITERS = 4
EVENTS = 1500


def write_events(folder: str, node: int) -> None:
    """A process that logs as fast as it can, in two lives, into small files."""
    path = Path(folder) / f"node-{node}.jsonl"
    clock = HybridClock()
    for life in (1, 2):
        log = EventLog(path, node, life, clock, rotate_bytes=16 << 10)
        for number in range(EVENTS // 2):
            log.emit(
                "info", "some.thing", 1, "follower", 0, number=number, text="ü" * (number % 50)
            )
        log.close()


def test_processes_under_load(tmp_path: Path) -> None:
    """Launchers, 9, with the log that the nodes use, while the combiner is replaced."""
    config = config_in(tmp_path, nodes=WRITERS, rotate_bytes=64 << 10, keep=2)
    context = multiprocessing.get_context("spawn")
    writers = [
        context.Process(target=write_events, args=(str(tmp_path), node))
        for node in range(1, WRITERS + 1)
    ]
    ended = threading.Event()
    followed: list[Event] = []
    reader = threading.Thread(
        target=lambda: followed.extend(follow_timeline(tmp_path, stop=ended.is_set))
    )
    combiner = Combiner(config)
    for writer in writers:
        writer.start()
    reader.start()
    try:
        while any(writer.is_alive() for writer in writers):
            combiner.poll()
            if len(lines_of(config.timeline_file)) % 3 == 0:
                combiner.close()
                combiner = Combiner(config)
            time.sleep(0.01)
        assert combiner.finish() is None
    finally:
        for writer in writers:
            writer.join()
        ended.set()
        reader.join()

    events = [parse_line(line) for line in lines_of(config.timeline_file)]
    whole = [event for event in events if event is not None]
    assert len(whole) == len(events) == WRITERS * EVENTS
    assert all(before.key < after.key for before, after in pairwise(whole))
    for node in range(1, WRITERS + 1):
        numbers = [event.fields["number"] for event in whole if event.node == node]
        assert numbers == [*range(EVENTS // 2)] * 2
        assert len(rotated_files(config.event_log(node))) <= 3
    assert raw(read_timeline(tmp_path)) == [event.raw for event in whole]
    assert Counter(event.key for event in followed) == Counter(event.key for event in whole)
