"""What the log goes on in next is made ahead, beside the appends."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from node.errors import DiskFailed
from node.storage import wal
from node.storage.store import Store
from tests.node.server.test_server import Connection, World, submit

SPARE = "spare-0000000000.wal"


def grown(world: World, entries: int, first: int = 1) -> None:
    """Entries of 900 bytes each; some seventy fill a segment."""
    client = Connection()
    for number in range(first, first + entries):
        submit(world.servers[1], client, number, b"x" * 900)
        world.settle()


def test_the_next_segment_is_there_when_half_of_one_is_written(tmp_path: Path) -> None:
    world = World(tmp_path, 1)
    world.elect()
    grown(world, 30)
    assert not (tmp_path / "node-1" / SPARE).exists()
    grown(world, 15, first=31)
    assert (tmp_path / "node-1" / SPARE).stat().st_size == 1 << 16
    grown(world, 40, first=46)
    assert not (tmp_path / "node-1" / SPARE).exists(), "it is in use"
    assert (tmp_path / "node-1" / "0000000002.wal").exists()


def test_it_is_made_in_pieces_so_that_others_get_their_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wal, "_ZEROS", bytes(5000))
    world = World(tmp_path, 1)
    world.elect()
    grown(world, 45)
    assert (tmp_path / "node-1" / SPARE).read_bytes() == bytes(1 << 16)


def failing(monkeypatch: pytest.MonkeyPatch, number: int) -> list[int]:
    """No spare can be made; how often it was tried."""
    tried: list[int] = []

    def fail(store: Store) -> bool:
        tried.append(number)
        raise DiskFailed("preallocation", SPARE, OSError(number, os.strerror(number)))

    monkeypatch.setattr(Store, "make_spare", fail)
    return tried


def test_on_a_full_disk_it_goes_on_without_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = failing(monkeypatch, errno.ENOSPC)
    world = World(tmp_path, 1)
    world.elect()
    grown(world, 85)
    assert len(tried) == 1, "once in a segment"
    (noted,) = world.events[1].named("log.not_prepared")
    assert noted == {"reason": f"preallocation of {SPARE} failed: No space left on device"}
    assert (tmp_path / "node-1" / "0000000002.wal").exists()


def test_a_disk_that_fails_then_ends_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, errno.EIO)
    world = World(tmp_path, 1)
    world.elect()
    with pytest.raises(DiskFailed, match=f"preallocation of {SPARE} failed: Input/output error"):
        grown(world, 85)
