"""The record of a cluster: event logs and taps together, and what is said of what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.cli import shell
from launcher.cli.context import Context
from node.raft.messages import AppendEntries, Batch, BatchKind
from node.tap.segment import segments
from node.tap.writer import Tap
from tests.launcher.evidence.why.made import line
from tests.node.tap.lab import NOW, frame, tap_in

COUNT = 3_000


def send(tap: Tap, count: int) -> None:
    """n1 sends n2 an entry with each message."""
    for number in range(1, count + 1):
        batch = Batch(number, 1, BatchKind.COMMANDS, 1, b"")
        message = AppendEntries(1, 1, number - 1, 1, (batch,), number - 1)
        tap.sent(2, frame(message, NOW + number))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cluster that is down: n1 was elected, and has sent many messages."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cluster.yaml").write_text("name: lab\n")
    (tmp_path / "logs").mkdir()
    elected = line(1, NOW - 5, "leader.elected", votes=[1, 2], last_index=0, role="leader")
    (tmp_path / "logs" / "node-1.jsonl").write_text(elected + "\n")
    return tmp_path


def timeline(*words: str) -> int:
    return shell.run(["timeline", *words], Context())


def test_a_ring_that_has_turned_over_says_what_is_missing_and_explains_the_rest(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tap = tap_in(folder / "logs" / "tap", "ring")
    send(tap, COUNT)
    assert segments(folder / "logs" / "tap")[0][1] > 1, "it has turned over"

    assert timeline("--why", str(COUNT)) == 0
    said = capsys.readouterr()
    assert f"entry {COUNT} is not committed" in said.out
    assert "note: the messages of n1 begin at " in said.err
    assert "launcher tap full" in said.err

    assert timeline("--why", "2") == 0
    said = capsys.readouterr()
    assert "entry 2 was sent before what is recorded begins" in said.out


def test_a_message_that_the_ring_has_overwritten_is_said_to_be_gone(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    send(tap_in(folder / "logs" / "tap", "ring"), COUNT)
    assert timeline("--why", f"n1:{NOW + 1}>n2") == 1
    assert f"there is no event n1:{NOW + 1}>n2" in capsys.readouterr().err


def test_a_file_that_is_cut_in_the_middle_or_damaged_is_read_as_far_as_it_goes(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tap_folder = folder / "logs" / "tap"
    send(tap_in(tap_folder), 20)
    ((_, _, path),) = segments(tap_folder)
    data = bytearray(path.read_bytes())
    path.write_bytes(data[:1500])
    assert timeline("--messages", "-n", "all") == 0
    said = capsys.readouterr()
    whole = said.out.count("n1 sends n2")
    assert 5 < whole < 20
    assert f"note: {path.name}: it is cut in the middle of a record" in said.err

    path.write_bytes(data[:20])
    assert timeline("--messages", "-n", "all") == 0
    assert f"note: {path.name}: it is cut within its first bytes" in capsys.readouterr().err

    data[1000:1040] = b"\xff" * 40
    path.write_bytes(data)
    assert timeline("--messages", "-n", "all") == 0
    said = capsys.readouterr()
    assert 0 < said.out.count("n1 sends n2") < whole
    assert f"note: {path.name}: " in said.err


def test_messages_that_were_recorded_are_not_denied_when_the_last_events_are_none(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    send(tap_in(folder / "logs" / "tap"), 3)
    with (folder / "logs" / "node-1.jsonl").open("a") as log:
        log.write(line(1, NOW + 1000, "node.stopped") + "\n")

    assert timeline("--messages", "-n", "1") == 0
    said = capsys.readouterr()
    assert "n1 sends n2" not in said.out
    assert "no messages" not in said.err


def test_without_a_tap_the_event_logs_alone_are_explained(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert timeline("--why", "last-election") == 0
    said = capsys.readouterr()
    assert "n1 became leader of term 1" in said.out
    assert "note: no messages of that time are recorded" in said.err
    assert "`launcher tap ring` records them from now on" in said.err
