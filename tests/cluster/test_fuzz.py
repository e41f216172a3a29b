"""Anything at all over the sockets of a cluster of real processes.

Whatever comes: no process ends, none takes more memory than its bounds add up to, and an honest
client, or operator, is served within `PATIENCE_S`. What is said is built from the parts of real
frames, with fields that are right, nearly right, and absurd.

Nodes trust each other, so over the pipes between them only what no node may believe is sent. The
messages that could be believed are tried in `tests/node/server/test_server_fuzz.py` and
`tests/node/raft/test_sanity.py`.

`make test` tries some; `make soak` tries for long.
"""

from __future__ import annotations

import json
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, get_args

import msgspec
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from launcher.client.client import Client
from launcher.client.sockets import Sockets
from launcher.control.requests import Request
from launcher.errors import NotRunning
from node import wire
from node.errors import WireError
from node.raft.messages import Message
from node.server.requests import MOST_SEQUENCE
from node.wire import MOST_COMMANDS, Read, Submit
from tests.cluster.garbled_node import words_for
from tests.cluster.lab import eventually
from tests.cluster.test_hostile import MOST_MEMORY, PATIENCE_S, Strict, sockets_of, strict_cluster
from tests.launcher.fake_cluster import FakeCluster, config_in
from tests.node.raft.test_sanity import messages

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]

SOME = 60
MANY = 20_000
"""How many examples: in `make test`, and in `make soak`."""

unhurried = settings(suppress_health_check=list(HealthCheck), max_examples=SOME)
for_long = settings(suppress_health_check=list(HealthCheck), max_examples=MANY)


# -- the client socket ---------------------------------------------------------------------------

near = st.integers(-2, 6)
numbers = near | near | near | st.integers(-(2**63), 2**64 - 1) | st.just(MOST_SEQUENCE)
ids = (
    st.binary(max_size=70)
    | st.sampled_from([b"a", b"\0" * 8 + b"a", b"\xff" * 24])
    | st.just(b"x" * 100_000)
)
commands = st.sampled_from([b"ADD f", b"ADD g", b"DELETE f", b"LS", b"READ f", b"", b"\xff", b"x"])
lists = st.lists(commands, max_size=5) | st.builds(
    lambda command, count: [command] * count,
    commands,
    st.sampled_from([500, 600, MOST_COMMANDS, MOST_COMMANDS + 1, 50_000]),
)
submits = st.builds(Submit, ids, numbers, numbers, lists)
reads = st.builds(Read, numbers, lists, st.booleans(), st.booleans())
anything = st.recursive(
    st.none() | st.booleans() | numbers | st.floats() | st.binary(max_size=9) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=12,
)
malformed = st.builds(
    lambda tag, fields: msgspec.msgpack.encode([tag, *fields]),
    st.sampled_from([1, 2, 0, 3, -1]),
    st.lists(anything, max_size=6),
)
streams = st.one_of(
    st.builds(lambda request: wire.frame(wire.encode_client(request)), submits | reads),
    st.builds(lambda request: wire.frame(wire.encode_client(request)), submits | reads),
    malformed.map(wire.frame),
    st.binary(max_size=40).map(wire.frame),
    st.binary(max_size=40),
    st.builds(
        lambda size, data: struct.pack("!i", size) + data,
        st.integers(-(2**31), 2**31 - 1) | st.sampled_from([0, 1 << 20, wire.MAX_REQUEST_BYTES]),
        st.binary(max_size=9) | st.just(b"x" * 3_000_000),
    ),
    st.builds(lambda depth: wire.frame(b"\x95\x01" + b"\x91" * depth), st.integers(1, 100_000)),
)
Talk: TypeAlias = list[tuple[int, list[bytes], bool, bool]]
talks = st.lists(
    st.tuples(
        st.sampled_from([1, 2, 3]),  # the node
        st.lists(streams, max_size=6),
        st.booleans(),  # whether the answers are read
        st.booleans(),  # whether the connection stays open to the end
    ),
    max_size=6,
)


