"""`launcher bench` with real processes, for a moment."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from launcher.benchmark import peers
from launcher.benchmark.figures import FIELDS
from tests.cluster.lab import Lab

pytestmark = pytest.mark.cluster


def bench(lab: Lab, name: str, *words: str) -> Any:
    """Runs one benchmark with one short round; its results, as printed."""
    brief = ["--nodes", "3", "--rounds", "1", "--seconds", "0.3", "--out", "kept"]
    return lab.launcher("bench", name, *brief, *words, "--json", check=True).json


@pytest.mark.parametrize("window", [1, 64])
def test_load_is_compared_with_the_floor(lab: Lab, window: int) -> None:
    results = bench(lab, "load", "--window", str(window), "--size", "100")

    ours, floor = results["rounds"][0]
    for side in (ours, floor):
        assert side["throughput"] > 0
        assert 0 < side["p50_ms"] <= side["p99_ms"] <= side["p999_ms"]
        assert side["cpu_s_per_1000"] >= 0
        assert side["memory_bytes"] > 1 << 20
        assert side["written_per_byte"] is None or side["written_per_byte"] > 3 * 0.9
        assert set(side) == set(FIELDS)
    assert results["shape"] == {"nodes": 3, "window": window, "size_bytes": 100}

    kept = json.loads((lab.folder / "kept" / "load.json").read_text())
    assert kept["results"] == results
    assert [path.name for path in (lab.folder / "kept").iterdir()] == ["load.json"]


def test_reads_are_compared_with_writes(lab: Lab) -> None:
    results = bench(lab, "reads")
    reads, writes = results["rounds"][0]
    assert results["names"] == ["reads", "writes"]
    assert reads["throughput"] > 0
    assert writes["throughput"] > 0


def test_readers_of_the_page_are_compared_with_none(lab: Lab) -> None:
    pytest.importorskip("uvicorn", reason="the extra `page` is not installed")
    results = bench(lab, "page", "--readers", "3")
    with_them, without_them = results["rounds"][0]
    assert results["names"] == ["3 readers", "none"]
    assert with_them["throughput"] > 0
    assert without_them["throughput"] > 0
    ((of, said),) = results["remarks"]
    idle, watched = (float(part) for part in re.findall(r"([0-9.]+) %", said))
    assert of == "page when idle"
    assert 0 <= idle < 50, said
    assert 0 < watched < 100, said


def test_a_table_is_printed(lab: Lab) -> None:
    brief = ["--nodes", "1", "--rounds", "1", "--seconds", "0.3"]
    done = lab.launcher("bench", "load", *brief, check=True)
    first_words = [line.split("  ")[0] for line in done.lines]
    assert done.lines[0].startswith("on ")
    assert {"floor", "ours", "ours / floor"} <= set(first_words)
    assert "kept: data/bench/load.json" in done.err


@pytest.mark.soak
@pytest.mark.skipif(not peers.ways()[1:], reason="there is nothing to compare with")
def test_what_is_installed_is_compared_with(lab: Lab) -> None:
    brief = ["--nodes", "3", "--window", "32", "--rounds", "1", "--seconds", "0.3"]
    done = lab.launcher("bench", "peers", *brief, "--json", check=True)
    assert list(done.json["rounds"]) == peers.ways()
    for (figures,) in done.json["rounds"].values():
        assert figures["throughput"] > 0
        assert 0 < figures["p50_ms"] <= figures["p99_ms"]
    kept = {path.name for path in (lab.folder / "data" / "bench").iterdir()}
    assert "peers.json" in kept <= {"peers.json", "peers.png"}
