"""Membership changes (§6): joint consensus, learners, removed leaders; stories of the field."""

from __future__ import annotations

from itertools import combinations

import pytest

from launcher.simulation.stage.cores import Network
from node.errors import Busy, NotLeader
from node.raft import reconfiguration
from node.raft.membership import Configuration, decode, encode, stable
from node.raft.messages import (
    AppendEntries,
    AppendEntriesReply,
    Batch,
    BatchKind,
    Membership,
    NodeId,
    RequestVote,
    Snapshot,
)
from node.raft.progress import SNAPSHOT, Progress
from node.raft.settings import Limits
from node.raft.state import Role
from tests.node.raft.by_hand import persist, sent_to


def cluster(size: int, members: tuple[NodeId, ...]) -> Network:
    """A cluster of `members`, led by 1, and servers that are there and belong to nobody."""
    net = Network(size, members=members)
    net.elect(1)
    net.run(0.2)
    return net


def change(net: Network, *target: NodeId) -> None:
    leader = net.leader
    assert leader is not None
    net[leader].change_membership(target, net.now)
    net.collect(leader)


def membership(net: Network, node_id: NodeId) -> Membership:
    return net[node_id].state.configuration.membership


def entries(net: Network, node_id: NodeId) -> list[Membership]:
    """The configurations in a server's log."""
    batches = net[node_id].state.log.batches_from(net[node_id].state.log.first_index)
    return [decode(b.data) for b in batches if b.kind is BatchKind.CONFIGURATION]


# -- quorums -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new"), [((1, 2, 3), (3, 4, 5)), ((1,), (2, 3)), ((1, 2, 3, 4), (4,)), ((1, 2), (1, 3))]
)
def test_no_two_quorums_on_the_way_miss_each_other(
    old: tuple[NodeId, ...], new: tuple[NodeId, ...]
) -> None:
    """Old and joint, joint and new: neighbours share a server. Old and new need not."""
    everybody = sorted({*old, *new})

    def quorums(configuration: Configuration) -> list[set[NodeId]]:
        return [
            set(chosen)
            for count in range(len(everybody) + 1)
            for chosen in combinations(everybody, count)
            if configuration.has_quorum(chosen)
        ]

    before, joint, after = (
        quorums(Configuration(one)) for one in (stable(old), Membership(new, new, old), stable(new))
    )
    assert all(one & other for one in before for other in joint)
    assert all(one & other for one in joint for other in after)
    assert all(one & other for one in joint for other in joint)


def test_the_value_of_a_joint_quorum_is_the_lesser_of_both() -> None:
    joint = Configuration(Membership((3, 4, 5), (3, 4, 5), (1, 2, 3)))
    held = {1: 9, 2: 9, 3: 9, 4: 2, 5: 1}
    assert joint.quorum_value(held.__getitem__) == 2


# -- a change, from its beginning to its end -----------------------------------------------------


def test_who_is_new_learns_then_both_decide_then_the_new_ones() -> None:
    net = cluster(5, (1, 2, 3))
    change(net, 1, 2, 3, 4, 5)
    assert membership(net, 1) == Membership((1, 2, 3), (1, 2, 3, 4, 5))
    net.run(1.0)
    assert entries(net, 1) == [
        Membership((1, 2, 3), (1, 2, 3, 4, 5)),
        Membership((1, 2, 3, 4, 5), (1, 2, 3, 4, 5), (1, 2, 3)),
        stable((1, 2, 3, 4, 5)),
    ]
    for node_id in net.voters:
        assert membership(net, node_id) == stable((1, 2, 3, 4, 5))
        assert net[node_id].state.commit_index == net[1].state.commit_index


def test_all_can_be_replaced_in_one_step() -> None:
    net = cluster(6, (1, 2, 3))
    for number in range(20):
        net.propose(b"%d" % number)
    net.settle()
    change(net, 4, 5, 6)
    net.run(3.0)
    leader = net.leader
    assert leader in (4, 5, 6)
    assert membership(net, leader) == stable((4, 5, 6))
    for gone in (1, 2, 3):
        net.crash(gone)
    index = net.propose(b"after")
    net.settle()
    assert net[leader].state.commit_index == index


def test_a_cluster_of_one_grows_and_shrinks_again() -> None:
    net = cluster(3, (1,))
    change(net, 1, 2, 3)
    net.run(1.0)
    assert membership(net, 3) == stable((1, 2, 3))
    change(net, 1)
    net.run(1.0)
    assert membership(net, 1) == stable((1,))
    net.crash(2)
    net.crash(3)
    assert net[1].state.commit_index < net.propose()
    net.settle()
    assert net[1].state.commit_index == net[1].state.log.last_index


