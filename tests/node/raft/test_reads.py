"""Linearizable reads without log entries: §8, thesis §6.4."""

from __future__ import annotations

from collections import deque

import pytest

from launcher.simulation.stage.cores import Network
from node.errors import NotLeader
from node.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Message,
    ReadIndex,
    ReadIndexReply,
)
from tests.node.raft.by_hand import in_flight, led


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
    net.until(lambda: net.leader is not None)
    ask(net, 1, 3)
    assert net[1].state.reads.round is None
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


# -- reads at followers ----------------------------------------------------------------------------


def ask_follower(net: Network, node_id: int, *contexts: int) -> None:
    for context in contexts:
        net[node_id].read(context, net.now, follower=True)
    net.collect(node_id)


def deliver_all(net: Network, kind: type[Message]) -> None:
    while at := [at for at, (_, _, one) in enumerate(net.mail) if isinstance(one, kind)]:
        net.deliver(at[0])


def test_a_follower_answers_after_a_question_and_a_round() -> None:
    net = led()
    rounds, last = net[1].state.round, net[1].state.log.last_index
    ask_follower(net, 2, 7)
    assert [type(message) for _, _, message in net.mail] == [ReadIndex]
    net.deliver()
    assert net[1].state.round == rounds + 1
    assert in_flight(net, ReadIndexReply) == [], "the round is not answered yet"
    net.settle()
    assert net.servers[2].reads == [(last, [7])]
    assert net[1].state.log.last_index == last, "a read costs no entry"


def test_all_that_wait_at_a_follower_share_one_question_and_the_rest_shares_the_next() -> None:
    net = led()
    ask_follower(net, 2, 1, 2, 3)
    ask_follower(net, 2, 4)
    ask_follower(net, 2, 5)
    assert len(in_flight(net, ReadIndex)) == 1
    net.settle()
    assert [contexts for _, contexts in net.servers[2].reads] == [[1, 2, 3], [4, 5]]


def test_one_round_serves_the_leaders_reads_and_all_followers_questions() -> None:
    net = led(5)
    net[1].read(1, net.now)
    for follower in (2, 3, 4):
        net[follower].read(follower, net.now, follower=True)
        net.collect(follower)
    round_before = net[1].state.round
    while in_flight(net, ReadIndex):
        sender, to, message = net.mail.popleft()
        net[to].step(sender, message, net.now)
    net.collect(1)
    assert net[1].state.round == round_before + 1
    net.settle()
    for node_id in (1, 2, 3, 4):
        assert [contexts for _, contexts in net.servers[node_id].reads] == [[node_id]]


def test_a_question_that_comes_during_a_round_waits_for_the_next() -> None:
    net = led()
    ask(net, 1, 1)
    under_way = net[1].state.round
    ask_follower(net, 2, 2)
    deliver_all(net, ReadIndex)
    last = net[1].state.log.last_index
    net[1].step(3, AppendEntriesReply(1, True, last, last, round=under_way), net.now)
    assert net.servers[1].reads == []
    net.collect(1)
    assert [contexts for _, contexts in net.servers[1].reads] == [[1]]
    assert in_flight(net, ReadIndexReply) == []
    assert net[1].state.round == under_way + 1
    net.settle()
    assert [contexts for _, contexts in net.servers[2].reads] == [[2]]


def test_a_deposed_leader_answers_no_question() -> None:
    """Pitfall 6: it cannot know that it leads no more."""
    net = led(5)
    net.isolate(1, 2)
    net.elect(3)
    net.propose()
    net.settle()
    net[2].state.leader_id = 1
    ask_follower(net, 2, 5)
    net.run(0.3)
    assert in_flight(net, ReadIndexReply) == []
    assert net.servers[2].reads == []
    net.heal()
    net.run(2.0)
    assert net.servers[2].reads == []


def test_a_new_leader_answers_questions_only_when_it_has_committed_in_its_term() -> None:
    """etcd #7331: until then it does not know what is committed."""
    net = Network(3, logs={n: [1, 1] for n in (1, 2, 3)}, terms={1: 1, 2: 1, 3: 1})
    net.time_out(1)
    net.until(lambda: net[2].state.leader_id is not None)
    rounds = net[1].state.round
    ask_follower(net, 2, 3)
    deliver_all(net, ReadIndex)
    assert net[1].state.reads.questions == {2: net[2].state.reads.last_ticket}
    assert net[1].state.commit_index == 0
    assert (net[1].state.round, net[1].state.reads.round) == (rounds, None)
    net.settle()
    assert net.servers[2].reads == [(3, [3])]


