"""`launcher timeline` on the trace of a simulated run: every view; and bad input."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import NamedTuple, Protocol

import pytest

from launcher.cli import shell
from launcher.cli.context import Context
from launcher.simulation.runner import run_seed
from launcher.simulation.situation import Options
from launcher.simulation.trace import Trace

OPTIONS = Options(nodes=3, time_s=5.0, faults=("partition", "kill"))


class Said(NamedTuple):
    status: int
    out: str
    err: str


class Timeline(Protocol):
    """Runs the command on the trace, or on another file."""

    def __call__(self, *words: str, of: Path | None = None) -> Said: ...


@pytest.fixture(scope="module")
def trace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of five seconds."""
    file = tmp_path_factory.mktemp("trace") / "trace.jsonl"
    with file.open("w") as opened:
        run_seed(OPTIONS, 4, Trace(opened.write))
    return file


@pytest.fixture
def timeline(capsys: pytest.CaptureFixture[str], trace: Path) -> Timeline:
    """Runs the command on the trace, or on another file."""

    def run(*words: str, of: Path | None = None) -> Said:
        status = shell.run(["timeline", "--trace", str(of or trace), *words], Context())
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Said(status, said.out, said.err)

    return run


def test_the_causes_of_the_last_election(timeline: Timeline) -> None:
    said = timeline("--why", "last-election")
    first, *below = said.out.splitlines()
    assert "became leader of term" in first
    assert any("its deadline passed" in line for line in below)
    assert "gave its vote" in said.out


def test_an_id_that_is_shown_can_be_asked_about(timeline: Timeline) -> None:
    shown = timeline("--ids", "--event", "leader.elected", "-n", "1").out
    event_id = shown.split()[0]
    said = timeline("--why", event_id, "--ids")
    assert said.status == 0
    assert event_id in said.out.splitlines()[0]


def test_messages_have_ids_too_and_what_became_of_them_can_be_asked(timeline: Timeline) -> None:
    shown = timeline("--ids", "--messages", "--event", "message.lost", "-n", "1").out
    said = timeline("--why", shown.split()[0])
    assert "it was lost (" in said.out.splitlines()[0]


def test_as_json_a_program_gets_the_tree(timeline: Timeline) -> None:
    tree = json.loads(timeline("--why", "last-election", "--json").out)
    assert tree["event"] == "leader.elected"
    assert tree["because"][0]["said"]
    assert tree["notes"] == []


def test_the_number_of_lines_can_be_bounded_and_the_rest_is_announced(timeline: Timeline) -> None:
    said = timeline("--why", "last-election", "-n", "3")
    assert len(said.out.splitlines()) == 3
    assert "note: more causes are not shown: -n all shows all of them" in said.err
    whole = timeline("--why", "last-election", "-n", "all")
    assert len(whole.out.splitlines()) > 3
    assert "note" not in whole.err


def test_what_leads_from_one_event_to_another_by_rules(timeline: Timeline) -> None:
    tree = json.loads(timeline("--why", "last-election", "--json").out)
    deep = tree
    while below := deep.get("because"):
        deep = below[-1]
    said = timeline("--between", deep["id"], tree["id"])
    first, oldest, *rest = said.out.splitlines()
    assert first == "each caused the next:"
    assert deep["said"] in oldest
    assert tree["said"] in rest[-1]
    assert json.loads(timeline("--between", deep["id"], tree["id"], "--json").out)["by_rules"]


def test_the_order_of_the_two_events_does_not_matter(timeline: Timeline) -> None:
    tree = json.loads(timeline("--why", "last-election", "--json").out)
    cause = tree["because"][-1]["id"]
    forth, back = (
        timeline("--between", *ends) for ends in ((cause, tree["id"]), (tree["id"], cause))
    )
    assert forth == back


def test_a_diagram_has_a_lane_for_each_node_and_arrows_for_messages(
    timeline: Timeline,
) -> None:
    head, *rows = timeline("--why", "last-election", "--diagram").out.splitlines()
    assert head.split()[-3:] == ["n1", "n2", "n3"]
    assert any("▶" in row or "◀" in row for row in rows)
    last = timeline("--diagram", "-n", "5")
    assert len(last.out.splitlines()) <= 6
    assert "rows before these are not shown" in last.err


