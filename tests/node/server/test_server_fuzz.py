"""Anything at all over the pipes between nodes, into a whole server: core, disk and machine.

The server is the only voter of its cluster, so nothing that a peer says can keep it from leading in
the end, unless it believes that its vote was taken away. That would be a lie told well, and nodes
trust each other with those.
"""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import TypeAlias

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.simulation.disk import SimulatedDisk
from node import wire
from node.ports import Disk
from node.raft import membership
from node.raft.messages import CONFIGURATION, AppendEntries, InstallSnapshot, Message, NodeId
from node.wire import Answers, Submit
from tests.node.raft.test_sanity import Near, messages, nearly, numbers
from tests.node.server.test_server import Connection, World

ALONE = membership.stable([1])
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]
Story: TypeAlias = list[tuple[Message | Near | bytes | str, NodeId, int]]

steps = st.tuples(
    nearly
    | nearly
    | messages
    | st.binary(max_size=30)
    | st.sampled_from(["time", "submit", "restart"]),
    st.sampled_from([2, 3]),
    st.integers(0, 5) | numbers,  # what the sender's clock shows
)


def without_taking_its_vote(message: Message) -> Message:
    if isinstance(message, AppendEntries):
        batches = [
            msgspec.structs.replace(batch, data=membership.encode(ALONE))
            if batch.kind is CONFIGURATION
            else batch
            for batch in message.batches
        ]
        return msgspec.structs.replace(message, batches=tuple(batches))
    if isinstance(message, InstallSnapshot):
        named = msgspec.structs.replace(message.snapshot, membership=ALONE)
        return msgspec.structs.replace(message, snapshot=named)
    return message


class Memory(World):
    """A world whose disks are in memory."""

    def __init__(self, **changes: object) -> None:
        self.disks: dict[Path, SimulatedDisk] = {}
        super().__init__(Path("nowhere"), 1, **changes)

    def disk(self, settings: wire.NodeConfig) -> Disk:
        disk = self.disks.setdefault(settings.data_dir, SimulatedDisk(Random(1)))
        disk.restart()
        return disk


def hold_out(story: Story) -> None:
    world = Memory(machine="files", max_apply_commands=3)
    world.elect()
    client = Connection()
    for number, (what, sender, clock) in enumerate(story):
        server = world.servers[1]
        if what == "time":
            world.run(0.3)
        elif what == "restart":
            world.crash(1)
            world.start(1)
        elif what == "submit":
            request = Submit(b"%d" % number, 1, 1, [b"ADD %d" % number, b"LS"])
            server.request(client, wire.encode_client(request))
        elif isinstance(what, bytes):
            server.receive(sender, what, world.now)
        elif not isinstance(what, str):
            message = what.made_for(server.state, sender) if isinstance(what, Near) else what
            try:
                body = wire.encode(clock, without_taking_its_vote(message))
            except OverflowError:
                continue  # no frame can say it
            server.receive(sender, body, world.now)
        world.settle()

    world.crash(1)
    server = world.start(1)  # nor does what it has taken into its log end its next life
    world.run(10.0)
    assert server.status().role == "leader"
    honest = Connection()
    server.request(honest, wire.encode_client(Submit(b"honest", 1, 1, [b"ADD honest"])))
    world.settle()
    (answer,) = honest.replies
    assert isinstance(answer, Answers)
    assert answer.errors == []


@settings(max_examples=100, suppress_health_check=SLOW)
@given(st.lists(steps, max_size=25))
def test_no_frame_between_nodes_ends_a_server(story: Story) -> None:
    hold_out(story)


@pytest.mark.soak
@settings(max_examples=20_000, suppress_health_check=SLOW)
@given(st.lists(steps, max_size=60))
def test_no_frame_between_nodes_ends_a_server_in_many_tries(story: Story) -> None:
    hold_out(story)
