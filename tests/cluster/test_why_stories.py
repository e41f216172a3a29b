"""Stories on real processes: within ten lines stands the true cause, and no decoy.

The same stories as on traces (`tests/launcher/evidence/why/test_stories.py`). The stale read is the
one that a run of `launcher test` finds in a copy of the product with that bug. A vote is split by
holding the messages between two candidates, since on real processes nobody can make them campaign
in the same millisecond.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher import Cluster
from launcher.errors import LauncherError
from launcher.simulation.planted import named
from launcher.timeline.events import Event
from launcher.timeline.filter import Filter
from tests.cluster.lab import PATIENCE_S, Lab, eventually
from tests.lab.copies import environment, patched_copy

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

SETTINGS = """
name: lab
raft: {failure_hint: off, pre_vote: %s}
timescale: %d
tap: {mode: full}
"""


class Stage:
    """Three real nodes that record every message."""

    def __init__(self, lab: Lab, *, pre_vote: str = "on", timescale: int = 2) -> None:
        self.lab = lab
        (lab.folder / "cluster.yaml").write_text(SETTINGS % (pre_vote, timescale))
        lab.up(3)
        self.leader = lab.leader()
        self.written = 0
        self.cluster = Cluster(config=lab.folder / "cluster.yaml")

    @property
    def followers(self) -> tuple[int, int]:
        one, other = (node for node in (1, 2, 3) if node != self.leader)
        return one, other

    def events(self, name: str, **fields: object) -> list[Event]:
        found = self.cluster.timeline(Filter(event=name))
        return [
            one
            for one in found
            if all(getattr(one, key, one.fields.get(key)) == value for key, value in fields.items())
        ]

    def wait_for(self, name: str, *, more_than: int = 0, **fields: object) -> Event:
        """The last such event, once there are more of them than that."""
        eventually(lambda: len(self.events(name, **fields)) > more_than, f"there is a {name}")
        return self.events(name, **fields)[-1]

    def write(self, *, node: int | None = None, count: int = 1) -> int:
        """Entries for the leader, or for a node that still believes to lead; the last one's index,
        or 0 if there is no answer."""
        index = 0
        for _ in range(count):
            self.written += 1
            if node is None:
                index = self.cluster.submit(f"ADD entry{self.written}").index
            else:
                with contextlib.suppress(LauncherError):
                    self.cluster.submit_to(node, f"ADD lost{self.written}", timeout_s=0.3)
        return index

    def why(self, what: str | Event) -> str:
        """The first ten lines, as the command prints them."""
        asked = what if isinstance(what, str) else f"n{what.node}:{what.t}"
        done = self.lab.launcher("timeline", "--why", asked, check=True)
        return "\n".join(done.lines[:10])


@pytest.fixture
def stage(lab: Lab) -> Iterator[Stage]:
    made = Stage(lab)
    yield made
    made.cluster.close()


def number_of(stage: Stage, kind: str) -> int:
    """The number of the last fault of that kind."""
    found = stage.events("fault.injected", fault=kind)[-1].fields["id"]
    assert isinstance(found, int)
    return found


def test_an_election_after_a_kill(stage: Stage) -> None:
    """Decoy: the dead leader's link to one of the others is cut just before it is missed."""
    leader, (other, _) = stage.leader, stage.followers
    stage.cluster.kill(leader)
    stage.cluster.link(f"n{leader}>n{other}", "cut")
    stage.wait_for("leader.elected", more_than=1)

    said = stage.why("last-election")

    assert f"n{leader} was killed by a fault (SIGKILL) (fault {number_of(stage, 'kill')})" in said
    assert f"fault {number_of(stage, 'cut')}" not in said, said


