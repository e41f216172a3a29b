"""Crashes at every operation, and random lives, against a model that never forgets.

After any crash: all that an append returned for is there, the one append that was under way is
there whole or not at all, nothing is invented, and no crash is taken for damage.
"""

from __future__ import annotations

import contextlib
import random
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.simulation.disk import PowerCut, SimulatedDisk
from node.errors import DiskFailed, StorageError
from node.raft.messages import HardState
from node.storage.wal import WriteAheadLog
from tests.node.storage.model import IDENTITY, Append, Drop, Model, batch

SEGMENT_BYTES = 1024

SCRIPT: list[Append | Drop] = [
    Append(HardState(1, None), ()),
    Append(HardState(1, 1), (batch(1), batch(2, 3))),
    Append(None, (batch(5, size=300),)),
    Append(None, (batch(6, size=300),)),
    Append(HardState(2, 2), (batch(7, 2, term=2, size=400),)),  # begins segment 2
    Append(None, (batch(5, term=2), batch(6, 4, term=2, size=200))),  # replaces into segment 1
    Append(None, (batch(10, term=2, size=3000),)),  # a segment of its own, larger
    Append(HardState(3, None), ()),
    Append(None, (batch(11, term=3), batch(12, term=3), batch(13, 5, term=3, size=250))),
    Append(None, tuple(batch(index, term=3, size=90) for index in range(18, 24))),
    Drop(11),
    Append(None, (batch(24, term=3, size=700),)),  # takes a recycled segment
    Append(HardState(4, 1), (batch(18, 2, term=4), batch(20, term=4, size=100))),
    Append(None, (batch(21, term=4, size=600),)),
    Drop(20),
    Append(None, (batch(22, term=4, size=600),)),
    Append(HardState(5, 1), (batch(23, 9, term=5, size=30),)),
]


class Life:
    """A log and its model, across crashes. `may_be` holds every state that recovery may find.

    ahead: spares are made as soon as they are due
    """

    def __init__(self, disk: SimulatedDisk, *, ahead: bool = False) -> None:
        self.disk = disk
        self.ahead = ahead
        self.sure = Model()
        self.may_be = [self.sure]
        self.log: WriteAheadLog | None = None

    def open(self) -> None:
        self.log, recovered = WriteAheadLog.open(self.disk, IDENTITY, segment_bytes=SEGMENT_BYTES)
        found = [
            model for model in self.may_be if model.agrees(recovered.hard_state, recovered.batches)
        ]
        assert found, f"recovered {recovered}, and not one of {self.may_be}"
        self.sure = found[-1]
        self.may_be = [self.sure]

    def do(self, step: Append | Drop) -> None:
        assert self.log is not None
        after = self.sure.after(step)
        self.may_be = [self.sure, after]
        if isinstance(step, Append):
            self.log.append(step.hard_state, step.batches)
        else:
            self.log.drop_before(step.index)
        self.sure = after
        self.may_be = [after]
        if self.ahead and self.log.spare_is_due():
            with contextlib.suppress(DiskFailed):
                while self.log.make_spare():
                    pass

    def go_on(self) -> None:
        """Something more, small and large, with bytes of its own."""
        last = self.sure.batches[-1].last_index if self.sure.batches else 0
        self.do(Append(HardState(50, 1), (batch(last + 1, term=50), batch(last + 2, term=50))))
        self.do(Append(None, (batch(last + 3, term=50, size=800),)))


def run_script(disk: SimulatedDisk, *, ahead: bool = False) -> Life:
    life = Life(disk, ahead=ahead)
    life.open()
    for step in SCRIPT:
        life.do(step)
    return life


@cache
def operations_of_script(*, ahead: bool) -> int:
    return len(run_script(SimulatedDisk(), ahead=ahead).disk.history)


def run_until_crash(disk: SimulatedDisk, crash_at: int, *, ahead: bool) -> Life:
    life = Life(disk, ahead=ahead)
    disk.crash_at = crash_at
    with contextlib.suppress(PowerCut):
        life.open()
        for step in SCRIPT:
            life.do(step)
    return life


def test_the_script_goes_everywhere() -> None:
    history = run_script(SimulatedDisk()).disk.history

    renamed = [step for step in history if step.startswith("rename")]
    assert any("spare-" in step for step in renamed)
    assert sum("create segment.tmp" in step for step in history) < sum(
        "spare-" not in step for step in renamed
    ), "a spare was used"
    assert any("remove" in step for step in history), "spares of another size are removed"

    ahead = run_script(SimulatedDisk(), ahead=True).disk.history
    made = [number for number, step in enumerate(ahead) if step == "rename spare-0000000000.wal"]
    assert len(made) >= 2
    assert ahead.count("create segment.tmp") < history.count("create segment.tmp"), "they are used"