def test_the_picture_is_one_well_formed_file_with_escaped_text(
    timeline: Timeline, tmp_path: Path
) -> None:
    file = tmp_path / "why.svg"
    said = timeline("--why", "last-election", "--svg", str(file))
    assert f"{file}: a diagram of" in said.err
    text = file.read_text()
    root = ET.fromstring(text)
    shown = [one.text or "" for one in root.iter("{http://www.w3.org/2000/svg}text")]
    assert any("became leader of term" in one for one in shown)
    assert "n1 > n" not in text, "the sign > is escaped"
    assert "href" not in text, "it needs no other file"


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("--why", "bla"), "'bla' names no event: n4:T"),
        (("--why", "n2:7"), "n2:7 is older than everything that is recorded"),
        (("--why", "n2:9999999999999999999"), "there is no event n2:9999999999999999999"),
        (("--why", "999999"), ""),
        (("--why", "n8"), "there is no node n8 in what is recorded"),
        (("--why", "last-violation"), "nothing was violated"),
        (("--why", "op:1:2"), "a trace has no history of operations"),
        (("--why", "1", "--between", "a", "b"), "either --why or --between"),
        (("--why", "1", "--node", "2"), "--why and --between look at all events"),
        (("--diagram", "--level", "warn"), "a diagram takes --node, --since and -n"),
        (("--diagram", "--json"), "a diagram is no JSON"),
        (("--between", "12", "last-election"), "--between takes two events"),
        (("-f", "--ids"), "-f follows the plain list"),
        (("--since", "5s"), "a trace has simulated time"),
        (("--svg", "/nowhere/x.svg"), "/nowhere/x.svg cannot be written"),
    ],
)
def test_bad_input_gets_one_line(timeline: Timeline, words: tuple[str, ...], what: str) -> None:
    said = timeline(*words)
    if what:
        assert said.status != 0
        (line,) = said.err.strip().splitlines()
        assert what in line
    else:
        assert "no leader has sent an entry 999999" in said.out


def test_what_between_cannot_take_is_a_matter_of_usage(timeline: Timeline) -> None:
    assert timeline("--between", "12", "n3").status == 2


def test_a_file_that_is_no_trace(timeline: Timeline, tmp_path: Path) -> None:
    assert "is no file" in timeline("--why", "1", of=tmp_path / "none").err
    assert "is no file" in timeline("--why", "1", of=tmp_path).err
    text = tmp_path / "text"
    text.write_text("hello\n\n{}\n")
    assert "has no events, so it is no trace" in timeline("--why", "1", of=text).err
    empty = tmp_path / "empty"
    empty.touch()
    assert "has no events, so it is no trace" in timeline("--ids", of=empty).err


def test_a_trace_of_a_newer_format_is_refused(
    timeline: Timeline, trace: Path, tmp_path: Path
) -> None:
    newer = tmp_path / "newer"
    newer.write_text(trace.read_text().replace('"format":1', '"format":2', 1))
    said = timeline("--why", "last-election", of=newer)
    assert said.status == 1
    assert "has format 2, and this version reads formats up to 1" in said.err


def test_damaged_lines_are_left_out_and_counted(
    timeline: Timeline, trace: Path, tmp_path: Path
) -> None:
    lines = trace.read_text().splitlines()
    lines[20] = lines[20][:30]
    lines[30] = "\x00" * 50
    damaged = tmp_path / "damaged"
    damaged.write_text("\n".join(lines) + '\n{"t":1,"nod')
    said = timeline("--why", "last-election", of=damaged)
    assert "became leader of term" in said.out
    assert f"note: 3 damaged lines of {damaged} were left out" in said.err
    damaged.write_text(trace.read_text() + '{"t":1,"nod')
    one = timeline("--why", "last-election", of=damaged)
    assert f"note: 1 damaged line of {damaged} was left out" in one.err


def test_an_output_that_knows_only_ascii_gets_ascii(
    timeline: Timeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launcher.cli.why._knows", lambda characters: False)
    assert timeline("--why", "last-election").out.isascii()
    assert timeline("--diagram", "-n", "9").out.isascii()
