"""The supervisor's side of a change: whose word counts, and what whoever waits is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from launcher.config import load
from launcher.errors import LauncherError, TimedOut
from launcher.folders.records import Change, ClusterRecord
from launcher.supervisor import membership
from launcher.supervisor.changes import Act, Deed
from launcher.supervisor.claim import Claim
from launcher.supervisor.lifecycle import End
from launcher.supervisor.membership import Reconfiguration
from launcher.supervisor.nodes import Nodes
from node import wire
from node.raft.membership import stable
from node.raft.messages import Membership
from tests.launcher.fake_cluster import runtime_folder
from tests.launcher.supervisor.test_changes import said

THREE = stable([1, 2, 3])


class FakeProcess:
    """A process that answers for the node what the test says of it.

    asked: which memberships, and in which term
    """

    def __init__(self, nodes: Nodes, node_id: int, answer: Callable[[int], wire.Status | None]):
        self.ready = asyncio.Event()
        self.ready.set()
        self.gone = asyncio.Event()
        self.asked: list[wire.ChangeMembership] = []
        self._nodes = nodes
        self._node_id = node_id
        self._answer = answer

    def is_paused(self) -> bool:
        return False

    def measure(self) -> None:
        return None

    pid = 1
    started_at = 0.0
    machine_code = ""
    life = 1

    @property
    def heard_at(self) -> float:
        return time.monotonic()

    def send(self, message: wire.ToNode) -> None:
        if isinstance(message, wire.ChangeMembership):
            self.asked.append(message)
        if isinstance(message, wire.GetStatus):
            status = self._answer(self._node_id)
            if status is not None:
                told = msgspec.structs.replace(status, request=message.request)
                self._nodes.node_said(self._node_id, told)


class Bed:
    """Three nodes on record, which say what the test wants; n1 leads.

    leader: what it says; None: it says nothing
    """

    def __init__(self, folder: Path) -> None:
        config = msgspec.structs.replace(load(directory=folder), nodes=3)
        self.claim = Claim.take(config, runtime_folder(folder / "run"), fresh=False)
        self.emitted: list[str] = []
        self.started: list[int] = []
        self.refuses: dict[int, str] = {}
        events = SimpleNamespace(emit=lambda level, event, *_, **__: self.emitted.append(event))
        self.nodes = Nodes(
            config, self.claim, cast(Any, None), cast(Any, events), entry="", python_path=[]
        )
        self.membership = Reconfiguration(self.nodes, self.start, self.stop)
        self.leader: wire.Status | None = said(THREE)
        self.processes: dict[int, FakeProcess] = {}
        for node in (1, 2, 3):
            self._run(node)

    def _run(self, node: int) -> None:
        process = self.processes[node] = FakeProcess(self.nodes, node, self.says)
        self.nodes.all[node].process = cast(Any, process)
        self.nodes.all[node].lifecycle.started(0.0)

    def says(self, node: int) -> wire.Status | None:
        if self.leader is None:
            return None
        if node == 1:
            return self.leader
        votes = node in self.leader.membership.voters
        return msgspec.structs.replace(self.leader, role="follower", voter=votes)

    async def start(self, node: int) -> str:
        self.started.append(node)
        if node in self.refuses:
            raise LauncherError(self.refuses[node])
        self._run(node)
        return ""

    async def stop(self, node: int) -> str:
        found = self.nodes.all[node]
        if found.process is not None:
            found.process = None
            found.lifecycle.expect_end("stopped")
            found.lifecycle.ended(0.0, End(0))
        return ""


def play(folder: Path, story: Callable[[Bed], Awaitable[None]]) -> None:
    async def told() -> None:
        bed = Bed(folder)
        try:
            await story(bed)
        finally:
            bed.membership.close()
            bed.claim.release()

    asyncio.run(told())


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.005)


@pytest.fixture
def in_haste(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(membership, "CHANGE_TIMEOUT_S", 0.2)
    monkeypatch.setattr(membership, "_TRY_AGAIN_S", (0.01, 0.02))


# -- whose word counts ---------------------------------------------------------------------------


def test_a_leader_of_a_former_term_does_not_say_what_is_committed(tmp_path: Path) -> None:
    """It may be stopped since before the node that is to be rebuilt has become a voter again."""

    async def story(bed: Bed) -> None:
        nodes = bed.nodes
        nodes.node_said(1, said(stable([1, 3]), term=4))  # and then it is stopped
        assert nodes.roster.leader_status() == said(stable([1, 3]), term=4)
        nodes.node_said(3, said(THREE, term=5))
        nodes.node_said(3, said(THREE, term=5, role="follower"))

        assert nodes.roster.leader_status() is None
        nodes.ask_leader(wire.ChangeMembership([1, 2, 3], 5))
        assert not any(process.asked for process in bed.processes.values())

        nodes.node_said(2, said(THREE, term=6))
        assert nodes.roster.leader_status() == said(THREE, term=6)

    play(tmp_path, story)


def test_what_a_leader_said_before_it_was_asked_does_not_count(tmp_path: Path) -> None:
    """It is stopped with a request in its pipe, and has not heard yet that it is to do anything."""

    async def story(bed: Bed) -> None:
        await bed.nodes.ask()
        assert bed.nodes.roster.leader_status() is not None
        bed.leader = None
        assert bed.nodes.roster.leader_status(await bed.nodes.ask(0.01)) is None

    play(tmp_path, story)


def test_a_leader_is_asked_in_the_term_that_it_has_said(tmp_path: Path) -> None:
    async def story(bed: Bed) -> None:
        bed.leader = said(THREE, term=7)
        adding = asyncio.create_task(bed.membership.add(1))
        await until(lambda: bed.processes[1].asked)
        assert bed.processes[1].asked[0] == wire.ChangeMembership([1, 2, 3, 4], 7)
        bed.leader = said(stable([1, 2, 3, 4]), term=7)
        assert await adding == [4]
        assert bed.emitted[-2:] == ["change.begun", "change.done"]

    play(tmp_path, story)


# -- what whoever waits is told ------------------------------------------------------------------


def test_who_waits_too_long_is_told_so_and_the_change_goes_on(
    tmp_path: Path, in_haste: None
) -> None:
    async def story(bed: Bed) -> None:
        with pytest.raises(TimedOut) as told:
            await bed.membership.add(1)
        assert str(told.value) == (
            "n4 has not caught up in 0.2 s; it goes on: `launcher ps` shows how far it is"
        )
        bed.leader = said(stable([1, 2, 3, 4]))
        await until(lambda: bed.nodes.roster.change is None)

    play(tmp_path, story)


def test_a_change_waits_without_a_leader_and_says_so(tmp_path: Path, in_haste: None) -> None:
    async def story(bed: Bed) -> None:
        adding = asyncio.create_task(bed.membership.add(1))
        await until(lambda: bed.processes[1].asked)
        bed.leader = said(Membership((1, 2, 3), (1, 2, 3, 4)), role="follower")
        with pytest.raises(TimedOut, match=r"in 0.2 s \(there is no leader\); it goes on"):
            await adding
        status = await bed.nodes.status()
        assert status.node(4).change == "being added: learns the log; there is no leader"

    play(tmp_path, story)


def test_a_leader_is_not_asked_for_voters_of_which_too_few_are_up(tmp_path: Path) -> None:
    """The others of three died when the change was on record: it would take the quorum away."""

    async def story(bed: Bed) -> None:
        bed.nodes.roster.intend(Change("remove", [2]))
        await bed.stop(3)
        bed.membership.resume()
        await until(lambda: bed.nodes.trouble)
        assert bed.nodes.trouble == "waits: 1 of 2 voters would be up and it takes 2"
        assert bed.processes[1].asked == []
        bed._run(3)
        await until(lambda: bed.processes[1].asked)

    play(tmp_path, story)


def test_a_node_that_does_not_start_is_taken_away_again(tmp_path: Path) -> None:
    async def story(bed: Bed) -> None:
        bed.refuses[5] = "n5 is failed: no room"
        with pytest.raises(LauncherError, match="n4, n5 not added: n5 is failed: no room"):
            await bed.membership.add(2)
        assert bed.claim.cluster.members == [1, 2, 3]
        assert bed.claim.cluster.last_id == 5
        assert bed.nodes.roster.change is None

    play(tmp_path, story)


def test_a_node_that_does_not_start_is_tried_again_when_a_log_names_it(
    tmp_path: Path, in_haste: None
) -> None:
    async def story(bed: Bed) -> None:
        bed.nodes.roster.enlist(1)
        bed.leader = said(Membership((1, 2, 3), (1, 2, 3, 4)))
        bed.refuses[4] = "no room"
        bed.membership.resume()
        await until(lambda: len(bed.started) > 2)
        assert bed.nodes.trouble == "no room"
        del bed.refuses[4]
        await until(lambda: 4 in bed.processes)

    play(tmp_path, story)


def test_a_record_that_cannot_be_written_holds_a_change_up(
    tmp_path: Path, in_haste: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = True
    write = Claim.intend

    def intend(claim: Claim, change: Change | None) -> None:
        if full and change is not None and change.done:
            raise OSError("No space left on device")
        write(claim, change)

    async def story(bed: Bed) -> None:
        nonlocal full
        bed.leader = said(stable([1, 3]))
        rebuilding = asyncio.create_task(
            bed.membership.rebuild([2], await bed.nodes.status()),
        )
        with pytest.raises(LauncherError) as told:
            await rebuilding
        assert str(told.value) == (
            "the change cannot be recorded: No space left on device; it is tried again: "
            "`launcher ps` shows how far it is"
        )
        assert bed.claim.cluster.renewed == []
        full = False
        await until(lambda: bed.claim.cluster.renewed)
        bed.leader = said(THREE)
        await until(lambda: bed.nodes.roster.change is None)

    monkeypatch.setattr(Claim, "intend", intend)
    play(tmp_path, story)


def test_nothing_is_begun_while_the_cluster_is_taken_down(tmp_path: Path) -> None:
    async def story(bed: Bed) -> None:
        bed.nodes.close()
        bed.membership.close()
        with pytest.raises(LauncherError, match="the cluster is being taken down"):
            await bed.membership.add(1)
        assert bed.claim.cluster.members == [1, 2, 3]

    play(tmp_path, story)


def test_a_node_that_somebody_starts_again_is_stopped_again_before_its_data_goes(
    tmp_path: Path,
) -> None:
    """As a `restart` does that was under way when the rebuild began."""
    stopped: list[int] = []

    async def story(bed: Bed) -> None:
        asked_to_stop = bed.stop

        async def stop(node: int) -> str:
            stopped.append(node)
            await asked_to_stop(node)
            if len(stopped) == 1:  # whoever restarts it has waited for the same end
                bed._run(node)
            return ""

        bed.leader = said(stable([1, 3]))
        bed.membership._stop = stop
        await bed.membership._act(Act(Deed.FORGET, 2))
        assert stopped == [2, 2]
        assert bed.nodes.all[2].process is None
        assert "node.renewed" in bed.emitted

    play(tmp_path, story)


# -- the record ----------------------------------------------------------------------------------


def test_the_new_nodes_and_the_intent_are_one_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[object] = []

    async def story(bed: Bed) -> None:
        write = Claim._change

        def noted(claim: Claim, record: ClusterRecord) -> None:
            writes.append(record)
            write(claim, record)

        monkeypatch.setattr(Claim, "_change", noted)
        assert bed.claim.enlist(2) == [4, 5]
        (record,) = writes
        assert record == bed.claim.cluster
        assert bed.claim.cluster.members == [1, 2, 3, 4, 5]
        assert bed.claim.cluster.change == Change("add", [4, 5])

    play(tmp_path, story)


def test_a_folder_that_is_a_link_is_emptied_and_the_link_goes(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "inner").mkdir(parents=True)
    (elsewhere / "file").touch()

    async def story(bed: Bed) -> None:
        folder = tmp_path / "data" / "node-3"
        folder.symlink_to(elsewhere)
        bed.claim.dismiss(3)
        assert list(elsewhere.iterdir()) == []
        assert not folder.is_symlink()
        bed.claim.dismiss(3)
        assert bed.claim.cluster.members == [1, 2]

    play(tmp_path, story)