def test_an_election_after_a_cut(stage: Stage) -> None:
    """Decoy: the disk of a follower is made slow by a little before the leader is missed."""
    leader, (other, _) = stage.leader, stage.followers
    stage.cluster.partition(f"{leader}|{','.join(map(str, stage.followers))}")
    stage.cluster.disk(other, fault="slow 1ms")
    stage.wait_for("leader.elected", more_than=1)

    said = stage.why("last-election")

    assert "were lost: the link" in said or "was lost: the link" in said, said
    assert f"(fault {number_of(stage, 'partition')})" in said, said
    assert f"fault {number_of(stage, 'slow-disk')}" not in said, said


def test_a_truncated_tail(stage: Stage) -> None:
    """Decoy: a follower that had nothing to do with it is stopped for a moment just before."""
    old, followers = stage.leader, stage.followers
    stage.cluster.partition(f"{old}|{','.join(map(str, followers))}")
    stage.write(node=old, count=2)
    elected = stage.wait_for("leader.elected", more_than=1)
    with stage.cluster.pause(next(one for one in followers if one != elected.node)):
        pass
    stage.cluster.heal()
    truncated = stage.wait_for("log.truncated", node=old)

    said = stage.why(truncated)

    assert f"an AppendEntries of n{elected.node}, leader of term" in said, said
    assert "had not reached a majority" in said, said
    assert f"(fault {number_of(stage, 'partition')})" in said, said
    assert f"fault {number_of(stage, 'pause')}" not in said, said


def test_a_refused_vote(lab: Lab) -> None:
    """Decoy: the leader is killed just before the vote is refused. The one that refuses it would
    campaign itself before long: the timers are slow, so that the other one asks first."""
    stage = Stage(lab, timescale=10)
    leader, (behind, other) = stage.leader, stage.followers
    stage.cluster.partition(f"{behind}|{leader},{other}")
    stage.write(count=5)
    stage.cluster.kill(leader)
    stage.cluster.heal()

    def refused() -> bool:
        with contextlib.suppress(LauncherError):
            stage.cluster.time_out(behind)
        return bool(stage.events("prevote.denied", node=other, reason="its log is behind ours"))

    eventually(refused, "the vote is refused")
    denied = stage.events("prevote.denied", node=other, reason="its log is behind ours")[0]

    said = stage.why(denied)

    assert f"n{behind} did not get entr" in said, said
    assert f"(fault {number_of(stage, 'partition')})" in said, said
    assert f"fault {number_of(stage, 'kill')}" not in said, said


def test_a_split_vote(lab: Lab) -> None:
    """Decoy: the clock of one candidate is moved after both have asked."""
    stage = Stage(lab, pre_vote="off")
    leader, (one, other) = stage.leader, stage.followers
    stage.cluster.kill(leader)
    held = (
        stage.cluster.link(f"n{one}>n{other}", "hold"),
        stage.cluster.link(f"n{other}>n{one}", "hold"),
    )
    stage.cluster.time_out(one)
    stage.cluster.time_out(other)
    stage.cluster.clock(one, "rate 1.01")
    for link in held:
        link.end()
    denied = stage.wait_for("vote.denied", voted_for=one, node=one)

    said = stage.why(denied)

    assert f"n{one} and n{other} both became candidates of term" in said, said
    assert "each voted for itself" in said, said
    assert f"fault {number_of(stage, 'clock')}" not in said, said
    stage.cluster.close()


def test_an_entry_that_committed_late_because_of_one_slow_link(stage: Stage) -> None:
    """Decoy: the clock of the slow follower is moved just before."""
    leader, (slow, dead) = stage.leader, stage.followers
    stage.write()
    stage.cluster.kill(dead)
    stage.cluster.link(f"n{leader}>n{slow}", "delay", "200ms")
    stage.cluster.clock(slow, "rate 1.01")
    index = stage.write()

    said = stage.why(str(index))

    assert f"the acknowledgement of n{slow} completed a majority (2 of 3 voters)" in said, said
    assert f"it was under way on the link n{leader}>n{slow}" in said, said
    assert f"(fault {number_of(stage, 'slow-link')})" in said, said
    assert f"n{dead} had not received it" in said, said
    assert f"fault {number_of(stage, 'clock')}" not in said, said