class Watched:
    """A cluster of three that must not be hurt; it and its honest client stay for all examples."""

    def __init__(self, cluster: Strict) -> None:
        self.cluster = cluster
        self.sockets: Sockets = sockets_of(cluster)
        self.pids = {node.id: node.pid for node in cluster.status().nodes if node.pid}
        self.honest = Client(self.sockets, timeout_s=60.0)

    def assert_unharmed(self) -> None:
        began = time.monotonic()
        answer = self.honest.submit(b"READ f")
        assert answer.index > 0
        self.honest.read([b"LS"])
        for node in self.pids:
            self.honest.read([b"LS"], stale=True, node=node)
        assert time.monotonic() - began < PATIENCE_S
        for node, pid in self.pids.items():
            assert psutil.Process(pid).memory_info().rss < MOST_MEMORY, f"n{node}"


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    settings = "name: fuzz\nlimits: {clients: 20}\nsnapshot: {log: 1MiB}\n"
    with strict_cluster(tmp_path_factory.mktemp("fuzz"), settings) as cluster:
        found = Watched(cluster)
        yield found
        found.honest.close()
        nodes = cluster.status().nodes
        assert [(node.state, node.restarts) for node in nodes] == [("up", 0)] * 3
        cluster.wait(converged=True, timeout_s=60.0)
        ended = [event for event in cluster.timeline() if event.event == "node.exited"]
        assert not ended
        assert cluster.config.supervisor_stderr.read_bytes() == b""


def talk_to(watched: Watched, talk: Talk) -> None:
    held = []
    for node, said, reads_answers, stays in talk:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(0.2)
        with suppress(OSError):
            connection.connect(str(watched.sockets[node]))
            for data in said:
                connection.sendall(data)
            if reads_answers:
                connection.recv(1 << 16)
        if stays:
            held.append(connection)
        else:
            connection.close()
    watched.assert_unharmed()
    for connection in held:
        connection.close()


@unhurried
@given(talks)
def test_nothing_that_clients_say_hurts_a_cluster(watched: Watched, talk: Talk) -> None:
    talk_to(watched, talk)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@for_long
@given(talks)
def test_nothing_that_clients_say_for_long_hurts_a_cluster(watched: Watched, talk: Talk) -> None:
    talk_to(watched, talk)


# -- the pipes between nodes ---------------------------------------------------------------------

NO_TERM = 1 << 50
"""Far beyond any term that is believed."""


def is_nonsense(body: bytes) -> bool:
    """Whether no node may believe it, whatever it knows."""
    try:
        _, message = wire.decode_rpc(body)
    except WireError:
        return True
    return not 0 <= message.term < NO_TERM


def encoded(message: Message) -> bytes:
    try:
        return wire.encode(1, message)
    except OverflowError:
        return b""  # no frame can say it


absurd_terms = st.sampled_from([-1, -(2**63), NO_TERM, 2**62, 2**64 - 1])
bodies_of_nodes = st.one_of(
    st.builds(
        lambda message, term: encoded(msgspec.structs.replace(message, term=term)),
        messages,
        absurd_terms,
    ),
    st.builds(lambda message, end: encoded(message)[:end], messages, st.integers(0, 60)),
    st.builds(lambda message, more: encoded(message) + more, messages, st.binary(max_size=9)),
    anything.map(msgspec.msgpack.encode),
    st.builds(lambda depth: b"\x92\x01" + b"\x91" * depth, st.integers(1, 100_000)),
    st.binary(max_size=60) | st.just(b"x" * 3_000_000),
).filter(is_nonsense)
no_frames = st.integers(-(2**31), -1) | st.integers(wire.MAX_FRAME_BYTES + 1, 2**31 - 1)
words_of_nodes = st.tuples(
    st.sampled_from([1, 2, 3]),  # the node
    st.lists(
        st.builds(
            lambda body, count: wire.frame(body) * (count if len(body) < 1000 else 1),
            bodies_of_nodes,
            st.sampled_from([1, 1, 1, 500, 5000]),
        ),
        max_size=6,
    ).map(b"".join),
    st.just(b"") | st.just(b"") | no_frames.map(lambda size: struct.pack("!i", size)),
)


def is_gone(path: Path) -> bool:
    return not path.exists()


def speak(watched: Watched, said: list[tuple[int, bytes, bytes]]) -> None:
    for node, frames, end in said:
        words = words_for(watched.cluster.config.node_data_dir(node))
        beside = words.with_suffix(".new")
        beside.write_bytes(frames + end)
        beside.rename(words)
        psutil.Process(watched.pids[node]).send_signal(signal.SIGRTMIN)
        eventually(partial(is_gone, words), f"n{node} has said it")
    watched.assert_unharmed()


