"""The tables of `ps` on terminals of any width: nothing wraps, and nothing that matters is lost."""

from __future__ import annotations

import click
import msgspec
import pytest

from launcher.cli.status_table import narrow_table, raft_tables, shown, status_table
from launcher.control.status import ClusterStatus, NodeStatus, PeerStatus, with_cuts
from node.faults.links import partition
from node.raft.membership import stable
from node.wire import LinkFault

LARGE = 123_456_789


def node(n: int, **fields: object) -> NodeStatus:
    leads = n == 1
    usual = NodeStatus(
        id=n,
        state="up",
        role="leader" if leads else "pre-candidate",
        term=LARGE,
        leader=1,
        first_index=LARGE,
        last_index=LARGE,
        commit_index=LARGE,
        applied_index=LARGE,
        pid=4_000_000,
        uptime_s=100_000.0,
        cpu_percent=100.0,
        rss_bytes=4 << 30,
        voted_for=1,
        election_in_s=None if leads else 0.25,
        leader_heard_s=None if leads else 0.0123,
    )
    return msgspec.structs.replace(usual, **fields)


def peer(n: int, next_index: int = LARGE) -> PeerStatus:
    return PeerStatus(
        id=n,
        next_index=next_index,
        match_index=LARGE,
        mode="replicate",
        in_flight=64,
        in_flight_bytes=LARGE,
        heard_s=0.012,
    )


def status(*nodes: NodeStatus) -> ClusterStatus:
    return ClusterStatus(cluster="c", supervisor_pid=1, leader=1, term=1, nodes=list(nodes))


BIG = status(
    node(1, peers=[peer(n) for n in (2, 3)]),
    node(2),
    node(3, state="failed", role=None, reason=" ".join(["the log is damaged"] * 20)),
)


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
@pytest.mark.parametrize("raft", [False, True])
@pytest.mark.parametrize("colour", [False, True])
def test_no_line_is_wider_than_the_terminal(width: int, raft: bool, colour: bool) -> None:
    text = shown(BIG, colour=colour, width=width, raft=raft)
    assert max(len(click.unstyle(line)) for line in text.splitlines()) <= width


def test_the_whole_table_is_shown_where_it_fits_or_there_is_no_terminal() -> None:
    small = status(node(1), node(2))
    whole = status_table(small, colour=False)
    assert shown(small, colour=False, width=None) == whole
    assert shown(small, colour=False, width=200) == whole
    assert "memory" in whole
    assert "memory" not in shown(small, colour=False, width=None, narrow=True)


def test_a_narrow_table_keeps_what_matters_and_the_order_of_the_columns() -> None:
    titles = narrow_table(status(node(1, last_index=7, commit_index=7)), False, 80).split("\n")[0]
    assert titles.split()[:5] == ["node", "state", "role", "term", "leader"]
    assert "commit" in titles
    assert narrow_table(BIG, False, 20).split("\n")[0].split() == ["node", "state", "role"]


def test_the_reasons_stand_below_a_narrow_table() -> None:
    lines = narrow_table(status(node(1), node(2, reason="killed with SIGKILL")), False, 80)
    assert lines.splitlines()[3:] == ["n2: killed with SIGKILL"]


def test_roles_have_colours_and_so_do_nodes_that_are_cut_off_from_a_majority() -> None:
    alone = node(1), node(2, cut_off_from=[1, 3]), node(3)
    cut = msgspec.structs.replace(status(*alone), membership=stable([1, 2, 3]))
    plain, coloured = (narrow_table(cut, colour, 80) for colour in (False, True))
    assert click.unstyle(coloured) == plain
    assert click.style("leader", "green", bold=True) in coloured
    assert click.style("n2", "red") in coloured
    assert click.style("n1", "red") not in coloured


# -- who is cut off -----------------------------------------------------------------------------


def cut(*faults: LinkFault, count: int = 5) -> list[NodeStatus]:
    return with_cuts([node(n) for n in range(1, count + 1)], faults)


def sentences(nodes: list[NodeStatus]) -> list[str]:
    return narrow_table(status(*nodes), False, 80).splitlines()[1 + len(nodes) :]


def test_a_partition_is_one_sentence_about_the_smaller_side() -> None:
    nodes = cut(*partition([[1, 2, 3], [4, 5]]))
    assert sentences(nodes) == ["n4, n5 are cut off from n1, n2, n3"]
    assert status_table(status(*nodes), False).splitlines()[-1] == sentences(nodes)[0]
    assert [one.cut_off_from for one in nodes] == [[4, 5]] * 3 + [[1, 2, 3]] * 2


def test_each_cut_link_is_told_of_once() -> None:
    nodes = cut(*partition([[1], [2], [3, 4, 5]]))
    assert sentences(nodes) == [
        "n1 is cut off from n2, n3, n4, n5",
        "n2 is cut off from n1, n3, n4, n5",
    ]


def test_a_link_that_is_cut_in_one_direction_only_is_told_as_that() -> None:
    nodes = cut(LinkFault(source=1, target=2, cut=True), count=3)
    assert (nodes[0].cannot_send_to, nodes[1].cannot_hear) == ([2], [1])
    assert nodes[0].cut_off_from == nodes[1].cut_off_from == []
    assert sentences(nodes) == ["no message of n1 reaches n2"]


def test_links_that_only_lose_messages_and_nodes_that_are_gone_cut_nobody_off() -> None:
    nodes = cut(
        LinkFault(source=1, target=2, loss=0.5),
        LinkFault(source=1, target=9, cut=True),
        LinkFault(source=9, target=1, cut=True),
    )
    assert sentences(nodes) == []


# -- Raft's own state ---------------------------------------------------------------------------


def test_the_state_of_raft_is_each_node_and_what_the_leader_believes_of_its_peers() -> None:
    text = raft_tables(
        status(
            node(1, term=3, last_index=9, commit_index=8, peers=[peer(2, next_index=10)]),
            node(2, term=3, last_index=9, commit_index=8, voted_for=None, election_in_s=-0.1),
        ),
        False,
        80,
    )
    lines = text.splitlines()
    assert lines[1].split() == ["n1", "leader", "3", "n1", "n1", "8", "9", "-", "-"]
    assert lines[2].split()[3:] == ["-", "n1", "8", "9", "due", "12ms", "ago"]
    assert "n1, which leads term 3, believes of its peers:" in lines
    (row,) = [line.split() for line in lines if line.split()[:2] == ["n2", "replicate"]]
    assert row[2:] == ["10", str(LARGE), "64", f"({LARGE}", "bytes)", "12ms", "ago"]


def test_a_node_that_does_not_run_has_its_state_in_the_place_of_its_role() -> None:
    paused = node(2, state="paused", role="follower", election_in_s=None, leader_heard_s=None)
    assert raft_tables(status(node(1), paused), False, 80).splitlines()[2].split()[1] == "paused"
