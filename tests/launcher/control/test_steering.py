"""The words of `drop`: links, messages and counts."""

from __future__ import annotations

import pytest

from launcher.control import requests
from launcher.control.steering import MOST_DROPPED, parse_message_type, split_link
from launcher.errors import UsageError
from node.wire import MESSAGE_TYPES


@pytest.mark.parametrize(
    ("text", "ends"),
    [("n1>n2", ("n1", "n2")), ("1 > 2", ("1", "2")), ("leader>followers", ("leader", "followers"))],
)
def test_a_link_has_two_ends(text: str, ends: tuple[str, str]) -> None:
    assert split_link(text) == ends


@pytest.mark.parametrize("text", ["", ">", "n1", "n1>", ">n2", "n1>n2>n3", "n1-n2", "x" * 500])
def test_what_is_no_link_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="names no link: write 'n1>n2', in quotes") as caught:
        split_link(text)
    assert len(str(caught.value)) < 250


def test_a_message_is_named_as_in_the_paper_in_any_case() -> None:
    assert parse_message_type("requestvote") == "RequestVote"
    assert parse_message_type(" HEARTBEAT ") == "heartbeat"
    assert all(parse_message_type(name.lower()) == name for name in MESSAGE_TYPES)
    with pytest.raises(UsageError, match="there is no message 'Vote': the messages are RequestV"):
        parse_message_type("Vote")


@pytest.mark.parametrize("count", [0, -1, MOST_DROPPED + 1])
def test_a_command_loses_a_bounded_number_of_messages(count: int) -> None:
    with pytest.raises(UsageError, match=f"drop loses 1 to {MOST_DROPPED} messages, not {count}"):
        requests.check(requests.DropMessages("1>2", "RequestVote", count))


def test_a_request_is_checked_before_it_is_sent() -> None:
    requests.check(requests.ChangeSetting("timescale", "20"))
    requests.check(requests.DropMessages("1>2", "heartbeat"))
    for senseless in (
        requests.ChangeSetting("colour", "red"),
        requests.ChangeSetting("timescale", "1" * 201),
        requests.DropMessages("1", "heartbeat"),
        requests.DropMessages("1>2", "postcard"),
        requests.DropMessages("1>2" + " " * 5000, "heartbeat"),
        requests.TimeOutNodes(["1"] * 5000),
    ):
        with pytest.raises(UsageError):
            requests.check(senseless)
