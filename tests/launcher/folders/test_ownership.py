"""Whose a cluster and its leftovers are, rule by rule; `test_whose.py` tries all in any order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from launcher.folders.ownership import (
    CutOff,
    FolderId,
    Linked,
    Owner,
    Running,
    RuntimeSeen,
    SupervisorRecord,
    Unknown,
    left_behind,
    outlived,
    who_runs,
)
from launcher.folders.process_identity import ProcessRecord

HERE = FolderId(1, 10)
ELSEWHERE = FolderId(1, 20)
SUPERVISOR = ProcessRecord(100, "start 1")
RUNTIME = Path("/tmp/leeky-a")


def seen(
    of: FolderId = HERE,
    *,
    path: Path = RUNTIME,
    held: bool = True,
    inode: int = 50,
    written_in: int = 50,
) -> RuntimeSeen:
    """A runtime folder. written_in: the inode of the one in which its owner.json was written."""
    status = os.stat_result((0o40700, inode, 1, 2, 0, 0, 0, 0, 0, 0))
    owner = Owner(
        home=FolderId(1, written_in), folder=of, data_dir="/p/data", pid=100, start="start 1"
    )
    return RuntimeSeen(path, status, held, owner)


def named(folder: FolderId = HERE, runtime_dir: Path = RUNTIME) -> SupervisorRecord:
    return SupervisorRecord(
        folder=folder, pid=100, start="start 1", runtime_dir=str(runtime_dir), name="leeky"
    )


def nobody(process: ProcessRecord) -> bool:
    return False


def anybody(process: ProcessRecord) -> bool:
    return True


# -- who runs --------------------------------------------------------------------------------------


def test_it_runs_where_its_runtime_folder_is_held() -> None:
    assert who_runs(HERE, 1, named(), [seen()], nobody) == Running(SUPERVISOR, RUNTIME)


def test_it_is_found_without_a_supervisor_json_and_by_an_old_one() -> None:
    """An old copy was put back over it; or it is damaged."""
    other = Path("/tmp/leeky-b")
    for said in (None, named(ELSEWHERE), named(runtime_dir=other)):
        assert who_runs(HERE, 1, said, [seen()], nobody) == Running(SUPERVISOR, RUNTIME)


@pytest.mark.parametrize(
    "one",
    [
        seen(ELSEWHERE),
        seen(held=False),
        seen(written_in=51),
        RuntimeSeen(RUNTIME, seen().status, True, None),
    ],
    ids=["another's", "of a dead one", "a copy", "without an owner"],
)
def test_no_other_runtime_folder_is_believed(one: RuntimeSeen) -> None:
    assert who_runs(HERE, 1, named(), [one], nobody) == Unknown(named())


def test_it_is_cut_off_when_the_process_that_was_named_here_has_the_lock_file_open() -> None:
    assert who_runs(HERE, 1, named(), [], anybody) == CutOff(SUPERVISOR, RUNTIME)
    assert who_runs(HERE, 1, named(), [], nobody) == Unknown(named())


def test_a_copied_name_is_not_believed_whatever_that_process_has_open() -> None:
    """A hard link makes the lock file of a copy the original's."""
    assert who_runs(HERE, 1, named(ELSEWHERE), [], anybody) == Unknown(None)
    assert who_runs(HERE, 2, named(ELSEWHERE), [], anybody) == Linked("")


def test_hard_links_are_told_from_the_original() -> None:
    copied = named(ELSEWHERE)
    assert who_runs(HERE, 2, copied, [seen(ELSEWHERE)], anybody) == Linked("/p/data")
    assert who_runs(ELSEWHERE, 2, copied, [seen(ELSEWHERE)], nobody) == Running(SUPERVISOR, RUNTIME)
    elsewhere = seen(ELSEWHERE, path=Path("/tmp/leeky-b"))
    assert who_runs(HERE, 2, copied, [elsewhere], nobody) == Linked("")


# -- what was left ---------------------------------------------------------------------------------


def test_only_what_is_ours_and_not_held_is_dead() -> None:
    mine, alive, theirs = seen(held=False), seen(), seen(ELSEWHERE, held=False)
    copy, silent = seen(held=False, written_in=51), RuntimeSeen(RUNTIME, mine.status, False, None)

    left = left_behind(HERE, [theirs, mine, alive, copy, silent])

    assert (left.dead, left.ending) == ([mine], [alive])


def test_a_process_has_outlived_only_if_it_is_the_same_one() -> None:
    table = {1: "start 1", 2: "start 9"}
    listed = {n: ProcessRecord(n, f"start {n}") for n in (1, 2, 3)}

    assert outlived(listed, table.get) == {1: listed[1]}
