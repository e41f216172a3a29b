"""FAULT: what an operator may write of a disk, and what is said of one."""

from __future__ import annotations

import pytest

from launcher.cli.status_table import status_table
from launcher.control.disks import FAULT_WORDS, ailment, describe, parse_fault, split_words
from launcher.control.status import ClusterStatus, NodeStatus
from launcher.errors import UsageError
from launcher.simulation.faults.schedule import FAULTS
from node.wire import DiskFault


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("hang", DiskFault("hang-disk")),
        ("Hang-Disk", DiskFault("hang-disk")),
        ("slow 200ms", DiskFault("slow-disk", 0.2)),
        (" slow-disk  1m ", DiskFault("slow-disk", 60.0)),
        ("full", DiskFault("full-disk")),
        ("fail-write", DiskFault("fail-write")),
        ("fail-sync", DiskFault("fail-sync")),
        ("cycle 5s 5s", DiskFault("cycle-disk", 5.0, 5.0)),
        ("cycle-disk 200ms 1m", DiskFault("cycle-disk", 0.2, 60.0)),
        ("ok", None),
    ],
)
def test_what_a_fault_is_called(text: str, fault: DiskFault | None) -> None:
    assert parse_fault(text) == fault
    if fault is not None:
        assert parse_fault(describe(fault)) == fault
        assert fault.kind in FAULTS, "the simulated world has it by the same name"


@pytest.mark.parametrize("text", ["", "burn", "hang 200ms", "ok full", "full-sync", "200ms"])
def test_what_no_disk_can_do_is_refused_with_what_it_can(text: str) -> None:
    with pytest.raises(UsageError, match="a disk cannot do") as refusal:
        parse_fault(text)
    assert all(word in str(refusal.value) for word in FAULT_WORDS)


@pytest.mark.parametrize(
    "text", ["slow", "slow 0s", "slow fast", "slow 200", "slow -1s", "slow 2h", "slow 1s 2s"]
)
def test_slow_takes_a_duration(text: str) -> None:
    with pytest.raises(UsageError, match="slow takes a duration with a unit, such as 200ms"):
        parse_fault(text)


@pytest.mark.parametrize(
    "text",
    [
        "cycle",
        "cycle 5s",
        "cycle 5 5",
        "cycle 0s 5s",
        "cycle 5s 0s",
        "cycle 5s 2h",
        "cycle 1s 1s 1s",
    ],
)
def test_cycle_takes_two_durations(text: str) -> None:
    with pytest.raises(UsageError, match="cycle takes two durations with units, such as 5s 5s"):
        parse_fault(text)


@pytest.mark.parametrize(
    ("words", "targets", "fault"),
    [
        ("1 2 hang", ["1", "2"], "hang"),
        ("leader slow 200ms", ["leader"], "slow 200ms"),
        ("1 leader cycle 5s 1s", ["1", "leader"], "cycle 5s 1s"),
        ("1 cycle 5s", ["1"], "cycle 5s"),
        ("slow 200ms", ["slow"], "200ms"),
    ],
)
def test_the_fault_is_what_stands_after_the_targets(
    words: str, targets: list[str], fault: str
) -> None:
    assert split_words(words.split()) == (targets, fault)


def test_what_ails_a_disk() -> None:
    assert ailment(None, False) == ""
    assert ailment(None, True) == "a write hangs"
    assert ailment(DiskFault("slow-disk", 0.05), True) == "slow-disk 50ms, a write hangs"


def test_ps_says_why_a_node_is_down_and_what_ails_its_disk() -> None:
    nodes = [
        NodeStatus(id=1, state="up", disk="hang-disk"),
        NodeStatus(id=2, state="failed", reason="it failed", disk="full-disk"),
        NodeStatus(id=3, state="up"),
    ]
    status = ClusterStatus(cluster="c", supervisor_pid=1, leader=None, term=1, nodes=nodes)
    title, *rows = status_table(status, colour=False).splitlines()
    assert title.endswith("why")
    assert rows[0].endswith("disk: hang-disk")
    assert rows[1].endswith("it failed; disk: full-disk")
    assert rows[2].endswith("-")
