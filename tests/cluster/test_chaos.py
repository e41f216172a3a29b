"""Chaos on real processes: what it breaks, what it spares, and how it leaves a cluster.

In each of them a client submits entries all the while, and in the end every acknowledged one is
there, once, on every node.
"""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from launcher import Cluster
from launcher.errors import NotRunning
from launcher.lab.chaos import schedule
from launcher.lab.chaos.kinds import KINDS
from launcher.lab.chaos.player import Outcome, Player
from launcher.lab.chaos.record import Happening
from launcher.lab.chaos.schedule import Fault, Head, Schedule
from launcher.lab.chaos.watching import broken, read
from tests.cluster.lab import PATIENCE_S, Lab, eventually
from tests.cluster.load import Load

pytestmark = pytest.mark.cluster

SETTINGS = """\
name: lab
machine: journal
log: {digest_every: 20}
snapshot: {entries: 150, trailing: 0B}
restart: {backoff: 50ms}
"""


def begin(lab: Lab, nodes: int = 3, settings: str = SETTINGS) -> Cluster:
    (lab.folder / "cluster.yaml").write_text(settings)
    lab.up(nodes)
    return Cluster.attach(lab.folder / "cluster.yaml")


def one(kind: str, target: str = "any", words: str = "", lasts_s: float = 0.5) -> Schedule:
    """A schedule of one fault."""
    fault = Fault(
        number=1, at_s=0.1, duration_s=lasts_s, kind=kind, target=target, words=words, draw=3
    )
    return Schedule(Head(seed=1, kinds=[kind], time_s=30.0, interval_s=1.0), (fault,))


@contextmanager
def under_load(lab: Lab, cluster: Cluster) -> Iterator[Load]:
    """In the end all that was acknowledged is there, and nothing is in force."""
    load = Load(lab.folder, "entry {}".format, many=True, timeout_s=90.0, pause_s=0.005)
    with load:
        load.goes_on()
        yield load
        load.goes_on()
    lab.converge()
    check_nothing_in_force(cluster)
    for node in cluster.status().nodes:
        entries = cluster.read("LS", stale=True, node=node.id).text.splitlines()
        assert [one for one in entries if one.startswith("entry ")] == load.acknowledged
    for at, told in lab.digests().items():
        assert len(set(told.values())) == 1, (at, told)


def check_nothing_in_force(cluster: Cluster) -> None:
    status = cluster.status()
    assert not status.links
    for node in status.nodes:
        assert (node.state, node.disk, node.clock, node.throttle, node.points) == (
            "up", "", "", None, "",
        )  # fmt: skip


def play(cluster: Cluster, plan: Schedule, **options: Any) -> tuple[Outcome, list[Happening]]:
    """Plays it; the cluster is well in the end."""
    told: list[Happening] = []
    outcome = Player(cluster, plan, say=told.append, **options).run()
    assert outcome.unconverged == ""
    return outcome, told


# -- each kind -----------------------------------------------------------------------------------

WORDS = {
    "partition": "two groups",
    "cut": "30% of the links",
    "flaky": "loss 20% duplicate 10%",
    "reorder": "reorder 30%",
    "slow-link": "delay 300ms 100ms",
    "power": "torn",
    "blackout": "torn",
    "hunt": "kill",
    "ambush": "after-vote kill",
    "clock": "bump -300ms",
    "slow-disk": "slow 100ms",
    "hang-disk": "hang",
    "full-disk": "full",
    "fail-write": "fail-write",
    "fail-sync": "fail-sync",
    "transfer": "twice",
    "add": "1 node",
    "throttle": "10%",
    "cycle-disk": "cycle 200ms 200ms",
    "rate": "rate 50kbit",
    "hold": "hold",
    "point": "before-sync 3*off->kill",
    "drop": "AppendEntries 3",
}
BEYOND = ("freeze", "supervisor", "kill-all", "blackout")


@pytest.mark.timeout(600)
def test_every_kind_begins_and_ends_on_real_processes(lab: Lab) -> None:
    """One after the other, on the four nodes of which the budget spares one."""
    cluster = begin(lab, 4)
    with under_load(lab, cluster):
        for kind in KINDS:
            if kind in ("freeze", "supervisor"):
                continue
            plan = one(kind, KINDS[kind].targets[-1], WORDS.get(kind, ""))
            outcome, told = play(cluster, plan)
            said = "\n".join(map(str, told))
            assert outcome.injected >= 1, said
            assert (outcome.left_out, outcome.broken) == (0, None), said
            if kind != "transfer":  # a target that lags behind is no fault of ours
                assert outcome.failed == 0, said
            check_nothing_in_force(cluster)


