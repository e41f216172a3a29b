"""The player, on a cluster in memory: what it begins it ends, and it leaves the cluster well."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from launcher.control import asking
from launcher.control.requests import NoteChaos
from launcher.errors import LauncherError, NotRunning, TimedOut, UsageError
from launcher.folders.violations import Violation
from launcher.lab.chaos import healing
from launcher.lab.chaos.player import Outcome, Player, alone
from launcher.lab.chaos.record import Happening, steady_clock
from launcher.lab.chaos.running import Chaos
from launcher.lab.chaos.schedule import Fault, Head, Schedule, read
from launcher.lab.chaos.watching import broken
from launcher.lab.chaos.watching import read as read_samples
from launcher.streams import ReaderGone
from tests.launcher.fake_cluster import until
from tests.launcher.lab.chaos.toy import ToyCluster


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ToyCluster:
    cluster = ToyCluster(tmp_path)

    def ask(config: object, request: NoteChaos, timeout_s: float) -> None:
        cluster.take_note(request)

    monkeypatch.setattr(asking, "ask", ask)
    monkeypatch.setattr(asking, "runtime_dir", lambda config: tmp_path)
    return cluster


def plan(*faults: tuple[float, float, str, str, str], time_s: float = 5.0, **head: Any) -> Schedule:
    """Of each fault: when, how long, kind, target, words."""
    kinds = sorted({kind for _, _, kind, _, _ in faults})
    return Schedule(
        Head(seed=7, kinds=kinds, time_s=time_s, interval_s=1.0, **head),
        tuple(
            Fault(number=n, at_s=at, duration_s=lasts, kind=kind, target=target, words=words)
            for n, (at, lasts, kind, target, words) in enumerate(faults, 1)
        ),
    )


def play(toy: ToyCluster, schedule: Schedule, **options: Any) -> tuple[Outcome, list[str]]:
    """What came of it, and what was said, without the times."""
    said: list[Happening] = []
    outcome = Player(toy, schedule, say=said.append, **options).run()
    return outcome, [str(one)[12:] for one in said]


def commands(toy: ToyCluster) -> list[str]:
    return [one for one in toy.done if one not in ("heal", "submit")]


def test_a_fault_begins_ends_and_is_told(toy: ToyCluster) -> None:
    outcome, said = play(toy, plan((0.05, 0.1, "kill", "leader", "")))

    assert toy.done == ["kill 1", "start 1", "heal", "submit"]
    assert said == [
        "1 fault in 5 s by seed 7",
        "#1 kill n1",
        "#1 kill n1 is over",
        "healing everything",
        "every node is well",
    ]
    assert (outcome.injected, outcome.left_out, outcome.failed) == (1, 0, 0)
    assert (outcome.broken, outcome.unconverged) == (None, "")
    whats = [(note.what, note.nodes) for note in toy.notes]
    assert whats == [("began", []), ("injected", [1]), ("ended", [1]), ("over", [])]


def test_faults_overlap_and_each_ends_only_what_it_began(toy: ToyCluster) -> None:
    outcome, _ = play(
        toy,
        plan(
            (0.05, 0.5, "partition", "all", "leader"),
            (0.1, 0.1, "hang-disk", "leader", "hang"),
            (0.15, 0.1, "pause", "follower", ""),
        ),
    )
    assert outcome.injected == 3
    done = commands(toy)
    assert done[0] == "partition 1|2,3,4,5"
    assert done[1] == "disk hang 1"
    assert done.index("disk ok 1") < done.index("links ok")
    assert done[-1] == "links ok"


def test_what_would_break_the_quorum_is_left_out_with_the_reason(toy: ToyCluster) -> None:
    for node in (4, 5):
        toy.change(node, state="paused")
    outcome, said = play(toy, plan((0.01, 0.1, "kill", "leader", ""), time_s=0.3))

    assert (outcome.injected, outcome.left_out) == (0, 1)
    assert "#1 kill (leader) is left out: no majority would remain: n1, n4, n5 are out" in said
    assert toy.notes[1].what == "left-out"
    assert not commands(toy)


def test_two_that_come_at_once_do_not_both_take_the_last_node(toy: ToyCluster) -> None:
    """All faults of a round begin in the same moment, each in a thread of its own."""
    toy.takes_s = 0.2
    many = plan(*[(0.01, 0.3, "pause", "any", "")] * 9, time_s=2.0)
    outcome, _ = play(toy, many)
    assert (outcome.injected, outcome.left_out) == (2, 7)


def test_beyond_the_quorum_a_majority_is_taken(toy: ToyCluster) -> None:
    outcome, _ = play(toy, plan((0.01, 0.3, "kill-all", "all", "")), beyond_quorum=True)
    assert toy.done[0] == "kill 1,2,3,4,5"
    assert outcome.injected == 1
    assert outcome.broken is None, "nobody asked for a budget"


def test_a_run_whose_samples_show_that_the_budget_was_broken_says_so(
    toy: ToyCluster, tmp_path: Path
) -> None:
    """Somebody kills two nodes more, of which the player knows nothing."""
    one = plan((0.01, 0.8, "kill", "leader", ""))
    player = Player(toy, one, folder=tmp_path / "run")
    killer = threading.Thread(target=lambda: kill_more(toy))
    killer.start()
    outcome = player.run()
    killer.join()

    assert outcome.broken is not None
    assert outcome.broken.why == "n1, n2, n3 are out"
    assert broken(read_samples(tmp_path / "run" / "samples.jsonl")) == outcome.broken


def kill_more(toy: ToyCluster) -> None:
    until(lambda: "kill 1" in toy.done, "the first fault")
    toy.kill(2, 3)


def test_a_command_that_fails_is_recorded_and_ends_nothing(toy: ToyCluster) -> None:
    toy.fails["partition"] = LauncherError("n2 died meanwhile")
    outcome, said = play(
        toy, plan((0.01, 0.1, "partition", "all", "leader"), (0.1, 0.1, "kill", "leader", ""))
    )
    assert "#1 partition failed: n2 died meanwhile" in said
    assert (outcome.injected, outcome.failed, outcome.unconverged) == (1, 1, "")
    assert "start 1" in toy.done


def test_a_node_that_could_not_be_started_is_started_in_the_end(toy: ToyCluster) -> None:
    toy.fails["start"] = LauncherError("n1 ended a moment after it was started")
    mended = threading.Timer(0.6, toy.fails.clear)
    mended.start()
    outcome, said = play(
        toy, plan((0.01, 0.1, "kill", "leader", ""), (0.9, 0, "hunt", "all", "kill"))
    )
    assert "#1 kill failed: n1 ended a moment after it was started" in said
    assert toy.done.count("start 1") >= 1
    assert outcome.unconverged == ""


def test_nodes_that_were_down_before_stay_down(toy: ToyCluster) -> None:
    toy.change(5, state="down")
    outcome, _ = play(toy, plan((0.01, 0.1, "kill", "leader", "")))
    assert "start 5" not in toy.done
    assert outcome.unconverged == ""


def test_what_does_not_converge_is_said_in_one_line(
    toy: ToyCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(healing, "CONVERGE_S", 0.2)
    monkeypatch.setattr(healing.unconverged, "__defaults__", (healing.probe, 0.2))
    toy.change(3, commit_index=5, applied_index=5)
    toy.change(1, commit_index=9, applied_index=9)
    outcome, said = play(toy, plan((0.01, 0.1, "pause", "leader", "")))
    assert outcome.unconverged == "n3 has applied 5 of 9 entries"
    assert said[-1] == "not well: n3 has applied 5 of 9 entries"
    assert toy.notes[-1].why == outcome.unconverged


def test_nobody_waits_for_a_node_that_has_failed(
    toy: ToyCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It starts no more by itself: a minute of waiting would tell nothing new."""
    heal = toy.heal

    def fails_meanwhile() -> list[str]:
        ended = heal()
        toy.change(4, state="failed", reason="its log is damaged")
        return ended

    monkeypatch.setattr(toy, "heal", fails_meanwhile)
    toy.fails["start"] = LauncherError("n4 is failed: its log is damaged")
    began = time.monotonic()
    outcome, _ = play(toy, plan((0.01, 0.1, "pause", "leader", "")))
    assert outcome.unconverged == "n4 is failed: its log is damaged"
    assert time.monotonic() - began < healing.CONVERGE_S / 2


