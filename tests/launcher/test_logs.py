"""What is in the logs of nodes: asked of those that answer, read from the files of the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.cluster import Cluster
from launcher.config import ClusterConfig
from launcher.control.bounds import MOST_LOG_ENTRIES
from launcher.errors import LauncherError, NotRunning, UsageError
from launcher.logs import ClusterLog
from node.raft.messages import COMMANDS, NOOP, Batch, HardState
from node.storage.disk import OsDisk
from node.storage.segment import Identity
from node.storage.store import Store
from node.wire import Submit, encode_client, join_submits
from tests.launcher.fake_cluster import config_in, fake_cluster

cluster_test = pytest.mark.cluster


def write_log(config: ClusterConfig, node_id: int) -> None:
    """The files of a node that has voted for n3 in term 2, and has three entries."""
    store, _ = Store.open(OsDisk(config.node_data_dir(node_id)), Identity("c", node_id))
    data = join_submits([encode_client(Submit(b"s", 1, 1, [b"ADD a", b"ADD b"]))])
    store.append(HardState(2, 3), [Batch(1, 1, NOOP, 1, b""), Batch(2, 2, COMMANDS, 2, data)])
    store.close()


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(folder.iterdir())}


def sources(log: ClusterLog) -> dict[int, str]:
    return {node.id: node.source for node in log.nodes}


@cluster_test
def test_nodes_that_run_are_asked_for_the_last_entries(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        log = cluster.log(count=4)
        assert (log.first_index, log.last_index) == (7, 10)
        assert sources(log) == {1: "node", 2: "node", 3: "node"}
        assert [entry.index for entry in log.nodes[0].entries] == [7, 8, 9, 10]

        some = cluster.log(3, "n1", first=2, count=3)
        assert [node.id for node in some.nodes] == [1, 3]
        assert (some.first_index, some.last_index) == (2, 4)


@cluster_test
def test_the_files_of_a_node_that_does_not_run_are_read_and_not_changed(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.kill(2)
        write_log(cluster.config, 2)
        before = files(cluster.config.node_data_dir(2))
        log = cluster.log()
        assert sources(log) == {1: "node", 2: "disk", 3: "node"}
        part = log.nodes[1].part
        assert part is not None
        assert (part.term, part.voted_for, part.commit_index, part.last_index) == (2, 3, None, 3)
        texts = [(entry.index, entry.term, entry.kind, entry.text) for entry in part.entries]
        assert texts == [
            (1, 1, "no-op", b""),
            (2, 2, "command", b"ADD a"),
            (3, 2, "command", b"ADD b"),
        ]
        assert files(cluster.config.node_data_dir(2)) == before


@cluster_test
def test_a_paused_node_is_not_asked_and_one_that_does_not_answer_is_not_waited_for(
    tmp_path: Path,
) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.behave(3, tells_no_log=True)
        cluster.restart(3)
        cluster.pause(2)
        log = cluster.log()
        assert sources(log) == {1: "node", 2: "none", 3: "none"}
        assert [node.state for node in log.nodes] == ["up", "paused", "up"]
        assert "holds no log that can be read" in log.nodes[2].problem
        cluster.resume(2)


@cluster_test
def test_damaged_files_are_said_to_be_damaged(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        cluster.kill(2)
        write_log(cluster.config, 2)
        (segment,) = cluster.config.node_data_dir(2).glob("*.wal")
        damaged = bytearray(segment.read_bytes())
        damaged[100] ^= 1
        segment.write_bytes(damaged)
        node = cluster.log(2).nodes[0]
        assert (node.source, node.entries) == ("none", ())
        assert segment.name in node.problem
        assert "\n" not in node.problem


@cluster_test
def test_a_cluster_that_is_down_still_has_logs(tmp_path: Path) -> None:
    with fake_cluster(tmp_path) as cluster:
        write_log(cluster.config, 1)
        cluster.down()
        log = cluster.log()
        assert sources(log) == {1: "disk", 2: "none", 3: "none"}
        assert (log.first_index, log.last_index) == (1, 3)
        with pytest.raises(LauncherError, match="no leader"):
            cluster.log("leader")


def test_where_there_was_never_a_cluster_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(NotRunning):
        Cluster(config=config_in(tmp_path)).log()


@pytest.mark.parametrize("asked", [{"count": 0}, {"count": MOST_LOG_ENTRIES + 1}, {"first": 0}])
def test_a_window_that_makes_no_sense_is_refused(tmp_path: Path, asked: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        Cluster(config=config_in(tmp_path)).log(**asked)
