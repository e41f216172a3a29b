"""What the seed decides of the cluster before anything happens. Pure.

With the default settings a minute is too short for much: no log is cut, no session expires. So a
run has small segments, snapshots every few hundred entries, sessions that expire within seconds,
and a digest every 20 entries; and settings that change what nodes do are drawn anew for each seed.
What each seed draws is written into the run's cluster.yaml.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

DIGEST_EVERY = "20"

NODES = (3, 5, 5)
"""A seed draws one of these."""

LEASES = 0.3
"""The share of runs in which the leader serves reads by a lease."""


def circumstances(seed: int, nodes: int | None = None) -> dict[str, str]:
    """The settings of the cluster, as cluster.yaml would say them, by key.

    nodes: how many nodes; None: the seed decides

    The same arguments give the same settings, everywhere.
    """
    rng = Random(f"circumstances {seed}")
    drawn = rng.choice(NODES)
    leases = rng.random() < LEASES
    return {
        "name": "test",
        "nodes": str(drawn if nodes is None else nodes),
        "timescale": rng.choice(["1", "1", "1", "2"]),
        "raft.reads": "lease" if leases else "read-index",
        "raft.failure_hint": rng.choice(["on", "off"]),
        "raft.pre_vote": rng.choice(["on", "on", "on", "off"]),
        "limits.entry": "32KiB",
        "limits.append": rng.choice(["1MiB", "1MiB", "4KiB"]),
        "limits.inflight_batches": rng.choice(["64", "64", "4", "1"]),
        "limits.chunk": rng.choice(["256B", "512B", "1MiB"]),
        "storage.segment": rng.choice(["64KiB", "128KiB", "512KiB"]),
        "snapshot.log": rng.choice(["32KiB", "256KiB", "1MiB"]),
        "snapshot.entries": rng.choice(["100", "200", "400", "700"]),
        "snapshot.trailing": rng.choice(["0B", "0B", "8KiB"]),
        "sessions.timeout": rng.choice(["2s", "4s", "8s"]),
        "sessions.most": rng.choice(["10000", "10000", "24"]),
        "restart.attempts": "20",
        "log.digest_every": DIGEST_EVERY,
        "tap.mode": "ring",
        "log.keep": "10000",
    }


def as_yaml(settings: Mapping[str, str]) -> str:
    """The settings as the text of a cluster.yaml. Keys of a section are grouped."""
    lines = []
    sections: dict[str, list[str]] = {}
    for key, text in settings.items():
        section, _, name = key.rpartition(".")
        if section:
            sections.setdefault(section, []).append(f"  {name}: {text}")
        else:
            lines.append(f"{name}: {text}")
    for section, inner in sections.items():
        lines += [f"{section}:", *inner]
    return "\n".join(lines) + "\n"
