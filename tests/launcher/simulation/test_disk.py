"""The simulated disk: what a loss of power takes, and what a failed sync has taken already."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from random import Random
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.simulation.disk import PowerCut, SimulatedDisk, SimulatedFile
from node.faults.disks import DiskFaults, FaultyDisk
from node.faults.pages import SECTOR_BYTES
from node.ports import Disk
from node.storage.disk import OsDisk
from node.wire import DiskFault, DiskFaultKind


def written(seed: int = 1) -> SimulatedDisk:
    """A disk with one file, `old` durable in it and `new` written over it."""
    disk = SimulatedDisk(Random(seed))
    file = disk.open("f", create=True)
    file.write_at(0, b"old" * SECTOR_BYTES)
    file.sync()
    disk.sync_directory()
    file.write_at(0, b"new" * SECTOR_BYTES)
    return disk


def test_what_was_synced_survives() -> None:
    for seed in range(50):
        disk = written(seed)
        disk.open("f").sync()
        disk.lose_power()
        assert disk.files() == {"f": b"new" * SECTOR_BYTES}


def test_what_was_not_synced_is_there_or_not_sector_by_sector() -> None:
    outcomes = set()
    for seed in range(200):
        disk = written(seed)
        disk.lose_power()
        content = disk.files()["f"]
        assert len(content) == 3 * SECTOR_BYTES
        sectors = [content[at : at + SECTOR_BYTES] for at in range(0, len(content), SECTOR_BYTES)]
        old, new = b"old" * SECTOR_BYTES, b"new" * SECTOR_BYTES
        kinds = []
        for position, sector in enumerate(sectors):
            at = position * SECTOR_BYTES
            kinds.append(
                "old"
                if sector == old[at : at + SECTOR_BYTES]
                else "new"
                if sector == new[at : at + SECTOR_BYTES]
                else "torn"
            )
        outcomes.add(tuple(kinds))
    assert {("old",) * 3, ("new",) * 3, ("old", "new", "old")} <= outcomes
    assert any("torn" in kinds for kinds in outcomes)


def test_a_name_that_was_not_synced_may_be_gone() -> None:
    there = set()
    for seed in range(50):
        disk = SimulatedDisk(Random(seed))
        disk.open("f", create=True)
        disk.lose_power()
        there.add("f" in disk.list())
    assert there == {True, False}


def test_a_failed_sync_has_lost_its_pages_though_they_can_be_read() -> None:
    """What kernels do: the pages are called clean, and the next sync has nothing to do."""
    disk = written()
    disk.fault = DiskFault("fail-sync")
    with pytest.raises(OSError, match="Input/output error"):
        disk.open("f").sync()
    assert disk.files()["f"] == b"new" * SECTOR_BYTES
    disk.open("f").sync()  # and it says that all is well
    disk.lose_power()
    assert disk.files()["f"] == b"old" * SECTOR_BYTES


def test_an_error_that_comes_once_comes_once() -> None:
    disk = written()
    disk.fault = DiskFault("fail-write")
    with pytest.raises(OSError, match="Input/output"):
        disk.open("f").write_at(0, b"x")
    disk.open("f").write_at(0, b"y")
    assert disk.failures == 1


def test_a_full_disk_goes_on_being_full() -> None:
    disk = written()
    disk.fault = DiskFault("full-disk")
    for _ in range(3):
        with pytest.raises(OSError, match="No space left"):
            disk.open("f").write_at(0, b"x")
    with pytest.raises(OSError, match="No space left"):
        disk.open("g", create=True)


WAITS = ("hang-disk", "slow-disk", "cycle-disk")
FAILURES = [kind for kind in get_args(DiskFaultKind) if kind not in WAITS]
"""The other two take time: the simulated node waits, not its disk."""


@pytest.mark.parametrize("kind", FAILURES)
def test_a_fault_fails_the_same_operations_as_on_a_real_disk(
    kind: DiskFaultKind, tmp_path: Path
) -> None:
    faults = DiskFaults()
    simulated = SimulatedDisk()

    def errors(disk: Disk, set_fault: Callable[[DiskFault], None]) -> list[int | None]:
        file = disk.open("f", create=True)
        set_fault(DiskFault(kind))
        attempts: list[Callable[[], object]] = [
            lambda: file.write_at(0, b"x"),
            file.sync,
            lambda: file.write_at(0, b"x"),
            lambda: file.write_synced(0, b"x"),
            file.sync,
            lambda: disk.open("g", create=True),
            lambda: disk.rename("f", "h"),
            disk.sync_directory,
            lambda: disk.remove("h"),
        ]
        found: list[int | None] = []
        for attempt in attempts:
            try:
                attempt()
            except OSError as error:
                found.append(error.errno)
            else:
                found.append(None)
        return found

    real = errors(FaultyDisk(OsDisk(tmp_path), faults), faults.set)
    assert errors(simulated, lambda fault: setattr(simulated, "fault", fault)) == real
    assert any(real)


def test_a_twin_loses_its_power_alone() -> None:
    for seed in range(30):
        disk = written(seed)
        before = disk.files()
        twin = disk.twin(Random(seed))
        assert twin.files() == before
        twin.lose_power()
        assert disk.files() == before
        disk.open("f").sync()
        disk.lose_power()
        assert disk.files() == before


def test_a_twin_after_a_failed_sync_knows_what_is_lost() -> None:
    disk = written()
    disk.fault = DiskFault("fail-sync")
    with pytest.raises(OSError, match="Input/output"):
        disk.open("f").sync()
    twin = disk.twin(Random(1))
    twin.lose_power()
    assert twin.files()["f"] == b"old" * SECTOR_BYTES


def test_a_flipped_bit_is_durable() -> None:
    disk = written()
    disk.open("f").sync()
    disk.flip("f", 8 * 5 + 3)
    disk.lose_power()
    content = disk.files()["f"]
    assert content[5] == b"new"[5 % 3] ^ 8
    assert content[:5] + content[6:] == (b"new" * SECTOR_BYTES)[:5] + (b"new" * SECTOR_BYTES)[6:]


def test_the_power_may_go_within_a_write() -> None:
    seen = set()
    for seed in range(40):
        disk = written(seed)
        disk.restart()
        disk.crash_at = 1
        with pytest.raises(PowerCut):
            disk.open("f").write_at(0, b"abc")
        seen.add(disk.files()["f"][:3])
    assert seen == {b"new", b"aew", b"abw", b"abc"}


def test_versions_of_a_sector_that_is_never_synced_do_not_pile_up() -> None:
    disk = written()
    file = disk.open("f")
    for number in range(1000):
        file.write_at(0, b"%03d" % number)
    assert len(disk.names["f"].unsynced[0]) < 20
    oldest = disk.names["f"].unsynced[0][0]
    assert oldest.startswith(b"new"), "the oldest version is among those that may come back"


def in_two(file: SimulatedFile, offset: int, data: bytes) -> None:
    file.write_at(offset, data)
    file.sync()


SYNCED_WRITES = {"in one": SimulatedFile.write_synced, "in two": in_two}


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["write", "sync", "synced write", "fails", "stops", "loses power"]),
            st.integers(0, 3 * SECTOR_BYTES),
            st.binary(max_size=SECTOR_BYTES),
        )
    ),
    st.integers(1, 2),
)
def test_a_synced_write_is_a_write_and_a_sync(
    operations: list[tuple[str, int, bytes]], stops_at: int
) -> None:
    """Whatever comes before it, and whatever happens to it: the file is the same after it."""
    disks = {name: SimulatedDisk(Random(1)) for name in SYNCED_WRITES}
    for name, disk in disks.items():
        file = disk.open("f", create=True)
        disk.sync_directory()
        for what, offset, data in operations:
            expected: AbstractContextManager[object] = nullcontext()
            if what == "fails":
                disk.fault = DiskFault("fail-sync")
                expected = pytest.raises(OSError, match="Input/output")
            elif what == "stops":
                disk.crash_at = disk.operations + stops_at
                expected = pytest.raises(PowerCut)
            if what == "write":
                file.write_at(offset, data)
            elif what == "sync":
                file.sync()
            elif what == "loses power":
                disk.lose_power()
                file = disk.open("f")
            else:
                with expected:
                    SYNCED_WRITES[name](file, offset, data)
                disk.crash_at = 0
    one, two = (disk.names["f"] for disk in disks.values())
    assert one.cached == two.cached
    assert one.durable == two.durable
    assert one.is_clean == two.is_clean
    assert one.called_clean == two.called_clean
    assert disks["in one"].history == disks["in two"].history
