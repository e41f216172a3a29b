"""Explaining an operation of a run's history: a read that is stale, and one that is not."""

from __future__ import annotations

from launcher.evidence.why import grow, lines
from launcher.evidence.why.operation import Missed, Operation, operation
from tests.launcher.evidence.why.staged import Staged, stale_read


def told(run: Staged, asked: Operation) -> str:
    past = run.past()
    return "\n".join(lines(grow(past, operation(past, asked), most_lines=10), clock=str))


def test_a_read_that_missed_a_write_names_the_leader_that_knew_no_better() -> None:
    """Decoy: a follower is stopped for a moment just before the read."""
    seen = stale_read()
    broken, old = seen.broken, seen.old
    asked_ns = int(float(str(broken.fields["asked_s"])) * 1e9)
    index = int(str(broken.fields["index"]))
    read = Operation(
        "client 3 asked for read",
        "ok",
        asked_ns,
        asked_ns + 1_000_000,
        index,
        is_read=True,
        by=old,
        missed=Missed("client 2 asked for write", index + 4, asked_ns - 50_000_000),
    )

    said = told(seen.run, read)

    assert f"answered by n{old} after 1.0 ms" in said, said
    assert f"it is stale: its answer comes from entry {index}, and entry {index + 4} had" in said
    assert "been acknowledged 50 ms before it was asked for (client 2 asked for write)" in said
    assert f"n{old} still believed that it leads term" in said, said
    assert f"(fault {seen.cut})" in said, said
    assert f"fault {seen.decoy}" not in said, said


def test_a_read_that_missed_nothing_is_not_called_stale() -> None:
    run = Staged()
    run.run(2.0)
    read = Operation(
        "client 3 asked for read", "ok", 10**9, 10**9 + 10**6, 5, is_read=True, by=run.leader
    )

    said = told(run, read)

    assert f"answered by n{run.leader} after 1.0 ms" in said, said
    assert "stale" not in said
    assert "no leader changed, no node ended and no disk hung meanwhile" in said, said