@pytest.mark.parametrize("silent", [(2, 3), (4, 5)])
def test_while_joint_a_leader_steps_down_when_either_majority_is_silent(
    silent: tuple[NodeId, ...],
) -> None:
    net = cluster(5, (1, 2, 3))
    state = net[1].state
    joint = Membership((1, 4, 5), (1, 4, 5), (1, 2, 3))
    entry = Batch(state.log.last_index + 1, 1, BatchKind.CONFIGURATION, 1, encode(joint))
    state.log.append(entry)
    reconfiguration.adopt(state, (entry,))
    net.now += net.timing.election_timeout_max_s
    for peer, progress in state.progress.items():
        progress.last_contact = 0.0 if peer in silent else net.now
    assert state.quorum_contact == 0.0
    net[1].elapse(net.now)
    assert state.role is Role.FOLLOWER


def test_a_learner_counts_nowhere() -> None:
    net = cluster(5, (1, 2, 3))
    net.isolate(2, 3)
    change(net, 1, 2, 3, 4, 5)
    net.settle()
    before = net[1].state.commit_index
    net.propose()
    net.settle()
    assert net[1].state.commit_index == before, "1, 4 and 5 are three of five, and one of three"
    net.run(1.5)
    assert net[1].state.role is Role.FOLLOWER, "nor do they keep a leader in office"
    assert not net[4].state.may_campaign
    net.run(5.0)
    assert net[4].state.current_term == net[5].state.current_term == 1, "nor do they stand"


def test_a_learner_that_lags_is_not_promoted() -> None:
    """Else a commit would wait for one who is far behind (thesis §4.2.1)."""
    net = cluster(4, (1, 2, 3))
    net.isolate(4)
    change(net, 1, 2, 3, 4)
    net.run(3.0)
    assert membership(net, 1).voters == (1, 2, 3)
    change(net, 1, 2, 3)
    net.run(1.0)
    assert membership(net, 1) == stable((1, 2, 3)), "one that never comes can be given up"
    change(net, 1, 2, 3, 4)
    net.heal()
    net.run(1.0)
    assert membership(net, 4) == stable((1, 2, 3, 4))


def test_a_round_that_took_an_election_timeout_promotes_nobody() -> None:
    """A learner that is always one timeout behind would delay every commit by as much."""
    net = cluster(3, (1, 2, 3))
    state, timeout_s = net[1].state, net.timing.election_timeout_min_s
    held = state.log.last_index
    learner = Progress(held + 1, net.now, match_index=held, round_end=held)
    learner.round_began = state.now - timeout_s
    reconfiguration.note_round(state, learner)
    assert not learner.caught_up
    state.now += timeout_s - 0.001
    reconfiguration.note_round(state, learner)
    assert learner.caught_up, "the next round was shorter"


def test_a_learner_comes_by_snapshot() -> None:
    net = Network(4, members=(1, 2, 3), limits=Limits(max_trailing_bytes=0))
    net.elect(1)
    for number in range(10):
        net.propose(b"%d" % number)
    net.settle()
    net.run(0.2)
    net.take_snapshot(1)
    change(net, 1, 2, 3, 4)
    net.run(2.0)
    assert "snapshot.installed" in net.servers[4].events
    assert membership(net, 4) == stable((1, 2, 3, 4))


def test_what_a_snapshot_stands_for_includes_the_membership() -> None:
    net = Network(4, members=(1, 2, 3), limits=Limits(max_trailing_bytes=0))
    net.elect(1)
    change(net, 1, 2, 3, 4)
    net.run(1.0)
    net.take_snapshot(2)
    net.crash(2)
    net.start(2)
    assert net[2].state.log.last_index == net[2].state.log.base_index
    assert membership(net, 2) == stable((1, 2, 3, 4))


def test_a_restarted_server_goes_by_its_log_not_by_what_it_is_told() -> None:
    net = cluster(4, (1, 2, 3))
    change(net, 1, 2, 3, 4)
    net.run(1.0)
    for node_id in net.voters:
        net.crash(node_id)
    for node_id in net.voters:
        net.start(node_id)
        assert membership(net, node_id) == stable((1, 2, 3, 4))


# -- a leader that goes --------------------------------------------------------------------------


