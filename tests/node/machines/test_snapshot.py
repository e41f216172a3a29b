"""How a machine's items are put into groups, and found in them again."""

from __future__ import annotations

import msgspec
import pytest

from node.errors import MachineError
from node.machines import snapshot
from node.wire import FrameReader, frame

_decoder = msgspec.msgpack.Decoder(list[bytes])


def groups(items: list[bytes]) -> list[list[bytes]]:
    stream = b"".join(snapshot.write("it", 1, items))
    header, *bodies = FrameReader(1 << 31).feed(stream)
    assert msgspec.msgpack.decode(header) == ["it", 1, len(items), 2]
    return [_decoder.decode(body) for body in bodies]


def read(*chunks: bytes) -> list[bytes]:
    return list(snapshot.read("it", 1, _decoder, chunks))


@pytest.mark.parametrize("size", [0, 1, 300, 5_000, 100_000])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 1_000])
def test_all_items_are_there_again_in_their_order(size: int, count: int) -> None:
    items = [b"%d" % number + b"x" * size for number in range(min(count, 1 + 10**7 // (size + 1)))]
    assert read(*snapshot.write("it", 1, items)) == items


def test_small_items_share_a_group_and_large_ones_stand_alone() -> None:
    small, large = [b"s" * 100] * 1_000, [b"l" * 1_000_000] * 10
    assert len(groups(small)) < 80
    assert [len(group) for group in groups(large)] == [1] * 10
    mixed = groups(small + large + small)
    assert [item for group in mixed for item in group] == small + large + small
    assert [len(group) for group in mixed if large[0] in group] == [1] * 10


def test_a_group_is_about_a_chunk_at_most() -> None:
    items = [b"s" * 100] * 100 + [b"l" * 30_000] * 50 + [b"s" * 100] * 10
    assert max(sum(map(len, group)) for group in groups(items)) <= snapshot.CHUNK_BYTES
    assert read(*snapshot.write("it", 1, items)) == items


def test_the_form_before_groups_is_refused_by_its_name() -> None:
    header = frame(msgspec.msgpack.encode(["it", 1, 1]))
    with pytest.raises(MachineError, match="a snapshot of it in form 1, by another leeky-raft"):
        read(header, frame(msgspec.msgpack.encode(b"a")))


def test_more_or_fewer_items_than_promised_are_refused() -> None:
    header = frame(msgspec.msgpack.encode(["it", 1, 3, 2]))
    for held in ([b"a", b"b"], [b"a", b"b", b"c", b"d"]):
        with pytest.raises(MachineError, match=f"holds {len(held)} items instead of 3"):
            read(header, frame(msgspec.msgpack.encode(held)))
