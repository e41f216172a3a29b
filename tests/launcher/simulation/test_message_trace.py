"""Messages in a trace: each is accounted for; the events have all that a specification needs."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest

from launcher.simulation.runner import run_seed
from launcher.simulation.situation import Options
from launcher.simulation.trace import Trace
from node.tap.fields import fields_of

Events = list[dict[str, Any]]


def traced(seed: int, **options: Any) -> Events:
    lines: list[str] = []
    run_seed(Options(**options), seed, Trace(lines.append))
    return [json.loads(line) for line in lines]


def message_of(event: dict[str, Any]) -> tuple[int, int, int]:
    """What names a message: its sender, the time it carries, its receiver."""
    source = event.get("from", event["node"])
    return source, event.get("sent_t", event["t"]), event.get("to", event["node"])


def copies(event: dict[str, Any]) -> int:
    """How many more of the message there are after this event."""
    return len(event["delays_s"]) - 1 if event["event"] == "message.duplicated" else 0


@pytest.mark.parametrize("seed", range(1, 7))
def test_each_message_is_sent_once_and_then_arrives_or_is_lost_to_a_named_cause(seed: int) -> None:
    events = traced(seed, time_s=5.0)
    left: Counter[tuple[int, int, int]] = Counter()
    sent = 0
    for event in events:
        if not event["event"].startswith("message."):
            continue
        message = message_of(event)
        if event["event"] == "message.sent":
            assert message not in left, "it is sent twice"
            left[message] = 1
            sent += 1
            continue
        assert message in left, f"{event} comes before its message was sent"
        left[message] += copies(event)
        if event["event"] in ("message.received", "message.lost"):
            left[message] -= 1
            assert left[message] >= 0, f"there were fewer copies: {event}"
        if event["event"] == "message.lost":
            assert event["why"] in {
                "cut", "loss", "rate-full", "held-full", "closed", "replaced", "dead"
            }  # fmt: skip
            assert (event["why"] in {"cut", "loss"}) <= (event["fault"] is not None)
    assert sent > 300
    ended = events[-1]["at_s"]
    under_way = [message for message, count in left.items() if count]
    late = [one for one in events if one["event"] == "message.sent" and one["at_s"] < ended - 0.7]
    old = {message_of(one) for one in late}
    held = {message_of(one) for one in events if one["event"] == "message.held"}
    slow = {message_of(one) for one in events if one["event"] in _MAY_BE_LATE}
    assert not {one for one in under_way if one in old} - held - slow


_MAY_BE_LATE = ("message.delayed", "message.duplicated")


def test_a_message_arrives_later_than_it_was_sent_by_the_clocks_of_both() -> None:
    """Also if the receiver's clock is behind: then it goes on above the sender's."""
    events = traced(11, time_s=5.0)
    received = [one for one in events if one["event"] == "message.received"]
    assert len(received) > 200
    assert all(one["t"] > one["sent_t"] for one in received)


def test_what_a_fault_does_to_a_message_names_the_fault() -> None:
    events = traced(3, time_s=6.0)
    numbers = {one["number"] for one in events if one["event"] == "fault.injected"}
    named = [one["fault"] for one in events if one["event"] in _BY_FAULTS]
    assert len(named) > 20
    assert set(named) & numbers
    assert {one for one in named if isinstance(one, int)} <= numbers


_BY_FAULTS = ("message.lost", "message.held", "message.delayed", "message.duplicated")


@pytest.mark.parametrize("seed", range(1, 51))
def test_events_have_all_fields_that_a_check_against_a_specification_needs(seed: int) -> None:
    """etcd's trace events: name, nid, state (term, vote, commit), role, log, conf, msg, prop."""
    events = traced(seed, time_s=1.0)
    of_nodes = [one for one in events if one["node"] and one.get("state") is not None]
    assert {one["event"] for one in of_nodes} >= {
        "message.sent", "message.received", "entries.proposed", "leader.elected", "timer.fired"
    }  # fmt: skip
    for event in of_nodes:
        state = event["state"]
        assert state.keys() >= {"term", "role", "vote", "commit", "last", "last_term", "conf"}
        assert state["conf"].keys() == {"voters", "outgoing", "learners"}
        if not state["conf"]["voters"]:  # it joins, and knows of nobody yet
            assert state["role"] == "follower"
        assert (state["last"] == 0) == (state["last_term"] == 0)
        assert state["commit"] <= state["last"]
        if event["event"] == "entries.proposed":
            assert state["role"] == "leader"
            assert event["prop"]["first"] <= event["prop"]["last"] == state["last"]
        if event["event"] in ("message.sent", "message.received"):
            assert event.keys() >= {"type", "message", "said", "bytes"}
            assert event["message"].keys() >= _FIELDS[event["type"]], event


_FIELDS = {
    "PreVote": {"term", "index", "log_term", "vote"},
    "RequestVote": {"term", "index", "log_term", "vote"},
    "PreVoteReply": {"term", "granted", "reject"},
    "RequestVoteReply": {"term", "granted", "reject"},
    "AppendEntries": {"term", "index", "log_term", "entries", "commit"},
    "AppendEntriesReply": {"term", "index", "reject"},
    "InstallSnapshot": {"term", "index", "log_term", "size"},
    "InstallSnapshotReply": {"term", "index", "offset", "installed"},
    "TimeoutNow": {"term"},
    "ReadIndex": {"term", "ticket"},
    "ReadIndexReply": {"term", "ticket", "index"},
}


def test_the_entries_that_a_leader_proposes_follow_each_other() -> None:
    proposed = [one for one in traced(5, time_s=5.0) if one["event"] == "entries.proposed"]
    ends: dict[tuple[int, int], int] = {}
    for one in proposed:
        leader = (one["node"], one["term"])
        assert one["prop"]["first"] == ends.get(leader, one["prop"]["first"] - 1) + 1
        ends[leader] = one["prop"]["last"]
    assert len(ends) >= 2
    assert len(proposed) > 10


def test_the_election_timer_names_the_message_that_set_it() -> None:
    events = traced(3, time_s=6.0)
    fired = [one for one in events if one["event"] == "timer.fired"]
    elections = [one for one in fired if one["which"] == "election" and one["set_by"] is not None]
    arrived = {(one["node"], one["t"]) for one in events if one["event"] == "message.received"}
    assert elections
    assert all((one["node"], one["set_by"]) in arrived for one in elections)
    assert {"election", "heartbeat"} <= {one["which"] for one in fired}


def test_the_module_for_fields_knows_every_message() -> None:
    from typing import get_args

    from node.raft.messages import Message

    assert {kind.__name__ for kind in get_args(Message)} - {"RequestVote"} <= _FIELDS.keys()
    assert fields_of.__doc__
