"""One byte of a real cluster's files is wrong, or a file is cut off: nothing is lost unnoticed.

Each damage is done to a copy of the data and judged in this process by what a start would judge it
with: a node's folder by its storage, the records by their readers. The answer is what was there
before, or a refusal of one line; never another history, and never an internal error.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from launcher.config import ClusterConfig, load
from launcher.folders import lives, records, supervisor_file
from node.errors import LeekyError
from node.storage.disk import OsDisk
from node.storage.lives import Life
from node.storage.segment import Identity
from node.storage.store import Kept, Store
from tests.cluster.lab import Lab

pytestmark = pytest.mark.cluster

DAMAGES = 240
NODE = 2


@pytest.fixture
def config(lab: Lab) -> ClusterConfig:
    """The data of a cluster that took snapshots, had two leaders, and was killed at the end."""
    (lab.folder / "cluster.yaml").write_text("name: lab\nsnapshot:\n  entries: 150\n")
    lab.up(3)
    for part in range(3):
        said = "".join(f"ADD f{part}-{number}\n" for number in range(100))
        lab.launcher("submit", "-", stdin=said, check=True)
        lab.launcher("transfer", "follower", check=True)
    lab.converge()
    lab.launcher("kill", str(NODE), check=True)
    config = load(lab.folder / "cluster.yaml")
    shutil.copy(config.supervisor_file, lab.folder / "supervisor.json")
    lab.launcher("down", check=True)
    shutil.copy(lab.folder / "supervisor.json", config.supervisor_file)
    return config


def damages(data: Path, rng: random.Random) -> Iterator[tuple[Path, str, bytes]]:
    """A file, what is done to it, and what it then holds; written bytes more often than zeros."""
    files = [path for path in sorted(data.rglob("*")) if path.is_file() and path.stat().st_size]
    mine = [path for path in files if f"node-{NODE}" in path.parts or path.parent == data]
    for _ in range(DAMAGES):
        path = rng.choice(mine)
        content = path.read_bytes()
        written = len(content.rstrip(b"\0")) or len(content)
        at = rng.randrange(written if rng.random() < 0.8 else len(content))
        if rng.random() < 0.2:
            yield path, f"{path.name} cut off at {at}", content[:at]
        else:
            byte = content[at] ^ rng.randrange(1, 256)
            yield path, f"{path.name} byte {at}", content[:at] + bytes([byte]) + content[at + 1 :]


def the_node(config: ClusterConfig, intact: ClusterConfig) -> Kept:
    """What its next start would recover."""
    cluster = records.read(intact)
    assert cluster is not None
    known = lives.read(intact, cluster, [])[0].of(NODE).known
    identity = Identity(cluster.cluster_id, NODE, cluster.founding)
    disk = OsDisk(config.node_data_dir(NODE))
    store, kept = Store.open(disk, identity, life=Life(1000, 1), known=known)
    store.close()
    return kept


def told(kept: Kept) -> tuple[object, ...]:
    """All that counts of it, whichever of two snapshots it starts from."""
    return kept.hard_state, kept.last_index, kept.life


def or_refusal(look: Callable[[], Any]) -> Any:
    try:
        return look()
    except LeekyError as error:
        text = str(error)
        assert text, "a refusal says why"
        assert "\n" not in text
        return None


def test_no_flipped_byte_and_no_cut_is_taken_for_something_else(
    config: ClusterConfig, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    damaged = msgspec.structs.replace(config, data_dir=copy)
    cluster = records.read(config)
    assert cluster is not None
    history = lives.read(config, cluster, [])[0]
    shutil.copytree(config.data_dir, copy)
    expected = told(the_node(damaged, config))
    rng = random.Random(20261128)
    outcomes = {"as before": 0, "refused": 0}
    for path, what, content in damages(config.data_dir, rng):
        shutil.rmtree(copy)
        shutil.copytree(config.data_dir, copy)
        (copy / path.relative_to(config.data_dir)).write_bytes(content)
        if path.parent == config.data_dir:
            assert or_refusal(lambda: records.read(damaged)) in (None, cluster), what
            found, warning = lives.read(damaged, cluster, [])
            assert found == history or warning, what
            supervisor_file.read_supervisor(damaged)
        kept = or_refusal(lambda: the_node(damaged, config))
        assert kept is None or told(kept) == expected, what
        outcomes["refused" if kept is None else "as before"] += 1
    assert min(outcomes.values()) > DAMAGES // 20, f"the damage is varied: {outcomes}"