def test_an_answer_counts_only_for_the_ticket_that_is_open() -> None:
    """etcd #20418: the answer to an earlier question is older than the reads that came since."""
    net = led()
    ask_follower(net, 2, 1)
    (first,) = in_flight(net, ReadIndex)
    net.mail.clear()
    net.run(0.25)
    assert [contexts for _, contexts in net.servers[2].reads] == [[1]], "asked anew, and answered"
    ask_follower(net, 2, 2)
    (second,) = in_flight(net, ReadIndex)
    assert isinstance(first, ReadIndex)
    assert isinstance(second, ReadIndex)
    assert first.ticket != second.ticket
    net[2].step(1, ReadIndexReply(1, first.ticket, 1), net.now)
    net.collect(2)
    assert len(net.servers[2].reads) == 1
    net.settle()
    assert [contexts for _, contexts in net.servers[2].reads] == [[1], [2]]


def test_a_lost_question_is_asked_again_with_a_heartbeat_under_a_new_ticket() -> None:
    net = led()
    ask_follower(net, 2, 1)
    lost = net[2].state.reads.last_ticket
    net.mail.clear()
    ask_follower(net, 2, 2)
    assert in_flight(net, ReadIndex) == [], "it may still be answered"
    net.run(0.25)
    assert net[2].state.reads.last_ticket == lost + 1
    assert [contexts for _, contexts in net.servers[2].reads] == [[1, 2]]


def test_an_answer_that_takes_longer_than_a_heartbeat_comes_to_count() -> None:
    """Or on a slow link each question would be given up before its answer is here."""
    net = led()
    slow: deque[tuple[float, int, int, Message]] = deque()
    asked: list[float] = []
    began = net.now
    ask_follower(net, 2, 1)
    while net.now < began + 2:
        if slow and slow[0][0] <= net.now:
            net.mail.appendleft(slow.popleft()[1:])
            net.deliver()
        moves = True
        while moves:
            for item in [one for one in net.mail if isinstance(one[2], ReadIndex)]:
                net.mail.remove(item)
                slow.append((net.now + 0.35, *item))
                asked.append(net.now)
            moves = net.deliver() or net.persist_all()
        net.run(0.01, settle=False)
    assert len(asked) == 3, "each question has twice as long as the one before"
    assert [contexts for _, contexts in net.servers[2].reads] == [[1]]


def test_no_life_takes_the_answer_to_a_question_of_another() -> None:
    net = led()
    ask_follower(net, 2, 1)
    deliver_all(net, ReadIndex)
    deliver_all(net, AppendEntries)
    deliver_all(net, AppendEntriesReply)
    (late,) = in_flight(net, ReadIndexReply)
    net.crash(2)
    net.propose()
    net.settle()
    net.start(2)
    net.run(0.15)
    net.cut = {(2, 1)}
    ask_follower(net, 2, 2)
    net[2].step(1, late, net.now)
    net.collect(2)
    assert net.servers[2].reads == []


def test_what_waits_is_forgotten_when_the_leader_is_lost() -> None:
    """Also when this server leads next: the server has sent its clients elsewhere."""
    net = led()
    net.isolate(1)
    ask_follower(net, 2, 1)
    ask_follower(net, 2, 2)
    net.elect(2)
    net.settle()
    assert net[2].state.reads.question is None
    ask(net, 2, 3)
    net.settle()
    assert [contexts for _, contexts in net.servers[2].reads] == [[3]]


def test_what_was_taken_under_another_leader_is_not_asked_of_the_next() -> None:
    net = led()
    net.isolate(1)
    ask_follower(net, 2, 1)
    net.mail.clear()
    net.elect(3)
    net.run(1.0)
    assert net.servers[2].reads == []
    ask_follower(net, 2, 2)
    net.settle()
    assert [contexts for _, contexts in net.servers[2].reads] == [[2]]


def test_a_follower_without_a_leader_and_one_that_is_not_asked_to_refuse() -> None:
    net = led()
    with pytest.raises(NotLeader):
        net[2].read(1, net.now)
    net.time_out(2)
    with pytest.raises(NotLeader):
        net[2].read(1, net.now, follower=True)


def test_a_learner_answers_too() -> None:
    net = Network(4, members=(1, 2, 3))
    net.elect(1)
    net.settle()
    net[1].change_membership((1, 2, 3, 4), net.now)
    net.collect(1)
    net.settle({1, 2, 3})
    net.now += 0.1
    net.elapse(1)
    deliver_all(net, AppendEntries)
    assert not net[4].state.may_campaign
    ask_follower(net, 4, 1)
    net.settle()
    assert [contexts for _, contexts in net.servers[4].reads] == [[1]]
