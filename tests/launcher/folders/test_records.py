"""cluster.json and lives.json: what is not intact is never believed."""

from __future__ import annotations

import errno
import os
import re
import shutil
from pathlib import Path

import msgspec
import pytest

from launcher.config import ClusterConfig, load
from launcher.errors import LauncherError
from launcher.folders import lives, records, sealed
from launcher.folders.lives import Lives, NodeRecord
from launcher.folders.records import Change, ClusterRecord
from node.raft.messages import Floor
from node.storage.disk import OsDisk
from node.storage.lives import LastKnown, Life
from node.storage.segment import Identity
from node.storage.store import Store


@pytest.fixture
def config(tmp_path: Path) -> ClusterConfig:
    config = msgspec.structs.replace(load(directory=tmp_path), nodes=3)
    config.data_dir.mkdir()
    return config


def a_record(config: ClusterConfig) -> ClusterRecord:
    record, _ = records.begin(config).enlisting(2)
    return record.renewing(2, Floor(3, 17)).intending(Change("rebuild", [2], 1))


def some_lives(cluster: ClusterRecord) -> Lives:
    known = LastKnown(True, Life(4, 1 << 62), 120, 90, 3)
    return Lives(
        cluster_id=cluster.cluster_id, nodes={0: NodeRecord(2, 5), 1: NodeRecord(4, 7, known)}
    )


