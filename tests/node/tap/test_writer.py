"""The tap of a node: what it writes can be read; it is bounded; it never makes its node fail."""

from __future__ import annotations

import errno
import faulthandler
import os
import stat
import threading
from pathlib import Path

import pytest

from launcher.evidence.messages.records import event_of
from node.raft.messages import Message, TimeoutNow
from node.tap.fields import fields_of, type_of
from node.tap.format import CAUSES
from node.tap.segment import last_time, segments
from node.tap.writer import Tap
from node.wire import SetTap
from tests.node.tap.examples import EXAMPLES
from tests.node.tap.lab import NOW, Noted, frame, records_in, tap_in, term_of


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda one: type_of(one))
def test_every_message_comes_back_with_all_its_fields(tmp_path: Path, message: Message) -> None:
    tap = tap_in(tmp_path)
    tap.sent(2, frame(message))
    tap.received(3, frame(message), NOW + 5)

    sent, received = map(event_of, records_in(tmp_path))

    assert (sent.event, sent.t, sent.node, sent.life) == ("message.sent", NOW, 1, 1)
    assert sent.fields == {
        "to": 2,
        "type": type_of(message),
        "bytes": len(frame(message)),
        "message": fields_of(message),
    }
    assert (received.event, received.t) == ("message.received", NOW + 5)
    assert received.fields["sent_t"] == NOW
    assert received.fields["from"] == 3
    assert received.fields["message"] == fields_of(message)


def test_a_record_has_no_data_of_entries(tmp_path: Path) -> None:
    """Entries may be secret, and large."""
    tap = tap_in(tmp_path)
    for message in EXAMPLES:
        tap.sent(2, frame(message))
    assert max(len(one.body) for one in records_in(tmp_path)) < 200


@pytest.mark.parametrize("why", CAUSES[1:])
def test_every_loss_has_its_cause(tmp_path: Path, why: str) -> None:
    tap = tap_in(tmp_path)
    tap.lost(2, frame(EXAMPLES[0]), why, fault=17)
    tap.lost_later(2, frame(EXAMPLES[0]), why)
    tap.lost_from(2, frame(EXAMPLES[0]), why, fault=18)

    out, later, inward = map(event_of, records_in(tmp_path))

    assert (out.fields["from"], out.fields["to"], out.fields["why"]) == (1, 2, why)
    assert (later.fields["why"], later.fields["fault"]) == (why, None)
    assert (inward.fields["from"], inward.fields["to"]) == (2, 1)
    if why != "invalid":
        assert (out.fields["sent_t"], out.fields["fault"]) == (NOW, 17)
        assert inward.fields["fault"] == 18
        assert inward.t > NOW


def test_what_a_fault_does_to_a_message_is_recorded(tmp_path: Path) -> None:
    tap = tap_in(tmp_path)
    tap.held(2, frame(EXAMPLES[0]), fault=3)
    tap.delayed(2, frame(EXAMPLES[0]), 0.25, fault=4)
    tap.duplicated(2, frame(EXAMPLES[0]), 2, fault=5)

    held, delayed, doubled = map(event_of, records_in(tmp_path))

    assert (held.event, held.fields["fault"]) == ("message.held", 3)
    assert (delayed.event, delayed.fields["delay_s"]) == ("message.delayed", 0.25)
    assert (doubled.event, doubled.fields["copies"]) == ("message.duplicated", 2)


def test_an_event_that_the_log_leaves_out_comes_back(tmp_path: Path) -> None:
    tap = tap_in(tmp_path)
    tap.event("debug", "timer.fired", 3, "candidate", 9, {"which": "election", "set_by": None})

    (event,) = map(event_of, records_in(tmp_path))

    assert (event.event, event.level, event.term, event.role, event.commit) == (
        "timer.fired", "debug", 3, "candidate", 9
    )  # fmt: skip
    assert event.fields == {"which": "election", "set_by": None}


def test_events_of_another_thread_are_left_out(tmp_path: Path) -> None:
    tap = tap_in(tmp_path)
    thread = threading.Thread(target=tap.event, args=("debug", "x.y", 0, "follower", 0, {}))
    thread.start()
    thread.join()
    assert records_in(tmp_path) == []


# -- what is kept --------------------------------------------------------------------------------


