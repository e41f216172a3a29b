"""Linearizable reads without log entries: §8, thesis §6.4."""

from __future__ import annotations

import pytest

from launcher.simulation.cores import Network
from node.errors import NotLeader
from node.raft.messages import AppendEntries, AppendEntriesReply


def ask(net: Network, node_id: int, *contexts: int) -> None:
    for context in contexts:
        net[node_id].read(context, net.now)
    net.collect(node_id)


def test_a_read_is_answered_after_one_round() -> None:
    net = Network(3)
    net.elect(1)
    index = net.propose()
    net.settle()
    ask(net, 1, 7)
    assert net.servers[1].reads == []
    net.settle()
    assert net.servers[1].reads == [(index, [7])]


def test_one_round_serves_all_that_wait() -> None:
    net = Network(5)
    net.elect(1)
    net.settle()
    net.mail.clear()
    ask(net, 1, 1, 2, 3)
    rounds = {m.round for _, _, m in net.mail if isinstance(m, AppendEntries)}
    assert len(rounds) == 1
    assert len(net.mail) == 4
    ask(net, 1, 4, 5)
    assert len(net.mail) == 4, "those that come meanwhile wait for the next round"
    net.settle()
    assert [contexts for _, contexts in net.servers[1].reads] == [[1, 2, 3], [4, 5]]


def test_a_single_server_reads_at_once() -> None:
    net = Network(1)
    net.elect(1)
    ask(net, 1, 9)
    assert net.servers[1].reads == [(1, [9])]


def test_only_the_leader_reads() -> None:
    net = Network(3)
    net.elect(1)
    with pytest.raises(NotLeader):
        net[2].read(1, net.now)


def test_a_deposed_leader_answers_no_read() -> None:
    """Pitfall 6: it may lead no more without knowing it."""
    net = Network(3)
    net.elect(1)
    net.isolate(1)
    net.elect(2)
    net.propose()
    net.settle()
    ask(net, 1, 5)
    net.run(0.3)
    assert net.servers[1].reads == []
    net.heal()
    net.run(2.0)
    assert net.servers[1].reads == []


def test_a_new_leader_reads_only_when_it_has_committed_in_its_term() -> None:
    """Pitfall 7, field story 11: until then it does not know what is committed."""
    net = Network(3, logs={1: [1, 1], 2: [1, 1]}, terms={1: 1, 2: 1})
    net.time_out(1)
    while net.leader is None:
        assert net.deliver() or net.persist_all()
    ask(net, 1, 3)
    assert net[1].state.read_round is None
    net.settle()
    assert net.servers[1].reads == [(3, [3])]


def test_answers_to_an_earlier_round_do_not_confirm() -> None:
    """Field story 11: a late acknowledgement says nothing of now."""
    net = Network(3)
    net.elect(1)
    net.settle()
    net.run(0.1)
    stale = net[1].state.round
    net.mail.clear()
    ask(net, 1, 5)
    last = net[1].state.log.last_index
    net[1].step(2, AppendEntriesReply(1, True, last, last, round=stale), net.now)
    net.collect(1)
    assert net.servers[1].reads == []
    net[1].step(2, AppendEntriesReply(1, True, last, last, round=stale + 1), net.now)
    net.collect(1)
    assert net.servers[1].reads == [(last, [5])]


def test_a_lost_round_is_made_up_for_by_the_next_heartbeat() -> None:
    net = Network(3)
    net.elect(1)
    net.settle()
    ask(net, 1, 5)
    net.mail.clear()
    net.run(0.2)
    assert [contexts for _, contexts in net.servers[1].reads] == [[5]]
