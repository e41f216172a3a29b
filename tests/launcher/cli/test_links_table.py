"""`ps --links`, and how commands tell what links do and who has not confirmed it."""

from __future__ import annotations

import pytest

from launcher.cli.links_table import links_table, said_of
from launcher.cli.output import print_unconfirmed
from launcher.cli.status_table import narrow_table, status_table
from launcher.control.status import ClusterStatus, LinkStatus, NodeState, NodeStatus

SLOW = LinkStatus(1, 2, "delay 50ms 10ms")
CUT = LinkStatus(2, 3, "cut, loss 5%")
ONLY_CUT = LinkStatus(3, 1, "cut")


def status(*links: LinkStatus, count: int = 3, states: tuple[NodeState, ...] = ()) -> ClusterStatus:
    nodes = [NodeStatus(id=node, state="up") for node in range(1, count + 1)]
    if states:
        nodes = [NodeStatus(id=node, state=state) for node, state in enumerate(states, 1)]
    return ClusterStatus(
        cluster="lab", supervisor_pid=1, leader=1, term=1, nodes=nodes, links=list(links)
    )


def test_the_matrix_says_who_reaches_whom() -> None:
    lines = links_table(status(SLOW, CUT), None).splitlines()
    assert [line.split() for line in lines] == [
        ["from", "\\", "to", "n1", "n2", "n3"],
        ["n1", "-", "50ms", "10ms", "ok"],
        ["n2", "ok", "-", "cut"],
        ["n3", "ok", "ok", "-"],
    ]


def test_a_matrix_that_is_too_wide_becomes_lines_of_that_width() -> None:
    everything = "delay 50ms 10ms, loss 5%, duplicate 1%, reorder 2%, rate 1mbit"
    links = [LinkStatus(1, n, everything) for n in range(2, 10)]
    lines = links_table(status(*links, SLOW, count=9), 60).splitlines()
    assert all(len(line) <= 60 for line in lines)
    assert lines[0].startswith("8 links: delay 50ms 10ms, loss 5%")
    assert lines[-2:] == ["n1>n2: delay 50ms 10ms", "all others: ok"]
    assert links_table(status(count=31), 60) == "every link is ok"


def test_links_that_do_the_same_are_told_together() -> None:
    assert said_of([SLOW, CUT, LinkStatus(2, 1, SLOW.does)]) == [
        "n1>n2, n2>n1: delay 50ms 10ms",
        "n2>n3: cut, loss 5%",
    ]


@pytest.mark.parametrize("narrow", [False, True])
def test_ps_tells_which_links_do_something_and_leaves_cuts_to_its_other_lines(
    narrow: bool,
) -> None:
    shown = status(SLOW, ONLY_CUT)
    table = narrow_table(shown, False, 80) if narrow else status_table(shown, False)
    assert table.splitlines()[-1] == "n1>n2: delay 50ms 10ms"
    assert "n3>n1" not in table


def test_who_has_not_confirmed_is_named_with_the_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_unconfirmed([1, 2, 3, 9], status(states=("up", "paused", "down")))
    assert capsys.readouterr().err.splitlines() == [
        "n1 has not confirmed: it does not respond; the change takes effect when it responds",
        "n2 has not confirmed: it is paused; the change takes effect when it runs again",
    ]
