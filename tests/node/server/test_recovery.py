"""What a server tells of what it found on its disk."""

from __future__ import annotations

from pathlib import Path

from node.storage.mark import MARK_FILE
from node.storage.snapshots import snapshot_name
from tests.node.server.test_server import World
from tests.node.server.test_snapshots import grown

FIRST = "0000000001.wal"


def told(world: World) -> list[tuple[str, dict[str, object]]]:
    """What it tells at its next start."""
    world.crash(1)
    world.start(1)
    return world.events[1].seen


def test_a_server_whose_disk_is_whole_tells_where_its_log_ends(tmp_path: Path) -> None:
    world = World(tmp_path, 1)
    grown(world, 5)
    assert told(world)[0] == (
        "node.recovered",
        {"snapshot_index": 0, "last_index": 6, "last_term": 1},
    )


def test_a_torn_write_is_told_of_first(tmp_path: Path) -> None:
    world = World(tmp_path, 1)
    grown(world, 5)
    world.crash(1)
    file = tmp_path / "node-1" / FIRST
    content = bytearray(file.read_bytes())
    end = len(content.rstrip(b"\0"))
    content[end - 1] ^= 1
    file.write_bytes(content)
    (tmp_path / "node-1" / MARK_FILE).unlink()
    world.start(1)

    (event, fields), (last, recovered) = world.events[1].seen[:2]
    assert event == "log.torn_tail_dropped"
    assert fields["file"] == FIRST
    assert 0 < int(str(fields["offset"])) < end
    assert "fails its checksum" in str(fields["reason"])
    assert (last, recovered["last_index"]) == ("node.recovered", 5)


def test_a_damaged_snapshot_that_is_passed_over_is_told_of(tmp_path: Path) -> None:
    world = World(tmp_path, 1)
    grown(world, 5)
    world.servers[1].take_snapshot()
    world.settle()
    name = snapshot_name(6)
    file = tmp_path / "node-1" / name
    file.write_bytes(file.read_bytes()[:-1])

    (event, fields), (last, recovered) = told(world)[:2]
    assert (event, fields["file"]) == ("snapshot.damaged", name)
    assert str(fields["reason"]).startswith("it is")
    assert (last, recovered["snapshot_index"]) == ("node.recovered", 0)