each = pytest.mark.parametrize("ahead", [False, True], ids=["", "ahead"])
"""Without spares made ahead, and with them."""


@each
@pytest.mark.parametrize("seed", range(6))
def test_power_loss_at_every_operation(seed: int, ahead: bool) -> None:
    for crash_at in range(1, operations_of_script(ahead=ahead) + 2):
        disk = SimulatedDisk(random.Random(seed * 1000 + crash_at))
        life = run_until_crash(disk, crash_at, ahead=ahead)
        disk.lose_power()
        life.open()
        disk.lose_power()  # what recovery handed out stays
        life.open()
        life.go_on()
        disk.lose_power()
        life.open()


@each
def test_power_loss_at_every_operation_of_the_recovery_from_one(ahead: bool) -> None:
    for crash_at in range(1, operations_of_script(ahead=ahead) + 2):
        for again_at in range(1, 12):
            disk = SimulatedDisk(random.Random(crash_at * 100 + again_at))
            life = run_until_crash(disk, crash_at, ahead=ahead)
            disk.lose_power()
            disk.crash_at = again_at
            with contextlib.suppress(PowerCut):
                life.open()
            disk.lose_power()
            life.open()
            life.go_on()
            disk.lose_power()
            life.open()


@each
@pytest.mark.parametrize("seed", range(2))
def test_a_killed_process_and_then_a_power_loss(seed: int, ahead: bool) -> None:
    """What recovery read from the page cache must be on the medium before it is handed out."""
    for crash_at in range(1, operations_of_script(ahead=ahead) + 2):
        disk = SimulatedDisk(random.Random(seed * 1000 + crash_at))
        life = run_until_crash(disk, crash_at, ahead=ahead)
        disk.restart()
        life.open()
        disk.lose_power()
        life.open()
        life.go_on()
        disk.restart()
        life.open()


@each
@pytest.mark.parametrize("seed", range(2))
def test_a_failing_disk_and_then_a_restart(seed: int, ahead: bool) -> None:
    """Any operation fails; the process stops, starts again, and later the power goes."""
    for fail_at in range(1, operations_of_script(ahead=ahead) + 1):
        disk = SimulatedDisk(random.Random(seed * 1000 + fail_at))
        life = Life(disk, ahead=ahead)
        disk.fail_at = fail_at
        with contextlib.suppress(OSError, StorageError):
            life.open()
            for step in SCRIPT:
                life.do(step)
        disk.restart()
        life.open()
        disk.lose_power()
        life.open()
        life.go_on()


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_random_lives(data: st.DataObject) -> None:
    """Appends, replacements, drops, reopenings and crashes, in any order."""
    disk = SimulatedDisk(random.Random(data.draw(st.integers(0, 1 << 30), label="seed")))
    life = Life(disk, ahead=data.draw(st.booleans(), label="ahead"))
    life.open()
    term = 1
    for _ in range(data.draw(st.integers(1, 25), label="steps")):
        kind = data.draw(st.sampled_from(["append", "append", "replace", "drop", "end"]))
        batches = life.sure.batches
        last = batches[-1].last_index if batches else 0
        kept = [b for b in batches if b.first_index >= life.sure.dropped_below]
        if kind == "end":
            end_life(data, life)
            continue
        if kind == "drop":
            life.do(Drop(data.draw(st.integers(0, last + 1))))
            continue
        first = last + 1
        if kind == "replace" and kept:
            first = data.draw(st.sampled_from(kept)).first_index
        hard_state = None
        if data.draw(st.booleans()):
            term += 1
            hard_state = HardState(term, data.draw(st.sampled_from([None, 1, 2])))
        new = []
        for _ in range(data.draw(st.integers(0, 4))):
            count = data.draw(st.integers(1, 3))
            size = data.draw(st.sampled_from([1, 30, 300, 1500]))
            new.append(batch(first, count, term=term, size=size))
            first += count
        life.do(Append(hard_state, tuple(new)))
    life.open()


def end_life(data: st.DataObject, life: Life) -> None:
    """Ends a life in order, or in the middle of an append, and begins the next."""
    disk = life.disk
    how = data.draw(st.sampled_from(["close", "kill", "power"]))
    if how == "close":
        assert life.log is not None
        life.log.close()
    else:
        disk.restart()
        disk.crash_at = data.draw(st.integers(1, 8))
        last = life.sure.batches[-1].last_index if life.sure.batches else 0
        size = data.draw(st.sampled_from([10, 400, 1200]))
        with contextlib.suppress(PowerCut):
            life.do(Append(None, (batch(last + 1, term=999, size=size),)))
    if how == "power":
        disk.lose_power()
    else:
        disk.restart()
    life.open()
