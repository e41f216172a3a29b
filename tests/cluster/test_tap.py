"""The record of messages of real processes: complete, true, readable whatever becomes of a node."""

from __future__ import annotations

import json
import os
import signal
from bisect import bisect_left
from collections import Counter, defaultdict
from typing import Any

import pytest

from launcher import Cluster
from launcher.evidence.messages.reading import Messages
from launcher.timeline.events import Event
from node.tap.segment import segments
from tests.cluster.lab import Lab, entries, eventually
from tests.cluster.load import Load

pytestmark = pytest.mark.cluster

SETTINGS = "name: lab\ntap: {mode: full}\nlog: {level: error}\n"
"""With that, all that happens at a node is in its tap."""

Message = tuple[int, int, int]


def begin(lab: Lab, nodes: int = 3, settings: str = SETTINGS) -> Cluster:
    (lab.folder / "cluster.yaml").write_text(settings)
    lab.up(nodes)
    return Cluster.attach(lab.folder / "cluster.yaml")


def cut_the_leader_off(cluster: Cluster) -> None:
    """Until another one leads."""
    term = cluster.status().term
    with cluster.partition("leader|followers"):
        eventually(lambda: cluster.status().term > term, "another leads")


def recorded(lab: Lab) -> list[Event]:
    messages = Messages(lab.folder / "logs" / "tap")
    events = list(messages.events())
    assert messages.problems == []
    assert messages.begins == {}
    return events


def named(event: Event, fields: dict[str, Any]) -> Message:
    """What names a message: its sender, the time it carries, its receiver."""
    return (
        fields.get("from", event.node),
        fields.get("sent_t", event.t),
        fields.get("to", event.node),
    )


class Account:
    """Where each message has been.

    left: the copies of each that are neither received nor lost
    arrived: on each link, the times that the messages carry that have arrived, in order
    ends: for each node, when a life of it or a link of it has ended
    """

    def __init__(self, events: list[Event]) -> None:
        self.left: Counter[Message] = Counter()
        self.why: Counter[str] = Counter()
        self.faults: set[int] = set()
        self.arrived: dict[tuple[int, int], list[int]] = defaultdict(list)
        self.ends: dict[int, list[int]] = defaultdict(list)
        self.logs: dict[int, set[int]] = defaultdict(set)
        lives: dict[tuple[int, int], int] = {}
        for event in events:
            lives[event.node, event.life] = event.t
            if event.event == "link.closed":
                self.ends[event.node].append(event.t)
            if event.event.startswith("message."):
                self._message(event, event.fields)
        for (node, _), t in lives.items():
            self.ends[node].append(t)

    def _message(self, event: Event, fields: dict[str, Any]) -> None:
        message = named(event, fields)
        if event.event == "message.sent":
            assert message not in self.left, f"sent twice: {event}"
            self.left[message] = 1
        assert message in self.left, f"there is no such message yet: {event.raw.decode()}"
        if event.event == "message.duplicated":
            self.left[message] += fields["copies"] - 1
        if event.event in ("message.received", "message.lost"):
            self.left[message] -= 1
            assert self.left[message] >= 0, f"more arrive than were sent: {event}"
        if event.event == "message.received":
            assert event.t > message[1]
            self.arrived[message[0], message[2]].append(message[1])
        if event.event == "message.lost":
            self.why[fields["why"]] += 1
            if fields["fault"] is not None:
                self.faults.add(fields["fault"])
        if fields["type"] == "AppendEntries" and fields["message"]["entries"]:
            span = fields["message"]
            assert span["last"] - span["first"] + 1 == span["entries"]
            if event.event in ("message.sent", "message.received"):
                self.logs[event.node].update(range(span["first"], span["last"] + 1))

    def check_under_way(self) -> None:
        """What neither arrived nor was lost was under way when a life or a link ended: nothing that
        was sent later over that link arrived before that end."""
        for times in self.arrived.values():
            times.sort()
        for (source, t, target), copies in self.left.items():
            if not copies:
                continue
            ends = [end for node in (source, target) for end in self.ends[node] if end >= t]
            assert ends, f"n{source}:{t}>n{target} is nowhere"
            later = self.arrived[source, target]
            position = bisect_left(later, t + 100_000_000)  # copies may be out of order by moments
            after = later[position] if position < len(later) else None
            assert after is None or min(ends) <= after, f"n{source}:{t}>n{target} has vanished"


@pytest.mark.parametrize("rounds", [2, pytest.param(8, marks=pytest.mark.soak)])
def test_every_message_is_sent_once_and_received_or_lost_or_under_way_at_an_end(
    lab: Lab, rounds: int
) -> None:
    """With clocks of both kinds that are wrong, under load, while nodes are killed, links cut, and
    messages lost and doubled."""
    cluster = begin(lab)
    cluster.clock(2, "bump 20s", wall=True)
    cluster.clock(3, "bump -20s", wall=True)
    with Load(lab.folder, many=True, pause_s=0.005, every=10) as load:
        load.goes_on()
        for _ in range(rounds):
            cluster.link("all", "loss 10% duplicate 20%")
            load.goes_on(100)
            follower = next(n.id for n in cluster.status().nodes if n.role == "follower")
            cluster.kill(follower)
            load.goes_on(50)
            cluster.start(follower)
            cut_the_leader_off(cluster)
            load.goes_on(100)
            cluster.kill("leader")
            load.goes_on(50)
            cluster.start("all")
        load.goes_on(50)
    lab.converge()
    lasts = {node.id: node.last_index for node in cluster.status().nodes}
    cluster.down()

    account = Account(recorded(lab))

    account.check_under_way()
    assert {"cut", "loss"} <= account.why.keys()
    assert account.faults
    assert sum(account.left.values()) < len(account.left) / 10
    for node, last in lasts.items():
        assert set(range(2, last + 1)) <= account.logs[node], f"n{node}: entries came from nowhere"
        assert max(account.logs[node]) <= last