def test_a_write_that_does_not_succeed_is_said(toy: ToyCluster) -> None:
    toy.fails["submit"] = LauncherError("no node answers")
    outcome, _ = play(toy, plan((0.01, 0.1, "pause", "leader", "")))
    assert outcome.unconverged == "no write succeeds: no node answers"


def test_it_stops_when_it_is_told_to_and_everything_is_healed(toy: ToyCluster) -> None:
    stop = threading.Event()
    player = Player(toy, plan((0.01, 60.0, "pause", "leader", ""), time_s=60.0))
    threading.Timer(0.3, stop.set).start()
    outcome = player.run(stop)
    assert toy.done == ["pause 1", "resume 1", "heal", "submit"]
    assert outcome.unconverged == ""


@pytest.mark.parametrize(
    ("raised", "said_after"),
    [(KeyboardInterrupt(), ["healing", "ended", "over"]), (ReaderGone(), [])],
    ids=["Ctrl-C", "a reader that has gone"],
)
def test_an_exception_of_its_thread_heals_everything_first(
    toy: ToyCluster, raised: BaseException, said_after: list[str]
) -> None:
    """Ctrl-C may come just while a line is written; the end is told all the same."""
    said: list[str] = []

    def say(one: Happening) -> None:
        said.append(one.what)
        if one.what == "began":
            raise raised

    with pytest.raises(type(raised)):
        Player(toy, plan((0.01, 60.0, "kill", "leader", ""), time_s=60.0), say=say).run()
    assert said == ["run", "began", *said_after]
    assert toy.done == ["kill 1", "start 1", "heal", "submit"]
    assert toy.notes[-1].what == "over"


