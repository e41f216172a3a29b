"""`launcher simulate`: what it prints, what it refuses, and what it says of a failure."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.cli import shell
from launcher.cli.context import Context
from launcher.simulation import world
from launcher.simulation.planted import ALL, named
from node.raft import replication
from node.raft.state import RaftState


def simulate(*arguments: str) -> int:
    """Runs the command in this process, on one worker; its exit status."""
    return shell.run(["simulate", "--workers", "1", *arguments], Context())


@pytest.fixture
def commits_too_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug: the leader commits what it alone holds."""

    def advance_commit(raft: RaftState) -> None:
        if raft.persisted_index > raft.commit_index:
            raft.commit_index = raft.persisted_index

    monkeypatch.setattr(replication, "advance_commit", advance_commit)


# -- what is printed -----------------------------------------------------------------------------


def test_seeds_that_hold(capfd: pytest.CaptureFixture[str]) -> None:
    assert simulate("--seeds", "3..5", "--time", "2s") == 0
    out, err = capfd.readouterr()
    assert out.startswith("3 seeds of 2s, 5 nodes: every property holds. ")
    assert re.search(r"\d+ s simulated in [\d.]+ s \(\d+ times as fast, [\d.]+ seeds/s\)", out)
    assert err == "", "no bar where there is no terminal"


def test_json_is_one_object(capfd: pytest.CaptureFixture[str]) -> None:
    assert simulate("--seed", "3", "--time", "2s", "--json") == 0
    (line,) = capfd.readouterr().out.splitlines()
    summary = json.loads(line)
    assert summary["seeds"] == 1
    assert summary["failed"] is None
    assert summary["options"]["nodes"] == 5
    assert summary["operations"] > 50


def test_a_seed_that_cannot_be_decided_has_a_status_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(world, "CHECK_STEPS", 0)

    assert simulate("--seeds", "3..4", "--time", "2s") == 5

    err = capfd.readouterr().err.splitlines()
    assert err[0].startswith("launcher: seed 3: the checker cannot tell: ")
    assert err[-1] == "launcher: unknown: 2 seeds could not be decided"