def test_a_removed_leader_leads_until_that_is_committed_then_hands_over() -> None:
    net = cluster(4, (1, 2, 3, 4))
    change(net, 2, 3, 4)
    net.settle()
    assert net[1].state.role is Role.FOLLOWER
    assert net.leader in (2, 3, 4)
    assert net[net.leader].state.current_term == 2, "at once: nobody has waited"
    assert membership(net, 2) == stable((2, 3, 4))
    net.run(5.0)
    assert net.servers[1].events.count("election.started") == 2, "its own, when it was elected"


def test_a_removed_leader_that_cannot_hand_over_steps_down() -> None:
    net = cluster(4, (1, 2, 3, 4))
    change(net, 2, 3, 4)
    net.until(lambda: entries(net, 1)[-1] == stable((2, 3, 4)) and net[1].state.leaving)
    net.isolate(1)
    net.run(0.6)
    assert net[1].state.role is Role.FOLLOWER
    net.run(3.0)
    assert net.leader in (2, 3, 4)


def test_a_removed_leader_begins_no_change() -> None:
    """Found by seed 34 of 20 s: it would be a learner of its own."""
    net = cluster(4, (1, 2, 3, 4))
    change(net, 2, 3, 4)
    net.until(lambda: entries(net, 1)[-1] == stable((2, 3, 4)))
    assert net[1].state.role is Role.LEADER
    with pytest.raises(Busy, match="no member any more"):
        net[1].change_membership((1, 2, 3, 4), net.now)


def test_a_removed_leader_needs_a_majority_of_those_that_stay() -> None:
    net = cluster(3, (1, 2, 3))
    change(net, 2, 3)
    net.until(lambda: net[1].state.configuration.is_joint)
    net.mail.clear()
    net.isolate(3)
    net.run(0.4)
    assert net[1].state.configuration.is_joint, "1 and 2 are two of three, and one of two"


def test_who_is_removed_may_be_the_only_one_that_can_be_elected() -> None:
    """Thesis §4.2.2, and seed 207 of 60 s: all wait for 1, whose log is too short for 2 and 3."""
    net = cluster(3, (1, 2, 3))
    net.now = net[1].state.heartbeat_deadline
    net[1].transfer(2, net.now)
    net.collect(1)
    net.settle()
    assert net.leader == 2
    change(net, 1)
    net.until(lambda: entries(net, 2)[-1] == stable((1,)))
    assert membership(net, 1).outgoing == (1, 2, 3)
    net.isolate(1)
    net.run(0.2)
    assert membership(net, 3) == stable((1,))
    net.crash(2)
    net.start(2)
    net.heal()
    net.run(5.0)
    assert net.leader == 1
    assert membership(net, 1) == stable((1,))
    last = net[1].state.log.last_index
    net.propose()
    net.run(0.5)
    assert net[1].state.commit_index == last + 1, "and it needs nobody any more"


def test_who_learns_and_is_elected_hands_over() -> None:
    """Seed 439 of 60 s: by an earlier configuration in its log it stands; by the last it learns."""
    net = cluster(3, (1, 2, 3))
    change(net, 2, 3)
    net.run(1.0)
    assert net.leader in (2, 3)
    change(net, 1, 2, 3)
    learns = Membership((2, 3), (1, 2, 3))
    leader = net.leader
    while any(entries(net, node)[-1:] != [learns] for node in (1, 2, 3)):
        if not net.deliver() and not net.persist_all():
            net.now = net[leader].deadline
            net.elapse(leader)
    while net.persist_all():
        pass
    for node in (1, 2, 3):
        net.crash(node)
    for node in (1, 2, 3):
        net.start(node)
    assert membership(net, 1) == learns
    net.time_out(1)
    net.until(lambda: net[1].state.role is Role.LEADER)
    net.run(5.0)
    assert net.leader is not None
    assert membership(net, net.leader) == stable((1, 2, 3))


def rebuilt() -> Network:
    """1, 4 and 5 began. 4 was cut off in term 1, and 2 is in its place; then 5 was set aside and
    has lost its data. Now 4 and 5 hear each other, and nobody else."""
    net = Network(5, members=(1, 4, 5))
    net.elect(1)
    net.run(0.2)
    net.isolate(4)
    net.crash(1)
    net.start(1)
    net.run(3.0)
    change(net, 1, 2, 5)
    net.run(0.5)
    change(net, 1, 2)
    net.run(0.5)
    assert membership(net, 1) == stable((1, 2))
    net.crash(5)
    net.forget(5)
    net.mail.clear()
    net.cut = {(a, b) for a in range(1, 6) for b in range(1, 6) if (a in (4, 5)) != (b in (4, 5))}
    net.start(5)
    return net


