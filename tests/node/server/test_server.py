"""The server's order of things: persist, send, apply, reply; and what clients are told.

Real servers, real write-ahead logs and real core, around an in-memory world: disks that a test
syncs by hand, links that it delivers by hand.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import fields as fields_of
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from node import wire
from node.errors import DiskFailed, MachineError
from node.events import HybridClock
from node.machines.journal import Journal
from node.machines.registry import load
from node.ports import Disk
from node.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Batch,
    BatchKind,
    NodeId,
    RequestVote,
)
from node.raft.settings import Limits, Timing
from node.server.server import Server
from node.storage.disk import OsDisk
from node.wire import Answers, OutOfOrder, Read, ReadResult, Redirect, Refused, Submit


class Queue:
    """A disk queue whose work is done when a test says so."""

    def __init__(self) -> None:
        self.work: deque[tuple[Callable[[], None], Callable[[BaseException | None], None]]] = (
            deque()
        )

    def run(self, work: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        self.work.append((work, done))

    def do_one(self) -> None:
        work, done = self.work.popleft()
        try:
            work()
        except Exception as error:
            done(error)
        else:
            done(None)


class AtOnce:
    """A disk queue that waits for nobody."""

    def run(self, work: Callable[[], None], done: Callable[[BaseException | None], None]) -> None:
        try:
            work()
        except Exception as error:
            done(error)
        else:
            done(None)


class ForkAtOnce:
    def run(
        self,
        work: Callable[[Callable[[], None]], bytes],
        done: Callable[[bytes | None, BaseException | None], None],
    ) -> None:
        try:
            result = work(lambda: None)
        except Exception as error:
            done(None, error)
        else:
            done(result, None)


class Mail:
    def __init__(self, sender: NodeId, world: World) -> None:
        self.sender = sender
        self.world = world

    def send(self, peer: NodeId, frame: bytes) -> None:
        self.world.order.append("send")
        self.world.mail.append((self.sender, peer, frame))


class Connection:
    def __init__(self) -> None:
        self.replies: list[wire.ClientReply] = []

    def send(self, frame: bytes) -> None:
        self.replies.append(wire.decode_reply(frame))


class Events:
    def __init__(self, world: World) -> None:
        self.world = world
        self.seen: list[tuple[str, dict[str, object]]] = []

    def emit(
        self, level: str, event: str, term: int, role: str, commit: int, **fields: object
    ) -> None:
        self.world.order.append(event)
        self.seen.append((event, fields))

    def named(self, event: str) -> list[dict[str, object]]:
        return [fields for name, fields in self.seen if name == event]


LIVES = itertools.count(1)
"""Every start has a higher one."""


def config(folder: Path, node_id: NodeId, size: int, **changes: Any) -> wire.NodeConfig:
    """With `changes` in place of fields of `NodeConfig`, or of its `Timing` or `Limits`."""
    values: dict[str, Any] = {
        "cluster_id": "c",
        "cluster_name": "test",
        "node_id": node_id,
        "life": next(LIVES),
        "voters": list(range(1, size + 1)),
        "peers": {},
        "data_dir": folder / f"node-{node_id}",
        "event_log": Path(),
        "socket": Path(),
        "machine": "journal",
        "python_path": [],
        "timing": Timing(),
        "limits": Limits(
            max_append_bytes=100_000,
            inflight_bytes=1 << 20,
            max_uncommitted_bytes=2000,
            max_trailing_bytes=8 << 20,
        ),
        "max_entry_bytes": 1000,
        "segment_bytes": 1 << 16,
        "log_level": "info",
        "log_rotate_bytes": 1 << 20,
        "digest_every": 10,
        "faults": [],
    }
    for name, change in changes.items():
        for part in ("timing", "limits"):
            if name in {field.name for field in fields_of(values[part])}:
                values[part] = replace(values[part], **{name: change})
                break
        else:
            values[name] = change
    return msgspec.convert(values, wire.NodeConfig)


class World:
    def __init__(self, folder: Path, size: int = 3, **changes: object) -> None:
        self.folder = folder
        self.size = size
        self.changes = changes
        self.now = 0.0
        self.mail: deque[tuple[NodeId, NodeId, bytes]] = deque()
        self.servers: dict[NodeId, Server] = {}
        self.queues: dict[NodeId, Queue] = {}
        self.events: dict[NodeId, Events] = {}
        self.random = Random(1)
        self.order: list[str] = []
        for node_id in range(1, size + 1):
            self.start(node_id)

    def start(self, node_id: NodeId) -> Server:
        settings = config(self.folder, node_id, self.size, **self.changes)
        self.queues[node_id] = Queue()
        self.events[node_id] = Events(self)
        server = self.servers[node_id] = Server(
            settings,
            machine=lambda: load(settings.machine),
            disk=self.disk(settings),
            disk_queue=self.queues[node_id],
            background=AtOnce(),
            fork=ForkAtOnce(),
            links=Mail(node_id, self),
            events=self.events[node_id],
            clock=HybridClock(lambda: 0),
            random=self.random,
            now=self.now,
        )
        for other in self.servers.values():
            if other is not server:
                other.link_opened(node_id, self.now)
        return server

    def disk(self, settings: wire.NodeConfig) -> Disk:
        return OsDisk(Path(settings.data_dir))

    def crash(self, node_id: NodeId) -> None:
        del self.servers[node_id]

    def pump(self) -> None:
        for node_id in self.servers:
            while self.turn(node_id):
                pass

    def turn(self, node_id: NodeId) -> bool:
        """What the process does when anything has come; whether there is more to do."""
        server = self.servers[node_id]
        more = server.pump(self.now)
        server.begin_write(self.now)
        return more

    def deliver(self) -> bool:
        self.pump()
        if not self.mail:
            return False
        sender, to, frame = self.mail.popleft()
        if to in self.servers:
            self.servers[to].receive(sender, frame, self.now)
        self.pump()
        return True

    def settle(self, *, syncing: tuple[NodeId, ...] | None = None) -> None:
        for _ in range(100_000):
            moved = self.deliver()
            for node_id in syncing if syncing is not None else tuple(self.servers):
                if self.queues[node_id].work and node_id in self.servers:
                    self.queues[node_id].do_one()
                    moved = True
            if not moved:
                return
        raise AssertionError("it never settles")

    def run(self, duration_s: float) -> None:
        end = self.now + duration_s
        while self.now < end:
            self.settle()
            self.now = min(end, max(self.now, min(s.deadline for s in self.servers.values())))
        self.settle()

    def elect(self) -> NodeId:
        self.run(3.0)
        leaders = [n for n, s in self.servers.items() if s.status().role == "leader"]
        assert len(leaders) == 1
        return leaders[0]


def submit(
    server: Server,
    client: Connection,
    first: int,
    *commands: bytes,
    session: bytes = b"s",
    lowest: int = 1,
) -> None:
    server.request(client, wire.encode_client(Submit(session, first, lowest, list(commands))))


def test_an_entry_is_answered_with_its_index_and_result(tmp_path: Path) -> None:
    world = World(tmp_path)
    leader = world.elect()
    client = Connection()
    submit(world.servers[leader], client, 1, b"a", b"b")
    world.settle()
    (answers,) = client.replies
    assert isinstance(answers, Answers)
    assert answers.first_index == 2
    assert len(answers.results) == 2
    assert answers.errors == []


def test_all_that_waits_becomes_one_batch_and_one_sync(tmp_path: Path) -> None:
    world = World(tmp_path, 1)
    world.elect()
    clients = [Connection() for _ in range(5)]
    for number, client in enumerate(clients):
        submit(world.servers[1], client, 1, b"x", session=b"%d" % number)
    world.pump()
    assert len(world.queues[1].work) == 1
    world.settle()
    answers = [client.replies[0] for client in clients]
    assert [a.first_index for a in answers if isinstance(a, Answers)] == [2, 3, 4, 5, 6]


def test_a_batch_is_about_as_long_as_one_message_at_most(tmp_path: Path) -> None:
    world = World(tmp_path, 1, max_append_bytes=1000, max_uncommitted_bytes=1 << 20)
    world.elect()
    clients = [Connection() for _ in range(20)]
    for number, client in enumerate(clients):
        submit(world.servers[1], client, 1, b"x" * 300, session=b"%d" % number)
    world.settle()
    log = world.servers[1].state.log
    lengths = [len(batch.data) for batch in log.batches_from(2)]
    assert sum(lengths) > 20 * 300
    assert max(lengths) <= 1000
    submit(world.servers[1], clients[0], 2, *[b"y" * 300] * 10, session=b"0")
    world.settle()
    assert len(log.batches_from(22)) == 1, "one request is never cut"


def test_what_gathers_during_a_sync_shares_the_next(tmp_path: Path) -> None:
    world = World(tmp_path, 1)
    world.elect()
    client = Connection()
    for sequence in range(1, 5):
        submit(world.servers[1], client, sequence, b"x")
        world.pump()
    assert len(world.queues[1].work) == 1
    world.queues[1].do_one()
    world.pump()
    assert len(world.queues[1].work) == 1, "three proposals, one write"
    world.queues[1].do_one()
    world.pump()
    assert len(client.replies) == 4


def test_nothing_is_answered_before_a_majority_of_disks_has_it(tmp_path: Path) -> None:
    world = World(tmp_path)
    leader = world.elect()
    followers = [n for n in world.servers if n != leader]
    client = Connection()
    submit(world.servers[leader], client, 1, b"x")
    world.settle(syncing=(leader,))
    assert client.replies == []
    world.settle(syncing=(followers[0],))
    assert len(client.replies) == 1


def test_a_status_tells_a_follower_from_a_server_that_has_no_vote(tmp_path: Path) -> None:
    world = World(tmp_path, voters=[1, 2])
    leader = world.elect()
    roles = {node: (s.status().role, s.status().voter) for node, s in world.servers.items()}
    assert roles.pop(leader) == ("leader", True)
    assert roles.pop(3) == ("learner", False)
    assert list(roles.values()) == [("follower", True)]


def test_a_follower_names_the_leader(tmp_path: Path) -> None:
    world = World(tmp_path)
    leader = world.elect()
    client = Connection()
    follower = next(n for n in world.servers if n != leader)
    submit(world.servers[follower], client, 1, b"x")
    world.settle()
    assert client.replies == [Redirect(leader, "not the leader")]


def test_who_asks_while_nobody_leads_is_told_when_somebody_does(tmp_path: Path) -> None:
    world = World(tmp_path)
    client = Connection()
    submit(world.servers[1], client, 1, b"x")
    leader = world.elect()
    replies = [r for r in client.replies if isinstance(r, Redirect | Answers)]
    assert replies
    last = replies[-1]
    assert isinstance(last, Answers) or last.leader_id == leader


def test_who_asks_where_nobody_can_lead_is_sent_away_in_bounded_time(tmp_path: Path) -> None:
    world = World(tmp_path)
    for node_id in (2, 3):
        world.crash(node_id)
    client = Connection()
    submit(world.servers[1], client, 1, b"x")
    world.run(1.0)
    assert client.replies == [Redirect(None, "not the leader")]


def test_a_leader_that_steps_down_sends_its_clients_away(tmp_path: Path) -> None:
    world = World(tmp_path)
    leader = world.elect()
    for node_id in list(world.servers):
        if node_id != leader:
            world.crash(node_id)
    client, reader = Connection(), Connection()
    submit(world.servers[leader], client, 1, b"x")
    world.servers[leader].request(reader, wire.encode_client(Read(1, [b"COUNT"])))
    world.run(3.0)
    assert client.replies == [Redirect(None, "not the leader")]
    assert reader.replies == [Redirect(None, "not the leader")]


def test_a_retry_gets_the_first_answer_and_is_applied_once(tmp_path: Path) -> None:
    """Pitfall 11."""
    world = World(tmp_path)
    leader = world.elect()
    client = Connection()
    submit(world.servers[leader], client, 1, b"x")
    world.settle()
    submit(world.servers[leader], client, 1, b"x")
    world.settle()
    first, second = client.replies
    assert first == second
    reader = Connection()
    world.servers[leader].request(reader, wire.encode_client(Read(1, [b"COUNT"])))
    world.settle()
    (result,) = reader.replies
    assert isinstance(result, ReadResult)
    assert result.results == [b"1"]


def test_a_gap_in_a_session_is_not_applied(tmp_path: Path) -> None:
    world = World(tmp_path, 1)
    world.elect()
    client = Connection()
    submit(world.servers[1], client, 1, b"x")
    submit(world.servers[1], client, 3, b"z")
    world.settle()
    assert client.replies[1] == OutOfOrder(3, 2)


def test_all_crash_and_every_answered_entry_is_there(tmp_path: Path) -> None:
    world = World(tmp_path)
    leader = world.elect()
    client = Connection()
    for sequence in range(1, 21):
        submit(world.servers[leader], client, sequence, b"entry %d" % sequence)
    world.settle()
    assert len(client.replies) == 20
    world.mail.clear()
    for node_id in (1, 2, 3):
        world.crash(node_id)
    for node_id in (1, 2, 3):
        world.start(node_id)
    leader = world.elect()
    reader = Connection()
    world.servers[leader].request(reader, wire.encode_client(Read(1, [b"COUNT", b"GET 20"])))
    world.settle()
    (result,) = reader.replies
    assert isinstance(result, ReadResult)
    assert result.results[0] == b"20"
    assert b"entry 20" in result.results[1]


def test_nodes_log_equal_digests_at_equal_indexes(tmp_path: Path) -> None:
    world = World(tmp_path)
    leader = world.elect()
    client = Connection()
    for sequence in range(1, 51):
        submit(world.servers[leader], client, sequence, b"%d" % sequence)
        world.settle()
    world.run(1.0)
    logged = [world.events[n].named("applied.digest") for n in (1, 2, 3)]
    assert logged[0]
    assert logged[0] == logged[1] == logged[2]
    assert len(str(logged[0][0]["digest"])) == 16, "in hexadecimal digits"
    assert len({world.servers[n].status().digest for n in (1, 2, 3)}) == 1


def test_a_status_tells_of_the_last_sixteen_digests(tmp_path: Path) -> None:
    world = World(tmp_path, 1, digest_every=1)
    world.elect()
    for sequence in range(1, 21):
        submit(world.servers[1], Connection(), sequence, b"x")
        world.settle()
    assert [index for index, *_ in world.servers[1].status().digests] == list(range(6, 22))


@pytest.mark.parametrize(
    ("commands", "first", "why"),
    [([b""], 1, "empty"), ([b"x" * 1001], 1, "limit"), ([], 1, "empty"), ([b"x"], 0, "begin")],
)
def test_wrong_requests_are_refused(
    tmp_path: Path, commands: list[bytes], first: int, why: str
) -> None:
    world = World(tmp_path, 1)
    world.elect()
    client = Connection()
    submit(world.servers[1], client, first, *commands)
    world.settle()
    (refused,) = client.replies
    assert isinstance(refused, Refused)
    assert why in refused.reason


def test_rubbish_is_refused(tmp_path: Path) -> None:
    world = World(tmp_path, 1)
    client = Connection()
    world.servers[1].request(client, b"\xc1\xff rubbish")
    assert isinstance(client.replies[0], Refused)


def test_a_full_uncommitted_tail_sends_clients_away(tmp_path: Path) -> None:
    world = World(tmp_path)
    leader = world.elect()
    client = Connection()
    for sequence in range(1, 5):
        submit(world.servers[leader], client, sequence, b"y" * 900)
        world.pump()
    redirects = [r for r in client.replies if isinstance(r, Redirect)]
    assert redirects
    assert redirects[0].leader_id is None


def test_a_stale_read_is_answered_by_anyone_at_once(tmp_path: Path) -> None:
    world = World(tmp_path)
    client = Connection()
    world.servers[2].request(client, wire.encode_client(Read(5, [b"COUNT"], stale=True)))
    world.servers[2].pump(world.now)
    assert client.replies == [ReadResult(5, 0, 0, [b"0"], [])]


def test_a_read_sees_what_was_answered_before(tmp_path: Path) -> None:
    world = World(tmp_path)
    leader = world.elect()
    client = Connection()
    for sequence in range(1, 30):
        submit(world.servers[leader], client, sequence, b"x")
        world.settle()
        world.servers[leader].request(client, wire.encode_client(Read(sequence, [b"COUNT"])))
        world.settle()
        result = client.replies[-1]
        assert isinstance(result, ReadResult)
        assert result.results == [b"%d" % sequence]


def test_a_follower_answers_when_it_has_applied_what_the_leader_had_committed(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    leader = world.elect()
    follower = next(n for n in world.servers if n != leader)
    client, reader = Connection(), Connection()
    for sequence in range(1, 10):
        submit(world.servers[leader], client, sequence, b"x")
        world.settle()
        behind = world.servers[follower].status().applied_index
        assert behind < world.servers[leader].status().applied_index, "it has not heard of it yet"
        last_index = world.servers[leader].status().last_index
        read = Read(sequence, [b"COUNT"], follower=True)
        world.servers[follower].request(reader, wire.encode_client(read))
        world.settle()
        result = reader.replies[-1]
        assert isinstance(result, ReadResult)
        assert result.results == [b"%d" % sequence]
        assert world.servers[leader].status().last_index == last_index


def test_who_is_not_to_answer_as_a_follower_redirects(tmp_path: Path) -> None:
    world = World(tmp_path)
    leader = world.elect()
    follower = next(n for n in world.servers if n != leader)
    reader = Connection()
    world.servers[follower].request(reader, wire.encode_client(Read(1, [b"COUNT"])))
    world.settle()
    assert reader.replies == [Redirect(leader, "not the leader")]


def test_a_read_for_a_follower_waits_while_there_is_no_leader(tmp_path: Path) -> None:
    """The core refuses such a read, which must not end the server."""
    world = World(tmp_path)
    reader = Connection()
    read = wire.encode_client(Read(1, [b"COUNT"], follower=True))
    world.servers[1].request(reader, read)
    world.servers[1].pump(world.now)
    assert reader.replies == []
    leader = world.elect()
    assert reader.replies == [Redirect(leader, "not the leader")]


def test_who_waits_at_a_follower_that_loses_its_leader_is_redirected(tmp_path: Path) -> None:
    world = World(tmp_path)
    leader = world.elect()
    follower, other = (n for n in world.servers if n != leader)
    reader = Connection()
    world.crash(leader)
    read = wire.encode_client(Read(1, [b"COUNT"], follower=True))
    world.servers[follower].request(reader, read)
    world.run(0.2)
    assert reader.replies == []
    world.run(4.0)
    leads = world.servers[follower].status().leader
    assert leads in (follower, other)
    assert reader.replies[-1] == Redirect(leads, "not the leader")
    world.servers[follower].request(reader, read)
    world.settle()
    assert isinstance(reader.replies[-1], ReadResult)


def test_a_failed_write_is_fatal(tmp_path: Path) -> None:
    """Pitfall 12: never retried, never believed."""
    world = World(tmp_path, 1)
    world.elect()
    submit(world.servers[1], Connection(), 1, b"x")
    world.pump()
    _, done = world.queues[1].work.popleft()
    with pytest.raises(DiskFailed):
        done(DiskFailed("sync", "log", OSError(5, "input/output error")))


class Broken(Journal):
    def apply(self, index: int, command: bytes) -> bytes:
        raise ZeroDivisionError("oops")


def test_a_machine_that_breaks_stops_the_node(tmp_path: Path) -> None:
    world = World(tmp_path, 1, machine=f"{__name__}:Broken")
    world.elect()
    submit(world.servers[1], Connection(), 1, b"x")
    with pytest.raises(MachineError, match="ZeroDivisionError: oops"):
        world.settle()


def test_a_client_that_has_gone_is_forgotten(tmp_path: Path) -> None:
    world = World(tmp_path, 1)
    client = Connection()
    submit(world.servers[1], client, 1, b"x")
    world.servers[1].client_gone(client)
    world.elect()
    assert client.replies == []


def test_events_come_before_messages_that_they_explain(tmp_path: Path) -> None:
    """The log tells of a thing before anyone can react to it."""
    world = World(tmp_path)
    world.now = 1.0
    world.order.clear()
    world.servers[1].pump(world.now)
    assert world.order == ["timer.fired", "election.started", "send", "send"]


def test_a_read_confirmed_in_the_turn_in_which_leadership_is_lost(tmp_path: Path) -> None:
    """Both frames wait in the pipes of a leader that was paused."""
    world = World(tmp_path)
    leader = world.elect()
    server = world.servers[leader]
    peer = next(n for n in world.servers if n != leader)
    reader = Connection()
    server.request(reader, wire.encode_client(Read(1, [b"COUNT"])))
    server.pump(world.now)
    state = server._raft.state
    term, commit = state.current_term, state.commit_index
    for reply in (
        AppendEntriesReply(term, True, commit, commit, round=state.round),
        AppendEntriesReply(term + 1, False, 0, 0),
    ):
        server.receive(peer, wire.encode(0, reply), world.now)
    world.run(3.0)
    assert all(isinstance(reply, Redirect) for reply in reader.replies)
    assert reader.replies


def test_entries_that_come_again_after_a_conflict_prove_nothing_yet(tmp_path: Path) -> None:
    """One write holds entries and the conflict that took them back; they come again meanwhile."""
    world = World(tmp_path)
    server, queue = world.servers[1], world.queues[1]

    def noop(index: int, term: int) -> Batch:
        return Batch(index, term, BatchKind.NOOP, 1, b"")

    def hear(peer: NodeId, message: AppendEntries | RequestVote) -> None:
        server.receive(peer, wire.encode(0, message), world.now)
        world.turn(1)

    hear(2, AppendEntries(1, 2, 0, 0, (noop(1, 1),), 0))  # keeps the disk busy; the rest gathers
    hear(2, AppendEntries(2, 2, 1, 1, (noop(2, 2), noop(3, 2)), 0))
    hear(3, AppendEntries(3, 3, 1, 1, (noop(2, 3),), 0))
    world.now += 1.0
    server._raft.state.election_deadline = world.now + 1.0
    hear(2, RequestVote(4, 2, 3, 3))
    queue.do_one()
    world.turn(1)
    hear(2, AppendEntries(4, 2, 1, 1, (noop(2, 2), noop(3, 2)), 0))
    queue.do_one()  # now the disk holds 1 of term 1 and 2 of term 3
    world.mail.clear()
    hear(2, AppendEntries(4, 2, 3, 2, (), 0))
    replies = [wire.decode_rpc(frame)[1] for _, _, frame in world.mail]
    (claimed,) = [reply.match_index for reply in replies if isinstance(reply, AppendEntriesReply)]
    assert claimed <= 1, "the leader's entries 2 and 3 are not on this disk"
    while queue.work:
        queue.do_one()
        world.turn(1)
    assert server._raft.state.persisted_index == 3


def test_of_writes_that_are_joined_the_last_term_and_vote_count(tmp_path: Path) -> None:
    """Figure 2, persistent state: two terms begin while the disk is busy with an earlier one."""
    world = World(tmp_path)
    server, queue = world.servers[1], world.queues[1]
    for term, candidate in ((5, 2), (6, 3), (7, 2)):
        ask = RequestVote(term, candidate, last_log_index=0, last_log_term=0)
        server.receive(candidate, wire.encode(term, ask), world.now)
        world.turn(1)
    assert len(queue.work) == 1, "the first is being written"
    queue.do_one()
    world.turn(1)
    assert len(queue.work) == 1, "the other two are written together"
    queue.do_one()

    world.crash(1)
    state = world.start(1).state
    assert (state.current_term, state.voted_for) == (7, 2)


def test_a_confirmed_read_is_forgotten_with_the_lead(tmp_path: Path) -> None:
    """It waits for entries to be applied; they still are, and nobody must be answered then."""
    world = World(tmp_path, max_apply_bytes=1)
    leader_id = world.elect()
    leader = world.servers[leader_id]
    followers = [node_id for node_id in world.servers if node_id != leader_id]

    def to_followers() -> None:
        for _ in range(len(world.mail)):
            sender, to, frame = world.mail.popleft()
            if to == leader_id:
                world.mail.append((sender, to, frame))
                continue
            world.servers[to].receive(sender, frame, world.now)
            world.turn(to)
            while world.queues[to].work:
                world.queues[to].do_one()
                world.turn(to)

    def to_leader() -> None:
        while world.mail:
            sender, to, frame = world.mail.popleft()
            assert to == leader_id
            leader.receive(sender, frame, world.now)

    client = Connection()
    for sequence in range(1, 7):
        submit(leader, client, sequence, b"entry")
        world.turn(leader_id)
    leader.request(client, wire.encode_client(Read(1, [b"COUNT"])))
    for _ in range(3):
        to_followers()
        while world.queues[leader_id].work:
            world.queues[leader_id].do_one()
            leader.begin_write(world.now)
        to_leader()
        world.turn(leader_id)
    assert leader._clients._confirmed_reads, "it is confirmed"
    assert leader.applied[0] < leader.state.commit_index, "and waits to be applied"

    lost = AppendEntriesReply(leader.state.current_term + 1, False, 0, 0)
    leader.receive(followers[0], wire.encode(1, lost), world.now)
    while leader.pump(world.now):
        pass
    assert leader.applied[0] == leader.state.commit_index
    assert not any(isinstance(reply, ReadResult) for reply in client.replies)


class Candle:
    """A machine that is timed: it goes out three seconds after it was lit."""

    def __init__(self) -> None:
        self.now_us = 0
        self.until_us: int | None = None

    def apply(self, index: int, command: bytes) -> bytes:
        self.until_us = self.now_us + 3_000_000
        return b"lit"

    def query(self, request: bytes) -> bytes:
        return b"out" if self.until_us is None else b"lit"

    def snapshot(self) -> list[bytes]:
        return []

    def restore(self, chunks: object) -> None: ...

    def advance(self, time_us: int) -> None:
        assert time_us >= self.now_us
        self.now_us = time_us
        if self.until_us is not None and time_us >= self.until_us:
            self.until_us = None

    def deadline_us(self) -> int | None:
        return self.until_us


def test_what_is_due_by_the_log_gets_an_entry_to_expire_by_and_no_second_one(
    tmp_path: Path,
) -> None:
    world = World(tmp_path, machine=f"{__name__}:Candle")
    leader = world.elect()
    client = Connection()
    submit(world.servers[leader], client, 1, b"light")
    world.settle()
    lit_at = world.servers[leader].state.log.last_index
    world.run(2.5)
    assert world.servers[leader].state.log.last_index == lit_at
    world.run(5.0)
    assert world.servers[leader].state.log.last_index == lit_at + 1
    for server in world.servers.values():
        server.request(client, wire.encode_client(Read(1, [b"?"], stale=True)))
    world.pump()
    answers = [reply.results for reply in client.replies if isinstance(reply, ReadResult)]
    assert answers == [[b"out"]] * 3
