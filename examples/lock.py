"""Three workers add to one number, one of them freezes with the lock in its hand, and the leader
of the cluster is killed meanwhile. No addition is lost, and none is made by the one that is late.

    python examples/lock.py
"""

from __future__ import annotations

import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from launcher import Cluster
from node.errors import CommandError

ROUNDS = 15


class Account:
    """What the lock guards. It may be a file or a database; but it must know of tokens."""

    def __init__(self) -> None:
        self.balance = 0
        self.highest_token = 0
        self._one_write_at_a_time = threading.Lock()

    def write(self, balance: int, token: int) -> bool:
        """Refuses a token that is lower than the highest it has seen: its holder is late."""
        with self._one_write_at_a_time:
            if token < self.highest_token:
                return False
            self.highest_token = token
            self.balance = balance
            return True


def acquire(cluster: Cluster, owner: str, ttl: str) -> int:
    """Asks until it has the lock."""
    while True:
        try:
            return int(cluster.submit(f"ACQUIRE account {owner} {ttl}").result)
        except CommandError:  # somebody else has it
            time.sleep(0.01)


def work(config: Path, owner: str, account: Account) -> None:
    cluster = Cluster.attach(config)
    for _ in range(ROUNDS):
        token = acquire(cluster, owner, "10s")
        balance = account.balance
        time.sleep(0.001)  # long enough for another worker to come between, were it not locked out
        assert account.write(balance + 1, token)
        cluster.submit(f"RELEASE account {owner} {token}")


def freeze(config: Path, account: Account, has_it: threading.Event) -> bool:
    """Takes the lock, freezes for longer than its lease, and then writes after all."""
    cluster = Cluster.attach(config)
    token = acquire(cluster, "sleepy", "500ms")
    balance = account.balance
    has_it.set()
    while account.highest_token <= token:  # until the lease has ended, and another has written
        time.sleep(0.01)
    return account.write(balance + 1000, token)


def run(cluster: Cluster, config: Path) -> None:
    account = Account()
    has_it = threading.Event()
    late: list[bool] = []
    sleepy = threading.Thread(target=lambda: late.append(freeze(config, account, has_it)))
    sleepy.start()
    has_it.wait()
    print("sleepy has the lock, and freezes:", cluster.read("HOLDER account").text)

    workers = [
        threading.Thread(target=work, args=(config, owner, account))
        for owner in ("ann", "bob", "cid")
    ]
    for worker in workers:
        worker.start()
    while account.balance < ROUNDS:
        time.sleep(0.01)
    (killed,) = cluster.kill("leader")
    print(f"at balance {account.balance} the leader, n{killed.id}, is killed")
    for worker in [*workers, sleepy]:
        worker.join()

    print(f"3 workers added 1, {ROUNDS} times each: the balance is {account.balance}")
    print("the late write of sleepy was", "taken" if late[0] else "refused by its token")
    assert account.balance == 3 * ROUNDS
    assert late == [False]
    assert cluster.read("LOCKS").text == ""


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        config = Path(folder) / "cluster.yaml"
        config.write_text("name: lock-example\n")
        with Cluster(3, machine="lock", config=config) as cluster:
            run(cluster, config)