def damages(data: bytes) -> dict[str, bytes]:
    """Each bit flipped, and each length that is shorter."""
    flipped = {
        f"bit {bit}": data[: bit // 8]
        + bytes([data[bit // 8] ^ 1 << bit % 8])
        + data[bit // 8 + 1 :]
        for bit in range(8 * len(data))
    }
    return flipped | {f"{size} bytes": data[:size] for size in range(len(data) - 1)}


def read_or_refused(config: ClusterConfig) -> ClusterRecord | str | None:
    try:
        return records.read(config)
    except LauncherError as error:
        return str(error)


# -- sealed files --------------------------------------------------------------------------------


def test_what_was_sealed_is_read_again(config: ClusterConfig) -> None:
    record = a_record(config)
    assert sealed.unseal(sealed.seal(record), ClusterRecord) == record
    assert sealed.unseal(sealed.seal(record).rstrip(b"\n"), ClusterRecord) == record


def test_a_replaced_file_is_the_old_one_or_the_new_one(
    config: ClusterConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    file = config.data_dir / "file"
    sealed.replace(file, b"old", durable=True)
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            sealed.replace(file, b"new", durable=True)
    assert file.read_bytes() == b"old"
    sealed.replace(file, b"new", durable=True)
    assert file.read_bytes() == b"new"


# -- cluster.json --------------------------------------------------------------------------------


def test_cluster_json_with_one_bit_or_its_end_missing_is_refused(config: ClusterConfig) -> None:
    """Before, one digit of its `nodes` made empty founders outvote the only node with data."""
    record = a_record(config)
    records.write(config, record)
    assert records.read(config) == record
    for what, data in damages(config.cluster_file.read_bytes()).items():
        config.cluster_file.write_bytes(data)
        found = read_or_refused(config)
        if isinstance(found, str):
            assert "\n" not in found, what
            assert "launcher recover" in found or "has format" in found, what
        else:
            assert found == record, what


@pytest.mark.parametrize("data", [b"", b"null", b"[]", b"{}", b"\xff\xfe", b"7", b"[" * 100_000])
def test_a_cluster_json_of_something_else_is_refused(config: ClusterConfig, data: bytes) -> None:
    config.cluster_file.write_bytes(data)
    with pytest.raises(LauncherError, match="is damaged"):
        records.read(config)


def test_a_cluster_json_of_the_version_before_is_read(config: ClusterConfig) -> None:
    old = {
        "format": 2,
        "cluster_id": "c",
        "name": "n",
        "nodes": 3,
        "machine": "kv",
        "session_timeout_s": 60.0,
        "most_sessions": 5,
        "members": [1, 3, 4],
        "last_id": 4,
        "renewed": [{"node": 3, "floor": [2, 9]}],
    }
    config.cluster_file.write_bytes(msgspec.json.encode(old))
    found = records.read(config)
    assert found is not None
    assert (found.founders, found.members, found.last_id) == ([1, 2, 3], [1, 3, 4], 4)
    assert (found.voters_of(1), found.voters_of(3), found.floor_of(3)) == (
        [1, 2, 3],
        [],
        Floor(2, 9),
    )


def test_a_newer_format_is_refused_with_a_line_that_says_so(config: ClusterConfig) -> None:
    newer = msgspec.structs.replace(a_record(config), format=4)
    config.cluster_file.write_bytes(sealed.seal(newer))
    with pytest.raises(LauncherError, match="has format 4, and this launcher knows 3"):
        records.read(config)


def test_an_id_is_never_given_twice(config: ClusterConfig) -> None:
    record = records.begin(config)
    record, new = record.enlisting(2)
    assert new == [4, 5]
    record = record.dismissing(5)
    _, new = record.enlisting(1)
    assert new == [6]


# -- lives.json ----------------------------------------------------------------------------------


def test_lives_json_with_one_bit_or_its_end_missing_is_not_believed(config: ClusterConfig) -> None:
    """Absence is never read as a beginning: then an emptied folder would be one."""
    cluster = a_record(config)
    written = some_lives(cluster)
    lives.write(config, written, durable=True)
    file = config.data_dir / "lives.json"
    assert lives.read(config, cluster, []) == (written, "")
    for what, data in damages(file.read_bytes()).items():
        file.write_bytes(data)
        found, warning = lives.read(config, cluster, [])
        if found != written:
            assert "damaged" in warning, what
            assert all(found.of(node).known.lived for node in cluster.members), what


def test_without_lives_json_every_member_counts_as_one_that_has_lived(
    config: ClusterConfig,
) -> None:
    cluster = a_record(config)
    identity = Identity(cluster.cluster_id, 2, cluster.founding)
    Store.open(OsDisk(config.node_data_dir(2)), identity, life=Life(6, 66))
    found, warning = lives.read(config, cluster, [])
    assert "lives.json is missing" in warning
    assert {node for node, one in found.nodes.items() if one.known.lived} == {1, 2, 3, 4, 5}
    assert found.of(2).started == 6, "the next life is a new one"
    assert not (config.node_data_dir(1)).exists(), "looking makes no folder"


def test_lives_json_of_another_cluster_says_nothing_of_this_one(config: ClusterConfig) -> None:
    cluster = a_record(config)
    lives.write(config, msgspec.structs.replace(some_lives(cluster), cluster_id="x"), durable=True)
    found, warning = lives.read(config, cluster, [])
    assert "of another cluster" in warning
    assert found.of(1).known == LastKnown(lived=True)


def test_the_counts_of_the_version_before_make_all_but_the_renewed_ones_lived(
    config: ClusterConfig,
) -> None:
    (config.data_dir / "lives.json").write_bytes(b'{"0":3,"1":5,"2":2}')
    found, warning = lives.read(config, a_record(config), [2])
    assert warning == ""
    assert [found.of(node).started for node in range(4)] == [3, 5, 2, 0]
    assert [found.of(node).known.lived for node in range(4)] == [False, True, False, False]


# -- the rules -----------------------------------------------------------------------------------


def test_a_node_is_confirmed_reaches_further_and_never_back() -> None:
    record = lives.started(NodeRecord(), token=9)
    assert lives.reaching(record, 50) is record, "nothing is known of a node that has not confirmed"
    record = lives.confirmed(record, record.life, 1)
    record = lives.reaching(record, 50, last_index=40, term=2)
    assert record.known == LastKnown(True, Life(1, 9), 50, 40, 2)
    assert lives.reaching(record, 49, last_index=41, term=3) is record
    assert lives.reaching(record, 51).known == LastKnown(True, Life(1, 9), 51, 40, 2)
    record = lives.started(record, token=10)
    assert record.known.life == Life(1, 9), "a start that was not confirmed is only counted"
    record = lives.emptied(record)
    assert (record.started, record.known) == (2, LastKnown())


@pytest.mark.parametrize(
    ("voters", "lost", "advised"),
    [
        ([1, 2, 3], [2], "`launcher rebuild 2` brings it back"),
        ([1, 2, 3, 4], [2], "`launcher rebuild 2` brings it back"),
        ([1, 2, 3], [2, 3], "only n1 has any: .*`launcher recover 1`"),
        ([1, 2, 3, 4], [2, 3], "only n1, n4 has any: .*`launcher recover 1`"),
        ([2], [2], "no other node has the data: put it back into its folder"),
        ([1, 2], [1, 2], "no other node has the data"),
    ],
)
def test_what_is_advised_depends_on_what_is_left(
    voters: list[int], lost: list[int], advised: str
) -> None:
    assert re.search(advised, lives.advice(2, voters, lost))


def test_a_record_survives_a_copy_of_the_whole_folder(config: ClusterConfig) -> None:
    cluster = a_record(config)
    records.write(config, cluster)
    lives.write(config, some_lives(cluster), durable=True)
    shutil.copytree(config.data_dir, config.data_dir.with_name("copy"))
    copied = msgspec.structs.replace(config, data_dir=config.data_dir.with_name("copy"))
    assert records.read(copied) == cluster
    assert lives.read(copied, cluster, []) == (some_lives(cluster), "")