def test_a_trace_is_written(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "trace.jsonl"
    assert simulate("--seed", "3", "--time", "1s", "--trace", str(file)) == 0
    events = [json.loads(line) for line in file.read_text().splitlines()]
    assert {"leader.elected", "message.sent", "commit.advanced"} <= {one["event"] for one in events}


@pytest.mark.parametrize("name", ["figure7", "figure8"])
def test_a_scenario_is_played(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert shell.run(["simulate", "--scenario", name], Context()) == 0
    out, err = capfd.readouterr()
    assert "§5." in out or "5.4" in out or "Figure" in out
    assert len(out.splitlines()) > 40
    assert err == ""


def test_it_needs_no_cluster_and_touches_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert simulate("--seed", "1", "--time", "1s") == 0
    assert list(tmp_path.iterdir()) == []


# -- what is refused -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seeds", "5"], "--seeds 5: two numbers, as in 1..2000"),
        (["--seeds", "9..3"], "--seeds 9..3: two numbers, as in 1..2000"),
        (["--seed", "1", "--seeds", "1..2"], "either --seed or --seeds, not both"),
        (["--time", "60"], "--time 60: a duration with a unit"),
        (["--time", "0s"], "--time 0s: a duration with a unit"),
        (["--time", "2d"], "--time 2d: a duration with a unit"),
        (["--nodes", "0"], "--nodes 0: from 1 to 31"),
        (["--nodes", "40"], "--nodes 40: from 1 to 31"),
        (["--rate", "0"], "--rate 0: operations a second"),
        (["--rate", "nan"], "--rate nan: operations a second"),
        (["--clients", "0"], "--clients 0: from 1 to 100"),
        (["--faults", "kil"], "no fault is called 'kil'; there are all, none, link"),
        (["--seed", "1", "--only", "a"], "--only a: numbers of faults with commas"),
        (["--seed", "1", "--time", "1s", "--only", "77"], "--only 77: this seed's schedule has"),
        (["--seeds", "1..2", "--only", "1"], "--only is for one run: say which with --seed"),
        (["--seeds", "1..2", "--trace", "f"], "--trace is for one run: say which with --seed"),
        (["--scheduler", "tcp://127.0.0.1:9"], "--workers is for this machine, --scheduler has"),
        (["--scenario", "figure9"], "no story 'figure9'; did you mean figure8?"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(
    arguments: list[str], said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert simulate(*arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert said in err
    assert len(err.splitlines()) == 1


def test_a_trace_that_cannot_be_written(capfd: pytest.CaptureFixture[str]) -> None:
    assert simulate("--seed", "1", "--time", "1s", "--trace", "/nowhere/at/all") == 1
    assert "No such file or directory" in capfd.readouterr().err


# -- a failure -----------------------------------------------------------------------------------


def test_a_failure_is_shrunk_and_explained(
    commits_too_soon: None, capfd: pytest.CaptureFixture[str]
) -> None:
    assert simulate("--seeds", "1..20", "--time", "10s") == 1
    out, err = capfd.readouterr()
    assert "1 failure" in out
    assert err.splitlines()[-1].startswith("launcher: seed ")
    match = re.search(r"(?m)^seed (\d+) breaks ([\w-]+) at ([\d.]+) s \(simulated\):$", out)
    assert match is not None
    seed, broken = match[1], match[2]
    assert err.splitlines()[-1] == f"launcher: seed {seed} breaks {broken}"

    # The last events of each node, in one order.
    events = out.partition("the last events before it:\n")[2].partition("\n\n")[0].splitlines()
    times = [float(line.split()[0]) for line in events]
    assert times == sorted(times)
    assert {line.split()[1] for line in events} >= {"world", "n1", "n2", "n3"}

    # The schedule that suffices is small, and can be run again, as told.
    suffices = re.search(r"(?m)^(no faults|(\d+) faults?) of (\d+) suffice \(\d+ runs\):$", out)
    assert suffices is not None
    assert int(suffices[2] or 0) <= 4
    smaller = re.search(r"(?m)^smaller: launcher (simulate .*)$", out)
    assert smaller is not None
    assert shell.run([*smaller[1].split(), "--no-shrink"], Context()) == 1
    assert f"seed {seed} breaks {broken}" in capfd.readouterr().out

    again = re.search(r"(?m)^again: {3}launcher (simulate .*)$", out)
    assert again is not None
    assert shell.run([*again[1].split(), "--no-shrink"], Context()) == 1
    assert f"seed {seed} breaks {broken} at {match[3]} s" in capfd.readouterr().out


def test_a_failure_in_json(commits_too_soon: None, capfd: pytest.CaptureFixture[str]) -> None:
    assert simulate("--seeds", "1..20", "--time", "10s", "--json") == 1
    out, err = capfd.readouterr()
    summary = json.loads(out)
    assert summary["failed"]["failure"]["broken"] in err


# -- planted bugs --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "broken"),
    [
        ("half-is-a-quorum", "durability"),
        pytest.param("count-earlier-terms", "commit-rule", marks=pytest.mark.slow),
        ("read-from-any-node", "read-index"),
    ],
)
def test_a_planted_bug_is_named_found_explained_and_shrunk(
    key: str, broken: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert simulate("--plant", key) == 1

    out, err = capfd.readouterr()
    lines = out.splitlines()
    assert lines[0] == f"planted {key}: {named(key).name}"
    (seed,) = re.findall(rf"\nseed (\d+) breaks {broken} at ", out)
    assert re.search(r"suffice \(\d+ runs\):|suffices? \(", out)
    assert f"again:   launcher simulate --plant {key} --seed {seed} --time 20s\n" in out
    assert err == f"launcher: found by seed {seed}: {broken}\n"


def test_the_command_in_the_report_repeats_the_smaller_run(
    capfd: pytest.CaptureFixture[str],
) -> None:
    simulate("--plant", "half-is-a-quorum")
    (again,) = re.findall(r"(?m)^smaller: launcher (.*)$", capfd.readouterr().out)

    assert shell.run([*again.split(), "--no-shrink"], Context()) == 1
    assert "found by seed 1: durability" in capfd.readouterr().err


def test_the_product_is_whole_again_afterwards(capfd: pytest.CaptureFixture[str]) -> None:
    simulate("--plant", "half-is-a-quorum", "--no-shrink")
    assert simulate("--seed", "1", "--time", "20s") == 0
    assert "every property holds" in capfd.readouterr().out


@pytest.mark.slow
def test_a_bug_of_a_later_seed_is_found_by_workers_that_plant_it_themselves() -> None:
    """As a user types it: with processes that have loaded the product for themselves."""
    key = "previous-term-not-compared"
    words = ["simulate", "--plant", key, "--workers", "2", "--no-shrink"]
    ran = subprocess.run(
        [sys.executable, "-m", "launcher", *words],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 1
    assert re.fullmatch(r"launcher: found by seed \d+: [a-z-]+\n", ran.stderr)
    assert not ran.stderr.startswith("launcher: found by seed 1:"), "the first seed proves nothing"


def test_a_bug_that_its_seeds_do_not_find_is_no_failure(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert simulate("--plant", "lease-without-drift", "--seeds", "1..2", "--time", "2s") == 0

    out, err = capfd.readouterr()
    assert "not found by these 2 seeds. It shows only when these come together: " in out
    assert "Directed tests fail with it" in out
    assert err == ""


def test_seeds_of_the_users_own_may_miss_a_bug(capfd: pytest.CaptureFixture[str]) -> None:
    assert simulate("--plant", "vote-not-written", "--seed", "1", "--time", "1s") == 0

    out = capfd.readouterr().out
    assert "not found by this seed. With the bug's own options, seeds 1..60 find it: " in out
    assert out.endswith("launcher simulate --plant vote-not-written\n")


def test_json_of_a_planted_bug(capfd: pytest.CaptureFixture[str]) -> None:
    assert simulate("--plant", "own-vote-before-disk", "--json") == 1

    (line,) = capfd.readouterr().out.splitlines()
    summary = json.loads(line)
    assert summary["planted"] == "own-vote-before-disk"
    assert summary["options"]["nodes"] == 1, "the bug's own options"
    assert summary["failed"]["failure"]["broken"]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("half-is-quorum", "no planted bug 'half-is-quorum'; did you mean half-is-a-quorum?"),
        ("snapshot", "planted bugs have 'snapshot' in their names: "),
    ],
)
def test_a_name_that_means_no_planted_bug(
    word: str, said: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert simulate("--plant", word) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


def test_the_planted_bugs_are_listed_by_topic(capfd: pytest.CaptureFixture[str]) -> None:
    assert simulate("--plants") == 0

    lines = capfd.readouterr().out.splitlines()
    assert "  half-is-a-quorum  [durability]" in lines
    assert "  lease-without-drift  [not found by its seeds]" in lines
    assert lines.index("elections") < lines.index("replication") < lines.index("machines")
    assert max(map(len, lines)) <= 80
    for bug in ALL:
        assert any(line.startswith(f"  {bug.key}  [") for line in lines)


def test_the_planted_bugs_as_json(capfd: pytest.CaptureFixture[str]) -> None:
    assert simulate("--plants", "--json") == 0

    rows = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [row["key"] for row in rows] == [bug.key for bug in ALL]
    assert rows[0].keys() == {"key", "topic", "name", "story", "property"}