@unhurried
@given(st.lists(words_of_nodes, max_size=4))
def test_no_nonsense_between_nodes_hurts_a_cluster(
    watched: Watched, said: list[tuple[int, bytes, bytes]]
) -> None:
    speak(watched, said)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@for_long
@given(st.lists(words_of_nodes, max_size=4))
def test_no_nonsense_between_nodes_for_long_hurts_a_cluster(
    watched: Watched, said: list[tuple[int, bytes, bytes]]
) -> None:
    speak(watched, said)


# -- the control socket --------------------------------------------------------------------------

words = st.sampled_from(
    [
        *("1", "2", "n3", "leader", "follower", "all", "random", "minority", "0", "99", "-1", "n"),
        *("1,2", "1|2,3", "leader|followers", "|", "9" * 10, "9" * 5000, "1 " * 5000, "²", "\0"),
    ]
)
texts = words | st.text(max_size=8)
amounts = (
    st.sampled_from([0, 1, -1, 0.5, 1e308, -1e308, 3600.0, 1e9])
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
)
faults = st.fixed_dictionaries(
    {"source": st.integers(0, 4) | amounts, "target": st.integers(0, 4) | amounts},
    optional={
        name: amounts | st.booleans()
        for name in ("delay_s", "jitter_s", "loss", "duplicate", "reorder", "cut")
    },
)
disks = st.none() | st.fixed_dictionaries(
    {"kind": st.sampled_from(["slow-disk", "hang-disk", "full-disk", "burning"])},
    optional={"delay_s": amounts},
)
json_values = st.recursive(
    st.none() | st.booleans() | amounts | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
changes = st.sampled_from(
    [{"cut": True}, {"delay": [0.1, 0.0]}, {"ok": True}, {"word": "bump", "by_s": 0.1}]
) | st.fixed_dictionaries(
    {},
    optional={
        "word": st.sampled_from(["bump", "strobe", "rate", "ok", "set"]),
        "only": st.sampled_from(["", "bump", "strobe", "rate"]),
        "delay": st.tuples(amounts, amounts),
        "ends": st.lists(st.sampled_from(["delay", "cut", "hold", "none"]), max_size=3),
        "profile": st.sampled_from(["", "3g", "wan3"]) | texts,
        **{name: st.booleans() for name in ("wall", "cut", "hold", "ok")},
        **dict.fromkeys(("by_s", "period_s", "rate", "loss", "duplicate", "reorder"), amounts),
    },
)
terms = st.fixed_dictionaries(
    {"action": st.sampled_from(["kill", "pause", "sleep", "cut", "off", "power", "dance"])},
    optional=dict.fromkeys(("percent", "count", "seconds"), amounts),
)
some_nodes = st.lists(st.integers(0, 4) | amounts, max_size=3)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "targets": st.lists(texts, max_size=3),
    "nodes": some_nodes,
    "first_index": st.integers(1, 20) | amounts,
    "count": st.integers(0, 3) | amounts,
    "signal": texts | st.sampled_from(["TERM", "0", "9", "STOP"]),
    "spec": texts,
    "faults": st.lists(faults, max_size=3),
    "fault": disks | texts,
    "links": st.sampled_from(["", "1>2", "1-2", "all", "leader>followers"]) | texts,
    "link": st.sampled_from(["1>2", "leader>follower"]) | texts,
    "pairs": st.lists(st.lists(st.integers(0, 4) | amounts, min_size=2, max_size=2), max_size=3),
    "change": changes,
    "point": st.sampled_from(["before-sync", "before-send"]) | texts,
    "terms": st.lists(terms, max_size=3),
    "share": st.none() | st.just(0.5) | amounts,
    "key": st.sampled_from(["timescale", "message-delay", "pre-vote", "log-level"]) | texts,
    "value": st.sampled_from(["1", "nan", "1e308", "on", "0ms", "info"]) | texts,
    "type": st.sampled_from(["heartbeat", "RequestVote"]) | texts,
    "mode": st.sampled_from(["off", "ring", "full"]) | texts,
    "what": st.sampled_from(["began", "injected", "ended", "left-out", "failed", "over"]),
    "seed": amounts,
    "number": amounts,
    "words": texts,
    "line": texts,
    "why": texts,
    **{
        name: st.booleans()
        for name in ("power", "torn", "rolling", "only_partition", "other_machine_code")
    },
}
"""Of each field of any request, by its name."""

