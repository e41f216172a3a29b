"""data/safety.json: what was found is not forgotten, and a damaged record is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.config import ClusterConfig, load
from launcher.folders import emptying, violations
from launcher.folders.violations import Report, Violation

FOUND = [
    Violation(
        promise="election safety",
        subject="leaders of term 5",
        found="n1, n3 have both led term 5",
        reports=[Report(1, 2, "2026-11-29T01:02:03.456Z", "n1 leads term 5")],
    )
]


@pytest.fixture
def config(tmp_path: Path) -> ClusterConfig:
    config = load(directory=tmp_path)
    config.data_dir.mkdir()
    return config


def test_what_was_written_is_read(config: ClusterConfig) -> None:
    assert violations.read(config, "one") == ([], "")

    violations.write(config, "one", FOUND)

    assert violations.read(config, "one") == (FOUND, "")
    assert violations.read(config) == (FOUND, "")


def test_the_record_of_another_cluster_counts_for_nothing(config: ClusterConfig) -> None:
    violations.write(config, "one", FOUND)

    assert violations.read(config, "two") == ([], "")


@pytest.mark.parametrize("flipped", [0, 20, -5])
def test_a_damaged_record_is_said_and_stops_nobody(config: ClusterConfig, flipped: int) -> None:
    violations.write(config, "one", FOUND)
    file = violations.file_of(config)
    data = bytearray(file.read_bytes())
    data[flipped] ^= 1
    file.write_bytes(data)

    found, warning = violations.read(config, "one")

    assert found == []
    assert "safety.json cannot be read" in warning
    assert "safety was violated here" in warning


def test_it_goes_with_the_data(config: ClusterConfig) -> None:
    violations.write(config, "one", FOUND)

    emptying.remove_data(config)

    assert not violations.file_of(config).exists()
