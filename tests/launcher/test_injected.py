"""The handle of a fault: it ends the fault once, also when the block fails."""

from __future__ import annotations

import json

import pytest

from launcher.control.status import Chosen
from launcher.errors import NotRunning
from launcher.injected import Injected, InjectedList

CHOSEN = [Chosen(2, "leader", 1, 1)]


def test_leaving_the_block_ends_the_fault_once() -> None:
    ended: list[str] = []
    with Injected(CHOSEN, [], lambda: ended.append("it")) as fault:
        assert fault.chosen == CHOSEN
        assert ended == []
    assert ended == ["it"]
    fault.end()
    assert ended == ["it"]
    assert repr(fault) == "<Injected at n2>"


def test_a_block_that_fails_ends_it_too() -> None:
    ended: list[str] = []
    with pytest.raises(KeyError), Injected(CHOSEN, [], lambda: ended.append("it")):
        raise KeyError
    assert ended == ["it"]


def test_a_fault_ends_with_the_cluster() -> None:
    def end() -> None:
        raise NotRunning("the cluster is down")

    with Injected(CHOSEN, [], end):
        pass
    with pytest.raises(NotRunning):
        Injected(CHOSEN, [], end).end()


def test_there_may_be_nothing_to_end() -> None:
    with Injected([]) as fault:
        assert fault.unconfirmed == []
    assert repr(fault) == "<Injected at no node>"


def test_a_handle_may_be_a_list_of_what_was_returned_before_there_were_handles() -> None:
    ended: list[str] = []
    with InjectedList([[1, 2], [3]], CHOSEN, [3], lambda: ended.append("it")) as groups:
        assert groups == [[1, 2], [3]]
        assert json.dumps(groups) == "[[1, 2], [3]]"
        assert (groups.chosen, groups.unconfirmed) == (CHOSEN, [3])
        assert ended == []
    assert ended == ["it"]
    assert repr(groups) == "[[1, 2], [3]]"
    assert not InjectedList([], [])