def test_who_has_lost_its_data_helps_nobody_whose_log_is_older_than_that() -> None:
    """Seed 5 of 60 s: by 4's configuration, 4 and 5 are a majority of three."""
    net = rebuilt()
    net.run(5.0)
    assert net[4].state.role is not Role.LEADER
    assert net[5].state.log.last_index == 0
    net.heal()
    change(net, 1, 2, 5)
    net.run(2.0)
    assert membership(net, 5) == stable((1, 2, 5))
    assert net.leader is not None
    net.crash(net.leader)
    net.run(5.0)
    assert net.leader is not None, "and then it counts again"


def test_who_has_lost_its_data_is_in_no_earlier_term() -> None:
    """Else it would follow, and let commit, a leader that has been deposed since."""
    net = rebuilt()
    floor = net.renewed[5]
    assert floor.term > 1
    old = AppendEntries(1, 4, 0, 0, (Batch(1, 1, BatchKind.NOOP, 1, b""),), 0)
    net[5].step(4, old, net.now)
    net.collect(5)
    net.settle()
    assert net[5].state.log.last_index == 0
    assert net[5].state.current_term >= floor.term
    net.crash(5)
    net.start(5)
    assert net[5].state.current_term >= floor.term


def test_removed_servers_disturb_nobody() -> None:
    """Raft itself 9."""
    net = cluster(4, (1, 2, 3, 4))
    net.isolate(4)
    change(net, 1, 2, 3)
    net.run(1.0)
    assert membership(net, 1) == stable((1, 2, 3))
    net.heal()
    term = net[1].state.current_term
    net.run(10.0)
    assert net[1].state.role is Role.LEADER
    assert net[1].state.current_term == term
    assert net[4].state.may_campaign, "it does not know, and asks for votes all the time"


# -- what must not happen ------------------------------------------------------------------------


def test_no_change_begins_before_an_entry_of_the_term_is_committed() -> None:
    """Raft itself 8."""
    net = Network(3, logs={1: [1], 2: [1], 3: [1]})
    net.time_out(1)
    net.until(lambda: net[1].state.role is Role.LEADER)
    with pytest.raises(Busy, match="has not committed an entry of its term"):
        net[1].change_membership((1, 2), net.now)


def test_one_change_at_a_time() -> None:
    net = cluster(5, (1, 2, 3))
    change(net, 1, 2, 3, 4)
    with pytest.raises(Busy, match="another change"):
        change(net, 1, 2)
    change(net, 1, 2, 3, 4)  # the same again is no other
    while not net[1].state.configuration.is_joint:
        if not net.deliver() and not net.persist_all():
            net.now = net[1].deadline
            net.elapse(1)
    with pytest.raises(Busy, match="another change"):
        change(net, 1, 2)
    with pytest.raises(NotLeader):
        net[2].change_membership((1,), net.now)


def test_a_learner_that_is_a_voter_and_does_not_know_it_votes() -> None:
    """etcd #10998: else the cluster has no leader, for want of a vote that is there."""
    net = cluster(4, (1, 2))
    change(net, 1, 2, 3)
    net.cut = {(1, 3), (2, 3)}
    net[3].step(2, RequestVote(5, 2, 100, 4), net.now)
    net.collect(3)
    persist(net, 3)
    assert net[3].state.voted_for == 2


def test_a_truncated_configuration_is_not_in_force_any_more() -> None:
    net = cluster(5, (1, 2, 3))
    net.isolate(1, 4, 5)
    change(net, 1, 2, 3, 4, 5)
    net.run(0.25)
    assert membership(net, 4).target == (1, 2, 3, 4, 5)
    net.run(3.0)
    leader = net.leader
    assert leader in (2, 3)
    net.propose(b"x")
    net.settle()
    net.heal()
    net.run(2.0)
    assert membership(net, 1) == stable((1, 2, 3))
    assert entries(net, 1) == []


def test_who_is_elected_in_the_middle_goes_on() -> None:
    net = cluster(5, (1, 2, 3))
    change(net, 3, 4, 5)
    for _ in range(200):
        if membership(net, 3).outgoing:
            break
        if not net.deliver() and not net.persist_all():
            net.run(0.05, settle=False)
    assert membership(net, 3).outgoing == (1, 2, 3)
    net.crash(1)
    net.run(5.0)
    assert net.leader in (3, 4, 5)
    for node_id in (3, 4, 5):
        assert membership(net, node_id) == stable((3, 4, 5))


