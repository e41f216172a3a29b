"""A disk that fails on command: each fault does what it says, to what it is about, as often."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest

from node.faults.disks import HANGS, ONCE, WELL, DiskFaults, FaultyDisk, Operation, verdict
from node.storage.disk import OsDisk
from node.wire import DiskFault, DiskFaultKind

PATIENCE_S = 20.0


@pytest.fixture
def faults() -> DiskFaults:
    return DiskFaults()


@pytest.fixture
def disk(tmp_path: Path, faults: DiskFaults) -> FaultyDisk:
    return FaultyDisk(OsDisk(tmp_path), faults)


# -- the verdict -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "create", "write", "sync"),
    [
        (DiskFault("hang-disk"), (HANGS, 0), (HANGS, 0), (HANGS, 0)),
        (DiskFault("slow-disk", 0.2), (0, 0), (0, 0), (0.2, 0)),
        (DiskFault("full-disk"), (0, errno.ENOSPC), (0, errno.ENOSPC), (0, 0)),
        (DiskFault("fail-write"), (0, 0), (0, errno.EIO), (0, 0)),
        (DiskFault("fail-sync"), (0, 0), (0, 0), (0, errno.EIO)),
    ],
)
def test_what_becomes_of_an_operation(
    fault: DiskFault, create: tuple[float, int], write: tuple[float, int], sync: tuple[float, int]
) -> None:
    expected = [create, write, sync, WELL, WELL]  # the last two: renames and removals
    assert [verdict(fault, operation) for operation in get_args(Operation)] == expected


@pytest.mark.parametrize(
    ("since_s", "wait_s"),
    [
        (0.0, 2.0),
        (0.5, 1.5),
        (2.0, 0.0),
        (6.9, 0.0),
        (7.0, 2.0),
        (8.5, 0.5),
        (9.5, 0.0),
        (701.0, 1.0),
    ],
)
def test_a_cycling_disk_stalls_first_and_then_in_turn(since_s: float, wait_s: float) -> None:
    fault = DiskFault("cycle-disk", 2.0, 5.0)
    touched: tuple[Operation, ...] = ("create", "write", "sync")
    assert [verdict(fault, operation, since_s) for operation in touched] == [(wait_s, 0)] * 3
    assert verdict(fault, "rename", since_s) == verdict(fault, "remove", since_s) == WELL


@pytest.mark.parametrize("kind", get_args(DiskFaultKind))
def test_what_is_set_is_what_it_does_until_it_is_well(
    faults: DiskFaults, kind: DiskFaultKind
) -> None:
    assert faults.current is None
    faults.set(DiskFault(kind, 0.25, 0.5))
    assert faults.current == DiskFault(kind, 0.25, 0.5)
    faults.set(None)
    assert faults.current is None


# -- a real folder ---------------------------------------------------------------------------------


def test_without_a_fault_it_is_the_folder(disk: FaultyDisk, tmp_path: Path) -> None:
    file = disk.open("a", create=True)
    file.write_at(0, b"abcdef")
    file.sync()
    assert (file.size(), file.read_at(1, 9)) == (6, b"bcdef")
    file.close()
    disk.rename("a", "b")
    disk.sync_directory()
    assert disk.list() == ["b"]
    assert (tmp_path / "b").read_bytes() == b"abcdef"
    disk.remove("b")
    assert disk.list() == []


def test_a_full_disk_takes_nothing_until_it_is_not(disk: FaultyDisk, faults: DiskFaults) -> None:
    file = disk.open("a", create=True)
    faults.set(DiskFault("full-disk"))
    attempts: list[Callable[[], object]] = [
        lambda: file.write_at(0, b"x"),
        lambda: disk.open("b", create=True),
        lambda: file.write_at(0, b"x"),
    ]
    for attempt in attempts:
        with pytest.raises(OSError, match=r"No space left on device \(injected: full-disk\)") as no:
            attempt()
        assert no.value.errno == errno.ENOSPC
    file.sync()
    disk.open("a")
    assert (file.size(), disk.list()) == (0, ["a"])
    faults.set(None)
    file.write_at(0, b"x")
    assert file.size() == 1


@pytest.mark.parametrize("kind", sorted(ONCE))
def test_the_next_one_fails_and_no_other(
    disk: FaultyDisk, faults: DiskFaults, kind: DiskFaultKind
) -> None:
    file = disk.open("a", create=True)
    faults.set(DiskFault(kind))
    either: list[Callable[[], object]] = [lambda: file.write_at(0, b"x"), file.sync]
    fails, passes = either if kind == "fail-write" else reversed(either)
    passes()
    with pytest.raises(OSError, match=rf"\(injected: {kind}\)") as failure:
        fails()
    assert failure.value.errno == errno.EIO
    assert faults.current is None
    fails()


def test_the_sync_of_the_folder_is_one(disk: FaultyDisk, faults: DiskFaults) -> None:
    faults.set(DiskFault("fail-sync"))
    with pytest.raises(OSError, match="fail-sync"):
        disk.sync_directory()
    disk.sync_directory()


def test_a_slow_disk_takes_so_much_longer_to_sync(disk: FaultyDisk, faults: DiskFaults) -> None:
    file = disk.open("a", create=True)
    faults.set(DiskFault("slow-disk", 0.1))
    began = time.monotonic()
    file.sync()
    assert time.monotonic() - began >= 0.1


def beside(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def test_a_cycling_disk_waits_no_longer_than_its_stall_and_works_in_between(
    disk: FaultyDisk, faults: DiskFaults
) -> None:
    file = disk.open("a", create=True)
    began = time.monotonic()
    stall_s = 1.5  # longer than a true sync takes on a busy machine
    faults.set(DiskFault("cycle-disk", stall_s, 3600.0))
    file.write_at(0, b"a")
    assert time.monotonic() - began >= stall_s
    began = time.monotonic()
    file.write_at(0, b"b")
    file.sync()
    assert time.monotonic() - began < stall_s, "it works now, for an hour"


@pytest.mark.parametrize(
    "fault",
    [DiskFault("hang-disk"), DiskFault("slow-disk", 3600.0), DiskFault("cycle-disk", 3600.0, 1.0)],
)
def test_who_waits_goes_on_when_the_fault_is_over(
    disk: FaultyDisk, faults: DiskFaults, fault: DiskFault
) -> None:
    file = disk.open("a", create=True)
    faults.set(fault)
    waits = beside(file.sync)
    waits.join(0.1)
    assert waits.is_alive()
    faults.set(None)
    waits.join(PATIENCE_S)
    assert not waits.is_alive()


def test_who_waits_meets_the_fault_that_comes_next(disk: FaultyDisk, faults: DiskFaults) -> None:
    file = disk.open("a", create=True)
    failed: list[OSError] = []

    def write() -> None:
        try:
            file.write_at(0, b"x")
        except OSError as error:
            failed.append(error)

    faults.set(DiskFault("hang-disk"))
    waits = beside(write)
    faults.set(DiskFault("full-disk"))
    waits.join(PATIENCE_S)
    assert [error.errno for error in failed] == [errno.ENOSPC]
    assert file.size() == 0


def test_a_fork_meets_what_is_set_after_it_was_made(disk: FaultyDisk, faults: DiskFaults) -> None:
    """A snapshot is written by a fork: its disk hangs with the log's, and goes on with it."""
    file = disk.open("a", create=True)
    faults.set(DiskFault("hang-disk"))
    child = os.fork()
    if child == 0:
        signal.alarm(int(PATIENCE_S))  # it never outlives a test that fails
        try:
            file.write_at(0, b"x")
        except OSError as error:
            os._exit(error.errno or 1)
        finally:
            os._exit(0)
    time.sleep(0.05)
    assert file.size() == 0
    faults.set(DiskFault("fail-write"))
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == errno.EIO
    assert faults.current is None, "it struck there, and is over here"
