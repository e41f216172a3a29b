"""`launcher timeline`: how much it shows, the legend, and what it says of names and levels."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.cli import shell
from launcher.cli.context import Context
from launcher.timeline.sentences import EVENT_NAMES
from node.events import EventLog, HybridClock
from tests.launcher.evidence.why.made import line


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The events of a node that was elected in term 1 and in term 2; 48 in all."""
    (tmp_path / "cluster.yaml").write_text("name: mine\nnodes: 1\n")
    (tmp_path / "logs").mkdir(mode=0o700)
    log = EventLog(tmp_path / "logs" / "node-1.jsonl", 1, 1, HybridClock())
    for term in (1, 2):
        for _ in range(23):
            log.emit("info", "snapshot.begun", term, "follower", 3, index=3)
        log.emit("info", "leader.elected", term, "leader", 3, votes=[1], last_index=3)
    log.close()
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Ran:
    def __init__(self, capsys: pytest.CaptureFixture[str], *words: str) -> None:
        self.status = shell.run(["timeline", *words], Context())
        self.out, self.err = capsys.readouterr()
        self.lines = self.out.splitlines()


def test_the_last_thirty_are_shown_and_it_is_said_that_there_are_more(
    capsys: pytest.CaptureFixture[str],
) -> None:
    some = Ran(capsys)
    assert (some.status, len(some.lines)) == (0, 30)
    assert some.err == "the last 30 of 48 events; -n all shows all of them\n"
    every = Ran(capsys, "-n", "all")
    assert (len(every.lines), every.err) == (48, "")
    assert every.lines[-30:] == some.lines
    assert len(Ran(capsys, "-n", "3").lines) == 3
    assert len(Ran(capsys, "--json").lines) == 48, "programs get all of them"
    assert len(Ran(capsys, "--since", "1h").lines) == 48
    wrong = Ran(capsys, "-n", "many")
    assert (wrong.status, wrong.err) == (
        2,
        "launcher: -n takes a number of events, or all, not 'many'\n",
    )


def test_the_legend_names_the_columns_and_a_gap_comes_before_a_new_term(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plain = Ran(capsys, "-n", "all").lines
    told = Ran(capsys, "-n", "all", "--legend").lines
    assert told[0].split() == ["time", "node", "term", "role", "commit", "what", "happened"]
    for title, there in [("node", "n1"), ("term", "t1"), ("role", "f"), ("commit", "c3")]:
        assert told[1].index(f" {there}") == told[0].index(f" {title}"), (
            "it stands above its column"
        )
    assert told[0].index("what happened") == told[1].index("n1 begins")
    assert [line for line in told[1:] if line] == plain
    assert [number for number, line in enumerate(told) if not line] == [25]


def test_a_name_that_no_event_has_is_refused_with_near_ones(
    capsys: pytest.CaptureFixture[str],
) -> None:
    wrong = Ran(capsys, "--event", "leader.electd")
    assert (wrong.status, wrong.out) == (2, "")
    assert "no event has such a name; did you mean leader.elected" in wrong.err
    assert "see `launcher timeline --events`" in Ran(capsys, "--event", "zzz").err
    assert len(Ran(capsys, "--event", "leader.*", "-n", "all").lines) == 2
    assert Ran(capsys, "--event", "vote.granted").status == 0, "a name that has not occurred"


@pytest.mark.parametrize("words", [["--events"], ["--event", "list"]])
def test_the_names_of_events_are_listed(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    listed = Ran(capsys, *words)
    assert [line.split()[0] for line in listed.lines] == list(EVENT_NAMES)
    assert any(line.endswith("CANDIDATE its vote") for line in listed.lines)


def test_it_is_said_that_debug_events_are_not_recorded(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = Ran(capsys, "--level", "debug", "-n", "all")
    assert said.status == 0
    assert said.err == (
        "debug events are not recorded: log.level is info. `launcher set log-level debug` records "
        "them from now on; so does log.level: debug in cluster.yaml, from the next `launcher up`\n"
    )
    assert Ran(capsys, "--level", "info", "-n", "all").err == ""
    (folder / "cluster.yaml").write_text("name: mine\nnodes: 1\nlog: {level: debug}\n")
    assert Ran(capsys, "--level", "debug", "-n", "all").err == ""


def test_a_violation_that_is_followed_ends_with_the_first_lines_of_why(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The cluster is down, so what is followed is what there is."""
    broken = {"promise": "machines compute the same", "found": "n1 and n2 differ"}
    t = HybridClock().tick()
    said = line(0, t, "safety.violated", **broken, level="error", role="supervisor", life=0)
    (folder / "logs" / "supervisor.jsonl").write_text(said + "\n")

    plain, followed = Ran(capsys, "-n", "5"), Ran(capsys, "-f", "-n", "5")

    assert followed.lines[: len(plain.lines)] == plain.lines
    why = followed.lines[len(plain.lines) :]
    assert "SAFETY IS VIOLATED (machines compute the same)" in why[0]
    assert 1 < len(why) <= 10
    assert all(one.startswith("  ") for one in why)
    assert Ran(capsys, "-f", "-n", "1", "--json").lines == [said]