def test_a_learner_is_asked_for_no_vote() -> None:
    net = cluster(4, (1, 2, 3))
    net.isolate(4)
    change(net, 1, 2, 3, 4)
    net.settle(only=(1, 2, 3))
    assert net[2].state.configuration.learners == (4,)
    net.mail.clear()
    net.time_out(2)
    while net.persist(2):
        pass
    assert sorted(to for _, to, m in net.mail if isinstance(m, RequestVote)) == [1, 3]


def test_a_leader_tells_the_removed_of_it() -> None:
    net = cluster(4, (1, 2, 3, 4))
    change(net, 1, 2, 3)
    net.run(0.5)
    assert membership(net, 4) == stable((1, 2, 3))
    assert not net[4].state.may_campaign
    assert 4 not in net[1].state.progress, "and then it has nothing more to say to it"
    sent = sent_to(net, 4)
    assert sent == []
    net.run(3.0)
    assert net.servers[4].events.count("election.started") == 0, "it knows that it is removed"


def test_a_removed_server_that_needs_a_snapshot_is_not_told_of_its_removal() -> None:
    """What tells others is an AppendEntries, and this one lacks the entry before it."""
    net = Network(3, limits=Limits(max_trailing_bytes=0))
    net.elect(1)
    net.run(0.2)
    net.isolate(3)
    net[1].link_opened(3, net.now)
    for _ in range(5):
        net.propose()
        net.settle(only=(1, 2))
    net.take_snapshot(1)
    state = net[1].state
    assert state.progress[3].mode is SNAPSHOT
    net.mail.clear()
    change(net, 1, 2)
    net.settle(only=(1, 2))
    assert membership(net, 1) == stable((1, 2))
    assert 3 not in state.progress
    assert not sent_to(net, 3)


def test_a_removal_is_committed_though_the_log_in_front_of_the_removed_has_just_gone() -> None:
    """It was cut after the last Ready: the leader has not yet turned to the snapshot."""
    net = Network(3, limits=Limits(max_trailing_bytes=0, inflight_batches=1))
    net.elect(1)
    net.run(0.2)
    net.isolate(3)
    for _ in range(3):
        net.propose()
        net.settle(only=(1, 2))
    change(net, 1, 2)
    state = net[1].state

    def removal_is_acknowledged() -> bool:
        sender, to, message = net.mail[0] if net.mail else (0, 0, None)
        return (
            membership(net, 1) == stable((1, 2))
            and (sender, to) == (2, 1)
            and isinstance(message, AppendEntriesReply)
            and message.match_index == state.log.last_index > state.commit_index
        )

    net.until(removal_is_acknowledged)
    progress = state.progress[3]
    assert progress.mode is not SNAPSHOT
    net[1].compact(Snapshot(state.last_applied, 1, 0, stable((1, 2, 3)), 100, 1), net.now)
    assert progress.next_index <= state.log.base_index
    net.deliver()
    assert state.commit_index == state.log.last_index
    assert 3 not in state.progress


def test_what_was_acknowledged_before_a_removal_does_not_count_after_it() -> None:
    """Seed 1460 of 60 s: a slow link, and a node that was rebuilt meanwhile and is back."""
    net = cluster(4, (1, 2, 3, 4))
    net.propose()
    net.settle()
    state = net[1].state
    last = state.log.last_index
    late = AppendEntriesReply(
        term=state.current_term,
        success=True,
        prev_log_index=last - 1,
        match_index=last,
        round=state.round,
    )
    change(net, 1, 2, 3)
    net.run(0.5)
    assert 4 not in state.progress
    net.isolate(4)
    change(net, 1, 2, 3, 4)
    net[1].step(4, late, net.now)
    assert state.progress[4].match_index == 0
    net.heal()
    net.run(2.0)
    assert state.progress[4].match_index == state.log.last_index
    assert membership(net, 1) == stable((1, 2, 3, 4))


def test_a_reply_of_the_round_in_which_a_server_was_added_again_does_not_count() -> None:
    """It was removed and added again between two heartbeats, and that reply was under way."""
    net = cluster(4, (1, 2, 3, 4))
    state = net[1].state
    last, number = state.log.last_index, state.round
    change(net, 1, 2, 3)
    net.settle()
    assert 4 not in state.progress
    net.isolate(4)
    change(net, 1, 2, 3, 4)
    assert state.round == number
    late = AppendEntriesReply(1, True, prev_log_index=last, match_index=last, round=number)
    net[1].step(4, late, net.now)
    assert state.progress[4].match_index == 0