@pytest.mark.timeout(300)
def test_a_power_failure_that_tears_leaves_a_torn_tail_before_long(lab: Lab) -> None:
    """How much of a write is lost is left to chance, so one failure need not do."""
    cluster = begin(lab, 3)
    with under_load(lab, cluster):
        for _ in range(12):
            outcome, _ = play(cluster, one("power", "leader", "torn"))
            assert (outcome.injected, outcome.failed, outcome.unconverged) == (1, 0, "")
            check_nothing_in_force(cluster)
            if lab.events("log.torn_tail_dropped"):
                return
    raise AssertionError("no write was torn in 12 failures")


@pytest.mark.timeout(300)
def test_a_joint_configuration_that_one_leader_begins_is_ended_by_another(lab: Lab) -> None:
    cluster = begin(lab, 3)
    with under_load(lab, cluster):
        for _ in range(4):
            outcome, _ = play(cluster, one("add", "all", "1 node, led by two"))
            assert (outcome.injected, outcome.failed, outcome.unconverged) == (1, 0, "")
            terms = [
                (bool(event["outgoing"]), event["term"])
                for event in lab.events("configuration.adopted")
                if event["role"] == "leader"
            ]
            begun = {term for is_joint, term in terms if is_joint}
            if any(not is_joint and term - 1 in begun for is_joint, term in terms):
                return
    raise AssertionError(f"one leader led through each: {terms}")


def test_a_transfer_in_vain_is_given_up_by_the_leader(lab: Lab) -> None:
    cluster = begin(lab, 3)

    outcome, _ = play(cluster, one("transfer", "follower", "in vain"))

    assert (outcome.injected, outcome.failed, outcome.unconverged) == (1, 0, "")
    assert lab.events("transfer.aborted")
    assert not cluster.drops(), "nothing is to be lost any more"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", BEYOND)
def test_beyond_the_quorum_even_all_nodes_are_struck(lab: Lab, kind: str) -> None:
    cluster = begin(lab)
    plan = one(kind, "all", WORDS.get(kind, ""))
    outcome, _ = play(cluster, plan)
    assert outcome.injected == (kind not in ("freeze", "supervisor"))
    outcome, told = play(cluster, plan, beyond_quorum=True)
    assert outcome.injected == 1, told
    assert len(next(one for one in told if one.what == "began").nodes) == 3


# -- all of them ---------------------------------------------------------------------------------


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("nodes", "seed"), [(3, 1), (5, 2), (5, 3)])
def test_all_kinds_by_seed_within_the_budget(lab: Lab, nodes: int, seed: int) -> None:
    cluster = begin(lab, nodes)
    folder = lab.folder / "run"
    plan = schedule.make(seed, tuple(KINDS), 20.0, interval_s=0.5)
    with under_load(lab, cluster):
        outcome, told = play(cluster, plan, folder=folder)

    assert outcome.injected >= 10, told
    assert len(cluster.status().nodes) == nodes
    samples = read(folder / "samples.jsonl")
    assert len(samples) > 40
    assert broken(samples) is None, "a majority was there all the while"
    lines = (folder / "chaos.jsonl").read_text().splitlines()
    assert [json.loads(line)["what"] for line in lines] == [one.what for one in told]
    assert schedule.read((folder / "schedule.jsonl").read_bytes(), "s") == plan
    events = lab.events("chaos.injected", "chaos.left_out", "chaos.over")
    assert len(events) == outcome.injected + outcome.left_out + 1
    struck = [event for event in events if event.get("targets")]
    assert struck, "the log says which nodes it were"


# -- the command ---------------------------------------------------------------------------------


@pytest.mark.timeout(120)
def test_the_command_tells_what_it_does_and_two_at_once_are_refused(lab: Lab) -> None:
    begin(lab)
    running = lab.spawn("chaos", "--seed", "7", "--faults", "pause,kill", "--interval", "300ms")
    assert running.stdout is not None
    first = running.stdout.readline().decode()
    assert "faults in 60 s by seed 7" in first
    second = lab.launcher("chaos", "--seed", "8", "--faults", "kill", "--time", "5s")
    assert second.status == 1
    assert second.last_error == (
        "launcher: chaos goes on already on this cluster: one run at a time"
    )
    while " n" not in running.stdout.readline().decode():
        pass
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 130, err
    assert out.decode().splitlines()[-1].endswith("every node is well")
    assert all(node["state"] == "up" for node in lab.ps()["nodes"])


