"""Rebuilding: the order of the steps, and what a leader's word is worth."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from launcher.claim import Claim
from launcher.config import load
from launcher.nodes import Nodes
from launcher.rebuild import Change, Deed, Standing, standing, steps
from node.raft.membership import stable
from node.raft.messages import Membership
from node.wire import Status
from tests.launcher.fake_cluster import runtime_folder


def said(
    membership: Membership, *, committed: bool = True, term: int = 1, role: str = "leader"
) -> Status:
    return Status(
        request=0,
        role=role,
        term=term,
        leader=1,
        voter=True,
        membership=membership,
        membership_committed=committed,
        first_index=1,
        last_index=1,
        commit_index=1,
        commit_term=1,
        applied_index=1,
        snapshot_index=0,
        snapshot_failures=0,
        snapshot_problem="",
        digest="",
    )


def test_the_data_goes_only_while_the_node_is_set_aside_and_does_not_run() -> None:
    done = list(steps(2, [1, 2, 3]))

    assert done[0] == Change((1, 3), "been set aside")
    assert done[1:4] == [Deed.STOP, Deed.FORGET, Deed.START]
    assert done[4] == Change((1, 3, 2), "caught up")
    assert len(done) == 5


def test_a_node_that_is_set_aside_already_is_rebuilt_and_taken_in() -> None:
    changes = [step.voters for step in steps(2, [1, 3]) if isinstance(step, Change)]

    assert changes == [(1, 3), (1, 3, 2)]


@pytest.mark.parametrize(
    ("leader", "found"),
    [
        (said(stable([1, 3])), Standing.MADE),
        (said(stable([1, 3]), committed=False), Standing.UNDER_WAY),
        (said(Membership((1, 3), (1, 3), (1, 2, 3))), Standing.UNDER_WAY),
        (said(Membership((1, 2, 3), (1, 3))), Standing.UNDER_WAY),
        (said(stable([1, 2, 3])), Standing.UNKNOWN),
    ],
)
def test_a_change_is_made_when_it_is_committed_and_nothing_else_is_under_way(
    leader: Status, found: Standing
) -> None:
    assert standing([3, 1], leader) is found


def test_a_leader_of_a_former_term_does_not_say_what_is_committed(tmp_path: Path) -> None:
    """It may be stopped since before the node that is to be rebuilt has become a voter again."""

    async def play() -> None:
        config = msgspec.structs.replace(load(directory=tmp_path), nodes=3)
        claim = Claim.take(config, runtime_folder(tmp_path / "run"), fresh=False)
        nodes = Nodes(config, claim, cast(Any, None), cast(Any, None), entry="", python_path=[])
        heard: list[object] = []
        for node in nodes.all.values():
            node.process = cast(
                Any, SimpleNamespace(ready=asyncio.Event(), send=heard.append, is_paused=bool)
            )
        nodes.node_said(1, said(stable([1, 3]), term=4))  # and then it is stopped
        assert nodes.leader_status() == said(stable([1, 3]), term=4)
        nodes.node_said(3, said(stable([1, 2, 3]), term=5))
        nodes.node_said(3, said(stable([1, 2, 3]), term=5, role="follower"))

        assert nodes.leader_status() is None
        nodes.ask_leader(cast(Any, "anything"))
        assert heard == []

        nodes.node_said(2, said(stable([1, 2, 3]), term=6))
        assert nodes.leader_status() == said(stable([1, 2, 3]), term=6)

    asyncio.run(play())
