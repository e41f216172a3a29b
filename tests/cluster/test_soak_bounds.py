"""Long runs: what a node takes of disk and memory is bounded; membership changes lose nothing.

`SOAK_SECONDS` shortens the ten minutes, for whoever tries it by hand.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from launcher import Cluster
from tests.cluster.lab import Lab, eventually
from tests.cluster.leaderless import stretches
from tests.cluster.load import KEYS, disk_of, long_load

pytestmark = [pytest.mark.cluster, pytest.mark.soak, pytest.mark.timeout(3000)]

SOAK_S = float(os.environ.get("SOAK_SECONDS", "600"))

MOST_DISK = 160 << 20
"""Of one node. Two snapshots of 6 MB, twice 32 MiB of log (`snapshot.log`) behind the older one,
what comes while one is being written, and a few segments of 8 MiB that are spare or begun."""

MOST_MEMORY = 400 << 20
"""Of one node. The interpreter, 20,000 values, the log since the last snapshot and `trailing`."""


def check_that_somebody_led(cluster: Cluster, voters: tuple[int, ...]) -> None:
    """Never for longer than two election timeouts did nobody, while a quorum was alive.

    voters: with whom the cluster began
    """
    found = stretches(cluster.timeline(), voters)
    seconds = sorted(stretch.seconds for stretch in found)
    print(
        f"{len(seconds)} stretches without a leader while a quorum was alive: median "
        f"{seconds[len(seconds) // 2]:.3f} s, the longest {seconds[-3:]} s"
    )
    assert seconds[-1] <= 2 * cluster.config.election_timeout_max_s


def test_ten_minutes_of_load_with_kills_leave_disk_and_memory_bounded(tmp_path: Path) -> None:
    lab = Lab(tmp_path, "name: lab\nmachine: kv\n")
    try:
        lab.up(5)
        cluster = Cluster.attach(lab.folder / "cluster.yaml")
        away = next(node.id for node in cluster.status().nodes if node.role == "follower")
        cluster.kill(away)
        writer = long_load(lab)
        writer.start()
        rng = random.Random(1)
        most_disk = most_memory = kills = 0
        until = time.monotonic() + SOAK_S
        while time.monotonic() < until and writer.failure is None:
            time.sleep(rng.uniform(2.0, 6.0))
            victim = rng.choice([n for n in range(1, 6) if n != away])
            cluster.kill(victim)
            kills += 1
            time.sleep(rng.uniform(0.0, 2.0))
            cluster.start(victim)
            for node in cluster.status().nodes:
                most_disk = max(most_disk, disk_of(lab, node.id))
                most_memory = max(most_memory, node.rss_bytes or 0)
        writer.stop()
        cluster.start(away)
        cluster.wait(converged=True, timeout_s=120.0)
        print(
            f"\n{writer.count} entries in {SOAK_S:g} s, {kills} kills, longest gap between two "
            f"answers {writer.longest_gap_s:.2f} s; at most {most_disk >> 20} MiB of disk and "
            f"{most_memory >> 20} MiB of memory on any node"
        )
        assert most_disk < MOST_DISK
        assert most_memory < MOST_MEMORY
        installed = [event["node"] for event in lab.events("snapshot.installed")]
        assert away in installed, "what it lacks is gone from every log"
        for index, said in lab.digests().items():
            assert len(set(said.values())) == 1, f"nodes differ at {index}"
        assert not lab.events("safety.violated")
        check_that_somebody_led(cluster, voters=(1, 2, 3, 4, 5))
    finally:
        lab.close()


def _grow(cluster: Cluster, size: int) -> None:
    eventually(lambda: cluster.status().settled, "there is a leader")
    missing = size - len(cluster.status().nodes)
    if missing > 0:
        cluster.add(missing)


def _remove(cluster: Cluster, gone: list[int]) -> None:
    eventually(lambda: cluster.status().settled, "there is a leader")
    cluster.remove(*gone)


def _kill_one(cluster: Cluster, rng: random.Random) -> int:
    """Somebody dies, whom the others can spare, and is started again a little later."""
    status = cluster.status()
    spared = [node.id for node in status.up if node.voter and status.quorum_without(node.id)]
    if not spared:
        return 0
    victim = rng.choice(spared)
    cluster.kill(victim)
    time.sleep(rng.uniform(0.0, 0.5))
    cluster.start(victim)
    return 1


def test_the_membership_changes_again_and_again_under_load_and_kills(tmp_path: Path) -> None:
    lab = Lab(tmp_path, "name: lab\nmachine: kv\nsnapshot: {log: 4MiB, trailing: 1MiB}\n")
    try:
        lab.up(1)
        cluster = Cluster.attach(lab.folder / "cluster.yaml")
        # Seven nodes share the cores with the client: what one node alone can take would keep the
        # six that learn behind for ever.
        writer = long_load(lab, pause_s=0.01)
        writer.start()
        rng = random.Random(2)
        killed = 0
        until = time.monotonic() + SOAK_S / 2
        while time.monotonic() < until and writer.failure is None:
            _grow(cluster, 7)
            killed += _kill_one(cluster, rng)
            keep = rng.sample([node.id for node in cluster.status().nodes], 3)
            gone = [node.id for node in cluster.status().nodes if node.id not in keep]
            leader = cluster.status().leader
            if leader in keep and rng.random() < 0.7:
                gone[0] = leader
            cluster.start("all")
            _remove(cluster, gone)
            killed += _kill_one(cluster, rng)
        cluster.start("all")
        writer.stop()
        cluster.wait(converged=True, timeout_s=60.0)
        status = cluster.status()
        print(
            f"\n{writer.count} entries, {killed} kills; longest gap between two answers "
            f"{writer.longest_gap_s:.2f} s; ids up to {max(node.id for node in status.nodes)}"
        )
        last = cluster.read(f"GET k{writer.count % KEYS}").result
        assert last is not None
        assert int(last.split(b"-")[0]) >= writer.count, "the last that was acknowledged is there"
        assert writer.longest_gap_s < 20.0
        assert not lab.events("safety.violated")
        check_that_somebody_led(cluster, voters=(1,))
    finally:
        lab.close()
