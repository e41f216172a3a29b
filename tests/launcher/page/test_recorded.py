"""What was recorded: traces and folders of logs, damaged ones too, and bounded."""

from __future__ import annotations

import base64
import json
import zlib
from pathlib import Path
from typing import Any

import pytest

from launcher.errors import UsageError
from launcher.page import file, recorded
from launcher.page.recorded import MOST_TEXT

HOSTILE = "</script><script>alert(1)</script>\u202egnp\x00"


def line(t: int, event: str, node: int = 1, **fields: Any) -> str:
    record = {
        "t": t, "node": node, "life": 1, "term": 1, "role": "leader", "commit": 0,
        "level": "info", "event": event, **fields,
    }  # fmt: skip
    return json.dumps(record) + "\n"


def message(t: int, kind: str, entries: int = 0) -> str:
    said: dict[str, int] = {"term": 1, "entries": entries}
    if entries:
        said |= {"first": 1, "last": entries}
    text = line(t, "message.sent", to=2, type=kind, message=said)
    return text.replace(": ", ":").replace(", ", ",")


def write(folder: Path, *lines: str) -> Path:
    path = folder / "trace.jsonl"
    path.write_text("".join(lines))
    return path


def test_an_event_has_its_time_and_its_sentence(tmp_path: Path) -> None:
    begun = 1_800_000_000_000_000_000
    path = write(
        tmp_path,
        line(begun, "node.ready"),
        line(begun + 1_500_000_000, "leader.elected", votes=[1, 2]),
    )
    first, second = recorded.read(path).events
    assert (first["at"], second["at"]) == (0.0, 1.5)
    assert second["t"] == str(begun + 1_500_000_000), "a browser's number would not hold it"
    assert second["text"].startswith("n1 became leader of term 1")


def test_a_long_run_loses_first_what_tells_the_least_and_says_so(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        *(message(i, "AppendEntries") for i in range(50)),
        *(message(50 + i, "AppendEntries", entries=2) for i in range(30)),
        *(line(100 + i, "term.advanced") for i in range(20)),
    )
    all_of_it = recorded.read(path, most=100)
    assert len(all_of_it.events) == 100
    assert all_of_it.left_out == ""
    fewer = recorded.read(path, most=60)
    assert len(fewer.events) == 50
    assert "50 events: heartbeats" in fewer.left_out
    few = recorded.read(path, most=25)
    assert len(few.events) == 20
    assert "80 events: all messages" in few.left_out
    fewest = recorded.read(path, most=5)
    assert [event["t"] for event in fewest.events] == ["115", "116", "117", "118", "119"]
    assert "the first 15 of the other events" in fewest.left_out


def test_broken_lines_are_left_out_and_counted(tmp_path: Path) -> None:
    path = write(tmp_path, line(1, "node.ready"), "{nonsense\n", line(2, "node.ready"), '{"t":3')
    found = recorded.read(path)
    assert len(found.events) == 2
    assert found.left_out == "2 broken lines were left out (the first is line 2)."


@pytest.mark.parametrize("content", ["", "no JSON at all\n", '{"a": 1}\n'])
def test_a_file_that_is_no_trace_is_refused_in_one_line(content: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no events: give a trace"):
        recorded.read(write(tmp_path, content))


def test_a_folder_without_logs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no event logs"):
        recorded.read(tmp_path)
    with pytest.raises(UsageError, match="no such file or folder"):
        recorded.read(tmp_path / "missing")


def test_the_logs_of_a_cluster_are_read_in_one_order(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "node-1.jsonl").write_text(line(10, "node.ready") + line(30, "term.advanced"))
    (logs / "node-2.jsonl").write_text(line(20, "node.ready", node=2))
    for folder in (logs, tmp_path):
        assert [event["t"] for event in recorded.read(folder).events] == ["10", "20", "30"]


def test_hostile_text_is_data_in_the_file_and_bounded(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        line(1, "machine.failed", reason=HOSTILE),
        line(2, "machine.failed", reason="x" * (1 << 20)),
    )
    found = recorded.read(path)
    assert len(found.events[1]["reason"]) < MOST_TEXT + 100
    hostile = recorded.Recorded(HOSTILE, found.events)
    made = file.html_file(hostile)
    assert "alert(1)</script>" not in made
    assert "\u202e" not in made
    start = made.index('id="data">') + len('id="data">')
    data = made[start : made.index("</script>", start)]
    assert json.loads(zlib.decompress(base64.b64decode(data))) == found.events


def test_a_trace_of_a_newer_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has format 99, and this version reads"):
        recorded.read(write(tmp_path, line(0, "trace.begun", node=0, format=99)))
