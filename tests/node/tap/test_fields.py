"""Every message has its fields, under names that all types share."""

from __future__ import annotations

from typing import get_args

import pytest

from node.raft.messages import Message
from node.tap.fields import fields_of, type_of
from tests.node.tap.examples import EXAMPLES


def test_there_is_an_example_of_every_message() -> None:
    assert {type(one) for one in EXAMPLES} == set(get_args(Message))


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda one: type_of(one))
def test_every_field_is_a_number_or_a_truth_value(message: Message) -> None:
    fields = fields_of(message)
    assert fields["term"] == message.term
    assert all(isinstance(value, int) for value in fields.values())


def test_only_asking_has_a_name_of_its_own() -> None:
    assert {type_of(one) for one in EXAMPLES} >= {
        "PreVote", "RequestVote", "PreVoteReply", "RequestVoteReply", "AppendEntries"
    }  # fmt: skip


def test_entries_are_counted_over_all_batches() -> None:
    fields = next(fields_of(one) for one in EXAMPLES if type_of(one) == "AppendEntries")
    assert (fields["first"], fields["last"], fields["entries"]) == (8, 14, 7)
    assert (fields["index"], fields["log_term"], fields["commit"]) == (7, 2, 6)