def test_a_leader_that_stepped_down(stage: Stage) -> None:
    """Decoy: the leader's disk is made slow by a little just before."""
    leader, (one, other) = stage.leader, stage.followers
    stage.cluster.link(f"n{one}>n{leader}", "cut")
    stage.cluster.link(f"n{other}>n{leader}", "cut")
    stage.cluster.disk(leader, fault="slow 1ms")
    down = stage.wait_for("leader.stepped_down", node=leader)

    said = stage.why(down)

    assert f"n{leader} did not hear n" in said, said
    assert f"n{other}>n{leader} was cut" in said, said
    assert f"(fault {number_of(stage, 'cut')})" in said, said
    assert f"fault {number_of(stage, 'slow-disk')}" not in said, said


def test_a_node_that_does_not_catch_up(stage: Stage) -> None:
    """Decoy: the same node was killed before, and has been started again since."""
    leader, (behind, _) = stage.leader, stage.followers
    stage.write()
    stage.cluster.kill(behind)
    stage.cluster.start(behind)
    stage.cluster.wait(converged=True)
    stage.cluster.link(f"n{leader}>n{behind}", "cut")
    stage.write(count=3)

    said = stage.why(f"n{behind}")

    assert f"n{behind} is behind: the log of the leader n{leader} reaches entry" in said, said
    assert f"the link n{leader}>n{behind} was cut" in said, said
    assert f"(fault {number_of(stage, 'cut')})" in said, said
    assert f"fault {number_of(stage, 'kill')}" not in said, said


def test_a_handover_that_failed(stage: Stage) -> None:
    """Decoy: the third node is stopped for a moment just before."""
    leader, (target, third) = stage.leader, stage.followers
    stage.write()
    stage.cluster.link(f"n{leader}>n{target}", "cut")
    stage.write(count=3)
    with stage.cluster.pause(third):
        pass
    with pytest.raises(LauncherError):
        stage.cluster.transfer(target)
    aborted = stage.wait_for("transfer.aborted", node=leader)

    said = stage.why(aborted)

    assert f"n{target} did not get all of the log in time" in said, said
    assert f"(fault {number_of(stage, 'cut')})" in said, said
    assert f"fault {number_of(stage, 'pause')}" not in said, said


def test_a_stale_read_planted_on_purpose(lab: Lab, tmp_path: Path) -> None:
    """Decoys: the faults of the run. It never strikes the leader: only a node that does not lead
    answers from the past."""
    root = patched_copy(tmp_path / "product", [named("read-from-any-node")])
    words = "test --seed 3 --time 10s --interval 1s --exclude leader --faults isolate,mute,deafen"
    done = subprocess.run(
        [sys.executable, "-m", "launcher", *words.split()],
        cwd=lab.folder,
        env=environment(root),
        capture_output=True,
        text=True,
        check=False,
        timeout=8 * PATIENCE_S,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    reads = r"client (\d+), operation (\d+)(?: at |, answered by )n(\d+): read .* \(entry (\d+)\)"
    shown = re.findall(reads, done.stdout)

    def of(client: str, number: str) -> str:
        why = lab.launcher("timeline", "--run", "latest", "--why", f"op:{client}:{number}")
        assert why.status == 0, why.err
        return "\n".join(why.lines[:10])

    node, index, said = next(
        (
            (node, index, said)
            for client, number, node, index in shown
            if "it is stale" in (said := of(client, number))
        ),
        ("?", "?", done.stdout),
    )
    assert f"answered by n{node} after" in said, said
    assert f"it is stale: its answer comes from entry {index}, and entry " in said, said
    story = f"n{node} answered from its state after entry {index} and did not lead"
    assert f"{story}; it had never asked" in said, said
    assert story in done.stdout, "the report on the run tells it as well"
