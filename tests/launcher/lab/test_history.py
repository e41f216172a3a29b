"""The record of a run's operations: written, torn, damaged, read by an older version."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from launcher.errors import LauncherError
from launcher.lab.history import Completed, Invoked, Outcome, Writer, read


def begin(number: int, t: int, f: str = "write", process: int = 1) -> Invoked:
    return Invoked(t=t, process=process, id=number, f=f, value={"key": "a"}, node=2)


def end(number: int, t: int, outcome: Outcome = "ok", process: int = 1) -> Completed:
    return Completed(
        t=t, process=process, id=number, type=outcome, f="write", value="yes", error="no", index=9
    )


def written(folder: Path, *lines: Invoked | Completed) -> Path:
    """A history; returns the file of client 1."""
    for line in lines:
        writer = Writer(folder, line.process)
        writer.write(line)
        writer.close()
    return folder / "history" / "client-1.jsonl"


def test_operations_are_paired_and_ordered_by_their_beginning(tmp_path: Path) -> None:
    written(tmp_path, begin(1, 10), end(1, 30), begin(1, 20, process=2), end(1, 25, process=2))

    first, second = read(tmp_path).operations

    assert (first.process, first.invoked, first.completed, first.result) == (1, 10, 30, "yes")
    assert (first.value, first.node, first.index) == ({"key": "a"}, 2, 9)
    assert (second.process, second.invoked) == (2, 20)


def test_the_outcome_says_what_an_answer_is(tmp_path: Path) -> None:
    lines = [begin(n, n) for n in (1, 2, 3, 4)]
    written(tmp_path, *lines, end(1, 9), end(2, 9, "fail"), end(3, 9, "info"))

    ok, fail, info, none = read(tmp_path).operations

    assert (ok.outcome, ok.completed, ok.result) == ("ok", 9, "yes")
    assert (fail.outcome, fail.completed, fail.result, fail.error) == ("fail", 9, None, "no")
    assert (info.outcome, info.completed, info.given_up) == ("info", None, 9)
    assert (none.outcome, none.completed, none.given_up) == ("info", None, None)


def test_each_line_is_on_the_disk_as_soon_as_it_is_written(tmp_path: Path) -> None:
    writer = Writer(tmp_path, 1)
    writer.write(begin(1, 10))

    assert len(read(tmp_path).operations) == 1


def test_a_torn_last_line_is_left_out_and_counted(tmp_path: Path) -> None:
    file = written(tmp_path, begin(1, 10), end(1, 20), begin(2, 30))
    file.write_bytes(file.read_bytes()[:-5])

    history = read(tmp_path)

    assert [one.id for one in history.operations] == [1]
    assert history.torn == 1


def test_a_history_that_is_cut_at_any_byte_can_be_read(tmp_path: Path) -> None:
    file = written(tmp_path, begin(1, 10), end(1, 20), begin(2, 30), end(2, 40))
    whole = file.read_bytes()

    for size in range(len(whole)):
        file.write_bytes(whole[:size])
        assert len(read(tmp_path).operations) <= 2


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{}", "client-1.jsonl:2"),
        (b"not json", "client-1.jsonl:2"),
        (b'{"t":1,"process":1,"id":2,"type":"invoke"}', "`f`"),
        (b'{"t":1,"process":1,"id":2,"type":"maybe","f":"write"}', "maybe"),
        (b'{"t":1,"process":2,"id":2,"type":"invoke","f":"w"}', "another client's file"),
        (b'{"t":1,"process":1,"id":1,"type":"invoke","f":"w"}', "begins twice"),
        (b'{"t":1,"process":1,"id":7,"type":"ok","f":"w"}', "has not begun"),
        (b'{"t":1,"process":1,"id":1,"type":"ok","f":"w"}', "ends before it begins"),
        (b"\xff\xfe", "client-1.jsonl:2"),
        (b"[" * 100_000, "client-1.jsonl:2"),
    ],
)
def test_damage_is_an_error_with_its_file_and_line(tmp_path: Path, line: bytes, said: str) -> None:
    file = written(tmp_path, begin(1, 10))
    file.write_bytes(file.read_bytes() + line + b"\n")

    with pytest.raises(LauncherError, match=r"client-1\.jsonl:2") as raised:
        read(tmp_path)

    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_fields_of_a_newer_version_are_passed_over(tmp_path: Path) -> None:
    file = written(tmp_path)
    file.parent.mkdir()
    file.write_bytes(
        b'{"t":1,"process":1,"id":1,"type":"invoke","f":"w","colour":"red"}\n'
        b'{"t":2,"process":1,"id":1,"type":"ok","f":"w","smell":[1]}\n'
    )

    assert [one.outcome for one in read(tmp_path).operations] == ["ok"]


def test_a_folder_without_a_history_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LauncherError, match="there is no history in"):
        read(tmp_path)


def test_other_files_beside_the_history_are_no_matter(tmp_path: Path) -> None:
    file = written(tmp_path, begin(1, 10))
    (file.parent / "notes.txt").write_text("mine")

    assert len(read(tmp_path).operations) == 1


def test_a_disk_that_is_full_is_said_in_one_line() -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("needs /dev/full")
    writer = Writer.__new__(Writer)
    writer.__dict__.update(
        _path=Path("/dev/full"),
        _encoder=msgspec.json.Encoder(),
        _descriptor=os.open("/dev/full", os.O_WRONLY),
    )

    with pytest.raises(LauncherError, match=r"cannot be written: .*No space left"):
        writer.write(begin(1, 10))


def test_the_files_are_their_users_alone(tmp_path: Path) -> None:
    file = written(tmp_path, begin(1, 10))

    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700