NOT_CARRIED_OUT = {"down", "add", "remove", "rebuild", "snapshot", "restart"}
"""It ends the cluster, or takes nodes that apply what is committed."""

KINDS = {kind.__struct_config__.tag: kind for kind in get_args(Request)}


def form(kind: type[msgspec.Struct]) -> st.SearchStrategy[dict[str, Any]]:
    """A request of this kind whose fields are right, nearly right, absurd, or missing."""
    fields = {field.name: FIELDS[field.name] for field in msgspec.structs.fields(kind)}
    tag = {"op": st.just(kind.__struct_config__.tag)}
    whole = st.fixed_dictionaries(tag | fields)
    broken = {name: field | json_values for name, field in fields.items()}
    return whole | st.fixed_dictionaries(tag, optional=broken)


requests = st.one_of(
    *(form(kind) for tag, kind in KINDS.items() if tag not in NOT_CARRIED_OUT),
    st.dictionaries(st.just("op") | texts, texts),
)
impossible = st.fixed_dictionaries(
    {"op": st.sampled_from(["add", "remove", "rebuild", "snapshot"]), "count": amounts}
).filter(lambda request: not (request["op"] == "add" and request["count"] in range(1, 32)))
bodies = st.one_of(
    (requests | requests | impossible).map(lambda request: json.dumps(request).encode()),
    st.binary(max_size=30),
    st.builds(lambda depth: b"[" * depth, st.integers(1, 100_000)),
    json_values.map(lambda value: json.dumps(value).encode()),
)
pieces = st.one_of(
    bodies.map(wire.frame),
    bodies.map(wire.frame),
    bodies,
    st.integers(-(2**31), 2**31 - 1).map(lambda size: struct.pack("!i", size)),
)


class Operated:
    """A supervisor with nodes that only speak the control protocol."""

    def __init__(self, cluster: FakeCluster) -> None:
        self.cluster = cluster
        record = cluster.record()
        self.path = Path(record.runtime_dir) / "control.sock"
        self.pid = record.process.pid

    def assert_unharmed(self) -> None:
        began = time.monotonic()
        assert len(self.cluster.status().nodes) == 3
        assert time.monotonic() - began < PATIENCE_S
        assert psutil.Process(self.pid).memory_info().rss < MOST_MEMORY
        printed = self.cluster.config.supervisor_stderr.read_text()
        assert "Traceback" not in printed, printed


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    cluster = FakeCluster(3, config=config_in(tmp_path_factory.mktemp("control")))
    cluster.up()
    try:
        yield Operated(cluster)
        if cluster.status().frozen:
            cluster.thaw()
        cluster.heal()
        cluster.disk("all", fault="ok")
        cluster.resume("all")
        cluster.start("all")
        assert cluster.wait(leader=True).leader == 1, "whatever was asked for, it can be put right"
    finally:
        with suppress(NotRunning):
            cluster.down()


def operate(operated: Operated, talk: list[list[bytes]]) -> None:
    for said in talk:
        with socket.socket(socket.AF_UNIX) as connection, suppress(OSError):
            connection.settimeout(0.1)
            connection.connect(str(operated.path))
            for data in said:
                connection.sendall(data)
                check_reply(connection.recv(1 << 16))
    operated.assert_unharmed()


def check_reply(reply: bytes) -> None:
    if len(reply) > 4 and len(reply) == 4 + struct.unpack("!i", reply[:4])[0]:
        said: dict[str, Any] = json.loads(reply[4:])
        assert "the supervisor failed" not in said.get("error", ""), said
        assert "\n" not in said.get("error", "")
        assert len(said.get("error", "")) < 1000


@unhurried
@given(st.lists(st.lists(pieces, max_size=4), max_size=4))
def test_nothing_that_operators_say_hurts_a_supervisor(
    operated: Operated, talk: list[list[bytes]]
) -> None:
    operate(operated, talk)


@pytest.mark.soak
@pytest.mark.timeout(3600)
@for_long
@given(st.lists(st.lists(pieces, max_size=4), max_size=4))
def test_nothing_that_operators_say_for_long_hurts_a_supervisor(
    operated: Operated, talk: list[list[bytes]]
) -> None:
    operate(operated, talk)
