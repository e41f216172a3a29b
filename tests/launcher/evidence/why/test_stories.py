"""Ten stories on traces: within ten lines stands the true cause, and no decoy.

A decoy is something of the same kind as a cause that happened just before the effect, and did not
cause it. Each story says which is which.
"""

from __future__ import annotations

from tests.launcher.evidence.why.staged import Staged, stale_read


def test_an_election_after_a_kill() -> None:
    """Decoy: the dead leader's link to one of the others is cut just before it is missed."""
    run = Staged()
    run.run(2.0)
    leader, (other, _) = run.leader, run.followers()
    kill = run.kill(leader)
    run.run(0.4)
    decoy = run.cut((leader, other))
    run.run_until("leader.elected")

    said = run.why("last-election")

    assert f"n{leader} was killed by a fault (SIGKILL) (fault {kill})" in said, said
    assert f"fault {decoy}" not in said, said


def test_an_election_after_a_cut() -> None:
    """Decoy: a follower is killed just before the leader is missed."""
    run = Staged(5)
    run.run(2.0)
    leader, (other, *_) = run.leader, run.followers()
    cut = run.isolate(leader)
    run.run(0.4)
    decoy = run.kill(other)
    run.run_until("leader.elected")

    said = run.why("last-election")

    assert (
        f"n{leader} was cut off by a fault: it neither sends nor receives (fault {cut})" in said
    ), said
    assert f"fault {decoy}" not in said, said


def test_a_truncated_tail() -> None:
    """Decoy: the follower that had nothing to do with it is stopped for a moment, just before."""
    run = Staged(rate=100.0)
    run.run(2.0)
    old, (one, other) = run.leader, run.followers()
    cut = run.isolate(old)
    run.run_until("leader.elected")
    run.run(1.0)
    new = run.leader
    decoy = run.pause(one if new == other else other, 0.02)
    run.run(0.03)
    run.mend(cut)
    truncated = run.run_until("log.truncated", node=old)

    said = run.why(truncated)

    assert f"an AppendEntries of n{new}, leader of term" in said, said
    assert "has other entries after" in said, said
    assert "had not reached a majority" in said, said
    assert f"(fault {cut})" in said, said
    assert f"fault {decoy}" not in said, said


def test_a_refused_vote() -> None:
    """Decoy: the leader is killed just before. That is why there is an election at all, and not why
    this vote is refused."""
    run = Staged(rate=100.0)
    run.run(2.0)
    leader, (behind, other) = run.leader, run.followers()
    cut = run.isolate(behind)
    run.run(2.0)
    run.hasten(behind)
    decoy = run.kill(leader)
    run.mend(cut)
    denied = run.run_until("prevote.denied", node=other, reason="its log is behind ours")

    said = run.why(denied)

    assert f"the log of n{behind} is behind" in said, said
    assert f"n{behind} did not get entries" in said, said
    assert f"(fault {cut})" in said, said
    assert f"fault {decoy}" not in said, said


def test_a_split_vote() -> None:
    """Decoy: a link between the two that became candidates is made slow after they had."""
    run = Staged(latency_s=(0.004, 0.005))
    run.run(2.0)
    leader, (one, other) = run.leader, run.followers()
    kill = run.kill(leader)
    run.run(0.05)
    run.time_out_together(one, other)
    run.run_until("election.started", pre_vote=False)
    run.run(0.1)
    decoy = run.slow((one, other), delay_s=0.001)
    again = run.run_until("election.started", lost_pre_vote=False)

    said = run.why(again)

    assert "both became candidates of term" in said, said
    assert "each voted for itself" in said, said
    assert f"(fault {kill})" in said, said
    assert f"fault {decoy}" not in said, said


def test_a_stale_read_planted_on_purpose() -> None:
    """Decoy: a follower is stopped for a moment just before the read."""
    read = stale_read()

    said = read.run.why("last-violation")

    assert f"n{read.old} still believed that it leads term" in said, said
    assert "had heard only 0 of its 4 peers since it was asked" in said, said
    assert f"(fault {read.cut})" in said, said
    assert f"fault {read.decoy}" not in said, said


def test_an_entry_that_committed_late_because_of_one_slow_link() -> None:
    """Decoy: the other link's direction back is made slow by a little, just before."""
    run = Staged()
    run.run(2.0)
    leader, (slow, dead) = run.leader, run.followers()
    kill = run.kill(dead)
    delay = run.slow((leader, slow), delay_s=0.3)
    decoy = run.slow((slow, leader), delay_s=0.001)
    before = run.last_index(leader)
    while run.last_index(leader) == before:
        run.run(0.01)
    index = run.last_index(leader)
    run.run(2.0)

    said = run.why(str(index))

    assert f"the acknowledgement of n{slow} completed a majority (2 of 3 voters)" in said, said
    assert f"it was under way on the link n{leader}>n{slow}" in said, said
    assert f"(fault {delay})" in said, said
    assert f"n{dead} had not received it" in said, said
    assert f"(fault {kill})" in said, said
    assert f"fault {decoy}" not in said, said


def test_a_leader_that_stepped_down() -> None:
    """Decoy: the one follower that it still hears is stopped for a moment just before."""
    run = Staged(5)
    run.run(2.0)
    leader, (heard, *lost) = run.leader, run.followers()
    cut = run.cut(*((peer, leader) for peer in lost))
    run.run(0.8)
    decoy = run.pause(heard, 0.03)
    down = run.run_until("leader.stepped_down", node=leader)

    said = run.why(down)

    one, two, three = lost
    assert f"n{leader} did not hear n{one}, n{two} and n{three} for" in said, said
    assert f"(fault {cut})" in said, said
    assert f"fault {decoy}" not in said, said


def test_a_node_that_does_not_catch_up() -> None:
    """Decoy: the same node was killed before, and has been started again since."""
    run = Staged(rate=50.0)
    run.run(2.0)
    leader, (behind, _) = run.leader, run.followers()
    cut = run.cut((leader, behind))
    run.run(0.2)
    decoy = run.kill(behind)
    run.run(0.1)
    run.start(behind)
    run.run(1.0)

    said = run.why(f"n{behind}")

    assert f"n{behind} is behind: the log of the leader n{leader} reaches entry" in said, said
    assert f"(fault {cut})" in said, said
    assert f"fault {decoy}" not in said, said


def test_a_handover_that_failed() -> None:
    """Decoy: the third node is stopped for a moment while the handover is under way."""
    run = Staged(rate=100.0)
    run.run(2.0)
    leader, (target, third) = run.leader, run.followers()
    cut = run.cut((leader, target))
    run.run(0.1)
    run.transfer(target)
    run.run(0.1)
    decoy = run.pause(third, 0.02)
    aborted = run.run_until("transfer.aborted", node=leader)

    said = run.why(aborted)

    assert f"n{target} did not get all of the log in time" in said, said
    assert f"(fault {cut})" in said, said
    assert f"fault {decoy}" not in said, said