@pytest.mark.timeout(120)
def test_a_schedule_is_printed_and_played_again_in_part(lab: Lab) -> None:
    made = lab.launcher(
        "chaos", "--seed", "7", "--time", "4s", "--interval", "500ms", "--faults", "pause,isolate",
        "--print", "--json", check=True,
    )  # fmt: skip
    file = lab.folder / "plan.jsonl"
    file.write_text(made.out)
    first, second = (json.loads(line) for line in made.lines[1:3])
    begin(lab)
    done = lab.launcher("chaos", "--schedule", str(file), "--only", "2", "--json", check=True)
    happened = [json.loads(line) for line in done.lines]
    began = [one for one in happened if one.get("what") == "began"]
    assert [(one["number"], one["kind"]) for one in began] == [(2, second["kind"])]
    assert first["number"] == 1
    assert happened[-1]["injected"] == 1
    assert happened[-1]["unconverged"] == ""


REFUSED = {
    "--exclude all": "--exclude all: every node is left out",
    "--faults freeze": "no fault is allowed: freeze would take every node at once",
    "--interval 0": "--interval 0: a duration with a unit, such as 500ms or 60s",
    "--interval 0s": "--interval takes a duration of at least 10ms, such as 2s",
    "--time soon": "--time soon: a duration with a unit",
    "--faults none": "--faults none: no fault is allowed, so there is nothing to do",
    "--faults kil": "--faults kil: no fault is called 'kil'; there are all, none",
    "--faults flip-bit": "--faults flip-bit: real processes do not have it",
    "--number 0": "--number takes a number of faults from 1 to 100, not 0",
    "--rounds 0": "--rounds takes a number from 1",
    "--only x": "--only x: numbers of faults with commas",
    "--seed 1 --only 9999": "--only 9999: the schedule has no such fault; its faults are 1 to",
    "--schedule nothing": "--schedule nothing cannot be read: No such file",
    "--schedule cluster.yaml": "cluster.yaml, line 1, is no line of a schedule",
    "--schedule cluster.yaml --seed 1": "either --schedule or --seed",
    "--seed 1 --exclude n9": "there is no node 9",
}


@pytest.mark.timeout(120)
def test_what_makes_no_sense_is_one_line_and_status_2(lab: Lab) -> None:
    begin(lab)
    for words, said in REFUSED.items():
        done = lab.launcher("chaos", *words.split())
        assert (words, done.status) == (words, 2), done.err
        assert done.last_error.startswith(f"launcher: {said}"), done.err
        assert done.err.count("\n") == 1
    assert not lab.events("chaos.injected")


def test_a_cluster_of_one_and_one_that_does_not_run_are_refused(lab: Lab) -> None:
    assert lab.launcher("chaos", "--seed", "1").status == 3
    lab.up(1)
    done = lab.launcher("chaos", "--seed", "1")
    assert done.status == 1
    assert done.last_error.startswith("launcher: a cluster of one voter survives no fault")


@pytest.mark.timeout(120)
def test_a_cluster_that_is_taken_down_meanwhile_ends_the_run(lab: Lab) -> None:
    cluster = begin(lab)
    running = lab.spawn("chaos", "--seed", "7", "--faults", "slow-link", "--interval", "200ms")
    assert running.stdout is not None
    running.stdout.readline()
    lab.launcher("down", check=True)
    _, err = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 3
    assert b"no cluster is running here" in err
    with pytest.raises(NotRunning):
        cluster.status()


@pytest.mark.timeout(120)
def test_a_run_in_which_somebody_else_breaks_the_quorum_fails(lab: Lab) -> None:
    begin(lab)
    running = lab.spawn(
        "chaos", "--seed", "7", "--faults", "slow-link", "--interval", "200ms", "--time", "3s",
    )  # fmt: skip
    assert running.stdout is not None
    running.stdout.readline()
    lab.launcher("pause", "2", "3", check=True)
    _, err = running.communicate(timeout=PATIENCE_S * 3)
    assert running.returncode == 1
    assert err.decode().splitlines() == ["launcher: chaos broke its budget: n2, n3 are out"]


def test_the_other_end_of_a_pipe_may_leave(lab: Lab) -> None:
    """`launcher chaos | head -1`: everything is healed before it ends."""
    begin(lab)
    running = lab.spawn("chaos", "--seed", "7", "--faults", "kill", "--interval", "200ms")
    assert isinstance(running, subprocess.Popen)
    assert running.stdout is not None
    running.stdout.readline()
    running.stdout.close()
    assert running.wait(PATIENCE_S) == 0
    eventually(lambda: all(node["state"] == "up" for node in lab.ps()["nodes"]), "all up")