def test_a_hunt_strikes_each_new_leader(toy: ToyCluster) -> None:
    outcome, said = play(toy, plan((0.01, 1.5, "hunt", "all", "pause"), time_s=1.6))
    assert said.count("#1 pause n1") >= 2
    assert outcome.injected >= 3
    assert toy.done[:2] == ["pause 1", "resume 1"]


def test_links_are_changed_by_few_commands(toy: ToyCluster) -> None:
    play(toy, plan((0.01, 0.1, "isolate", "leader", "")))
    assert commands(toy)[:5] == ["link 1>2,3,4,5 cut", *(f"link {n}>1 cut" for n in (2, 3, 4, 5))]
    assert commands(toy).count("links ok") == 5


def test_a_folder_gets_the_schedule_what_happened_and_samples(
    toy: ToyCluster, tmp_path: Path
) -> None:
    one = plan((0.01, 0.3, "kill", "leader", ""), (0.02, 0.1, "pause", "leader", ""))
    play(toy, one, folder=tmp_path / "deep" / "run", now_ns=steady_clock())
    folder = tmp_path / "deep" / "run"
    assert read((folder / "schedule.jsonl").read_bytes(), "s") == one
    lines = [json.loads(line) for line in (folder / "chaos.jsonl").read_text().splitlines()]
    first = next(line for line in lines if line.get("number") == 1)
    assert (first["what"], first["kind"], first["target"], first["nodes"]) == (
        "began", "kill", "leader", [1],
    )  # fmt: skip
    assert [line["t"] for line in lines] == sorted(line["t"] for line in lines)
    assert len(read_samples(folder / "samples.jsonl")) >= 2


