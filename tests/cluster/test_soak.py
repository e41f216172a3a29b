"""Kills under load: real input, a leader that dies again and again, and nothing lost or doubled."""

from __future__ import annotations

import os
import random
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher import Cluster
from launcher.errors import LauncherError, TimedOut
from tests.cluster.lab import Lab, eventually
from tests.cluster.load import Background

pytestmark = pytest.mark.cluster


class Breaker(Background):
    """Kills and restarts nodes until told to stop."""

    def __init__(self, lab: Lab, target: str, pause_s: float) -> None:
        super().__init__()
        self._lab = lab
        self._target = target
        self._pause_s = pause_s
        self.kills = 0

    def work(self) -> None:
        cluster = Cluster.attach(self._lab.folder / "cluster.yaml")
        while not self.ends.wait(self._pause_s):
            try:
                chosen = cluster.kill(self._target)
            except LauncherError as error:
                if "leader" in str(error):
                    continue  # none at this moment
                raise
            self.kills += 1
            cluster.start(*(node.id for node in chosen))


def regular_files(folder: str) -> Iterator[str]:
    """Paths as they are, but for the few that no line can hold."""
    for where, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(where, name)
            if os.path.isfile(path) and not os.path.islink(path) and "\n" not in path:
                yield path


def paths(limit: int | None = None) -> list[str]:
    found = sorted(regular_files("/usr/share"), key=os.fsencode)
    assert len(found) > 1000, "there is real input on this machine"
    return found[:limit]


def check_everything(lab: Lab, wanted: list[str]) -> None:
    """The machine holds exactly what was acknowledged, and all five nodes agree."""
    lab.launcher("start", "all", check=True)
    lab.converge()
    listed = lab.launcher("read", "LS", check=True).out.splitlines()
    assert listed == wanted
    assert len({node["applied_index"] for node in lab.ps()["nodes"]}) == 1
    digests = lab.digests()
    assert digests
    agreed = [said for said in digests.values() if len(said) == 5]
    assert agreed, "there is an index at which all five have logged their digest"
    assert all(len(set(said.values())) == 1 for said in digests.values())
    assert not lab.events("safety.violated")


def submit_paths_while_the_leader_dies(lab: Lab, wanted: list[str], pause_s: float) -> int:
    lab.up(5)
    breaker = Breaker(lab, "leader", pause_s)
    breaker.start()
    data = b"".join(b"ADD " + os.fsencode(path) + b"\n" for path in wanted)
    done = lab.launcher("submit", "-", stdin=data, timeout_s=900)
    breaker.stop()
    assert done.status == 0, done.err
    lines = done.out.splitlines()
    indexes = [int(line.split("\t")[0]) for line in lines]
    assert len(lines) == len(wanted)
    assert indexes == sorted(set(indexes)), "lines keep their order, and each has its own index"
    assert all(line.endswith("\tadded") for line in lines), "each was applied once"
    check_everything(lab, wanted)
    return breaker.kills


def test_real_input_while_the_leader_is_killed_every_second(lab: Lab) -> None:
    """The issue's third point: every regular file under /usr/share."""
    submit_paths_while_the_leader_dies(lab, paths(), 1.0)


def test_real_input_while_the_leader_is_killed_without_pause(lab: Lab) -> None:
    kills = submit_paths_while_the_leader_dies(lab, paths(8000), 0.1)
    assert kills >= 1


