"""The locks of the data and log folders: who is kept out, and what is said of files that lie."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.config import ClusterConfig, load
from launcher.errors import LauncherError, NotRunning
from launcher.folders import healing, lives, lock, runtime_files, sealed, supervisor_file
from launcher.folders.ownership import FolderId, NodeProcesses, Running, SupervisorRecord
from launcher.folders.process_identity import ProcessRecord
from launcher.folders.runtime import RuntimeFolder
from launcher.supervisor.claim import Claim
from tests.launcher.fake_cluster import runtime_folder

SUPERVISOR = SupervisorRecord(
    folder=FolderId(1, 2), pid=os.getpid(), start="x", runtime_dir="/tmp/leeky-none", name="leeky"
)


@pytest.fixture
def config(tmp_path: Path) -> ClusterConfig:
    return config_in(tmp_path / "p")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "_LOCK_PATIENCE_S", 0.05)
    monkeypatch.setattr(healing, "_ENDING_PATIENCE_S", 0.05)


def config_in(folder: Path, **settings: Any) -> ClusterConfig:
    """A folder with its data and logs, where a cluster of two nodes may run."""
    config = msgspec.structs.replace(load(directory=folder), nodes=2, **settings)
    for path in (config.data_dir, config.log_dir):
        path.mkdir(parents=True, exist_ok=True)
    return config


@contextmanager
def claimed(config: ClusterConfig, runtime: Path) -> Iterator[Claim]:
    """What a supervisor holds; it is dropped as by SIGKILL."""
    folder = runtime_folder(runtime)
    claim = Claim.take(config, folder, fresh=False)
    try:
        yield claim
    finally:
        claim._let_go()


# -- who is kept out -------------------------------------------------------------------------------


def test_one_holds_it_and_nobody_else(config: ClusterConfig) -> None:
    assert not lock.is_locked(config)
    held = lock.take(config)
    assert lock.is_locked(config)
    with pytest.raises(LauncherError):
        lock.take(config)
    held.release()
    lock.take(config).release()


def test_a_data_folder_that_is_a_link_is_the_one_that_it_leads_to(
    config: ClusterConfig, tmp_path: Path
) -> None:
    other = tmp_path / "q"
    other.mkdir()
    (other / "data").symlink_to(config.data_dir)
    with claimed(config, tmp_path / "leeky-r"):
        found = lock.running(msgspec.structs.replace(config, data_dir=other / "data"))
        with pytest.raises(LauncherError, match="a cluster is running here already"):
            lock.take(config_in(other))
    assert found == Running(ProcessRecord.of(os.getpid()), tmp_path / "leeky-r")


def test_a_removed_lock_lets_nobody_in_while_its_holder_lives(config: ClusterConfig) -> None:
    held = lock.take(config)
    config.supervisor_lock.unlink()

    with pytest.raises(LauncherError, match="just starting or ending"):
        lock.take(config)
    assert not held.is_in_place
    assert held.what_happened() == f"its lock, {config.supervisor_lock}, was removed"
    held.release()
    lock.take(config).release()


def test_nor_does_it_where_folders_cannot_be_locked(
    config: ClusterConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_lock_folder", lambda fd: True)
    with claimed(config, tmp_path / "leeky-r"):
        config.supervisor_lock.unlink()
        with lock.locked(config), pytest.raises(LauncherError, match="has not ended yet") as told:
            healing.heal(config)
    assert f"pid {os.getpid()}" in str(told.value)
    assert (tmp_path / "leeky-r").is_dir()


def test_no_child_inherits_a_lock(config: ClusterConfig, tmp_path: Path) -> None:
    with claimed(config, tmp_path / "leeky-r"):
        child = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False
        )
    try:
        lock.take(config).release()
        os.close(lock.take_logs(config))
    finally:
        child.communicate()


# -- logs ------------------------------------------------------------------------------------------


def test_two_clusters_do_not_write_into_one_log_folder(
    config: ClusterConfig, tmp_path: Path
) -> None:
    other = config_in(tmp_path / "q", log_dir=config.log_dir)
    kept = config.log_dir / "node-1.jsonl"
    with claimed(config, tmp_path / "leeky-r"):
        kept.write_text("of the first\n")
        with (
            pytest.raises(
                LauncherError, match="belongs to another cluster that is running"
            ) as told,
            claimed(other, tmp_path / "leeky-s"),
        ):
            pass
        assert str(config.data_dir) in str(told.value)
        assert kept.read_text() == "of the first\n"
        assert not lock.is_locked(other)
    with claimed(other, tmp_path / "leeky-t"):
        assert not kept.exists()  # these were nobody's


def test_data_and_logs_may_be_one_folder(config: ClusterConfig, tmp_path: Path) -> None:
    with claimed(msgspec.structs.replace(config, log_dir=config.data_dir), tmp_path / "leeky-r"):
        pass


@pytest.mark.parametrize("said", [b"", b"\xff\0\n", b"a" * 10000, b"\x1b[2J\n"])
def test_what_the_log_folders_lock_says_is_only_for_the_message(
    config: ClusterConfig, said: bytes
) -> None:
    held = lock.take_logs(config)
    (config.log_dir / "timeline.lock").write_bytes(said)

    with pytest.raises(LauncherError, match="is running") as told:
        lock.take_logs(config)
    assert str(told.value).isprintable()
    os.close(held)


# -- moved and replaced ----------------------------------------------------------------------------


def test_a_folder_that_was_moved_away_is_still_held_and_known(
    config: ClusterConfig, tmp_path: Path
) -> None:
    with claimed(config, tmp_path / "leeky-r") as claim:
        (tmp_path / "p").rename(tmp_path / "q")
        moved = load(directory=tmp_path / "q")

        assert not claim.holds
        assert claim.loss == (
            f"its data folder was moved to {moved.data_dir}: `launcher up` goes on from there"
        )
        found = lock.running(moved)
        assert found is not None
        assert found.runtime_dir == tmp_path / "leeky-r"
        assert moved.supervisor_file.exists()
        claim._held.forget_supervisor()
        assert not moved.supervisor_file.exists()


def test_a_folder_that_was_removed(config: ClusterConfig) -> None:
    held = lock.take(config)
    shutil.rmtree(config.data_dir)
    assert held.what_happened() == "its data folder was removed"
    config.data_dir.mkdir()
    assert held.what_happened() == "its data folder was removed"
    held.release()


def test_a_copy_of_hard_links_in_its_place_is_another_folder(
    config: ClusterConfig, tmp_path: Path
) -> None:
    held = lock.take(config)
    config.data_dir.rename(tmp_path / "away")
    shutil.copytree(tmp_path / "away", config.data_dir, copy_function=os.link)

    assert not held.is_in_place
    held.release()


def test_nothing_is_written_into_a_folder_that_took_the_place_of_ours(
    config: ClusterConfig, tmp_path: Path
) -> None:
    with claimed(config, tmp_path / "leeky-r") as claim:
        config.data_dir.rename(tmp_path / "away")
        shutil.copytree(tmp_path / "away", config.data_dir)
        before = {path: path.read_bytes() for path in config.data_dir.iterdir()}

        for change in (
            lambda: claim.next_life(1),
            lambda: claim.confirm(1, 7),
            lambda: claim.enlist(1),
            lambda: claim.dismiss(1),
        ):
            with pytest.raises(OSError, match="its data folder was moved to"):
                change()
        claim.reach(1, 9)
        claim.save()
        claim._held.forget_supervisor()

        assert {path: path.read_bytes() for path in config.data_dir.iterdir()} == before
        assert lives.file_of(config) in before


# -- hard links ------------------------------------------------------------------------------------


def test_a_copy_of_hard_links_says_what_it_is(config: ClusterConfig, tmp_path: Path) -> None:
    with claimed(config, tmp_path / "leeky-r"):
        shutil.copytree(tmp_path / "p", tmp_path / "q", copy_function=os.link)
        linked = load(directory=tmp_path / "q")

        with pytest.raises(NotRunning, match="are hard links to those of a cluster") as told:
            lock.running(linked)
        assert str(config.data_dir) in str(told.value)
        with pytest.raises(LauncherError, match="are hard links") as refused:
            lock.take(linked)
        assert refused.value.exit_status == 1
        assert lock.running(config) is not None


@pytest.mark.parametrize("name", ["supervisor.lock", "node-1/00000001.wal"])
def test_no_cluster_starts_on_files_that_have_another_name(
    config: ClusterConfig, tmp_path: Path, name: str
) -> None:
    file = config.data_dir / name
    file.parent.mkdir(exist_ok=True)
    file.touch()
    (tmp_path / "other").hardlink_to(file)
    with (
        pytest.raises(LauncherError, match=f"{name} is a hard link"),
        claimed(config, tmp_path / "leeky-r"),
    ):
        pass
    (tmp_path / "other").unlink()
    lock.check_unshared(config)


# -- files that lie --------------------------------------------------------------------------------


def test_an_overwritten_supervisor_json_is_written_again(
    config: ClusterConfig, tmp_path: Path
) -> None:
    with claimed(config, tmp_path / "leeky-r") as claim:
        before = config.supervisor_file.read_bytes()
        for said in (sealed.seal(SUPERVISOR), b"", b"rubbish"):
            config.supervisor_file.write_bytes(said)
            claim.save()
            assert config.supervisor_file.read_bytes() == before
        config.supervisor_file.unlink()
        claim.save()
        assert config.supervisor_file.read_bytes() == before


def test_one_line_says_what_to_do_when_nothing_says_who_holds_it(config: ClusterConfig) -> None:
    held = lock.take(config)
    for said in (b"", b"\xff", sealed.seal(SUPERVISOR)):
        config.supervisor_file.write_bytes(said)
        with pytest.raises(LauncherError, match="try again in a moment; if this does not pass"):
            lock.running(config)
    own = msgspec.structs.replace(SUPERVISOR, folder=held.folder)
    config.supervisor_file.write_bytes(sealed.seal(own))
    with pytest.raises(LauncherError, match="the container or the machine on which it was started"):
        lock.running(config)
    held.release()
    assert lock.running(config) is None


@given(
    bit=st.integers(0, 10**6),
    cut=st.integers(0, 10**6),
    rubbish=st.binary(max_size=300) | st.sampled_from([b"[]", b"null", b"7", b'{"pid":1}']),
)
def test_a_damaged_supervisor_json_names_nobody(bit: int, cut: int, rubbish: bytes) -> None:
    whole = sealed.seal(SUPERVISOR)
    flipped = bytearray(whole)
    flipped[bit // 8 % len(whole)] ^= 1 << bit % 8
    with tempfile.TemporaryDirectory() as folder:
        config = config_in(Path(folder))
        with lock.locked(config):
            healing.heal(config)  # a folder that was removed may have had this one's number
        for said in (bytes(flipped), whole[: cut % (len(whole) - 1)], rubbish):
            config.supervisor_file.write_bytes(said)
            assert supervisor_file.read_supervisor(config) is None
            with lock.locked(config):
                assert healing.heal(config) == []
            assert not config.supervisor_file.exists()


# -- what a dead one left --------------------------------------------------------------------------


def test_only_its_own_data_folder_cleans_up(config: ClusterConfig, tmp_path: Path) -> None:
    runtime = tmp_path / "leeky-r"
    copy = config_in(tmp_path / "q")
    survivor = subprocess.Popen(["sleep", "60"])
    try:
        with claimed(config, runtime) as claim:
            claim.record({1: ProcessRecord.of(survivor.pid)})
            folder = claim._runtime
        os.close(folder._descriptor)  # as by SIGKILL
        shutil.copytree(config.data_dir, copy.data_dir, dirs_exist_ok=True)

        with lock.locked(copy):
            assert healing.heal(copy) == []
        assert survivor.poll() is None
        assert runtime.is_dir()

        with lock.locked(config):
            healed = healing.heal(config)
        assert survivor.wait(5) == -9
        assert not runtime.exists()
        assert [said.split()[0] for said in healed] == ["killed", "removed"]
    finally:
        survivor.kill()
        survivor.wait(5)


def test_a_file_of_an_older_version_names_nobody(config: ClusterConfig) -> None:
    """It had the start time by the wall clock. Its process is neither signalled nor asked."""
    front = f'{{"pid":{os.getpid()},"create_time":1700000000.25,"runtime_dir":"/tmp/x","name":"c"'
    sum_of = zlib.crc32(front.encode())
    config.supervisor_file.write_text(f'{front},"checksum":"{sum_of:08x}"}}\n')
    held = lock.take(config)

    assert supervisor_file.read_supervisor(config) is None
    with pytest.raises(LauncherError, match=r"fuser .* names the process that holds the lock"):
        lock.running(config)
    held.release()
    with lock.locked(config):
        assert healing.heal(config) == []
    assert not config.supervisor_file.exists()


def test_what_was_left_is_found_after_an_old_copy_was_put_back(
    config: ClusterConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing in the data names it any more."""
    monkeypatch.setattr(runtime_files, "parent", lambda: tmp_path)
    with claimed(config, tmp_path / "leeky-r") as claim:
        os.close(claim._runtime._descriptor)
        config.supervisor_file.write_bytes(sealed.seal(SUPERVISOR))

    with lock.locked(config):
        assert healing.heal(config) == [f"removed the sockets of the dead supervisor {os.getpid()}"]


def test_a_listed_process_is_not_killed_when_the_list_is_damaged(
    config: ClusterConfig, tmp_path: Path
) -> None:
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        with claimed(config, tmp_path / "leeky-r") as claim:
            os.close(claim._runtime._descriptor)
        listed = sealed.seal(NodeProcesses({1: ProcessRecord.of(bystander.pid)}))
        (tmp_path / "leeky-r" / "processes.json").write_bytes(listed.replace(b'"1"', b'"2"'))
        with lock.locked(config):
            healing.heal(config)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait(5)


def test_a_runtime_folder_is_its_own_owners_only(tmp_path: Path) -> None:
    folder = RuntimeFolder.make()
    try:
        assert folder.path.stat().st_mode & 0o777 == 0o700
        seen = runtime_files.look(folder.path)
        assert seen is not None
        assert (seen.is_held, seen.owner) == (True, None)
    finally:
        folder.remove()
    assert not folder.path.exists()