def fill(tap: Tap, count: int) -> None:
    for number in range(count):
        tap.sent(2, frame(TimeoutNow(number, 1), NOW + number))


def test_a_ring_keeps_two_segments(tmp_path: Path) -> None:
    tap = tap_in(tmp_path, "ring")
    fill(tap, 5000)
    assert [number for _, number, _ in segments(tmp_path)] == [5, 6]
    terms = [term_of(event_of(one)) for one in records_in(tmp_path)]
    assert terms == list(range(terms[0], 5000))


def test_full_keeps_as_much_as_it_may(tmp_path: Path) -> None:
    fill(tap_in(tmp_path, "full", keep_bytes=256 << 10), 5000)
    assert [number for _, number, _ in segments(tmp_path)] == [3, 4, 5, 6]


def test_a_later_life_begins_another_segment_and_keeps_the_one_before(tmp_path: Path) -> None:
    fill(tap_in(tmp_path, "ring"), 3)
    fill(tap_in(tmp_path, "ring", life=2), 3)
    assert [one.head.life for one in records_in(tmp_path)] == [1, 1, 1, 2, 2, 2]


def test_a_later_life_can_go_on_above_all_times_of_the_earlier_one(tmp_path: Path) -> None:
    fill(tap_in(tmp_path), 5)
    assert last_time(tmp_path, 1) == NOW + 4
    assert last_time(tmp_path, 2) == 0


def test_others_cannot_read_the_files(tmp_path: Path) -> None:
    tap_in(tmp_path / "tap")
    (file,) = (tmp_path / "tap").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_who_turns_it_off_gets_the_unused_space_back(tmp_path: Path) -> None:
    tap = tap_in(tmp_path)
    fill(tap, 3)
    tap.obey(SetTap("off"))
    ((_, _, path),) = segments(tmp_path)
    assert path.stat().st_size < 1000
    assert (tap.is_on, tap.mode) == (False, "off")
    assert len(records_in(tmp_path)) == 3


# -- it never makes its node fail ----------------------------------------------------------------


def test_a_full_disk_turns_it_off_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write into mapped memory for which there is no room would be the end of the process: so the
    room is reserved beforehand."""

    def no_room(fd: int, offset: int, size: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    note = Noted()
    tap = tap_in(tmp_path, note=note)
    monkeypatch.setattr("node.tap.segment.os.posix_fallocate", no_room)
    fill(tap, 3000)

    assert not tap.is_on
    assert "No space left" in tap.problem
    ((level, event, _),) = note.events
    assert (level, event) == ("warn", "tap.failed")
    assert len(segments(tmp_path)) == 1, "what could not be made is not there"
    monkeypatch.undo()
    tap.obey(SetTap("full", 64 << 10))
    assert (tap.is_on, tap.problem) == (True, "")


def test_the_room_of_a_segment_is_reserved(tmp_path: Path) -> None:
    tap_in(tmp_path, segment_bytes=1 << 20)
    ((_, _, path),) = segments(tmp_path)
    assert path.stat().st_blocks * 512 >= 1 << 20


def test_a_folder_that_cannot_be_made_turns_it_off(tmp_path: Path) -> None:
    (tmp_path / "tap").write_text("a file")
    tap = tap_in(tmp_path / "tap")
    assert not tap.is_on
    assert tap.problem


def test_a_fork_has_no_part_in_the_file(tmp_path: Path) -> None:
    """Whatever a fork does, it cannot write into its parent's record."""
    tap = tap_in(tmp_path)
    fill(tap, 2)
    child = os.fork()
    if child == 0:
        try:
            faulthandler.disable()
            fill(tap, 2)  # the memory is not there: the child is ended by a signal
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    fill(tap, 1)
    assert len(records_in(tmp_path)) == 3


def test_nonsense_is_recorded_as_lost(tmp_path: Path) -> None:
    tap = tap_in(tmp_path)
    for data in (b"", b"\xff", b"\x92\xcf", os.urandom(500), b"\x92\x01\x98\x03" + b"\x01" * 300):
        tap.lost_from(2, data, "invalid")
    events = [event_of(one) for one in records_in(tmp_path)]
    assert [one.fields["why"] for one in events] == ["invalid"] * 5
