"""Members: who is in which view, and who has failed."""

from __future__ import annotations

import pytest

from node.errors import CommandError
from node.machines.members import KEPT_CHANGES, Members
from tests.refused import refused_command

SECOND = 1_000_000


def test_members_join_and_leave_and_each_change_makes_a_view() -> None:
    members = Members()
    assert members.query(b"VIEW") == b"0"
    assert members.apply(1, b"JOIN bob 5s") == b"1"
    assert members.apply(2, b"JOIN ann 5s on port 80 ") == b"2"
    assert members.query(b"VIEW") == b"2\nann 2 on port 80 \nbob 1"
    assert members.apply(3, b"LEAVE bob") == b"3"
    assert members.query(b"VIEW") == b"3\nann 2 on port 80 "
    assert members.query(b"HISTORY") == b"1 joined bob\n2 joined ann\n3 left bob"
    assert members.query(b"HISTORY 1") == b"3 left bob"
    assert members.query(b"HISTORY 0") == b""


def test_a_member_without_a_heartbeat_has_failed_when_its_ttl_is_over() -> None:
    members = Members()
    members.apply(1, b"JOIN ann 5s")
    members.apply(2, b"JOIN bob 2s")
    assert members.deadline_us() == 2 * SECOND
    members.advance(2 * SECOND - 1)
    assert members.query(b"MEMBER bob") == b"2 2s 0.001s"
    members.advance(2 * SECOND)
    assert members.query(b"VIEW") == b"3\nann 1"
    assert members.query(b"HISTORY 1") == b"3 failed bob"
    assert refused_command(members, b"HEARTBEAT bob") == "bob is no member in view 3"
    assert refused_command(members, b"MEMBER bob") == "bob is no member in view 3"
    assert refused_command(members, b"LEAVE bob") == "bob is no member in view 3"


def test_a_heartbeat_puts_failure_off_and_tells_the_view() -> None:
    members = Members()
    members.apply(1, b"JOIN ann 5s")
    for second in range(4, 40, 4):
        members.advance(second * SECOND)
        assert members.apply(second, b"HEARTBEAT ann") == b"1"
    assert members.query(b"MEMBER ann") == b"1 5s 5s"
    members.apply(50, b"JOIN bob 5s")
    assert members.apply(51, b"HEARTBEAT ann") == b"2"


def test_several_fail_in_the_order_of_their_time_each_in_a_view_of_its_own() -> None:
    members = Members()
    for index, (name, ttl) in enumerate([(b"c", 3), (b"b", 1), (b"a", 3), (b"d", 9)], 1):
        members.apply(index, b"JOIN %s %ds" % (name, ttl))
    members.advance(5 * SECOND)
    assert members.query(b"HISTORY 3") == b"5 failed b\n6 failed a\n7 failed c"
    assert members.query(b"VIEW") == b"7\nd 4"


def test_who_joins_again_replaces_itself() -> None:
    members = Members()
    members.apply(1, b"JOIN ann 5s old")
    members.advance(4 * SECOND)
    assert members.apply(2, b"JOIN ann 2s new") == b"2"
    assert members.query(b"MEMBER ann") == b"2 2s 2s new"
    assert members.query(b"HISTORY") == b"1 joined ann\n2 joined ann"
    members.advance(6 * SECOND)
    assert members.query(b"VIEW") == b"3"


def test_only_the_newest_changes_are_kept() -> None:
    members = Members()
    for index in range(KEPT_CHANGES + 5):
        members.apply(index, b"JOIN m%d 1h" % index)
    history = members.query(b"HISTORY").split(b"\n")
    assert len(history) == KEPT_CHANGES
    assert history[0] == b"6 joined m5"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (b"JOIN ann", "write JOIN name ttl"),
        (b"JOIN", "write JOIN name ttl"),
        (b"JOIN ann soon", "a ttl is written"),
        (b"JOIN ann 5s a\nb", "the info is one line"),
        (b"JOIN ann 5s " + b"x" * 1025, "at most 1024 bytes"),
        (b"HEARTBEAT", "write HEARTBEAT name"),
        (b"HISTORY -1", "n is a number, not -1"),
        (b"VIEW all", "VIEW stands alone"),
        (b"PING ann", "the members machine has JOIN name ttl [info]"),
    ],
)
def test_what_makes_no_sense_is_answered_with_how_to_write_it(command: bytes, said: str) -> None:
    members = Members()
    assert said in refused_command(members, command)
    assert members.query(b"VIEW") == b"0"


@pytest.mark.parametrize("command", [b"JOIN a 1s", b"heartbeat a", b"LEAVE a"])
def test_a_query_changes_nothing(command: bytes) -> None:
    with pytest.raises(CommandError, match="submit it as an entry"):
        Members().query(command)
