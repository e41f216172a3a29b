"""The subscriber: what it asks, what it gives out, and when it waits. No cluster."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import pytest

from launcher.client.answers import ReadAnswer
from launcher.client.client import NoAnswer
from launcher.client.subscriber import Message, messages
from launcher.cluster import Cluster
from launcher.errors import LauncherError, UsageError
from node.errors import CommandError
from node.machines import load
from node.machines.protocol import error_answer
from tests.launcher.fake_cluster import config_in


class Node:
    """Answers as a node does whose machine has applied some entries, and counts."""

    def __init__(self, machine: str = "multicast") -> None:
        self.machine = load(machine)
        self.asked: list[Sequence[str]] = []
        self.pauses = 0
        self.silent = 0
        self.later: list[str] = []

    def send(self, *texts: str) -> None:
        for text in texts:
            self.machine.apply(1, f"SEND {text}".encode())

    def ask(self, queries: Sequence[str]) -> list[ReadAnswer]:
        self.asked.append(queries)
        if self.silent:
            self.silent -= 1
            raise NoAnswer("nobody there", [])
        return [self._answer(query) for query in queries]

    def pause(self, seconds: float) -> None:
        """Whoever waits, waits for what comes later; a test that waits for nothing ends."""
        assert seconds > 0
        self.pauses += 1
        assert self.later, "it waits for ever"
        self.send(self.later.pop(0))

    def _answer(self, query: str) -> ReadAnswer:
        try:
            result, error = self.machine.query(query.encode()), None
        except CommandError as refusal:
            result, error = error_answer(refusal), str(refusal)
        return ReadAnswer(query.encode(), error is None, result, error, 1, 1, 1, 0.0)


def heard(node: Node, count: int, first: int | None = None) -> list[Message]:
    return list(islice(messages(node.ask, first, pause=node.pause), count))


def test_it_gives_out_what_there_is_and_waits_for_more() -> None:
    node = Node()
    node.send("a", " b  c ")
    node.later = ["d", "e"]

    assert heard(node, 4) == [
        *(Message(1, b"a"), Message(2, b" b  c "), Message(3, b"d"), Message(4, b"e")),
    ]
    assert node.pauses == 2


def test_it_waits_when_nothing_was_ever_sent() -> None:
    node = Node()
    node.later = ["a"]

    assert heard(node, 1) == [Message(1, b"a")]


def test_it_does_not_wait_while_there_is_more() -> None:
    node = Node()
    node.send(*(f"m{n}" for n in range(2500)))

    assert [message.number for message in heard(node, 2500)] == list(range(1, 2501))
    assert node.pauses == 0
    assert len(node.asked) == 1 + 3


def test_it_begins_where_it_is_told_to() -> None:
    node = Node()
    node.send("a", "b", "c")

    assert [message.number for message in heard(node, 2, first=2)] == [2, 3]
    with pytest.raises(UsageError, match="numbered from 1, so none is 0"):
        heard(node, 1, first=0)


def test_it_waits_for_a_number_that_is_still_to_come() -> None:
    node = Node()
    node.later = ["a", "b", "c"]

    assert heard(node, 1, first=3) == [Message(3, b"c")]


def test_it_begins_with_the_oldest_that_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.machines.multicast.KEPT_MESSAGES", 2)
    node = Node()
    node.send("a", "b", "c", "d")

    assert [message.text for message in heard(node, 2)] == ["c", "d"]
    with pytest.raises(LauncherError, match=r"message 1 is gone: the messages before 3 have been"):
        heard(node, 1, first=1)


def test_one_that_falls_behind_what_is_kept_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("node.machines.multicast.KEPT_MESSAGES", 2)
    node = Node()
    node.send("a")
    watched = messages(node.ask, pause=node.pause)
    assert next(watched).text == "a"

    node.send("b", "c", "d")
    node.later = ["e"]
    with pytest.raises(LauncherError, match="message 2 is gone"):
        next(watched)


def test_it_never_goes_back_when_a_node_answers_that_is_behind() -> None:
    ahead, behind = Node(), Node()
    ahead.send("a", "b", "c")
    behind.send("a")
    turn = [ahead, ahead, behind, behind, ahead]
    watched = messages(lambda queries: turn.pop(0).ask(queries), pause=lambda seconds: None)

    assert [next(watched).text for _ in range(3)] == ["a", "b", "c"]
    ahead.send("d")
    assert next(watched).text == "d"
    assert turn == []


def test_it_asks_on_when_nobody_answers() -> None:
    node = Node()
    node.send("a")
    node.silent = 3

    assert heard(node, 1) == [Message(1, b"a")]
    assert len(node.asked) == 3 + 2


@pytest.mark.parametrize("node", [None, 2])
def test_only_the_watcher_of_a_node_reads_what_may_be_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, node: int | None
) -> None:
    answering = Node()
    answering.send("a")
    options: list[dict[str, object]] = []

    def read_many(queries: Sequence[str], **how: object) -> list[ReadAnswer]:
        options.append(how)
        return answering.ask(queries)

    cluster = Cluster(3, config=config_in(tmp_path))
    monkeypatch.setattr(cluster, "read_many", read_many)
    assert next(cluster.watch(node=node)).text == "a"
    assert {(how["node"], how["stale"]) for how in options} == {(node, node is not None)}


@pytest.mark.parametrize("machine", ["kv", "journal", "lock"])
def test_another_machine_cannot_be_watched(machine: str) -> None:
    with pytest.raises(LauncherError, match="only the machine multicast can be watched: not under"):
        heard(Node(machine), 1)
    with pytest.raises(LauncherError, match="only the machine multicast can be watched: not under"):
        heard(Node(machine), 1, first=5)


def test_a_machine_that_answers_anything_to_anything_cannot_be_watched() -> None:
    def ask(queries: Sequence[str]) -> list[ReadAnswer]:
        return [ReadAnswer(b"", True, b"42", None, 1, 1, 1, 0.0) for _ in queries]

    with pytest.raises(LauncherError, match="'42' is no answer to KEPT"):
        next(messages(ask))


def test_a_gap_is_never_passed_over() -> None:
    def ask(queries: Sequence[str]) -> list[ReadAnswer]:
        answers = {"KEPT": b"1 9", "AFTER 0": b"1 a\n3 c"}
        return [ReadAnswer(b"", True, answers[query], None, 1, 1, 1, 0.0) for query in queries]

    watched = messages(ask)
    assert next(watched).text == "a"
    with pytest.raises(LauncherError, match="message 3 came next after message 1"):
        next(watched)