def test_the_entries_in_messages_are_those_in_the_logs(lab: Lab) -> None:
    """Without faults each follower is sent each entry once."""
    cluster = begin(lab)
    leader = cluster.status().leader
    for _ in cluster.submit_many(entries(500)):
        pass
    cluster.wait(converged=True)
    last = cluster.status().commit_index
    cluster.down()

    sent: Counter[int] = Counter()
    for event in recorded(lab):
        fields = event.fields
        if event.event == "message.sent" and fields["type"] == "AppendEntries":
            message: Any = fields["message"]
            sent[int(str(fields["to"]))] += message["entries"]
            assert event.node == leader
    assert set(sent.values()) == {last}


def test_timers_are_listed_with_the_messages_alone(lab: Lab) -> None:
    (lab.folder / "cluster.yaml").write_text("name: lab\ntap: {mode: full}\n")
    lab.up(3)
    lab.leader()
    shown = {
        words: lab.launcher("timeline", *words.split(), "-n", "all", check=True).out
        for words in ("--ids", "--ids --messages", "--ids --event timer.fired")
    }
    assert {words: "timer of n" in out for words, out in shown.items()} == {
        "--ids": False,
        "--ids --messages": True,
        "--ids --event timer.fired": True,
    }


def test_the_record_of_a_node_that_hangs_or_is_dead_is_there(lab: Lab) -> None:
    cluster = begin(lab)
    leader = cluster.status().leader
    assert leader is not None
    pid = cluster.status().node(leader).pid
    assert pid is not None
    cluster.submit("ADD x")
    cluster.pause(leader)
    before = [event for event in recorded(lab) if event.node == leader]
    assert any(event.event == "message.sent" for event in before)
    os.kill(pid, signal.SIGKILL)
    after = [event for event in recorded(lab) if event.node == leader and event.life == 1]
    assert after[: len(before)] == before


def test_a_mode_is_confirmed_and_holds_for_later_lives(lab: Lab) -> None:
    cluster = begin(lab, settings="name: lab\ntap: {mode: off}\n")
    assert lab.launcher("tap", check=True).lines == ["n1: off", "n2: off", "n3: off"]
    lab.launcher("kill", "3", check=True)
    said = lab.launcher("tap", "RING", check=True)
    assert said.lines == [
        "n1: ring", "n2: ring", "n3: ring (it is down, and records so when it runs again)"
    ]  # fmt: skip
    lab.launcher("start", "3", check=True)
    cluster.restart(2)
    eventually(lambda: [n.tap for n in cluster.status().nodes] == ["ring"] * 3, "all record")
    assert [(one.node, one.mode, one.note) for one in cluster.tap("off", 1)] == [(1, "off", "")]
    refused = lab.launcher("tap", "some")
    assert refused.status == 2
    assert refused.last_error == "launcher: tap takes off, ring or full, not 'some'"


def test_top_shows_what_goes_over_each_link_and_says_who_records_nothing(lab: Lab) -> None:
    cluster = begin(lab)
    leader = cluster.status().leader
    cluster.tap("off", "follower")
    with Load(lab.folder, pause_s=0.01) as load:
        load.goes_on()
        (line,) = lab.launcher("top", "--once", "--json", check=True).lines
        shown = lab.launcher("top", "--once", check=True).out
    rates = lab.launcher("top", "--once", "--json", check=True).json
    assert f'"source": {leader}' in line or f'"source":{leader}' in line
    assert "records nothing: `launcher tap ring` turns that on" in shown
    assert "messages/s" in shown
    assert len(rates["off"]) == 1
    links = {(one["source"], one["target"]) for one in rates["rates"]["links"]}
    assert {source for source, _ in links} >= {leader}


def test_a_reader_that_is_stopped_holds_up_nobody_and_says_what_it_has_missed(lab: Lab) -> None:
    settings = "name: lab\ntap: {mode: ring, segment: 64KiB}\n"
    cluster = begin(lab, settings=settings)
    process = lab.spawn("top", "--json")
    assert process.stdout is not None
    try:
        lines = iter(process.stdout.readline, b"")
        assert json.loads(next(lines))["missed"] == {}
        process.send_signal(signal.SIGSTOP)
        with Load(lab.folder) as load:
            load.goes_on(100)
            eventually(lambda: min(oldest_segments(lab).values()) > 3, "all rings to turn over")
        process.send_signal(signal.SIGCONT)
        missed = next(said for line in lines if (said := json.loads(line)["missed"]))
        assert missed.keys() == {"1", "2", "3"}
    finally:
        process.kill()
        process.communicate()
    assert cluster.status().leader is not None


def oldest_segments(lab: Lab) -> dict[int, int]:
    """The number of each node's oldest file that is left."""
    there = segments(lab.folder / "logs" / "tap")
    return {node: number for node, number, _ in reversed(there)}


def test_a_cluster_that_begins_anew_has_no_old_records(lab: Lab) -> None:
    begin(lab).down()
    folder = lab.folder / "logs" / "tap"
    old = {path.name: path.read_bytes()[:200] for path in folder.iterdir()}
    assert len(old) == 3
    lab.up(3, "--fresh")
    new = {path.name: path.read_bytes()[:200] for path in folder.iterdir()}
    assert all(new.get(name) != data for name, data in old.items())
