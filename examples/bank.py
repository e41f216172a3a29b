"""A bank: a machine of one's own, and a workload that says whether it keeps its promises.

    launcher up 3 -d --machine examples.bank:Bank
    launcher workload examples.bank:Transfers --time 10s

`Bank` is the machine: ten accounts, and money that moves between them. `Transfers` is the workload:
clients move money and look at the accounts, and the check says what must be true of all that they
have seen. No money is made or lost, no account is below zero, and each transfer happens once.
docs/LAB.md explains both.

    python examples/bank.py

runs them together while the leader is killed, and prints the verdict.
"""

from __future__ import annotations

import json
import random
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from launcher import Cluster
from launcher.lab.clients import Plan, Tally, judge, run
from launcher.lab.history import Done
from launcher.lab.workloads import Judgement, Operation, invalid, valid
from node.errors import CommandError

NAMES = ["ann", "bob", "cat", "dan", "eve", "fay", "gus", "hal", "ida", "joe"]
AT_FIRST = 100


class Bank:
    """The machine. Its commands:

    TRANSFER from to amount    moves money; answers "done"; refused when there is too little
    ACCOUNTS                   a query: how many transfers were done, and all balances, as JSON
    """

    def __init__(self) -> None:
        self.accounts = dict.fromkeys(NAMES, AT_FIRST)
        self.transfers = 0

    def apply(self, index: int, command: bytes) -> bytes:
        words = command.decode("utf-8", "replace").split()
        if len(words) != 4 or words[0] != "TRANSFER" or not words[3].isdecimal():
            raise CommandError("write TRANSFER from to amount")
        source, target, amount = words[1], words[2], int(words[3])
        if source not in self.accounts or target not in self.accounts:
            raise CommandError("there is no such account")
        if self.accounts[source] < amount:
            raise CommandError(f"{source} has only {self.accounts[source]}")
        self.accounts[source] -= amount
        self.accounts[target] += amount
        self.transfers += 1
        return b"done"

    def query(self, request: bytes) -> bytes:
        if request != b"ACCOUNTS":
            raise CommandError("write ACCOUNTS")
        return self._state()

    def snapshot(self) -> Iterator[bytes]:
        yield self._state()

    def restore(self, chunks: Iterable[bytes]) -> None:
        state = json.loads(b"".join(chunks))
        self.accounts, self.transfers = state["accounts"], state["transfers"]

    def _state(self) -> bytes:
        return json.dumps({"transfers": self.transfers, "accounts": self.accounts}).encode()


class Transfers:
    """The workload: what clients do, and what must hold."""

    machine = "examples.bank:Bank"

    def next(self, client: int, number: int, rng: random.Random, last: Done | None) -> Operation:
        """Two of three operations move money; the others look."""
        choice = rng.random()
        if choice < 0.2:
            return look()
        if choice < 0.33:
            return Operation(f="glance", how="stale", command="ACCOUNTS")
        source, target = rng.sample(NAMES, 2)
        amount = rng.randint(1, 60)
        return Operation(
            f="transfer",
            command=f"TRANSFER {source} {target} {amount}",
            value={"from": source, "to": target, "amount": amount},
        )

    def opening(self, number: int, last: Done | None) -> Operation | None:
        """Before all clients begin, look once: the cluster may have been used before."""
        return look() if number == 0 else None

    def closing(self, number: int, last: Done | None) -> Operation | None:
        """When they have ended, look once more."""
        return look() if number == 0 else None

    def check(self, history: Sequence[Done]) -> Judgement:
        """No money is made or lost, no account is below zero, each transfer happens once."""
        looks = [one for one in history if one.f in ("look", "glance") and one.outcome == "ok"]
        if not looks:
            return valid("nobody has seen an account")
        first = looks[0]
        for one in looks:
            accounts = state(one)["accounts"]
            if sum(accounts.values()) != sum(state(first)["accounts"].values()):
                return invalid(f"all accounts together hold {sum(accounts.values())}", [first, one])
            if min(accounts.values()) < 0:
                poor = min(accounts, key=accounts.__getitem__)
                return invalid(f"{poor} has {accounts[poor]}", [one])
        return counted(history, [one for one in looks if one.f == "look"])


def look() -> Operation:
    """A linearizable read of all accounts."""
    return Operation(f="look", how="read", command="ACCOUNTS")


def state(one: Done) -> dict[str, dict[str, int]]:
    """What a look has seen."""
    seen: dict[str, dict[str, int]] = json.loads(one.result or "")
    return seen


def transfers(one: Done) -> int:
    """How many transfers the bank had done, as a look has seen it."""
    return int(json.loads(one.result or "")["transfers"])


def counted(history: Sequence[Done], looks: Sequence[Done]) -> Judgement:
    """A look sees every transfer that was answered before it began, and none that began after it
    had ended. One without an answer may count or not."""
    moves = [one for one in history if one.f == "transfer" and one.outcome != "fail"]
    ends = sorted(one.completed for one in moves if one.completed is not None)
    begins = sorted(one.invoked for one in moves)
    at_first = transfers(looks[0]) if looks else 0
    for one in looks:
        assert one.completed is not None, "a look with a result has an end"
        seen = transfers(one) - at_first
        done = bisect_left(ends, one.invoked)
        begun = bisect_left(begins, one.completed)
        if seen < done:
            return invalid(f"{done} transfers were done, and the bank knows of {seen}", [one])
        if seen > begun:
            return invalid(f"{begun} transfers were begun, and the bank has done {seen}", [one])
    return valid(f"{len(moves)} transfers, none lost and none done twice")


def use_and_judge(cluster: Cluster, folder: Path) -> None:
    """Clients move money; the leader dies in the middle; and what they saw is judged."""
    killed: list[int] = []

    def progress(tally: Tally) -> None:
        if tally.operations > 300 and not killed:
            (leader,) = cluster.kill("leader")
            killed.append(leader.id)
            print(f"after {tally.operations} operations the leader, n{leader.id}, is killed")

    print("eight clients move money for 5 seconds")
    ran = run(
        cluster, Plan(workload="examples.bank:Transfers", time_s=5), folder, progress=progress
    )
    tally = ran.tally
    print(f"done: {tally.ok}, refused: {tally.fail}, without an answer: {tally.info}")
    judgement = judge(folder)
    print(f"{judgement.validity.value}: {judgement.reason}")
    assert judgement.validity.value == "valid"


if __name__ == "__main__":
    with TemporaryDirectory() as place:
        config = Path(place) / "cluster.yaml"
        config.write_text("name: bank-example\n")
        with Cluster(3, machine="examples.bank:Bank", config=config) as cluster:
            use_and_judge(cluster, Path(place) / "run")
