"""Locks: who gets one, with which token, and when it ends."""

from __future__ import annotations

import pytest

from node.errors import CommandError
from node.machines.lock import Lock
from tests.refused import refused_command

SECOND = 1_000_000


def test_a_lock_is_taken_renewed_and_given_back() -> None:
    lock = Lock()
    assert lock.apply(1, b"ACQUIRE door ann 5s") == b"1"
    lock.advance(2 * SECOND)
    assert lock.query(b"HOLDER door") == b"ann 1 3s"
    assert lock.apply(2, b"RENEW door ann 1 5s") == b"1"
    assert lock.apply(3, b"HOLDER door") == b"ann 1 5s"
    assert lock.apply(4, b"RELEASE door ann 1") == b"released"
    assert refused_command(lock, b"HOLDER door") == "nobody holds door"
    assert lock.deadline_us() is None


def test_another_owner_is_told_who_holds_it_and_for_how_long() -> None:
    lock = Lock()
    lock.apply(1, b"ACQUIRE door ann 5s")
    lock.advance(1_234_500)
    said = "door is held by ann with token 1, for 3.766s more"
    assert refused_command(lock, b"ACQUIRE door bob 1s") == said
    assert lock.query(b"LOCKS") == b"door ann 1 3.766s"


def test_the_holder_that_acquires_again_keeps_its_token() -> None:
    lock = Lock()
    lock.apply(1, b"ACQUIRE door ann 5s")
    lock.advance(4 * SECOND)
    assert lock.apply(2, b"ACQUIRE door ann 5s") == b"1"
    lock.advance(8 * SECOND)
    assert lock.query(b"HOLDER door") == b"ann 1 1s"


def test_a_lease_ends_when_its_time_has_come_and_not_before() -> None:
    lock = Lock()
    lock.apply(1, b"ACQUIRE door ann 5s")
    assert lock.deadline_us() == 5 * SECOND
    lock.advance(5 * SECOND - 1)
    assert lock.query(b"HOLDER door") == b"ann 1 0.001s"
    lock.advance(5 * SECOND)
    assert lock.query(b"LOCKS") == b""
    assert refused_command(lock, b"RENEW door ann 1 5s") == "nobody holds door: acquire it anew"
    assert lock.apply(2, b"ACQUIRE door bob 5s") == b"2"


def test_a_renewed_lease_ends_later_and_a_shortened_one_earlier() -> None:
    lock = Lock()
    lock.apply(1, b"ACQUIRE door ann 5s")
    lock.apply(2, b"RENEW door ann 1 1s")
    assert lock.deadline_us() == SECOND
    lock.apply(3, b"RENEW door ann 1 9s")
    lock.advance(8 * SECOND)
    assert lock.query(b"HOLDER door") == b"ann 1 1s"
    assert lock.deadline_us() == 9 * SECOND


def test_tokens_rise_over_all_names_and_are_never_given_again() -> None:
    lock = Lock()
    tokens = []
    for n in range(20):
        name = b"ab"[n % 2 : n % 2 + 1]
        token = lock.apply(n, b"ACQUIRE %s owner 10ms" % name)
        tokens.append(int(token))
        if n % 3:
            lock.apply(n, b"RELEASE %s owner %s" % (name, token))
        lock.advance((n + 1) * SECOND)
    assert tokens == list(range(1, 21))


@pytest.mark.parametrize("grant", [b"ann 2", b"bob 1", b"bob 2", b"ann 0"])
def test_only_the_grant_in_force_can_renew_or_release(grant: bytes) -> None:
    lock = Lock()
    lock.apply(1, b"ACQUIRE door ann 5s")
    said = "door is held by ann with token 1: acquire it anew"
    assert refused_command(lock, b"RENEW door %s 5s" % grant) == said
    assert refused_command(lock, b"RELEASE door %s" % grant) == said


def test_a_late_holder_cannot_give_back_its_own_next_grant() -> None:
    lock = Lock()
    lock.apply(1, b"ACQUIRE door ann 1s")
    lock.advance(SECOND)
    assert lock.apply(2, b"ACQUIRE door ann 1s") == b"2"
    assert "with token 2" in refused_command(lock, b"RELEASE door ann 1")


def test_locks_are_listed_by_name() -> None:
    lock = Lock()
    for index, name in enumerate([b"b", b"a", b"\xff", b"B"]):
        lock.apply(index, b"ACQUIRE %s ann 1m" % name)
    assert [line.split()[0] for line in lock.query(b"LOCKS").split(b"\n")] == [
        *(b"B", b"a", b"b", b"\xff"),
    ]


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (b"ACQUIRE", "write ACQUIRE name owner ttl; behind the verb stood nothing"),
        (b"ACQUIRE door ann", "behind the verb stood door ann"),
        (b"acquire door ann 5s more", "write ACQUIRE name owner ttl"),
        (b"ACQUIRE door ann 5", "a ttl is written 500ms, 5s, 2m or 1h, not 5"),
        (b"ACQUIRE door ann -5s", "a ttl is written"),
        (b"ACQUIRE door ann 9ms", "a ttl is from 10ms to 24h, not 9ms"),
        (b"ACQUIRE door ann 1441m", "a ttl is from 10ms to 24h"),
        (b"ACQUIRE do\nor ann 5s", "a word holds no newline"),
        (b"ACQUIRE " + b"x" * 256 + b" ann 5s", "a word has at most 255 bytes, not 256"),
        (b"RENEW door ann x 5s", "a token is a number, not x"),
        (b"RELEASE door ann", "write RELEASE name owner token"),
        (b"LOCKS now", "LOCKS stands alone"),
        (b"OPEN door", "the lock machine has ACQUIRE name owner ttl, RENEW"),
    ],
)
def test_what_makes_no_sense_is_answered_with_how_to_write_it(command: bytes, said: str) -> None:
    assert said in refused_command(Lock(), command)


@pytest.mark.parametrize("command", [b"ACQUIRE a b 1s", b"renew a b 1 1s", b"RELEASE a b 1"])
def test_a_query_changes_nothing(command: bytes) -> None:
    with pytest.raises(CommandError, match="submit it as an entry"):
        Lock().query(command)
