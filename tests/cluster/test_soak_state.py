"""A state of 200 MB is written down while the heart beats on, and sent to who was away."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher import Cluster
from tests.cluster.lab import Lab
from tests.cluster.load import long_load

pytestmark = [pytest.mark.cluster, pytest.mark.soak, pytest.mark.timeout(1800)]

STATE_BYTES = int(os.environ.get("SOAK_STATE_MB", "200")) << 20
"""`SOAK_STATE_MB` makes it smaller, for whoever tries it by hand."""

VALUE_BYTES = 1024
FILL_TIMEOUT_S = 120.0


def state() -> Iterator[bytes]:
    """As many entries as make the state, none of them like another."""
    rng = random.Random(1)
    for number in range(STATE_BYTES // VALUE_BYTES):
        yield b"SET state%d %s" % (number, rng.randbytes(VALUE_BYTES // 2).hex().encode())


def test_a_large_state_is_written_and_sent_while_heartbeats_go_on(tmp_path: Path) -> None:
    lab = Lab(tmp_path, "name: lab\nmachine: kv\n")
    try:
        lab.up(3)
        cluster = Cluster.attach(lab.folder / "cluster.yaml")
        before = cluster.status()
        away = next(node.id for node in before.nodes if node.role == "follower")
        cluster.kill(away)
        for done in cluster.submit_many(state(), timeout_s=FILL_TIMEOUT_S):
            assert done.ok, done
        cluster.wait(converged=True, timeout_s=FILL_TIMEOUT_S)

        writer = long_load(lab, pause_s=0.005)
        writer.start()
        began = time.monotonic()
        taken = cluster.snapshot(*(node.id for node in before.nodes if node.id != away))
        took_s = time.monotonic() - began
        gap_s, writer.longest_gap_s = writer.longest_gap_s, 0.0

        began = time.monotonic()
        cluster.start(away)
        index = min(int(node.note.split()[-1]) for node in taken)
        while cluster.status().node(away).applied_index < index:
            assert time.monotonic() - began < 600.0, "who was away gets the state"
            time.sleep(0.05)
        caught_up_s = time.monotonic() - began
        gap_sent_s = writer.longest_gap_s
        writer.stop()
        cluster.wait(converged=True, timeout_s=FILL_TIMEOUT_S)

        sizes = [event for event in cluster.timeline() if event.event == "snapshot.taken"]
        largest = max(int(str(event.fields["bytes"])) for event in sizes)
        print(
            f"\na snapshot of {largest >> 20} MiB: written in {took_s:.1f} s, the longest gap "
            f"between two answers meanwhile {gap_s:.2f} s; sent and restored in {caught_up_s:.1f} "
            f"s, the longest gap {gap_sent_s:.2f} s; {writer.count} entries"
        )
        assert largest >= STATE_BYTES
        after = cluster.status()
        assert (after.leader, after.term) == (before.leader, before.term), (
            "nobody stood for election"
        )
        installed = lab.events("snapshot.installed")
        assert [event["node"] for event in installed][:1] == [away], "what it lacks is gone"
        assert max(event["bytes"] for event in installed) >= STATE_BYTES, "and came in chunks"
        last = STATE_BYTES // VALUE_BYTES - 1
        stale = cluster.read(f"GET state{last}", stale=True, node=away)
        assert stale.result == cluster.read(f"GET state{last}").result
        assert not lab.events("safety.violated")
    finally:
        lab.close()