def cycles(lab: Lab, count: int, seed: int) -> None:
    """SIGKILL on a random node, `count` times, under load; then everything is checked."""
    lab.up(5)
    rng = random.Random(seed)
    cluster = Cluster.attach(lab.folder / "cluster.yaml")
    writer = lab.spawn("submit", "-", stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert writer.stdin is not None
    assert writer.stdout is not None
    answers: list[bytes] = []
    reader = threading.Thread(target=lambda: answers.extend(writer.stdout or ()), daemon=True)
    reader.start()
    sent = 0
    for _ in range(count):
        victim = rng.randint(1, 5)
        for _ in range(rng.randint(1, 40)):
            writer.stdin.write(f"ADD cycle {sent:07d}\n".encode())
            sent += 1
        writer.stdin.flush()
        time.sleep(rng.uniform(0, 0.05))  # the kill falls somewhere into the work
        cluster.kill(victim)
        cluster.start(victim)
    writer.stdin.close()
    assert writer.wait(120) == 0, writer.stderr.read() if writer.stderr else ""
    reader.join(30)
    assert len(answers) == sent
    assert all(answer.endswith(b"\tadded\n") for answer in answers)
    if writer.stderr:
        writer.stderr.close()
    writer.stdout.close()
    check_everything(lab, [f"cycle {number:07d}" for number in range(sent)])


def test_twenty_kills_of_random_nodes(lab: Lab) -> None:
    cycles(lab, 20, seed=20)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_two_hundred_kills_of_random_nodes(lab: Lab) -> None:
    cycles(lab, 200, seed=200)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("hint", ["on", "off"])
def test_failover_is_quick(tmp_path: Path, hint: str) -> None:
    """Twenty leaders killed: the median from the kill to the next commit."""
    lab = Lab(tmp_path, f"name: lab\nraft:\n  failure_hint: {hint}\n")
    try:
        lab.up(5)
        cluster = Cluster.attach(lab.folder / "cluster.yaml")
        took = []
        for number in range(20):
            cluster.submit(f"ADD before {number}")
            cluster.wait(converged=True, timeout_s=30)
            begun = time.monotonic()
            (killed,) = cluster.kill("leader")
            cluster.submit(f"ADD after {number}")
            took.append(time.monotonic() - begun)
            cluster.start(killed.id)
            eventually(lambda: cluster.status().settled, "everyone follows")
        median = sorted(took)[len(took) // 2]
        bound = 0.1 if hint == "on" else cluster.config.election_timeout_max_s + 0.2
        print(
            f"failure_hint {hint}: median {median * 1000:.1f} ms, worst {max(took) * 1000:.1f} ms"
        )
        assert median < bound
    finally:
        lab.close()


class Writer(Background):
    """Submits names of its own, many at once, and reads back what it knows to be there."""

    def __init__(self, lab: Lab, number: int) -> None:
        super().__init__()
        self._lab = lab
        self._number = number
        self.acknowledged: list[str] = []
        self.in_doubt: list[str] = []

    def work(self) -> None:
        cluster = Cluster.attach(self._lab.folder / "cluster.yaml")
        while not self.ends.is_set():
            self._submit(cluster, 20)
            if random.random() < 0.1:
                self._read_back(cluster)

    def _submit(self, cluster: Cluster, count: int) -> None:
        first = len(self.acknowledged) + len(self.in_doubt)
        names = [f"writer {self._number} {first + place:08d}" for place in range(count)]
        answered = 0
        try:
            for done in cluster.submit_many([f"ADD {name}" for name in names], timeout_s=10):
                assert done.ok, done.error
                self.acknowledged.append(names[answered])
                answered += 1
        except TimedOut:
            self.in_doubt += names[answered:]

    def _read_back(self, cluster: Cluster) -> None:
        known = set(self.acknowledged)
        try:
            seen = set(cluster.read("LS", timeout_s=10).text.splitlines())
        except TimedOut:
            return
        assert known <= seen, "a linearizable read misses what was acknowledged before it"


DISK_FAULTS = ("hang", "slow 50ms", "full", "fail-write", "fail-sync")


def disturb(cluster: Cluster, rng: random.Random) -> None:
    """One operation of an operator who means no good."""
    whom = rng.choice(["leader", "follower", "random", "minority"])
    try:
        match rng.choice(
            ["kill", "kill", "stop", "pause", "restart", "cut", "heal", "disk", "mend", "mend"]
        ):
            case "kill":
                cluster.kill(whom)
            case "stop":
                cluster.stop(whom)
            case "pause":
                cluster.pause(whom)
            case "restart":
                cluster.restart(whom)
            case "cut":
                cluster.partition(rng.choice(["leader|followers", "1,2|3,4,5", "1|2|3,4,5"]))
            case "heal":
                cluster.heal()
            case "disk":
                cluster.disk(whom, fault=rng.choice(DISK_FAULTS))
            case _:
                cluster.disk("all", fault="ok")
                cluster.resume("all")
                cluster.start("all")
    except LauncherError as error:
        if error.exit_status != 1:  # 1: nobody is there whom it could be done to
            raise


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(3))
def test_every_operation_at_random_under_load(lab: Lab, seed: int) -> None:
    lab.up(5)
    rng = random.Random(seed)
    cluster = Cluster.attach(lab.folder / "cluster.yaml")
    writers = [Writer(lab, number) for number in range(3)]
    for writer in writers:
        writer.start()
    ends = time.monotonic() + 40
    while time.monotonic() < ends:
        disturb(cluster, rng)
        time.sleep(rng.uniform(0, 0.5))  # the next one falls somewhere into the work
    cluster.disk("all", fault="ok")
    cluster.heal()
    cluster.resume("all")
    cluster.start("all")
    for writer in writers:
        writer.stop()
    cluster.wait(converged=True, timeout_s=60)
    listed = cluster.read("LS").text.splitlines()
    acknowledged = {name for writer in writers for name in writer.acknowledged}
    in_doubt = {name for writer in writers for name in writer.in_doubt}
    assert len(listed) == len(set(listed))
    assert acknowledged <= set(listed) <= acknowledged | in_doubt
    assert len(acknowledged) > 1000
    digests = lab.digests()
    assert all(len(set(said.values())) == 1 for said in digests.values())
    assert not lab.events("safety.violated")
