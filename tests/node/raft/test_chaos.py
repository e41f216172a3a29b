"""Random schedules against the core: everything that can go wrong between servers, by seed.

Messages are lost, doubled and reordered, links are cut, disks lag and hang, servers crash with what
they had not persisted, leaders are asked to hand over, time jumps. Every step is followed by the
invariants of `invariants.py` (the network of `launcher/simulation/stage/cores.py` calls them);
afterwards the faults stop and the cluster must agree.
"""

from __future__ import annotations

from random import Random

import pytest

from launcher.simulation.stage.cores import Network
from node.errors import Busy, NotLeader, RaftError
from node.raft.settings import Limits, Timing

SEEDS = range(80)
STEPS = 2500


class Chaos:
    """One seeded schedule."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        size = self.random.choice([1, 2, 3, 3, 5, 5])
        timing = Timing(0.1, 0.5, 1.0, failure_hint=self.random.random() < 0.5)
        limits = Limits(
            max_append_bytes=self.random.choice([10, 1000]),
            inflight_batches=self.random.choice([1, 3, 64]),
            max_uncommitted_bytes=200,
            max_apply_bytes=self.random.choice([10, 1000]),
        )
        self.net = Network(size, timing=timing, limits=limits, seed=seed)
        self.committed = 0
        self.least_index: dict[int, int] = {}
        self.contexts = 0

    def step(self) -> None:
        net, random = self.net, self.random
        alive = list(net.servers)
        actions = [
            self.deliver,
            self.persist,
            self.pass_time,
            self.propose,
            self.read,
            self.disturb,
            self.hand_over,
            self.hang,
        ]
        random.choices(actions, weights=[60, 30, 8, 8, 3, 2, 2, 2])[0]()
        assert alive
        commits = [s.raft.state.commit_index for s in net.servers.values()]
        self.committed = max([self.committed, *commits])
        self.check_reads()

    def deliver(self) -> None:
        for _ in range(self.random.choice([1, 1, 10])):
            if self.net.mail:
                self.deliver_one()

    def deliver_one(self) -> None:
        net, random = self.net, self.random
        position = random.randrange(len(net.mail)) if random.random() < 0.3 else 0
        fate = random.random()
        if fate < 0.02:
            del net.mail[position]
        elif fate < 0.04:
            net.mail.append(net.mail[position])
        else:
            net.deliver(position)

    def persist(self) -> None:
        for _ in range(self.random.choice([1, 5])):
            self.net.persist(self.random.choice(list(self.net.servers)))

    def pass_time(self) -> None:
        net = self.net
        net.now += self.random.choice([0.001, 0.05, 0.2, 0.6])
        # Often all see the time; sometimes only one does, and the others seem to be paused.
        seeing = list(net.servers)
        if self.random.random() < 0.5:
            seeing = self.random.sample(seeing, 1)
        for node_id in seeing:
            net.elapse(node_id)

    def propose(self) -> None:
        node_id = self.random.choice(list(self.net.servers))
        try:
            data = self.random.randbytes(self.random.choice([0, 3, 30]))
            self.net[node_id].propose(self.random.choice([1, 2, 5]), data, self.net.now)
        except (NotLeader, Busy):
            return
        self.net.collect(node_id)

    def read(self) -> None:
        node_id = self.random.choice(list(self.net.servers))
        self.contexts += 1
        try:
            self.net[node_id].read(self.contexts, self.net.now)
        except NotLeader:
            return
        self.least_index[self.contexts] = self.committed
        self.net.collect(node_id)

    def hand_over(self) -> None:
        node_id = self.net.leader or self.random.choice(list(self.net.servers))
        try:
            self.net[node_id].transfer(self.random.choice([None, *self.net.voters]), self.net.now)
        except RaftError:
            return
        self.net.collect(node_id)

    def hang(self) -> None:
        """What is said of a server's disk is not what its writes do: that must not matter."""
        node_id = self.random.choice(list(self.net.servers))
        since = self.random.choice([None, self.net.now, self.net.now - 0.4])
        self.net[node_id].disk_at_work(since)
        self.net.collect(node_id)

    def check_reads(self) -> None:
        """A read is answered from a state that holds all that was committed when it was asked."""
        for server in self.net.servers.values():
            for index, contexts in server.reads:
                for context in contexts:
                    assert index >= self.least_index[context], "a stale read"
            server.reads.clear()

    def disturb(self) -> None:
        net, random = self.net, self.random
        down = [n for n in net.voters if n not in net.servers]
        choice = random.random()
        leader = net.leader
        if choice < 0.35 and len(net.servers) > 1:
            node_id = random.choice([*net.servers, leader or next(iter(net.servers))])
            net.crash(node_id)
            for peer in list(net.servers):
                if (node_id, peer) not in net.cut:
                    net[peer].hint_failure(node_id, net.now)
                    net.collect(peer)
        elif choice < 0.7 and down:
            net.start(random.choice(down))
        elif choice < 0.8 and leader is not None:
            friends = random.sample(net.voters, random.randrange(len(net.voters)))
            net.isolate(*{leader, *friends[: len(net.voters) // 2 - 1]})
        elif choice < 0.9:
            net.cut = {
                (a, b) for a in net.voters for b in net.voters if a != b and random.random() < 0.3
            }
        else:
            net.heal()

    def recover(self) -> None:
        """The faults stop: within a stated time there is one leader and one log."""
        net = self.net
        net.heal()
        for node_id in net.voters:
            if node_id not in net.servers:
                net.start(node_id)
            net[node_id].disk_at_work(None)
        net.settle()
        net.run(10 * net.timing.election_timeout_max_s)
        assert net.leader is not None, "no leader ten election timeouts after the last fault"
        index = net.propose(b"the last")
        net.settle()
        net.run(net.timing.election_timeout_max_s)
        for node_id in net.voters:
            assert net[node_id].state.commit_index == index, f"node {node_id} has not caught up"
            assert net.log_terms(node_id) == net.log_terms(net.leader)


@pytest.mark.parametrize("seed", SEEDS)
def test_chaos(seed: int) -> None:
    chaos = Chaos(seed)
    for _ in range(STEPS):
        chaos.step()
    chaos.recover()
