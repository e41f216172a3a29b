"""A project that is copied, moved, linked or shared while its cluster runs; real processes.

The nodes are those of `fake_node.py`; with real ones: `tests/cluster/test_copies.py`. What is
decided, and by which rule, is tested in `test_ownership.py` and `test_whose.py`.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from launcher.errors import LauncherError, NotRunning
from launcher.folders import lock, sealed, supervisor_file
from launcher.folders.ownership import SupervisorRecord
from launcher.folders.process_identity import ProcessRecord
from tests.launcher.fake_cluster import FakeCluster, all_gone, config_in, fake_cluster, until

pytestmark = pytest.mark.cluster

COMMANDS: dict[str, Callable[[FakeCluster], object]] = {
    "down": lambda copy: copy.down(),
    "down -v": lambda copy: copy.down(volumes=True),
    "up -d": lambda copy: copy.up(detached=True),
    "up --fresh": lambda copy: fresh(copy).up(detached=True),
    "ps": lambda copy: copy.status(),
    "kill all": lambda copy: copy.kill("all"),
    "destroy": lambda copy: copy.destroy(),
}
every_command = pytest.mark.parametrize("command", COMMANDS)


def fresh(cluster: FakeCluster) -> FakeCluster:
    return FakeCluster(3, config=cluster.config, fresh=True)


def cp(options: str, source: Path | str, target: Path) -> None:
    """What the command does, which is what users have."""
    subprocess.run(["cp", options, source, target], check=True)


@pytest.fixture
def original(tmp_path: Path) -> Iterator[FakeCluster]:
    (tmp_path / "p").mkdir()
    with fake_cluster(tmp_path / "p") as cluster:
        yield cluster


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[FakeCluster]:
    """The cluster of a folder that is not there yet."""
    with fake_cluster(tmp_path / "q", start=False) as cluster:
        yield cluster


# -- copied ----------------------------------------------------------------------------------------


@every_command
def test_a_command_in_a_copy_does_nothing_to_the_original(
    command: str, original: FakeCluster, copy: FakeCluster, tmp_path: Path
) -> None:
    before = original.processes()
    cp("-a", tmp_path / "p", tmp_path / "q")

    with suppress(NotRunning):
        COMMANDS[command](copy)

    assert original.processes() == before
    assert {node.state for node in original.status().nodes} == {"up"}
    if command.startswith("up"):
        assert copy.processes().keys() == before.keys()
        assert not set(copy.processes().values()) & set(before.values())


@every_command
def test_nor_when_it_was_copied_over_a_project_that_runs(
    command: str, original: FakeCluster, copy: FakeCluster, tmp_path: Path
) -> None:
    copy.up()
    before, own = original.processes(), copy.processes()
    cp("-a", f"{tmp_path / 'p'}/.", tmp_path / "q")

    with suppress(LauncherError):
        COMMANDS[command](copy)

    assert original.processes() == before
    assert {node.state for node in original.status().nodes} == {"up"}
    if command in ("ps", "up -d", "up --fresh"):
        assert copy.processes() == own
    elif command == "kill all":
        assert {node.state for node in copy.status().nodes} == {"down"}
    else:
        assert all_gone(own)


@every_command
def test_nor_to_what_a_killed_supervisor_of_the_original_has_left(
    command: str, original: FakeCluster, copy: FakeCluster, tmp_path: Path
) -> None:
    record = original.record()
    os.kill(record.pid, signal.SIGKILL)
    until(lambda: not lock.is_locked(original.config), "the supervisor to be gone")
    cp("-a", tmp_path / "p", tmp_path / "q")

    with suppress(NotRunning):
        COMMANDS[command](copy)

    assert record.runtime_dir.is_dir()
    again = FakeCluster(3, config=original.config)
    again.up(detached=True)
    try:
        assert any("removed the sockets" in said for said in again.healed)
        assert not record.runtime_dir.exists()
    finally:
        again.down()  # `original` ends only what it has started


def test_an_old_copy_put_back_over_it_hides_nothing(original: FakeCluster, tmp_path: Path) -> None:
    """A cluster that runs is found by its own runtime folder."""
    cp("-a", tmp_path / "p", tmp_path / "backup")
    original.down()
    original.up()
    before = original.processes()
    cp("-a", f"{tmp_path / 'backup'}/.", tmp_path / "p")

    assert original.processes() == before
    until(
        lambda: (
            (found := supervisor_file.read_supervisor(original.config))
            and found.process == before[0]
        ),
        "its supervisor.json to be right again",
    )
    original.down()
    assert all_gone(before)


# -- moved, linked, shared -------------------------------------------------------------------------


def test_a_project_that_is_moved_is_reached_where_it_is(
    original: FakeCluster, copy: FakeCluster, tmp_path: Path
) -> None:
    record, processes = original.record(), original.processes()
    os.kill(record.pid, signal.SIGSTOP)  # it does not notice yet
    (tmp_path / "p").rename(tmp_path / "q")

    assert copy.record() == record
    with pytest.raises(NotRunning):
        original.status()
    os.kill(record.pid, signal.SIGCONT)

    with suppress(NotRunning):  # it has ended by itself
        copy.down()
    until(lambda: all_gone(processes), "everything to be gone")


def test_a_project_that_is_moved_ends_and_goes_on_from_there(
    original: FakeCluster, copy: FakeCluster, tmp_path: Path
) -> None:
    record, processes = original.record(), original.processes()
    (tmp_path / "p").rename(tmp_path / "q")
    cp("-a", tmp_path / "q", tmp_path / "p")  # something else in its place

    until(lambda: not lock.is_locked(copy.config), "it to end")
    until(lambda: all_gone(processes), "everything to be gone")
    assert not record.runtime_dir.exists()
    assert not copy.config.supervisor_file.exists()
    (stopping,) = copy.events("supervisor.stopping")
    assert stopping["reason"] == (
        f"its data folder was moved to {copy.config.data_dir}: `launcher up` goes on from there"
    )
    for cluster in (copy, original):
        cluster.up()
    assert copy.processes().keys() == original.processes().keys() == processes.keys()


def test_two_projects_with_one_data_folder_are_one_cluster(
    original: FakeCluster, tmp_path: Path
) -> None:
    (tmp_path / "q").mkdir()
    (tmp_path / "q" / "data").symlink_to(tmp_path / "p" / "data")
    other = FakeCluster(3, config=config_in(tmp_path / "q"))

    with pytest.raises(LauncherError, match="a cluster is running here already"):
        other.up()
    assert other.processes() == original.processes()
    other.down()
    with pytest.raises(NotRunning):
        original.status()


def test_a_copy_of_hard_links_is_refused_and_harms_nothing(
    original: FakeCluster, copy: FakeCluster, tmp_path: Path
) -> None:
    before = original.processes()
    cp("-al", tmp_path / "p", tmp_path / "q")
    for command in ("ps", "up -d", "down -v", "destroy"):
        with pytest.raises(LauncherError, match="are hard links to those of a cluster") as told:
            COMMANDS[command](copy)
        assert told.value.exit_status == (1 if command.startswith("up") else 3)
    assert original.processes() == before

    original.down()
    for cluster in (copy, original):
        for write in (cluster.up, lambda cluster=cluster: cluster.recover(1)):
            with pytest.raises(LauncherError, match="is a hard link"):
                write()
    copy.down(volumes=True)
    original.up()


def test_a_log_folder_has_one_cluster(original: FakeCluster, tmp_path: Path) -> None:
    other = FakeCluster(3, config=config_in(tmp_path / "q", log_dir=original.config.log_dir))
    with pytest.raises(LauncherError, match="choose another with `logs:`") as told:
        other.up()
    assert told.value.exit_status == 1
    assert original.events("supervisor.started")

    original.down()
    other.up()
    other.down()


# -- the runtime folder is gone --------------------------------------------------------------------


def test_a_supervisor_that_cannot_make_its_sockets_anew_is_told_of(original: FakeCluster) -> None:
    record, processes = original.record(), original.processes()
    os.kill(record.pid, signal.SIGSTOP)
    try:
        shutil.rmtree(record.runtime_dir)
        says = f"its sockets' folder {record.runtime_dir} was removed, and it has not made another"
        with pytest.raises(LauncherError, match=says) as told:
            original.status()
        assert told.value.exit_status == 1
        with pytest.raises(LauncherError, match="a cluster is running here"):
            FakeCluster(3, config=original.config).up()
    finally:
        os.kill(record.pid, signal.SIGCONT)

    assert len(original.status().up) == 3
    assert original.processes() == processes
    assert original.down().was_running
    assert all_gone(processes)


@pytest.mark.parametrize("end", ["down", "destroy"])
def test_a_process_that_does_not_have_the_lock_is_not_signalled(
    original: FakeCluster, end: str
) -> None:
    """supervisor.json was written in this very folder, and names a process that lives."""
    record = original.record()
    bystander = subprocess.Popen(["sleep", "60"])
    os.kill(record.pid, signal.SIGSTOP)  # it would write the file again
    try:
        shutil.rmtree(record.runtime_dir)
        named = supervisor_file.read_supervisor(original.config)
        assert named is not None
        other = ProcessRecord.of(bystander.pid)
        supervisor_file.write_supervisor(
            original.config,
            SupervisorRecord(
                folder=named.folder,
                pid=other.pid,
                start=other.start,
                runtime_dir=named.runtime_dir,
                name=named.name,
            ),
        )
        with pytest.raises(LauncherError, match="cannot be reached"):
            COMMANDS[end](original)
        assert bystander.poll() is None
        original.config.supervisor_file.write_bytes(sealed.seal(named))
    finally:
        bystander.kill()
        bystander.wait(5)
        os.kill(record.pid, signal.SIGCONT)


# -- whose lock ------------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="what a process has open is in /proc")
def test_the_supervisor_alone_holds_its_locks(original: FakeCluster) -> None:
    """A node or a fork server that kept one would make a dead supervisor look alive."""
    config, record = original.config, original.record()
    held = [
        path.stat()
        for path in (
            config.data_dir,
            config.supervisor_lock,
            config.log_dir / "timeline.lock",
            record.runtime_dir,
        )
    ]

    def has_open(pid: int) -> list[bool]:
        opened = []
        for link in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(OSError):
                opened.append(link.stat())
        return [any(os.path.samestat(one, lock) for one in opened) for lock in held]

    others = psutil.Process(record.pid).children(recursive=True)
    assert has_open(record.pid) == [True] * 4
    assert len(others) >= 4  # the fork server and the nodes
    assert [has_open(other.pid) for other in others] == [[False] * 4] * len(others)


@pytest.mark.parametrize("end", ["down", "destroy"])
def test_whoever_started_a_cluster_does_not_end_the_next_one(
    original: FakeCluster, end: str
) -> None:
    """`up` in one terminal; `down` and `up -d` in another; then Ctrl-C in the first."""
    FakeCluster(3, config=original.config).down()
    another = FakeCluster(3, config=original.config)
    another.up(detached=True)
    before = another.processes()

    with pytest.raises(NotRunning, match="has ended, and another one is running"):
        COMMANDS[end](original)

    assert another.processes() == before
    another.down()
