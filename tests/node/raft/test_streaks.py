"""What repeats in elections is counted, and told at `info` once in a while."""

from __future__ import annotations

import re

from launcher.simulation.stage.script import run_script
from node.raft.streaks import MOST_CANDIDATES, Lost, Streaks, is_told

SILENT = Lost(pre_vote=True, yes=(), no=(), silent=(1, 3))


def play(text: str) -> list[str]:
    return list(run_script(text))


def test_powers_of_two_are_told() -> None:
    assert [count for count in range(1, 40) if is_told(count)] == [1, 2, 4, 8, 16, 32]


def test_an_attempt_that_ends_otherwise_is_told_at_once() -> None:
    streaks = Streaks()
    attempts = [None, SILENT, SILENT, SILENT, SILENT]
    levels = [streaks.attempt(lost) for lost in attempts]
    assert levels == [("info", 1), ("info", 2), ("debug", 3), ("info", 4), ("debug", 5)]
    assert streaks.attempt(Lost(True, (3,), (), (1,))) == ("info", 6)
    assert streaks.end() == 6
    assert streaks.attempt(None) == ("info", 1)


def test_a_refusal_for_another_reason_is_told_at_once() -> None:
    streaks = Streaks()

    def refuse(reason: str) -> tuple[str, int]:
        return streaks.refuse(2, pre_vote=True, reason=reason)

    assert [refuse("a") for _ in range(3)] == [("info", 1), ("info", 2), ("debug", 3)]
    assert refuse("b") == ("info", 1)
    assert streaks.refuse(5, pre_vote=True, reason="b") == ("info", 1)
    assert refuse("b") == ("info", 2)


def test_the_memory_of_refusals_is_bounded() -> None:
    streaks = Streaks()
    for candidate in range(10 * MOST_CANDIDATES):
        streaks.refuse(candidate, pre_vote=False, reason="a")
        assert len(streaks.refused) <= MOST_CANDIDATES


def test_a_server_that_is_cut_off_asks_often_and_tells_it_seldom() -> None:
    lines = play("start 3\nquietly elect 1\nquietly run 300ms\nquietly cut 2|1,3\nrun 20s")
    asked = [line for line in lines if "election.started" in line]
    told = [line for line in asked if "S2 info" in line]
    assert len(asked) > 20
    assert 4 <= len(told) <= 7
    assert "silent=S1,S3" in told[-1], "who has not answered"
    attempt = re.search(r"attempt=(\d+)", told[-1])
    assert attempt is not None
    assert int(attempt[1]) in (16, 32)

    healed = play(
        "start 3\nquietly elect 1\nquietly run 300ms\nquietly cut 2|1,3\nquietly run 20s\n"
        "quietly heal\nrun 1s"
    )
    (heard,) = [line for line in healed if "S2 info leader.heard" in line]
    assert re.search(r"attempts=\d\d", heard), "the count of all of them comes at the end"


def test_a_server_that_cannot_hear_is_refused_often_and_told_so_seldom() -> None:
    lines = play("start 3\nquietly elect 1\nquietly run 300ms\ncut 1,3->2\nrun 20s")
    refused = [line for line in lines if "S3" in line and "vote.denied" in line]
    told = [line for line in refused if "S3 info" in line]
    assert len(refused) > 20
    assert 4 <= len(told) <= 7
    assert all("leader=S1" in line for line in told)


def test_a_leader_that_steps_down_says_whom_it_has_heard() -> None:
    lines = play("start 5\nquietly elect 1\nquietly run 300ms\ncut 1,2|3,4,5\nrun 3s")
    (stepped,) = [line for line in lines if "S1 info leader.stepped_down" in line]
    assert "heard=S2" in stepped
    assert "has=2 needs=3 of=5" in stepped
