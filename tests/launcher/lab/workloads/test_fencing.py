"""The workloads lock and election: tokens and terms rise, and each has one owner."""

from __future__ import annotations

from launcher.checking.checker import Validity
from launcher.lab.history import Done
from launcher.lab.workloads.election import ElectionLoad
from launcher.lab.workloads.lock import LockLoad
from launcher.lab.workloads.mix import Mix
from launcher.lab.workloads.protocol import Judgement
from tests.launcher.lab.workloads.edited import op


def lock(f: str, begin: int, end: int | None, owner: int, token: int, index: int = 0) -> Done:
    """An acquire, renew, release or holder that is answered with a token."""
    result = {"release": "released", "holder": f"c{owner} {token} 0.4s"}.get(f, str(token))
    if f == "stale":
        result = f"c{owner} {token} 0.4s"
    value = {"name": "l0", "owner": f"c{owner}", "token": token}
    return op(
        begin, end, f, value, None if end is None else result, client=owner, index=index or None
    )


def office(f: str, begin: int, end: int, owner: int, answer: str, index: int = 0) -> Done:
    value = {"name": "o0", "owner": f"c{owner}"}
    return op(begin, end, f, value, answer, client=owner, index=index or None)


def check(*history: Done) -> Judgement:
    is_lock = history[0].value["name"].startswith("l")
    ordered = sorted(history, key=lambda one: one.invoked)
    if is_lock:
        return LockLoad(Mix(LockLoad.MIX), 1).check(ordered)
    return ElectionLoad(Mix(ElectionLoad.MIX), 1).check(ordered)


def is_valid(*history: Done) -> bool:
    return check(*history).validity is Validity.VALID


def broken(*history: Done) -> tuple[Done, ...]:
    judgement = check(*history)
    assert judgement.validity is Validity.INVALID, judgement
    assert judgement.reason
    return judgement.window


FIRST, SECOND = lock("acquire", 0, 1, 1, 1), lock("acquire", 2, 3, 2, 2)


def test_a_read_of_a_former_holder_is_invalid() -> None:
    old = lock("holder", 4, 5, 1, 1)

    assert broken(FIRST, SECOND, old) == (SECOND, old)
    assert is_valid(FIRST, SECOND, lock("stale", 4, 5, 1, 1))


def test_a_grant_that_was_lost_is_invalid() -> None:
    """The machine forgot it, and gave its token away again."""
    again = lock("acquire", 2, 3, 2, 1)

    assert broken(FIRST, again) == (FIRST, again)


def test_a_grant_that_took_effect_twice_is_invalid() -> None:
    """Its owner gave it back, and holds the lock again without having asked."""
    back = lock("release", 2, 3, 1, 1)
    doubled = lock("holder", 4, 5, 1, 2)

    assert broken(FIRST, back, doubled) == (FIRST, FIRST, doubled)


def test_a_token_that_falls_is_invalid() -> None:
    low = lock("renew", 4, 5, 1, 1)

    assert broken(FIRST, SECOND, low) == (SECOND, low)


def test_a_token_that_falls_in_the_log_is_invalid() -> None:
    """All at one time, so that only the indexes tell."""
    claims = [lock("acquire", 0, 9, 1, 1, index=8), lock("acquire", 0, 9, 2, 2, index=7)]

    assert broken(*claims) == (claims[1], claims[0])
    assert is_valid(lock("acquire", 0, 9, 1, 1, index=7), lock("acquire", 0, 9, 2, 2, index=8))


def test_a_token_that_was_given_back_is_not_in_force() -> None:
    back, again = lock("release", 2, 3, 1, 1, index=5), lock("renew", 4, 5, 1, 1, index=6)

    assert broken(FIRST, back, again) == (back, again)
    assert is_valid(FIRST, back, lock("acquire", 4, 5, 1, 2, index=6))
    without_indexes = lock("release", 2, 3, 1, 1), lock("renew", 4, 5, 1, 1)
    assert broken(FIRST, *without_indexes) == without_indexes


def test_a_holder_that_never_asked_is_invalid() -> None:
    assert broken(lock("holder", 4, 5, 1, 1))
    assert broken(lock("stale", 0, 1, 1, 1), lock("acquire", 2, 3, 1, 1))
    assert is_valid(lock("acquire", 0, None, 1, 1), lock("holder", 4, 5, 1, 1))


def test_a_holder_that_renews_by_acquiring_keeps_its_token() -> None:
    assert is_valid(FIRST, lock("acquire", 2, 3, 1, 1), lock("holder", 4, 5, 1, 1))


def test_locks_of_several_names_have_tokens_of_one_row() -> None:
    other = op(2, 3, "acquire", {"name": "l1", "owner": "c2"}, "1", client=2)

    assert broken(FIRST, other) == (FIRST, other)


def test_a_term_has_one_leader() -> None:
    one = office("campaign", 0, 1, 1, "leads 1")
    other = office("campaign", 0, 1, 2, "leads 1")

    assert broken(one, other) == (one, other)


def test_a_read_of_a_former_leader_is_invalid() -> None:
    one = office("campaign", 0, 1, 1, "leads 1")
    two = office("campaign", 2, 3, 2, "leads 2")
    old = office("leader", 4, 5, 3, "c1 1 0.4s")

    assert broken(one, two, old) == (two, old)
    assert is_valid(one, two, office("stale", 4, 5, 3, "c1 1 0.4s"))


def test_a_leader_that_is_waited_for_is_known() -> None:
    one = office("campaign", 0, 1, 1, "leads 1")
    waits = office("campaign", 2, 3, 2, "waits 1 c1 1")

    assert is_valid(one, waits, office("campaign", 4, 5, 2, "leads 2"))
    assert broken(one, office("campaign", 2, 3, 2, "waits 1 c3 2"))


def test_a_renewal_of_a_lost_leadership_is_invalid() -> None:
    one = office("campaign", 0, 1, 1, "leads 1", index=3)
    two = office("campaign", 2, 3, 2, "leads 2", index=4)
    late = office("renew", 4, 5, 1, "1", index=5)

    assert broken(one, two, late) == (two, late)