# -- what cannot be broken -----------------------------------------------------------------------


def test_a_cluster_of_one_is_refused(tmp_path: Path, toy: ToyCluster) -> None:
    one = ToyCluster(tmp_path, 1)
    with pytest.raises(LauncherError, match="a cluster of one voter survives no fault"):
        Player(one, plan((0.01, 0.1, "kill", "leader", ""))).run()
    assert not one.done


def test_a_cluster_without_a_majority_is_refused(toy: ToyCluster) -> None:
    for node in (1, 2, 3):
        toy.change(node, state="down")
    with pytest.raises(LauncherError, match=r"no majority of the voters works.*n1, n2, n3 are out"):
        Player(toy, plan((0.01, 0.1, "kill", "leader", ""))).run()
    assert not toy.done


def test_two_runs_at_once_on_one_cluster_are_refused(toy: ToyCluster) -> None:
    with alone(toy), pytest.raises(LauncherError, match="chaos goes on already on this cluster"):
        Player(toy, plan((0.01, 0.1, "kill", "leader", ""))).run()
    assert not toy.done
    Player(toy, plan((0.01, 0.1, "kill", "leader", ""))).run()


def test_a_cluster_that_is_gone_is_not_running(toy: ToyCluster) -> None:
    threading.Timer(0.3, lambda: setattr(toy, "gone", True)).start()
    with pytest.raises(NotRunning):
        Player(toy, plan((0.01, 30.0, "kill", "leader", ""), time_s=30.0)).run()


def test_exclude_is_of_the_schedule(toy: ToyCluster) -> None:
    outcome, _ = play(toy, plan((0.01, 0.1, "kill", "leader", ""), exclude=["n1"]))
    assert outcome.left_out == 1
    with pytest.raises(UsageError, match="there is no node 9"):
        play(toy, plan((0.01, 0.1, "kill", "leader", ""), exclude=["n9"]))


# -- for scripts ---------------------------------------------------------------------------------


def test_a_script_plays_a_schedule_beside_what_it_does(toy: ToyCluster) -> None:
    chaos = Chaos(toy, seed=3, faults="pause", interval_s=0.05, time_s=60.0)
    assert len(chaos.schedule) > 500
    assert "pause" in chaos.schedule[0]
    with chaos:
        until(lambda: any(one.startswith("pause") for one in toy.done), "a fault")
    assert chaos.injected >= 1
    assert toy.done[-2:] == ["heal", "submit"]
    assert all(node.state == "up" for node in toy.status().nodes)


def test_a_script_is_told_what_went_wrong(toy: ToyCluster) -> None:
    toy.fails["submit"] = LauncherError("no node answers")
    with pytest.raises(TimedOut, match=r"did not converge .*no write succeeds: no node answers"):
        Chaos(toy, seed=3, faults="pause", rounds=1, interval_s=0.1).run()
    with pytest.raises(TimedOut), Chaos(toy, seed=3, faults="pause", rounds=1, interval_s=0.1):
        pass
    with (
        pytest.raises(ZeroDivisionError),
        Chaos(toy, seed=3, faults="pause", rounds=1, interval_s=0.1),
    ):
        raise ZeroDivisionError
    with pytest.raises(UsageError, match="no fault is called"):
        Chaos(toy, seed=3, faults="nonsense")


def test_a_cluster_that_was_frozen_for_its_evidence_is_left_as_it_is(toy: ToyCluster) -> None:
    """The supervisor freezes it when a promise of Raft is broken (`safety: freeze`)."""
    found = Violation(
        promise="election safety", subject="term 3", found="n1 and n2 lead in term 3", reports=[]
    )
    threading.Timer(0.2, lambda: toy.violations.append(found)).start()
    outcome, _ = play(toy, plan((0.01, 0.6, "hang-disk", "leader", "hang"), time_s=1.0))
    assert outcome.unconverged == "it was frozen and is left so: the leaders differ"
    assert "heal" not in toy.done
